/** Answers that are ready, which go out as one message. */
export class Answers {
  #texts: string[] = []
  #chars = 0
  #readChars = 0

  /** How long they are together, in characters. */
  get chars(): number {
    return this.#chars
  }

  /** `isRead`: to a read, whose answer may be as long as a page of the ledger. */
  add(text: string, isRead: boolean): void {
    this.#texts.push(text)
    this.#chars += text.length
    if (isRead) this.#readChars += text.length
  }

  /** All of them as one message, and the share of it that answers reads, 0 to 1; null where there are none. */
  take(): { text: string; ofReads: number } | null {
    const texts = this.#texts
    if (texts.length === 0) return null
    const ofReads = this.#readChars / this.#chars
    this.#texts = []
    this.#chars = this.#readChars = 0
    return { text: texts.length === 1 ? (texts[0] as string) : `[${texts.join(",")}]`, ofReads }
  }
}
