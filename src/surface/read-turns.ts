/** Reads of one connection at work at once, and begun in one turn of the loop: what they answer may be megabytes each, and stands in the hub's memory. */
export const AT_ONCE = 8

/**
 * When a connection's reads are carried out: so many at once, and none while much of what it was answered waits to be sent. A client may ask for a thousand pages in one
 * message; it gets them as fast as it takes them, and others have their turns between.
 */
export class ReadTurns {
  readonly #hasRoom: () => boolean
  #waiting: (() => void)[] = []
  #working = 0
  /** Begun in this turn: most reads are done within it, and all that wait would be. */
  #begun = 0

  constructor(hasRoom: () => boolean) {
    this.#hasRoom = hasRoom
  }

  /** Calls `read` when it is its turn, which is now where nothing waits; `done` MUST be called once it is answered. */
  begin(read: () => void): void {
    this.#waiting.push(read)
    this.next()
  }

  done(): void {
    this.#working -= 1
    this.next()
  }

  /** There may be room again. */
  next(): void {
    while (this.#waiting.length > 0 && this.#working < AT_ONCE && this.#begun < AT_ONCE && this.#hasRoom()) {
      if (this.#begun === 0) setImmediate(this.#turn)
      this.#begun += 1
      this.#working += 1
      this.#waiting.shift()?.()
    }
  }

  /** Nobody hears the answers: what waits is not carried out. */
  end(): void {
    this.#waiting = []
  }

  readonly #turn = (): void => {
    this.#begun = 0
    this.next()
  }
}
