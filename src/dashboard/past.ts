import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { UPCASTS, upcast } from "../core/upcast.ts"
import type { Table } from "../core/table.ts"
import { evolve, undoTo, Workspace } from "../core/workspace.ts"

/** What changed from entry `from` to entry `to`, as the hub keeps it; `before` is known once it was gone through. */
export type Rung = { from: Seq; to: Seq; atMs: number; changes: { table: string; keys: string[]; after: unknown[]; before: unknown[] | null }[] }

/** Where the past comes from. */
export type PastSource = {
  entries(from: Seq, to: Seq, signal?: AbortSignal): AsyncIterable<readonly Entry[]>
  /** The newest kept state at or before a seq; null where none is kept. */
  snapshot(atOrBefore: Seq, signal?: AbortSignal): Promise<Workspace | null>
  /** The seqs at which states are kept, and those where the steps of the past end, the first of which begins at 0; ascending. */
  ladder(): Promise<{ snapshots: readonly Seq[]; rungs: readonly Seq[] }>
  /** The steps from the end of one to the end of another, in order. */
  rungs(from: Seq, to: Seq, signal?: AbortSignal): AsyncIterable<Rung>
}

/** States that are kept, each where it was left: the nearest goes on from there. */
const KEPT = 2
/** So many entries a state can be taken back; what was before them is folded anew. */
const BACK_MAX = 100_000
/** Folded at a stretch before the page may draw, in ms. */
const SLICE_MS = 8
/** What reading a snapshot costs before one was read, in entries that could be folded meanwhile. */
const SNAPSHOT_COST = 5_000
/** What taking an entry back, putting a record in its place, and reading an entry's share of a step cost, of folding an entry. */
const UNDO_COST = 0.4
const RECORD_COST = 0.15
const STEP_COST = 0.3
const NEAR = 2_000

/** A state that goes forward by folding entries, and back by undoing them; from the end of one step to the end of another by putting records in their places. */
export class Cursor {
  readonly state: Workspace
  /** After each entry that can be taken back: how long the journal was, and its time. */
  #marks: { length: number; seq: Seq; atMs: number }[]
  /** Whether `first` is where a step ends, or the beginning. */
  isOnRung: boolean

  constructor(state: Workspace) {
    this.state = state
    this.#marks = [this.#mark()]
    this.isOnRung = state.seq === 0
  }

  /** As far as it can go back. */
  get first(): Seq {
    return (this.#marks[0] as { seq: Seq }).seq
  }

  get seq(): Seq {
    return this.state.seq
  }

  fold(entry: Entry): void {
    const { state } = this
    evolve(state, upcast(entry, UPCASTS))
    // What the hub remembers of commands is only for commands that come again.
    for (const key of state.keys.keys()) state.keys.restore(key, undefined)
    if (this.#marks.length > BACK_MAX) {
      state.journal.drain()
      this.#marks = []
      this.isOnRung = false
    }
    this.#marks.push(this.#mark())
  }

  /** Takes back every entry after `seq`, which MUST be at or after `first`. */
  backTo(seq: Seq): void {
    const at = seq - this.first
    undoTo(this.state, this.#marks[at] as { length: number; seq: Seq; atMs: number })
    this.#marks.length = at + 1
  }

  /** From where a step begins to where it ends. */
  up(rung: Rung): void {
    for (const change of rung.changes) {
      const table = this.#table(change.table)
      change.before ??= change.keys.map((key) => table.get(key))
      for (const [at, key] of change.keys.entries()) table.restore(key, change.after[at] ?? undefined)
    }
    this.#standAt(rung.to, rung.atMs)
  }

  /** From where a step ends to where it begins; it MUST have been gone up before. `atMs`: the time at its beginning. */
  down(rung: Rung, atMs: number): void {
    for (const { table: name, keys, before } of rung.changes.toReversed()) {
      const table = this.#table(name)
      for (let at = keys.length - 1; at >= 0; at -= 1) table.restore(keys[at] as string, before?.[at])
    }
    this.#standAt(rung.from, atMs)
  }

  #table(name: string): Table<unknown> {
    const table = this.state.tables.find((one) => one.name === name)
    if (table === undefined) throw new SyntaxError(`a step with a table ${name.slice(0, 64)}, which this version does not know`)
    return table
  }

  #standAt(seq: Seq, atMs: number): void {
    this.state.seq = seq
    this.state.atMs = atMs
    this.state.journal.drain()
    this.#marks = [this.#mark()]
  }

