import { isatty } from "node:tty"
import { createColors } from "picocolors"
import { printable, printableJson } from "./printable.ts"
import { cutTo, widthOf } from "./text-width.ts"

type Colours = ReturnType<typeof createColors>

/**
 * Where a verb writes. On standard output goes what was asked for: lines for people, or with `--json` one object a line; on standard error what is
 * said besides. Every string that did not come from Skein's own text MUST pass through `printable`, which tables, boards and `say` see to.
 */
export class Terminal {
  readonly json: boolean
  readonly colours: Colours
  /** Whether standard output is a terminal that lines can be redrawn on. */
  readonly isLive: boolean

  constructor({ json = false, colour = true }: { json?: boolean; colour?: boolean } = {}) {
    this.json = json
    // A pipe has no `isTTY` at all, whatever its type says.
    this.isLive = isatty(1) && !json && process.env["TERM"] !== "dumb"
    // Each counts where it is set and not empty: https://no-color.org, https://force-color.org.
    const { NO_COLOR = "", FORCE_COLOR = "" } = process.env
    const wanted = FORCE_COLOR !== "" && FORCE_COLOR !== "0"
    this.colours = createColors(colour && !json && NO_COLOR === "" && (wanted || this.isLive))
  }

  /** Characters in a line. A terminal that nobody told its size, such as one of `docker exec`, says 0. */
  get columns(): number {
    const told = Number(process.env["COLUMNS"])
    return process.stdout.columns || (Number.isSafeInteger(told) && told > 0 ? told : 100)
  }

  get rows(): number {
    return process.stdout.rows || 40
  }

  /** Lines for people, as they are: the caller has seen to foreign strings. Nothing with `--json`. */
  print(text: string): void {
    if (!this.json) process.stdout.write(`${text}\n`)
  }

  /** One object on one line, with `--json` only. */
  record(value: object): void {
    if (this.json) this.stored(JSON.stringify(value))
  }

  /**
   * JSON on a line: the bytes themselves, or on a terminal JSON of the same value with what it would obey escaped. Returns whether there is room for
   * more at once.
   */
  stored(json: string): boolean {
    return process.stdout.write(`${isatty(1) ? printableJson(json) : json}\n`)
  }

  /** What `--json` prints, and the same for people; a function where the text costs something to make. */
  answer(value: object, text: string | (() => string)): void {
    if (this.json) this.record(value)
    else this.print(typeof text === "string" ? text : text())
  }

  /** Told besides what was asked for: progress, warnings. Not with `--json`, whose reader asked for records alone. */
  notice(text: string): void {
    if (!this.json) process.stderr.write(`${text}\n`)
  }

  /** A foreign string, shown safely and cut to so many columns. */
  clip(text: string, columns: number): string {
    const safe = printable(text)
    return widthOf(safe) <= columns ? safe : `${cutTo(safe, columns - 1)}…`
  }
}
