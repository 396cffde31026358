import { SkeinError } from "../contract/errors.ts"

/**
 * The idempotency key of what is being sent. Where nobody knows whether it was done, the same sent again is the same command, and so never done twice;
 * what is sent after a refusal, which the hub does not remember, is decided anew.
 */
export class Resend {
  #last: { text: string; key: string } | null = null

  keyOf(input: unknown): string {
    const text = JSON.stringify(input)
    if (this.#last?.text !== text) this.#last = { text, key: crypto.randomUUID() }
    return this.#last.key
  }

  /** What came of it; null: it was done. */
  cameTo(error: unknown): void {
    if (!(error instanceof SkeinError && error.code === "timed_out")) this.#last = null
  }
}
