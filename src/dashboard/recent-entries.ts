import type { Entry } from "../core/entry.ts"

/** The newest entries: read once, then followed as they come. */
export class RecentEntries {
  readonly #max: number
  #entries: Entry[] = []
  /** What came while the first were being read. */
  #waiting: Entry[] = []
  #isBegun = false
  /** Whether there are none before the first that it ever had to let go, or was not given. */
  isWhole = true

  constructor(max: number) {
    this.#max = max
  }

  get entries(): readonly Entry[] {
    return this.#entries
  }

  begin(entries: readonly Entry[], isWhole: boolean): void {
    this.#entries = [...entries]
    this.isWhole = isWhole
    this.#isBegun = true
    const waiting = this.#waiting
    this.#waiting = []
    this.take(waiting)
  }

  /** Goes on with what came; false where something between is missing, so that they must be read again. */
  take(entries: readonly Entry[]): boolean {
    if (!this.#isBegun) {
      this.#waiting.push(...entries)
      return true
    }
    for (const entry of entries) {
      const next = (this.#entries.at(-1)?.seq ?? entry.seq - 1) + 1
      if (entry.seq > next) return false
      if (entry.seq === next) this.#entries.push(entry)
    }
    // Now and then, not at each entry: to move so many costs more than to keep a few.
    if (this.#entries.length > 1.2 * this.#max) {
      this.#entries = this.#entries.slice(-this.#max)
      this.isWhole = false
    }
    return true
  }
}
