import type { Seq } from "../core/ids.ts"
import type { Ledger } from "../ledger/ledger.ts"
import type { Clock } from "./clock.ts"
import type { Replica } from "./replica.ts"
import type { SnapshotStore } from "./snapshots.ts"

type UpkeepOptions = {
  workspace: string
  clock: Clock
  replica: Replica
  ledger: Ledger
  snapshots: SnapshotStore
  /** A snapshot is kept whenever so many entries have come, or as many as the state has records where those are more. */
  snapshotEntries: number
  /** Whether nothing waits and nothing is in flight. */
  isIdle(): boolean
  onFailed(error: unknown, text: string): void
}

/** Quiet before the store may tidy up, in ms. */
const TIDY_AFTER_MS = 250

/** What can wait until nobody does: hashing ahead for the next checkpoint, the store's own tidying, and snapshots beside the work. */
export class Upkeep {
  readonly #o: UpkeepOptions
  #snapshotSeq: Seq
  /** Entries until the next snapshot: writing a state costs what it holds, so an entry's share of it stays the same however large it grows. */
  #interval: number
  #snapshotting: Promise<void> = Promise.resolve()
  #planned = false
  #cancelTidying: (() => void) | null = null
  /** Batches so far: whether somebody was at work during the quiet. */
  #batches = 0

  constructor(options: UpkeepOptions) {
    this.#o = options
    const { seq } = options.replica.head
    this.#snapshotSeq = seq - (seq % options.snapshotEntries)
    this.#interval = Math.max(options.snapshotEntries, options.replica.records)
  }

  /** After each durable batch, while none is in flight. */
  committed(): void {
    this.#batches += 1
    const { workspace, clock, replica, snapshots, snapshotEntries, onFailed } = this.#o
    const { seq } = replica.head
    if (seq < this.#snapshotSeq + this.#interval) return
    this.#snapshotSeq = seq - (seq % snapshotEntries)
    this.#interval = Math.max(snapshotEntries, replica.records)
    const lines = replica.snapshot(() => new Promise((resolve) => clock.soon(resolve)))
    this.#snapshotting = this.#snapshotting
      .then(() => snapshots.keep(workspace, seq, lines))
      .catch((error: unknown) => onFailed(error, "a snapshot could not be kept"))
  }

  /** Nothing waits. */
  idle(): void {
    if (this.#planned) return
    this.#planned = true
    this.#o.clock.soon(() => {
      this.#planned = false
      if (!this.#o.isIdle()) return
      if (this.#o.replica.settle()) this.idle()
      else this.#planTidying()
    })
  }

  /** Resolves when no snapshot is being written any more. */
  async stop(): Promise<void> {
    this.#cancelTidying?.()
    await this.#snapshotting
  }

  #planTidying(): void {
    const batches = this.#batches
    this.#cancelTidying ??= this.#o.clock.after(TIDY_AFTER_MS, () => {
      this.#cancelTidying = null
      if (!this.#o.isIdle()) return
      // Somebody was at work meanwhile: a sync of the store's own would stand in their way.
      if (this.#batches !== batches) return this.#planTidying()
      void this.#o.ledger.idle().catch((error: unknown) => this.#o.onFailed(error, "the ledger could not tidy up"))
    })
  }
}
