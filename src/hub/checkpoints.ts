import type { Seq } from "../core/ids.ts"
import type { Checkpoint } from "../core/workspace.ts"
import type { Clock } from "./clock.ts"

type CheckpointsOptions = {
  clock: Clock
  /** A checkpoint is recorded after so many entries, or so long after the first that none covers, in ms. */
  entries: number
  ms: number
  sign(checkpoint: Checkpoint): Promise<string>
  /** A checkpoint could not be signed. */
  onUnsigned(error: unknown): void
  /** A checkpoint is due: one goes into the next batch. */
  due(): void
}

type Waiter = { resolve(): void; reject(error: unknown): void }

/** When checkpoints are recorded, who waits for one, and the notes that are made of them. */
export class Checkpoints {
  readonly #o: CheckpointsOptions
  /** The last seq that a checkpoint covers. */
  #coveredSeq: Seq
  #due = false
  #cancel: (() => void) | null = null
  #waiters: Waiter[] = []
  #note: string | null = null
  #latest: { size: Seq; note: Promise<string> } | null = null
  #signing: Promise<unknown> = Promise.resolve()

  constructor(options: CheckpointsOptions, covered: Checkpoint | null) {
    this.#o = options
    this.#coveredSeq = covered?.size ?? 0
  }

  get due(): boolean {
    return this.#due
  }

  /** The latest checkpoint that is signed, as its note. */
  get note(): string | null {
    return this.#note
  }

  /** Entries that no checkpoint covers; the checkpoint's own entry is no activity that calls for another. */
  uncovered(seq: Seq): number {
    return seq - this.#coveredSeq - (this.#coveredSeq > 0 ? 1 : 0)
  }

  /** Resolves when the next checkpoint is recorded; rejects with what kept it from being. */
  next(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.ask()
    })
  }

  /** Asks for a checkpoint with the next batch. */
  ask(): void {
    this.#due = true
    this.#o.due()
  }

  /** Whoever waits for the checkpoint that goes into this batch. */
  take(): Waiter[] {
    this.#due = false
    this.#cancel?.()
    this.#cancel = null
    const waiters = this.#waiters
    this.#waiters = []
    return waiters
  }

  /** The ledger holds entries through `seq`; `recorded` is the last checkpoint among them. */
  committed(seq: Seq, recorded: Checkpoint | null): void {
    if (recorded !== null && recorded.size > this.#coveredSeq) {
      this.#coveredSeq = recorded.size
      this.signed(recorded).catch((error: unknown) => this.#o.onUnsigned(error))
    }
    const uncovered = this.uncovered(seq)
    if (uncovered >= this.#o.entries) this.ask()
    else if (uncovered > 0) this.#cancel ??= this.#o.clock.after(this.#o.ms, () => this.#ring())
  }

  /** The checkpoint's note: each is signed once, and one after the other, so that an older never replaces a newer where they are kept. */
  signed(checkpoint: Checkpoint): Promise<string> {
    if (this.#latest?.size === checkpoint.size) return this.#latest.note
    const note = this.#signing.then(async () => (this.#note = await this.#o.sign(checkpoint)))
    const latest = { size: checkpoint.size, note }
    this.#latest = latest
    this.#signing = note.catch(() => {
      if (this.#latest === latest) this.#latest = null
    })
    return note
  }

  /** No more are due; resolves when what is being signed is. */
  async stop(error: unknown): Promise<void> {
    for (const waiter of this.take()) waiter.reject(error)
    await this.#signing
  }

  #ring(): void {
    this.#cancel = null
    this.ask()
  }
}
