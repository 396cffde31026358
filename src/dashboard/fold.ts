import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { isReadable, rowsOf } from "../core/kept-rows.ts"
import { UPCASTS, upcast } from "../core/upcast.ts"
import type { Step } from "./past.ts"
import { evolve, putRows, Workspace } from "../core/workspace.ts"

/** A line of a snapshot begins with its seal: 64 hex digits, which are for files on a disk. */
const SEAL_LENGTH = 64
/** What the hub remembers of commands, to answer a repeated one. The page decides nothing, and can do without a million of them. */
const KEYS = "keys"

/** Folds one entry in, as the hub does; it cannot be undone. Throws `Error` on a type of entry that this version does not know. */
export function foldIn(state: Workspace, entry: Entry): void {
  evolve(state, upcast(entry, UPCASTS))
  state.journal.drain()
  for (const key of state.keys.keys()) state.keys.restore(key, undefined)
}

/** Reads a snapshot as it comes over the wire, line by line. Throws `SyntaxError` on one that is cut off, or of a table that this version does not know. */
export class SnapshotReader {
  readonly state: Workspace = new Workspace()
  readonly #takes: "records" | "keys"
  #rest: string[] = []
  #isWhole = false

  /** `takes`: all records but the keys of commands, or those alone. */
  constructor(takes: "records" | "keys" = "records") {
    this.#takes = takes
  }

  /** The next piece of the text, of any size. */
  take(piece: string): void {
    const [first = "", ...more] = piece.split("\n")
    this.#rest.push(first)
    for (const next of more) {
      this.#line(this.#rest.join(""))
      this.#rest = [next]
    }
  }

  /** The state, when all of it was taken. */
  whole(): Workspace {
    if (!this.#isWhole) throw new SyntaxError("the snapshot is cut off")
    return this.state
  }

  #line(line: string): void {
    if (line.startsWith("[", SEAL_LENGTH) && line.startsWith(`["${KEYS}",`, SEAL_LENGTH) !== (this.#takes === "keys")) return
    const value = JSON.parse(line.slice(SEAL_LENGTH)) as { version: number; seq: Seq; atMs: number } | null
    const kept = rowsOf(value)
    if (kept !== null) putRows(this.state, kept.table, kept.rows)
    else if (value === null) this.#isWhole = true
    else if (!isReadable(value.version)) throw new SyntaxError(`a snapshot of version ${String(value.version)}, which this version does not know`)
    else {
      this.state.seq = value.seq
      this.state.atMs = value.atMs
    }
  }
}

/** Reads the steps back as they come over the wire, line by line. One that is cut off is not there. */
export async function* readSteps(lines: AsyncIterable<string>): AsyncGenerator<Step, void> {
  let step: Step | null = null
  for await (const line of lines) {
    const value = JSON.parse(line.slice(SEAL_LENGTH)) as { from: Seq; to: Seq; atMs: number } | null
    const kept = rowsOf(value)
    if (kept !== null) step?.changes.push(kept)
    else if (value !== null) step = { from: value.from, to: value.to, atMs: value.atMs, changes: [] }
    else if (step !== null) yield step
  }
}

/** The newest state that the hub keeps at or before a seq, or null where it keeps none. Throws `Error` where it cannot be had. */
export function fetchSnapshot(workspace: string, atOrBefore: Seq, signal?: AbortSignal): Promise<Workspace | null> {
  return fetchState(workspace, `${atOrBefore}?records`, new SnapshotReader(), signal)
}

/** What the hub remembered of commands at that state: nothing else is in the answer, but its seq. */
export function fetchKeys(workspace: string, atOrBefore: Seq): Promise<Workspace | null> {
  return fetchState(workspace, String(atOrBefore), new SnapshotReader("keys"))
}

async function fetchState(workspace: string, which: string, reader: SnapshotReader, signal?: AbortSignal): Promise<Workspace | null> {
  const response = await fetch(`/snapshots/${encodeURIComponent(workspace)}/${which}`, { signal: signal ?? null })
  if (response.status === 404) return null
  if (!response.ok || response.body === null) throw new Error(`the hub answered ${response.status} when asked for a snapshot`)
  const pieces = response.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let piece = await pieces.read(); !piece.done; piece = await pieces.read()) reader.take(piece.value)
  return reader.whole()
}
