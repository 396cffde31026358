import { createRequire } from "node:module"
import type TableClass from "cli-table3"
import type { TaskState } from "../core/view.ts"
import { printable } from "./printable.ts"
import type { Terminal } from "./terminal.ts"

/** Loaded with the first table: with `--json` there never is one. */
const load = createRequire(import.meta.url)

/** A column: its head, and for texts that may be long how many characters at the most. */
export type Column = { head: string; right?: boolean; max?: number }

/** A cell that is painted after it was made safe; a plain string is made safe as it is. */
export type Cell = string | number | { text: string; paint: (text: string) => string }

/** Rows that are laid out at once: the layout's cost grows with their square, and 10,000 of them took ten seconds. */
const PART_ROWS = 200

const PLAIN = {
  chars: {
    top: "",
    "top-mid": "",
    "top-left": "",
    "top-right": "",
    bottom: "",
    "bottom-mid": "",
    "bottom-left": "",
    "bottom-right": "",
    left: "",
    "left-mid": "",
    mid: "",
    "mid-mid": "",
    right: "",
    "right-mid": "",
    middle: "  ",
  },
  style: { "padding-left": 0, "padding-right": 0, head: [], border: [], compact: true },
}

/** A table without rules. Every cell is made safe for the terminal here: callers pass foreign text as it is. */
export function renderTable(terminal: Terminal, columns: readonly Column[], rows: readonly (readonly Cell[])[]): string {
  const { bold } = terminal.colours
  const Table = load("cli-table3") as typeof TableClass
  const cells = rows.map((row) => row.map((cell, at) => renderCell(terminal, cell, columns[at]?.max ?? Infinity)))
  const options = { ...PLAIN, colAligns: columns.map(({ right }) => (right === true ? ("right" as const) : ("left" as const))) }
  const head = columns.map((column) => bold(column.head))
  const parts = Array.from({ length: Math.max(1, Math.ceil(cells.length / PART_ROWS)) }, (_, at) => cells.slice(at * PART_ROWS, (at + 1) * PART_ROWS))
  const layOut = (part: string[][], at: number, colWidths: number[]): string => {
    const table = new Table({ ...options, ...(at === 0 ? { head } : {}), colWidths })
    table.push(...part)
    return table.toString()
  }
  // Laying a part out writes the widths that it needs into the array; all parts then get the widest.
  const widths = columns.map(() => 0)
  if (parts.length > 1)
    for (const [at, part] of parts.entries()) {
      const own: number[] = []
      layOut(part, at, own)
      for (const [column, width] of own.entries()) widths[column] = Math.max(widths[column] ?? 0, width)
    }
  return parts
    .map((part, at) => layOut(part, at, parts.length > 1 ? [...widths] : []))
    .join("\n")
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")
}

function renderCell(terminal: Terminal, cell: Cell, max: number): string {
  if (typeof cell === "number") return String(cell)
  if (typeof cell === "string") return terminal.clip(cell, max)
  return cell.paint(terminal.clip(cell.text, max))
}

/** Name and value on each line, for one thing shown whole. */
export function renderFields(terminal: Terminal, fields: readonly [string, string | number | null][]): string {
  const given = fields.filter(([, value]) => value !== null && value !== "")
  const width = Math.max(...given.map(([name]) => name.length)) + 2
  return given.map(([name, value]) => `${terminal.colours.dim(name.padEnd(width))}${printable(String(value))}`).join("\n")
}

/** A task's state in its colour. */
export function stateCell({ colours }: Terminal, state: TaskState): { text: string; paint: (text: string) => string } {
  const { green, cyan, yellow, red, dim, magenta } = colours
  const paint = {
    ready: cyan,
    pending: dim,
    waiting: dim,
    claimed: yellow,
    in_progress: yellow,
    blocked: magenta,
    review: magenta,
    completed: green,
    failed: red,
    cancelled: dim,
    unreachable: red,
  }[state]
  return { text: state.replace("_", " "), paint }
}

/** A moment in local time: the time of day, with the date unless it is today. */
export function showTime(ms: number, nowMs = Date.now()): string {
  const [date, time] = localIso(ms)
  return date === localIso(nowMs)[0] ? time : `${date} ${time}`
}

function localIso(ms: number): [string, string] {
  const at = new Date(ms)
  const two = (value: number): string => String(value).padStart(2, "0")
  return [`${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`, `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`]
}