  #mark(): { length: number; seq: Seq; atMs: number } {
    return { length: this.state.journal.length, seq: this.state.seq, atMs: this.state.atMs }
  }
}

/** How to come to a moment: on with a state that is there (null: a new one), over the steps or a snapshot, then entry by entry. */
type Way = { cursor: Cursor | null; rung: Seq | null; snapshot: Seq | null; cost: number }

/**
 * The state at any moment: by the shortest way from where the page has been, over the steps that the hub keeps, or from its nearest snapshot. One `at` at a
 * time. The state that was answered last MAY move when the next is asked for.
 */
export class Past {
  readonly #source: PastSource
  readonly #near: number
  /** The one that was used last comes last. */
  #cursors: Cursor[] = []
  /** The steps that were read, by where they end. */
  #rungs = new Map<Seq, Rung>()
  #snapshotCost = SNAPSHOT_COST
  #msPerEntry = 0.01

  /** `near`: what can be had for so little is not worth asking the hub for another way, in entries that could be folded meanwhile. */
  constructor(source: PastSource, near: number = NEAR) {
    this.#source = source
    this.#near = near
  }

  /** The state after entry `seq`. Throws `Error` where the ledger does not reach so far, or the hub does not answer; rejects with the signal's reason. */
  async at(seq: Seq, signal?: AbortSignal): Promise<Workspace> {
    const { snapshots, rungs } = this.#isNear(seq) ? { snapshots: [], rungs: [] } : await this.#source.ladder()
    const way = this.#best(seq, snapshots, rungs)
    const cursor = way.cursor ?? new Cursor((way.snapshot === null ? null : await this.#read(way.snapshot, signal)) ?? new Workspace())
    this.#cursors = [...this.#cursors.filter((one) => one !== cursor), cursor].slice(-KEPT)
    try {
      if (way.rung !== null) await this.#climb(cursor, way.rung, rungs, signal)
      if (cursor.seq > seq) cursor.backTo(seq)
      await this.#foldTo(cursor, seq, signal)
    } catch (error) {
      // It may have broken off in the midst of an entry.
      if (signal?.aborted !== true) this.#cursors = this.#cursors.filter((one) => one !== cursor)
      throw error
    }
    return cursor.state
  }

  /** Goes over the steps ahead of the first question, where nothing was asked yet; rejects as `at` does, and keeps what it has reached. */
  async prepare(signal: AbortSignal): Promise<void> {
    const last = this.#cursors.length > 0 ? undefined : (await this.#source.ladder()).rungs.at(-1)
    if (last !== undefined) await this.at(last, signal)
  }

  /** Of another ledger nothing that was kept is true. */
  forget(): void {
    this.#cursors = []
    this.#rungs.clear()
  }

  /** Whether no other way can be shorter than on from where one is. */
  #isNear(seq: Seq): boolean {
    return this.#cursors.some((cursor) => cursor.first <= seq && costOf(cursor, seq) <= this.#near)
  }

  #best(seq: Seq, snapshots: readonly Seq[], rungs: readonly Seq[]): Way {
    const ways: Way[] = [{ cursor: null, rung: null, snapshot: null, cost: seq }]
    const kept = snapshots.findLast((one) => one <= seq)
    if (kept !== undefined) ways.push({ cursor: null, rung: null, snapshot: kept, cost: this.#snapshotCost + seq - kept })
    for (const cursor of this.#cursors) if (cursor.first <= seq) ways.push({ cursor, rung: null, snapshot: null, cost: costOf(cursor, seq) })
    const rung = rungs.findLast((one) => one <= seq)
    if (rung !== undefined) {
      ways.push({ cursor: null, rung, snapshot: null, cost: this.#costOfSteps(0, rung, rungs) + seq - rung })
      for (const cursor of this.#cursors) {
        const { first, isOnRung } = cursor
        if (!isOnRung || (first !== 0 && !rungs.includes(first))) continue
        ways.push({ cursor, rung, snapshot: null, cost: (cursor.seq - first) * UNDO_COST + this.#costOfSteps(first, rung, rungs) + seq - rung })
      }
    }
    return ways.reduce((best, way) => (way.cost < best.cost ? way : best))
  }

  #costOfSteps(from: Seq, to: Seq, rungs: readonly Seq[]): number {
    let cost = 0
    let before = 0
    for (const end of rungs) {
      if (before >= Math.min(from, to) && end <= Math.max(from, to)) {
        const known = this.#rungs.get(end)
        cost += known === undefined ? (end - before) * STEP_COST : known.changes.reduce((sum, { keys }) => sum + keys.length, 0) * RECORD_COST
      }
      before = end
    }
    return cost
  }

  async #read(snapshot: Seq, signal?: AbortSignal): Promise<Workspace | null> {
    const startedMs = performance.now()
    const state = await this.#source.snapshot(snapshot, signal)
    if (state !== null) this.#snapshotCost = (performance.now() - startedMs) / this.#msPerEntry
    return state
  }

  /** Over the steps to where one of them ends. */
  async #climb(cursor: Cursor, to: Seq, rungs: readonly Seq[], signal?: AbortSignal): Promise<void> {
    cursor.backTo(cursor.first)
    const slice = new Slice(signal)
    while (cursor.seq > to) {
      const rung = this.#rungs.get(cursor.seq)
      if (rung === undefined) throw new Error(`the step that ends at entry ${cursor.seq} is missing`)
      cursor.down(rung, this.#rungs.get(rung.from)?.atMs ?? 0)
      await slice.breathe()
    }
    while (cursor.seq < to) {
      const next = rungs.find((end) => end > cursor.seq) as Seq
      const known = this.#rungs.get(next)
      if (known === undefined) {
        let last = next
        for (const end of rungs) if (end > last && end <= to && !this.#rungs.has(end)) last = end
        const before = cursor.seq
        for await (const rung of this.#source.rungs(before, last, signal)) {
          if (rung.from !== cursor.seq) break
          this.#rungs.set(rung.to, rung)
          cursor.up(rung)
          await slice.breathe()
        }
        if (cursor.seq === before) throw new Error(`the hub does not give the past from entry ${before} on`)
      } else cursor.up(known)
      cursor.isOnRung = true
      await slice.breathe()
    }
    cursor.isOnRung = true
  }

  async #foldTo(cursor: Cursor, seq: Seq, signal?: AbortSignal): Promise<void> {
    if (cursor.seq === seq) return
    const slice = new Slice(signal)
    for await (const page of this.#source.entries(cursor.seq + 1, seq, signal)) {
      const startedMs = performance.now()
      for (const entry of page) {
        cursor.fold(entry)
        if (slice.isOver) await slice.breathe()
      }
      if (page.length > 100) this.#msPerEntry = 0.8 * this.#msPerEntry + (0.2 * (performance.now() - startedMs)) / page.length
    }
    if (cursor.seq !== seq) throw new Error(`the ledger ends at entry ${cursor.seq}, before ${seq}`)
  }
}

/** Work that lets the page draw between its slices. */
class Slice {
  readonly #signal: AbortSignal | undefined
  #startMs = performance.now()

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
  }

  get isOver(): boolean {
    return performance.now() - this.#startMs >= SLICE_MS
  }

  /** Throws the signal's reason where it is no longer wanted. */
  async breathe(): Promise<void> {
    if (!this.isOver) return
    await breath()
    this.#signal?.throwIfAborted()
    this.#startMs = performance.now()
  }
}

function costOf({ seq: at }: Cursor, seq: Seq): number {
  return at > seq ? (at - seq) * UNDO_COST : seq - at
}

/** Lets the page draw and answer; a timer would wait 4 ms each time. */
export function breath(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.addEventListener("message", () => {
      port1.close()
      resolve()
    })
    port1.start()
    port2.postMessage(null)
  })
}
