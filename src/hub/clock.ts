/** Time as the hub is given it: a simulation hands in its own. */
export type Clock = {
  /** The wall clock in ms since 1970; read once, when a workspace is opened. May jump. */
  wallMs(): number
  /** Milliseconds that never go backwards. */
  monotonicMs(): number
  /** Calls back once after `ms`; the answer cancels it. */
  after(ms: number, call: () => void): () => void
  /** Calls back once all that has arrived by now is read: what came in together is decided together. */
  soon(call: () => void): void
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (ms, call) => {
    const timer = setTimeout(call, ms)
    return () => clearTimeout(timer)
  },
  soon: (call) => void setImmediate(call),
}

/**
 * The workspace's clock: the last entry's time plus monotonic elapsed time. A wall clock that is set back does no harm, and no entry is
 * older than the one before it.
 */
export class LedgerClock {
  readonly #clock: Clock
  #baseMs: number
  #startMs: number

  constructor(clock: Clock, lastEntryMs: number) {
    this.#clock = clock
    this.#startMs = clock.monotonicMs()
    this.#baseMs = Math.max(lastEntryMs, clock.wallMs())
  }

  nowMs(): number {
    return Math.floor(this.#baseMs + this.#clock.monotonicMs() - this.#startMs)
  }

  /** Somebody else's entry is later than our clock: go on from there. */
  catchUp(entryMs: number): void {
    if (entryMs <= this.nowMs()) return
    this.#baseMs = entryMs
    this.#startMs = this.#clock.monotonicMs()
  }
}
