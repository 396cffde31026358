/** Answers that are ready, which go out as one message. */
export class Answers {
  #text = ""
  #count = 0
  #readChars = 0

  /** How long they are together, in characters. */
  get chars(): number {
    return this.#text.length
  }

  /** `isRead`: to a read, whose answer may be as long as a page of the ledger. */
  add(text: string, isRead: boolean): void {
    this.#text = this.#count === 0 ? text : `${this.#text},${text}`
    this.#count += 1
    if (isRead) this.#readChars += text.length
  }

  /** All of them as one message, and the share of it that answers reads, 0 to 1; null where there are none. */
  take(): { text: string; ofReads: number } | null {
    if (this.#count === 0) return null
    const text = this.#count === 1 ? this.#text : `[${this.#text}]`
    const ofReads = this.#readChars / this.#text.length
    this.#text = ""
    this.#count = this.#readChars = 0
    return { text, ofReads }
  }
}
