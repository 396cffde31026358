import type { Clock } from "../../src/hub/clock.ts"

/** The clock as one process has it: while the process is stopped, time passes and nothing is called; then all that was due comes at once, in order. */
export class ProcessClock implements Clock {
  readonly #clock: Clock
  #stopped = false
  #gone = false
  #due: (() => void)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wallMs(): number {
    return this.#clock.wallMs()
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs()
  }

  after(ms: number, call: () => void): () => void {
    let cancelled = false
    const ring = (): void => {
      if (!cancelled) call()
    }
    const cancel = this.#clock.after(ms, () => this.arrive(ring))
    return () => {
      cancelled = true
      cancel()
    }
  }

  soon(call: () => void): void {
    this.#clock.soon(() => this.arrive(call))
  }

  /** Something reaches the process: a timer, a message. */
  arrive(call: () => void): void {
    if (this.#stopped) this.#due.push(call)
    else if (!this.#gone) call()
  }

  get stopped(): boolean {
    return this.#stopped
  }

  stop(): void {
    this.#stopped = true
  }

  go(): void {
    this.#stopped = false
    const due = this.#due
    this.#due = []
    for (const call of due) call()
  }

  /** The process is gone, and with it all that was due: nothing is called any more. */
  die(): void {
    this.#gone = true
    this.#stopped = false
    this.#due = []
  }
}
