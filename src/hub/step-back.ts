import { type Before, beforeIn } from "../core/before.ts"
import type { Sha256 } from "../core/hash.ts"
import type { Seq } from "../core/ids.ts"
import { isReadable, lineOf, type Row } from "../core/kept-rows.ts"
import type { Journal } from "../core/table.ts"
import type { Workspace } from "../core/workspace.ts"
import { SEAL_LENGTH, Seals } from "./snapshots.ts"

/** First line of a step back; each further line is of rows of a table, as records were at `from`, the last one `null`, each sealed as a snapshot's lines are. */
export type StepHead = { version: 3; from: Seq; to: Seq; atMs: number }

/** Records that are read or written between two pauses: about a millisecond. */
const ROWS_AT_ONCE = 500

/** Takes the journal's changes into `before`; the earliest of each record is what counts. What the hub remembers of commands is not in it, and is dropped. */
export function noteBefore(state: Workspace, before: Before): void {
  for (const { table, key, before: record } of (state.journal satisfies Journal).drain()) {
    if (table === (state.keys as unknown)) continue
    const records = beforeIn(before, table.name)
    if (!records.has(key)) records.set(key, record ?? null)
  }
  for (const key of state.keys.keys()) state.keys.restore(key, undefined)
}

/** A step as it is kept, line by line. */
export function stepLines(sha256: Sha256, head: StepHead, before: Before, pause: () => Promise<void>): AsyncIterable<string> {
  return sealed(sha256, head, [...before], pause)
}

/** Records as they stand, sealed line by line: `head` is the first. */
export async function* sealed(
  sha256: Sha256,
  head: object,
  tables: readonly (readonly [string, Iterable<Row>])[],
  pause: () => Promise<void>,
): AsyncIterable<string> {
  const seals = new Seals(sha256)
  const line = (value: unknown): string => {
    const text = JSON.stringify(value)
    return `${seals.next(text)}${text}\n`
  }
  yield line(head)
  for (const [table, records] of tables) {
    let rows: Row[] = []
    for (const row of records) {
      rows.push(row)
      if (rows.length < ROWS_AT_ONCE) continue
      yield line(lineOf(table, rows))
      rows = []
      await pause()
    }
    if (rows.length > 0) yield line(lineOf(table, rows))
  }
  yield line(null)
}

/** The first line of a step. Throws `SyntaxError` where it is of another version, or another step. */
export function stepHead(line: string, from: Seq, to: Seq): StepHead {
  const head = JSON.parse(line.slice(SEAL_LENGTH)) as StepHead | null
  if (head === null || !isReadable(head.version) || head.from !== from || head.to !== to)
    throw new SyntaxError(`this is not the step from entry ${to} back to ${from}`)
  return head
}
