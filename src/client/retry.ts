/** Backoff with full jitter: anything from 0 to `baseMs` doubled with each attempt, `capMs` at the most. Source: M. Brooker, "Exponential Backoff And Jitter". */
export function fullJitterMs(attempt: number, baseMs: number, capMs: number, random: () => number): number {
  return random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 30))
}

/**
 * How many repeats a client may send: each costs one token, each answer earns a tenth. While all is well repeats are free; when the hub is in
 * trouble a client adds a tenth of its load at the most, so that retries never keep an overload alive.
 */
export class RetryBudget {
  readonly #max: number
  #tokens: number

  constructor(max = 20) {
    this.#max = max
    this.#tokens = max
  }

  earn(): void {
    this.#tokens = Math.min(this.#max, this.#tokens + 0.1)
  }

  spend(): boolean {
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}
