import type { Seq } from "../core/ids.ts"
import type { Ledger } from "../ledger/ledger.ts"
import type { Clock } from "./clock.ts"
import type { Ladder } from "./ladder.ts"
import type { Quiet } from "./quiet.ts"
import type { Replica } from "./replica.ts"
import type { SnapshotStore } from "./snapshots.ts"

type UpkeepOptions = {
  workspace: string
  clock: Clock
  replica: Replica
  ledger: Ledger
  snapshots: SnapshotStore
  /** The past in steps, for those who look back; null: nobody does. */
  ladder: Ladder | null
  quiet: Quiet
  /** A snapshot is kept whenever so many entries have come, or as many as the state has records where those are more. */
  snapshotEntries: number
  /** Whether nothing waits and nothing is in flight. */
  isIdle(): boolean
  onFailed(error: unknown, text: string): void
}

/** Records that wait to be counted before they are worth a turn of the loop, some four lone commands: with more of them the next command would wait for it. */
const SETTLE_FROM = 8
/** Quiet before the store may tidy up, in ms. */
const TIDY_AFTER_MS = 250
/** What is written of a snapshot at once, about a millisecond's work, waits no longer than this for a moment that nobody else wants, in ms. */
const SLICE_WAIT_MS = 50
/** When nobody waits a snapshot is kept after so much of what would else have to come: the next start has the less to fold. */
const IDLE_SHARE = 1 / 8

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
    void this.#remember(seq).catch((error: unknown) => options.onFailed(error, "the snapshots could not be listed"))
  }

  /** After each durable batch, while none is in flight. */
  committed(): void {
    this.#batches += 1
    this.#o.quiet.disturbed()
    this.#snapshotAfter(this.#interval)
  }

  /** Before each batch: where somebody always waits, what is to be counted is not left to the next checkpoint, which would stand still for it. */
  ahead(): void {
    if (this.#o.replica.unsettled >= SETTLE_FROM) this.#o.replica.settle()
  }

  /** Nothing waits. Whoever was alone asks again at once: what a lone command leaves to count waits for more of it, or for quiet. */
  idle(): void {
    if (this.#o.replica.unsettled < SETTLE_FROM) this.#planTidying()
    else this.#planSettling()
  }

  /** Resolves when no snapshot is being written any more. */
  async stop(): Promise<void> {
    this.#cancelTidying?.()
    this.#o.quiet.end()
    await this.#o.ladder?.stop()
    await this.#snapshotting
  }

  /** A start that had to fold much, for want of a newer snapshot, keeps one soon. */
  async #remember(started: Seq): Promise<void> {
    const newest = (await this.#o.snapshots.list(this.#o.workspace)).findLast((seq) => seq <= started) ?? 0
    this.#snapshotSeq = Math.min(this.#snapshotSeq, newest)
  }

  /** Keeps a snapshot if so many entries have come since the last. */
  #snapshotAfter(entries: number): void {
    const { workspace, quiet, replica, snapshots, snapshotEntries, onFailed } = this.#o
    const { seq } = replica.head
    if (seq < this.#snapshotSeq + entries) return
    this.#snapshotSeq = seq
    this.#interval = Math.max(snapshotEntries, replica.records)
    const apart = this.#interval
    const lines = replica.snapshot(() => quiet.wait(SLICE_WAIT_MS))
    this.#snapshotting = this.#snapshotting
      .then(() => snapshots.keep(workspace, seq, lines))
      .then(() => this.#thin(apart))
      .catch((error: unknown) => onFailed(error, "a snapshot could not be kept"))
  }

  /** Lets go of snapshots that have a newer and an older one close by; the newest two stay, should one of them be damaged. */
  async #thin(apart: number): Promise<void> {
    const { workspace, snapshots } = this.#o
    const kept = await snapshots.list(workspace)
    let before = 0
    for (const [at, seq] of kept.slice(0, -2).entries()) {
      if ((kept[at + 1] as Seq) - before < apart) await snapshots.drop(workspace, seq)
      else before = seq
    }
  }

  #planSettling(): void {
    if (this.#planned) return
    this.#planned = true
    this.#o.clock.soon(() => {
      this.#planned = false
      if (!this.#o.isIdle()) return
      if (this.#o.replica.settle()) this.#planSettling()
      else this.#planTidying()
    })
  }

  #planTidying(): void {
    const batches = this.#batches
    this.#cancelTidying ??= this.#o.clock.after(TIDY_AFTER_MS, () => {
      this.#cancelTidying = null
      if (!this.#o.isIdle()) return
      // Somebody was at work meanwhile: a sync of the store's own would stand in their way.
      if (this.#batches !== batches) return this.#planTidying()
      if (this.#o.replica.settle()) return this.#planSettling()
      this.#snapshotAfter(this.#interval * IDLE_SHARE)
      this.#o.ladder?.grow(this.#o.replica.head.seq).catch((error: unknown) => this.#o.onFailed(error, "the past could not be kept in steps"))
      void this.#o.ledger.idle().catch((error: unknown) => this.#o.onFailed(error, "the ledger could not tidy up"))
    })
  }
}
