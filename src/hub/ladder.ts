import { type Sha256, toHex } from "../core/chain.ts"
import { decodeEntry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { evolve, Workspace } from "../core/workspace.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { linesOf, SEAL_LENGTH, Seals, type SnapshotStore } from "./snapshots.ts"

/**
 * First line of a rung; each further line is `[table, [[key, record or null], ...]]`, the last one `null`, each sealed as a snapshot's lines are. A rung is what
 * changed from entry `from` to entry `to` (`from` 0: from nothing), so that all rungs together weigh about as much as the state: whoever has the state at one
 * of its ends has it at the other. Keys of commands are not in it: they are for the hub, and rungs are for those who look back.
 */
export type RungHead = { version: 1; from: Seq; to: Seq; atMs: number; hash: string }

export type LadderOptions = {
  workspace: string
  store: SnapshotStore
  ledger: Pick<Ledger, "read">
  sha256: Sha256
  /** Entries from one rung to the next. */
  rungEntries: number
  /** Resolves when whoever waits has had a turn. */
  pause(): Promise<void>
}

/** Rungs are made when so many of them are missing: making one begins with reading all before it. */
const MISSING = 2
/** Entries that are folded, and records that are read or written, between two pauses: about a millisecond. */
const ENTRIES_AT_ONCE = 64
const ROWS_AT_ONCE = 500

/** The workspace's past in steps: a projection like a snapshot, made from the ledger alone while nobody waits, and made again where it was deleted. */
export class Ladder {
  readonly #o: LadderOptions
  #growing: Promise<void> | null = null
  #isOver = false

  constructor(options: LadderOptions) {
    this.#o = options
  }

  /** Where the rungs end, ascending: each begins where the one before it ends, the first at 0. */
  rungs(): Promise<Seq[]> {
    return this.#o.store.list(this.#o.workspace)
  }

  /** The lines of every rung that begins at or after `from` and ends at or before `to`, one after the other. */
  async *lines(from: Seq, to: Seq): AsyncIterable<string> {
    let before = 0
    for (const seq of await this.rungs()) {
      const begins = before
      before = seq
      if (begins < from || seq > to) continue
      const pieces = await this.#o.store.open(this.#o.workspace, seq)
      if (pieces === null) return
      yield* pieces
    }
  }

  /** Makes what is missing up to `head`, if it is worth it. Resolves when it is done; one at a time. Rejects where it cannot be kept. */
  grow(head: Seq): Promise<void> {
    this.#growing ??= this.#grow(head).finally(() => (this.#growing = null))
    return this.#growing
  }

  /** Makes no more; resolves when nothing is written any more. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#growing?.catch(() => undefined)
  }

  async #grow(head: Seq): Promise<void> {
    const { rungEntries } = this.#o
    const last = (await this.rungs()).at(-1) ?? 0
    if (head < last + MISSING * rungEntries) return
    const state = (last === 0 ? null : await this.#climb()) ?? (await this.#anew())
    let changed = new Map<string, Set<string>>()
    let from = state.seq
    while (state.seq + rungEntries - (state.seq % rungEntries) <= head && !this.#isOver) {
      const page = await this.#o.ledger.read(state.seq + 1, ENTRIES_AT_ONCE)
      if (page.length === 0) return
      for (const { seq, bytes, hash } of page) {
        evolve(state, decodeEntry(bytes))
        note(state, changed)
        if (seq % rungEntries !== 0) continue
        const rung: RungHead = { version: 1, from, to: seq, atMs: state.atMs, hash: toHex(hash) }
        await this.#o.store.keep(this.#o.workspace, seq, this.#written(rung, state, changed))
        changed = new Map()
        from = seq
      }
      await this.#o.pause()
    }
  }

  /** The state at the last rung; null where one is not as it was written, or is of another ledger. */
  async #climb(): Promise<Workspace | null> {
    const { ledger, workspace, store, sha256, pause } = this.#o
    const state = new Workspace()
    let head: RungHead | null = null
    try {
      for (const seq of await this.rungs()) {
        const pieces = await store.open(workspace, seq)
        if (pieces === null) return null
        const seals = new Seals(sha256)
        for await (const line of linesOf(pieces)) {
          const text = line.slice(SEAL_LENGTH)
          if (seals.next(text) !== line.slice(0, SEAL_LENGTH)) return null
          const value = JSON.parse(text) as RungHead | [string, [string, unknown][]] | null
          if (Array.isArray(value)) step(state, ...value)
          else if (value !== null && (value.version !== 1 || value.from !== state.seq || value.to !== seq)) return null
          else if (value !== null) head = value
          await pause()
        }
        state.seq = seq
      }
      const [stored] = head === null ? [] : await ledger.read(head.to, 1)
      if (head === null || stored === undefined || toHex(stored.hash) !== head.hash) return null
      state.atMs = head.atMs
      return state
    } catch (error) {
      if (error instanceof SyntaxError) return null
      throw error
    }
  }

  /** Nothing of it can be relied on. */
  async #anew(): Promise<Workspace> {
    for (const seq of await this.rungs()) await this.#o.store.drop(this.#o.workspace, seq)
    return new Workspace()
  }

  async *#written(head: RungHead, state: Workspace, changed: ReadonlyMap<string, ReadonlySet<string>>): AsyncIterable<string> {
    const seals = new Seals(this.#o.sha256)
    const sealed = (value: unknown): string => {
      const text = JSON.stringify(value)
      return `${seals.next(text)}${text}\n`
    }
    yield sealed(head)
    for (const table of state.tables) {
      const keys = [...(changed.get(table.name) ?? [])]
      for (let at = 0; at < keys.length; at += ROWS_AT_ONCE) {
        yield sealed([table.name, keys.slice(at, at + ROWS_AT_ONCE).map((key) => [key, table.get(key) ?? null])])
        await this.#o.pause()
      }
    }
    yield sealed(null)
  }
}

function note(state: Workspace, changed: Map<string, Set<string>>): void {
  for (const { table, key } of state.journal.drain()) {
    if (table === (state.keys as unknown)) continue
    const keys = changed.get(table.name)
    if (keys === undefined) changed.set(table.name, new Set([key]))
    else keys.add(key)
  }
  for (const key of state.keys.keys()) state.keys.restore(key, undefined)
}

function step(state: Workspace, name: string, rows: readonly [string, unknown][]): void {
  const table = state.tables.find((one) => one.name === name)
  if (table === undefined) throw new SyntaxError(`a rung with a table ${name.slice(0, 64)}, which this version does not know`)
  for (const [key, record] of rows) table.restore(key, record ?? undefined)
}
