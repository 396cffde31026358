import { type EntryFilter, fits } from "../core/entry-filter.ts"
import type { Seq } from "../core/ids.ts"
import { type Shown, STORED_PAGE, storedPage, storedPageOf } from "./stored-pages.ts"
import { failureText } from "./failure.ts"

/** Entries that are read at a stretch, and entries that are found, before it is asked whether to go on. */
const STRETCH = 20_000
const ENOUGH = 500

/** Looks through the ledger for what fits a filter: back from the newest entry, and on as the ledger grows. */
export class LedgerSearch {
  /** What fits, the newest first. */
  found: readonly Shown[] = []
  /** All entries from `low` to `high` were looked at. */
  low: Seq = 0
  high: Seq = 0
  isAtWork = false
  trouble: string | null = null
  readonly #filter: EntryFilter
  readonly #changed: () => void
  #wanted: Seq = 0
  #isOver = false

  constructor(filter: EntryFilter, changed: () => void) {
    this.#filter = filter
    this.#changed = changed
  }

  /** The entries up to `top` are to be found too. */
  async upTo(top: Seq): Promise<void> {
    this.#wanted = top
    if (this.isAtWork) return
    // Far from what was looked at, it is begun anew there: what lies between would be read for nothing.
    if (this.high === 0 || top - this.high > STRETCH || top < this.low) return this.#start(top)
    await this.#goOn(() => this.#forward())
  }

  /** A stretch further back. */
  async further(): Promise<void> {
    if (!this.isAtWork) await this.#goOn(() => this.#back())
  }

  stop(): void {
    this.#isOver = true
  }

  /** Does a part; whatever was asked for meanwhile comes after it. */
  async #goOn(part: () => Promise<void>): Promise<void> {
    const wanted = this.#wanted
    await this.#work(part)
    if (this.#wanted !== wanted && this.trouble === null && !this.#isOver) await this.upTo(this.#wanted)
  }

  async #start(top: Seq): Promise<void> {
    this.found = []
    this.high = top
    this.low = top + 1
    await this.further()
  }

  async #work(part: () => Promise<void>): Promise<void> {
    this.isAtWork = true
    this.trouble = null
    try {
      await part()
    } catch (error) {
      this.trouble = failureText(error)
    } finally {
      this.isAtWork = false
      if (!this.#isOver) this.#changed()
    }
  }

  async #back(): Promise<void> {
    const until = Math.max(1, this.low - STRETCH)
    const enough = this.found.length + ENOUGH
    while (this.low > until && this.found.length < enough && !this.#isOver) {
      const page = storedPageOf(this.low - 1)
      const entries = (await storedPage(page)).filter(({ seq }) => seq < this.low)
      this.found = [...this.found, ...entries.filter((one) => fits(one.entry, one.bytes, this.#filter)).reverse()]
      this.low = page * STORED_PAGE + 1
      this.#changed()
    }
  }

  async #forward(): Promise<void> {
    while (this.high < this.#wanted && !this.#isOver) {
      const entries = (await storedPage(storedPageOf(this.high + 1))).filter(({ seq }) => seq > this.high)
      const newest = entries.at(-1)
      if (newest === undefined) return
      this.found = [...entries.filter((one) => fits(one.entry, one.bytes, this.#filter)).reverse(), ...this.found]
      this.high = newest.seq
    }
  }
}
