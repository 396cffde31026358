import type { TaskState } from "../core/view.ts"
import { printable } from "./printable.ts"
import type { Terminal } from "./terminal.ts"
import { cutTo, widthOf, wrap } from "./text-width.ts"

/** A column: its head, and for texts that may be long how many columns of the terminal at the most. `wraps`: the last one, that goes on in the next line where the terminal is narrower. */
export type Column = { head: string; right?: boolean; max?: number; wraps?: boolean }

/** A cell that is painted after it was made safe; a plain string is made safe as it is. */
export type Cell = string | number | { text: string; paint: (text: string) => string }

/** A text as it is shown, without its paint, and how many columns of the terminal it takes. */
type Shown = { text: string; width: number; paint: ((text: string) => string) | null }

/** What lies between two columns. */
const GAP = "  "
/** A column that may be cut is cut to no fewer characters than this. */
const LEAST = 8

/**
 * A table without rules. On a terminal that is narrower, columns that have a most give way, the widest first. Every cell is made safe for the terminal here: callers
 * pass foreign text as it is.
 */
export function renderTable(terminal: Terminal, columns: readonly Column[], rows: readonly (readonly Cell[])[]): string {
  let lines = makeLines(terminal, columns, rows)
  let widths = widthsOf(columns, lines)
  const fitting = terminal.isLive ? narrowed(columns, widths, terminal.columns) : columns
  if (fitting !== columns) {
    lines = makeLines(terminal, fitting, rows)
    widths = widthsOf(columns, lines)
  }
  const indent = widths.slice(0, -1).reduce((sum, width) => sum + width + GAP.length, 0)
  return lines
    .map((line) =>
      line
        .map(({ text, width, paint }, at) => {
          const isBroken = columns[at]?.wraps === true && terminal.isLive && paint === null
          const whole = isBroken ? wrap(text, terminal.columns - indent).join(`\n${" ".repeat(indent)}`) : text
          const painted = paint === null ? whole : paint(whole)
          const gap = " ".repeat((widths[at] ?? 0) - width)
          return columns[at]?.right === true ? gap + painted : painted + gap
        })
        .join(GAP)
        .trimEnd(),
    )
    .join("\n")
}

function makeLines(terminal: Terminal, columns: readonly Column[], rows: readonly (readonly Cell[])[]): Shown[][] {
  const { bold } = terminal.colours
  return [columns.map(({ head }) => shown(head, bold)), ...rows.map((row) => row.map((cell, at) => showCell(cell, columns[at]?.max ?? Infinity)))]
}

function widthsOf(columns: readonly Column[], lines: readonly Shown[][]): number[] {
  const widths = columns.map(() => 0)
  for (const line of lines) for (const [at, { width }] of line.entries()) widths[at] = Math.max(widths[at] ?? 0, width)
  return widths
}

/** The columns with less room for those that have a most, as far as so many characters ask for it. */
function narrowed(columns: readonly Column[], widths: readonly number[], room: number): readonly Column[] {
  const now = [...widths]
  let over = widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1)) - room
  if (over <= 0) return columns
  for (; over > 0; over -= 1) {
    let widest = -1
    for (const [at, width] of now.entries()) if (columns[at]?.max !== undefined && width > Math.max(LEAST, now[widest] ?? 0)) widest = at
    if (widest < 0) break
    now[widest] = (now[widest] as number) - 1
  }
  return columns.map((column, at) => (column.max === undefined ? column : { ...column, max: Math.min(column.max, now[at] as number) }))
}

function showCell(cell: Cell, max: number): Shown {
  const { text, paint } = typeof cell === "object" ? cell : { text: String(cell), paint: null }
  const whole = shown(printable(text), paint)
  return whole.width <= max ? whole : shown(`${cutTo(whole.text, max - 1)}…`, paint)
}

function shown(text: string, paint: Shown["paint"]): Shown {
  return { text, width: widthOf(text), paint }
}

/** Lines that begin with a label of so many columns: on a terminal each breaks between words, and goes on under its text. */
export function wrapUnder({ isLive, columns }: Terminal, label: number, lines: readonly string[]): string {
  if (!isLive) return lines.join("\n")
  const broken = lines.map((line) => {
    let column = 0
    return line.replace(/ *[^ ]+/g, (piece, at: number) => {
      const word = piece.trimStart()
      const breaks = at > label && column + widthOf(piece) > columns
      column = breaks ? label + widthOf(word) : column + widthOf(piece)
      return breaks ? `\n${" ".repeat(label)}${word}` : piece
    })
  })
  return broken.join("\n")
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
