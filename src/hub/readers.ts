import type { SkeinError } from "../contract/errors.ts"

/** Whoever waits for the batch in flight before it looks at the state. */
export class Readers {
  #waiting: { run(): void; reject(error: unknown): void }[] = []

  /** Looks later: when the batch in flight has landed. */
  later<T>(look: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(look())
        } catch (error) {
          reject(error)
        }
      }
      this.#waiting.push({ run, reject })
    })
  }

  /** The batch has landed: all look, before anything else happens. */
  look(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { run } of waiting) run()
  }

  /** The state can no longer be trusted. */
  fail(error: SkeinError): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const { reject } of waiting) reject(error)
  }
}
