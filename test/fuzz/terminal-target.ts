import { rmSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import tty from "node:tty"
import { LiveScreen } from "../../src/cli/live-screen.ts"
import { renderTable } from "../../src/cli/table.ts"
import { Terminal } from "../../src/cli/terminal.ts"
import { widthOf } from "../../src/cli/text-width.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import type { Choices } from "./choices.ts"
import { layInstance, RAW, runHere } from "./cli-run.ts"
import { FuzzedHub } from "./fuzzed-hub.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { oddText } from "./mutation.ts"

/** The terminal that verbs write to: its size, its kind, and what the environment says of its colours. */
export const terminalTarget: Target = {
  name: "terminal",
  entrance: "a terminal's size and kind, and what the environment says of its colours",
  casesPerSubject: 200,
  open: () => TerminalSubject.open(),
}

const VERBS = [
  ["status"],
  ["board"],
  ["board", "--md"],
  ["task", "list"],
  ["task", "show", "loud"],
  ["agent", "list"],
  ["agent", "show", "ann"],
  ["cost"],
  ["trigger", "policy"],
  ["trigger", "list"],
  ["breaker", "list"],
  ["breaker", "policy"],
  ["thread", "list"],
  ["files", "list"],
  ["plan", "list"],
  ["inbox"],
  ["task", "add", "--help"],
  ["help", "run"],
  ["--help"],
]
const SIZES = [0, 1, 2, 3, 7, 8, 20, 40, 80, 100, 132, 500, 65_535]
const NUMBERS = ["", "80", "0", "-5", "1", "1e9", "Infinity", "NaN", "0.5", " 72 ", "0x10", "9007199254740993", "x"]
const SWITCHES = ["", "0", "1", "true", "false", "3", " ", "x"]
const KINDS = ["", "dumb", "xterm", "xterm-256color", "DUMB", "linux", "screen\u001b[2J"]
const TITLES = ["e\u0301".repeat(80), "💥".repeat(60), "ﾕ 中文 العربية 👩‍👩‍👧‍👦", "\u200b".repeat(30) + "x", "a".repeat(300), "word ".repeat(50).trim()]
// oxlint-disable-next-line no-control-regex -- colours are what is looked for
const PAINT = /\u001b\[\d+m/gu
// oxlint-disable-next-line no-control-regex -- what a screen that is drawn anew is made of
const DRAWING = /\u001b\[(?:\?25[lh]|\?2026[hl]|J|2K|\d+A)/gu

/** The terminal of a case; `columns` and `rows` are 0 where nobody told it. */
type Place = { isTerminal: boolean; columns: number; rows: number; environment: Record<string, string>; words: string[] }

class TerminalSubject implements Subject {
  readonly #hub: FuzzedHub
  readonly #folder = scratchFolder()
  #sent = ""

  private constructor(hub: FuzzedHub) {
    this.#hub = hub
    layInstance(this.#folder, hub)
  }

  static async open(): Promise<TerminalSubject> {
    const hub = await FuzzedHub.open()
    const operator = { agent: "operator", session: null, role: "operator" } as const
    for (const [at, title] of TITLES.entries()) await hub.loop.execute("task.add", operator, { id: `t${at}`, title: title.slice(0, 300) })
    await hub.loop.execute("task.add", operator, { id: "loud", title: "Loud", body: "\u001b]0;owned\u0007\u009b31m\u202e\r\nmore" })
    return new TerminalSubject(hub)
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  attempt(choices: Choices): Promise<string> {
    const place = placeIn(choices)
    return choices.chance(25) ? this.#screen(place, choices) : this.#verb(place, choices)
  }

  async close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    await this.#hub.close()
  }

  async #verb(place: Place, choices: Choices): Promise<string> {
    const args = [...choices.pick(VERBS), ...place.words]
    this.#sent = `${JSON.stringify(args)} ${JSON.stringify(place)}`
    const isHelp = args.includes("--help") || args[0] === "help"
    const isPlain = !isColoured(place) || isHelp || args.includes("--md")
    const ran = await at(place, () => runHere(args, place.environment, this.#folder))
    if (ran.error !== null) throw new Broken(`${ran.error.code}: ${ran.error.message}`)
    for (const text of [ran.output, ran.stray]) {
      // A program that reads JSON by a pipe gets the values as they are; on a terminal they are escaped.
      if (place.isTerminal || !args.includes("--json")) checkShown(text)
      if (isPlain && text.includes("\u001b")) throw new Broken(`colour that nobody wants: ${JSON.stringify(text.slice(0, 300))}`)
    }
    const bare = { ...place, environment: { ...place.environment, NO_COLOR: "1" } }
    // What is told of time may have gone on.
    for (let tries = 0, painted = ran; !isPlain; tries += 1) {
      const plain = await at(bare, () => runHere(args, bare.environment, this.#folder))
      if (ended(painted.output.replaceAll(PAINT, "")) === ended(plain.output)) break
      if (tries === 3) throw new Broken(`colour changes what is shown:\n${JSON.stringify(painted.output)}\n${JSON.stringify(plain.output)}`)
      painted = await at(place, () => runHere(args, place.environment, this.#folder))
    }
    return `${args[0]}: ${ran.output.includes("\u001b") ? "in colour" : "plain"}${place.isTerminal ? ", at a terminal" : ""}`
  }

  /** A table that is drawn over and over, while the terminal's size changes. */
  async #screen(place: Place, choices: Choices): Promise<string> {
    const text = (): string => (choices.chance(40) ? choices.pick(TITLES) : oddText(choices)).slice(0, 2_000)
    const columns = [
      { head: "name", max: choices.between(1, 40) },
      { head: "state", right: choices.chance(50) },
      { head: "means", wraps: choices.chance(50) },
    ]
    const rows = Array.from({ length: choices.below(6) }, () => [text(), { text: text(), paint: (shown: string) => `\u001b[31m${shown}\u001b[39m` }, text()])
    const later = { columns: choices.pick(SIZES), rows: choices.pick(SIZES) }
    this.#sent = `${JSON.stringify(place)}, then ${JSON.stringify(later)}\n${JSON.stringify(columns)}\n${JSON.stringify(rows)}`
    const frames: { drawn: string; columns: number; rows: number }[] = []
    await at(place, () => {
      const terminal = new Terminal({ colour: !place.words.includes("--no-color"), json: place.words.includes("--json") })
      if (!(Number.isSafeInteger(terminal.columns) && terminal.columns > 0)) throw new Broken(`a terminal of ${terminal.columns} columns`)
      const look = (draw: () => void): void => {
        const [{ write }, sizes] = [process.stdout, { columns: terminal.columns, rows: terminal.rows }]
        let drawn = ""
        process.stdout.write = (piece: string | Uint8Array) => (drawn += String(piece)) !== ""
        try {
          draw()
        } finally {
          process.stdout.write = write
        }
        frames.push({ drawn, ...sizes })
      }
      const screen = new LiveScreen(terminal, () => renderTable(terminal, columns, rows).split("\n"))
      look(() => screen.start())
      look(() => screen.print("one"))
      Object.assign(process.stdout, later)
      look(() => screen.print("two"))
      look(() => screen.stop({ keep: choices.chance(50) }))
      return Promise.resolve()
    })
    for (const { drawn, columns: width, rows: height } of frames) {
      checkShown(drawn.replaceAll(DRAWING, ""))
      const lines = drawn.split("\u001b[2K").slice(1)
      if (lines.length > Math.max(1, height - 1)) throw new Broken(`${lines.length} lines on ${height} rows`)
      const wide = lines.map((line) => (line.split("\n")[0] ?? "").replaceAll(PAINT, "")).find((line) => widthOf(line) > width)
      if (wide !== undefined) throw new Broken(`${widthOf(wide)} columns on ${width}: ${JSON.stringify(wide)}`)
    }
    const isLive = frames.some(({ drawn }) => drawn.includes("\u001b[2K"))
    if (isLive !== (place.isTerminal && place.environment["TERM"] !== "dumb" && !place.words.includes("--json"))) throw new Broken(`drawn live: ${isLive}`)
    return isLive ? "a screen, drawn" : "a screen, not drawn"
  }
}

function placeIn(choices: Choices): Place {
  const environment: Record<string, string> = {}
  const set = (name: string, values: readonly string[]): void => {
    if (choices.chance(40)) environment[name] = choices.chance(85) ? choices.pick(values) : oddText(choices).replaceAll("\0", "").slice(0, 1_000)
  }
  set("NO_COLOR", SWITCHES)
  set("FORCE_COLOR", SWITCHES)
  set("TERM", KINDS)
  set("COLUMNS", NUMBERS)
  const words = choices.pick([[], [], [], ["--json"], ["--no-color"]])
  return { isTerminal: choices.chance(60), columns: choices.pick(SIZES), rows: choices.pick(SIZES), environment, words }
}

/** Whether colour is wanted: https://no-color.org, https://force-color.org. */
function isColoured({ isTerminal, environment, words }: Place): boolean {
  const { NO_COLOR = "", FORCE_COLOR = "", TERM } = environment
  const isForced = FORCE_COLOR !== "" && FORCE_COLOR !== "0"
  return words.length === 0 && NO_COLOR === "" && (isForced || (isTerminal && TERM !== "dumb"))
}

/** While `act` runs, standard output is a terminal of that size, or a pipe. */
async function at<Out>({ isTerminal, columns, rows, environment }: Place, act: () => Promise<Out>): Promise<Out> {
  const { isatty } = tty
  const before = { ...process.env }
  const sizes = ["columns", "rows"].map((name) => [name, Object.getOwnPropertyDescriptor(process.stdout, name)] as const)
  tty.isatty = () => isTerminal
  syncBuiltinESMExports()
  for (const name of ["NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS"]) delete process.env[name]
  Object.assign(process.env, environment)
  for (const [name, value] of Object.entries({ columns, rows }))
    Object.defineProperty(process.stdout, name, { value: isTerminal ? value : undefined, configurable: true, writable: true })
  try {
    return await act()
  } finally {
    tty.isatty = isatty
    syncBuiltinESMExports()
    for (const name of ["NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS"]) delete process.env[name]
    Object.assign(process.env, before)
    for (const [name, own] of sizes) {
      Reflect.deleteProperty(process.stdout, name)
      if (own !== undefined) Object.defineProperty(process.stdout, name, own)
    }
  }
}

/** But for our own colours a terminal finds nothing to obey. */
function checkShown(text: string): void {
  const found = RAW.exec(text.replaceAll(PAINT, ""))
  if (found !== null) throw new Broken(`a terminal would act on this: ${JSON.stringify(found[0])} in ${JSON.stringify(text.slice(0, 600))}`)
}

function ended(text: string): string {
  return text.replaceAll(/ +$/gmu, "")
}
