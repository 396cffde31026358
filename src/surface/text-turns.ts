/** A text that is longer is taken up in a turn of its own, in bytes: to read it and to say what is wrong with it takes up to 20 ms where it is 256 KiB. */
export const LONG_TEXT_BYTES = 16 * 1024

/** When long texts are taken up: one in each turn of the loop, first come first served, however many connections send theirs at once. Others have their turns between. */
export class TextTurns {
  readonly #soon: (call: () => void) => void
  readonly #waiting: (() => void)[] = []
  /** Whether this turn has had its text. */
  #taken = false

  /** `soon` calls back in the next turn of the loop. */
  constructor(soon: (call: () => void) => void = setImmediate) {
    this.#soon = soon
  }

  /** Calls `take` when it is the turn of a text of so many bytes: now, where it is short, or none was taken in this turn. */
  begin(bytes: number, take: () => void): void {
    if (bytes <= LONG_TEXT_BYTES) {
      take()
      return
    }
    this.#waiting.push(take)
    if (!this.#taken) this.#next()
  }

  readonly #next = (): void => {
    const take = this.#waiting.shift()
    this.#taken = take !== undefined
    if (take === undefined) return
    this.#soon(this.#next)
    take()
  }
}

/** Of all that this process reads: its loop is one. */
export const textTurns = new TextTurns()
