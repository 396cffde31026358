const FIRST_BYTES = 4096
/** Longer texts are faster encoded by the platform, which costs a call. */
const SHORT_CHARS = 96
const [ASCII_MAX, BLANK, ZERO] = [0x7f, 0x20, 0x30] as const
/** Numbers are written in halves that the processor divides as whole numbers. */
const HALF = 10_000_000
const HALF_DIGITS = 7

/** How a record is written out for the state digest. */
export type Write<Rec> = (record: Rec, ink: Ink) => void

export function writeJson(record: unknown, ink: Ink): void {
  ink.text(JSON.stringify(record))
}

/** Writes in UTF-8, one record after the other, without a text for each number and each record. */
export class Ink {
  readonly #encoder = new TextEncoder()
  #bytes = new Uint8Array(FIRST_BYTES)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Good until more is written. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  clear(): void {
    this.#length = 0
  }

  byte(byte: number): void {
    this.#room(1)
    this.#bytes[this.#length] = byte
    this.#length += 1
  }

  text(text: string): void {
    // UTF-8 takes at most three bytes for each UTF-16 unit.
    this.#room(text.length * 3)
    const bytes = this.#bytes
    const start = this.#length
    if (text.length <= SHORT_CHARS) {
      let at = 0
      for (; at < text.length; at += 1) {
        const unit = text.charCodeAt(at)
        if (unit > ASCII_MAX) break
        bytes[start + at] = unit
      }
      if (at === text.length) {
        this.#length = start + at
        return
      }
    }
    this.#length = start + this.#encoder.encodeInto(text, bytes.subarray(start)).written
  }

  /** As a template says it. */
  value(value: string | number | null): void {
    if (typeof value === "number" && value >= 0 && Number.isSafeInteger(value)) this.#whole(value)
    else this.text(typeof value === "string" ? value : String(value))
  }

  /** `value`, and a blank. */
  word(value: string | number | null): void {
    this.value(value)
    this.byte(BLANK)
  }

  #whole(value: number): void {
    if (value < HALF) {
      let digits = 1
      for (let power = 10; power <= value; power *= 10) digits += 1
      this.#digits(value, digits)
      return
    }
    const high = Math.floor(value / HALF)
    this.#whole(high)
    this.#digits(value - high * HALF, HALF_DIGITS)
  }

  #digits(value: number, digits: number): void {
    this.#room(digits)
    let left = value | 0
    for (let at = this.#length + digits - 1; at >= this.#length; at -= 1) {
      const tenth = (left / 10) | 0
      this.#bytes[at] = ZERO + left - tenth * 10
      left = tenth
    }
    this.#length += digits
  }

  #room(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return
    const grown = new Uint8Array((this.#length + bytes) * 2)
    grown.set(this.written)
    this.#bytes = grown
  }
}
