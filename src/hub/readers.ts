import type { SkeinError } from "../contract/errors.ts"
import type { Clock } from "./clock.ts"

/** How long looks at the state may last in one turn of the loop, in ms: the one that goes beyond it is the last of the turn. */
const TURN_MS = 2
/** Looks that took no longer than this since the last count, in ms, begin none: nearly all are that short. */
const SHORT_MS = 0.5

type Look = { run(): void; reject(error: unknown): void }

/**
 * Whoever looks at the state, or at the ledger, later: when the batch in flight has landed, or in another turn of the loop, where looks have taken long in this one. Then those on whose behalf it
 * is take turns, so that nobody waits for another's hundreds.
 */
export class Readers {
  readonly #clock: Clock
  /** Whether a batch is in flight. */
  readonly #busy: () => boolean
  /** By whose they are; whoever is first is next. */
  readonly #waiting = new Map<string, Look[]>()
  /** When the look of this turn began with which they were no longer short, in ms; what came after it in the turn, such as answers that are written, counts too. */
  #sinceMs: number | null = null
  /** How long looks took since the last count. A thousand short ones, each asked for when the one before it is answered, may all be in one turn. */
  #shortMs = 0
  #turning = false

  constructor(clock: Clock, busy: () => boolean) {
    this.#clock = clock
    this.#busy = busy
  }

  /** Whether the next look is another turn's. */
  get isSpent(): boolean {
    return this.#sinceMs !== null && this.#clock.monotonicMs() - this.#sinceMs > TURN_MS
  }

  /** Looks as soon as may be: now, where neither a batch nor others' looks are in the way. */
  read<T>(of: string, look: () => T | Promise<T>): Promise<T> {
    if (this.#busy() || this.isSpent) return this.later(of, look)
    return new Promise((resolve) => resolve(this.#now(look)))
  }

  /** Looks in another turn, or when the batch in flight has landed. */
  later<T>(of: string, look: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(this.#now(look))
        } catch (error) {
          reject(error)
        }
      }
      const own = this.#waiting.get(of)
      if (own === undefined) this.#waiting.set(of, [{ run, reject }])
      else own.push({ run, reject })
      if (!this.#busy()) this.#turn()
    })
  }

  /** The batch has landed, or a turn is over: those who wait look, as many as one turn takes. */
  look(): void {
    while (this.#waiting.size > 0 && !this.isSpent) {
      const [of, looks] = this.#waiting.entries().next().value as [string, Look[]]
      this.#waiting.delete(of)
      const next = looks.shift()
      if (looks.length > 0) this.#waiting.set(of, looks)
      next?.run()
    }
    if (this.#waiting.size > 0) this.#turn()
  }

  /** The state can no longer be trusted. */
  fail(error: SkeinError): void {
    const waiting = [...this.#waiting.values()].flat()
    this.#waiting.clear()
    for (const { reject } of waiting) reject(error)
  }

  #now<T>(look: () => T): T {
    const startMs = this.#clock.monotonicMs()
    try {
      return look()
    } finally {
      if (this.#sinceMs === null) {
        this.#shortMs += this.#clock.monotonicMs() - startMs
        if (this.#shortMs > SHORT_MS) {
          this.#sinceMs = startMs
          this.#shortMs = 0
          this.#turn()
        }
      }
    }
  }

  /** The next turn begins with those who wait. */
  #turn(): void {
    if (this.#turning) return
    this.#turning = true
    this.#clock.soon(() => {
      this.#turning = false
      this.#sinceMs = null
      if (!this.#busy()) this.look()
    })
  }
}
