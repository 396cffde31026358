import type { Clock } from "./clock.ts"

/** Nobody came for so long, in ms: whoever works alone comes back sooner. */
const QUIET_MS = 20

/** Lets work that nobody waits for go on while nobody waits for anything else. */
export class Quiet {
  readonly #clock: Clock
  #lastMs = Number.NEGATIVE_INFINITY
  #isOver = false
  readonly #waiting = new Set<() => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Somebody was served. */
  disturbed(): void {
    this.#lastMs = this.#clock.monotonicMs()
  }

  /** Resolves once all that has arrived is taken up and nobody was served for a while, but `mostMs` from now at the latest. */
  wait(mostMs = Number.POSITIVE_INFINITY): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + mostMs
    return new Promise((resolve) => {
      const look = (): void => {
        const nowMs = this.#clock.monotonicMs()
        const quietAtMs = Math.min(untilMs, this.#lastMs + QUIET_MS)
        if (this.#isOver || nowMs >= quietAtMs) this.#clock.soon(resolve)
        else {
          const cancel = this.#clock.after(Math.max(1, Math.ceil(quietAtMs - nowMs)), () => {
            this.#waiting.delete(hurry)
            look()
          })
          const hurry = (): void => {
            cancel()
            resolve()
          }
          this.#waiting.add(hurry)
        }
      }
      look()
    })
  }

  /** The hub goes down: nobody waits for quiet any more. */
  end(): void {
    this.#isOver = true
    for (const hurry of this.#waiting) hurry()
    this.#waiting.clear()
  }
}
