import type { LedgerFailure } from "../ledger/ledger.ts"
import type { Clock } from "./clock.ts"
import { PROBE_MS } from "./failures.ts"

/** The time in which the disk refuses writes: commands are refused at once, reads go on, and the store is tried again until it takes one. */
export class Outage {
  readonly #clock: Clock
  readonly #probe: () => void
  #failure: LedgerFailure | null = null
  #cancel: (() => void) | null = null

  /** `probe` tries a write. */
  constructor(clock: Clock, probe: () => void) {
    this.#clock = clock
    this.#probe = probe
  }

  /** What the disk refused with, or null while it takes writes. */
  get failure(): LedgerFailure | null {
    return this.#failure
  }

  /** A write was refused. Answers whether it is the first. */
  refused(failure: LedgerFailure): boolean {
    const first = this.#failure === null
    this.#failure = failure
    return first
  }

  /** A write was taken. */
  over(): void {
    this.#failure = null
  }

  /** Plans the next try; called after each batch. */
  plan(): void {
    if (this.#failure === null) return
    this.#cancel ??= this.#clock.after(PROBE_MS, () => {
      this.#cancel = null
      if (this.#failure !== null) this.#probe()
    })
  }

  stop(): void {
    this.#cancel?.()
  }
}
