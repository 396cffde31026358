import { type Before, takeEarlier } from "../core/before.ts"
import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { UPCASTS, upcast } from "../core/upcast.ts"
import { evolve, undoTo, Workspace } from "../core/workspace.ts"
import { type Stand, standOf, stateBefore } from "./stand.ts"

/** What the records that changed after entry `from` and up to `to` were at `from`; null: they were not there. `atMs`: the time at `from`. */
export type Step = { from: Seq; to: Seq; atMs: number; changes: { table: string; rows: readonly [string, unknown][] }[] }

/** Where the past comes from. */
export type PastSource = {
  entries(from: Seq, to: Seq, signal?: AbortSignal): AsyncIterable<readonly Entry[]>
  /** The newest kept state at or before a seq; null where none is kept. */
  snapshot(atOrBefore: Seq, signal?: AbortSignal): Promise<Workspace | null>
  /** The seqs at which states are kept, and those where the narrowest steps of the past end, the first of which begins at 0; ascending. */
  ladder(): Promise<{ snapshots: readonly Seq[]; rungs: readonly Seq[] }>
  /** The states that the page holds anyhow. */
  stands(): Promise<readonly Stand[]>
  /** The steps that lead from one rung back to another, in that order. */
  steps(from: Seq, to: Seq, signal?: AbortSignal): AsyncIterable<Step>
}

/** States that are kept, each where it was left: the nearest goes on from there. */
const KEPT = 2
/** Steps that are kept, the newest of use. */
const STEPS_KEPT = 64
/** So many entries a state can be taken back; what was before them is folded anew. */
const BACK_MAX = 100_000
/** Folded at a stretch before the page may draw, in ms. */
const SLICE_MS = 8
/** What a way costs, in entries that could be folded meanwhile. */
export type Costs = {
  /** What can be had for so little is not worth asking the hub for another way. */
  near: number
  /** Taking an entry back, putting a record in its place, and a step. */
  undo: number
  record: number
  step: number
  /** Reading a snapshot, before one was read. */
  snapshot: number
}
const COSTS: Costs = { near: 2_000, undo: 0.4, record: 0.15, step: 500, snapshot: 50_000 }
/** A way has some ten steps for each digit of its length. */
const STEPS_MAX = 20

/** A state that goes forward by folding entries, and back by undoing them. */
export class Cursor {
  readonly state: Workspace
  /** After each entry that can be taken back: how long the journal was, and its time. */
  #marks: { length: number; seq: Seq; atMs: number }[]

  constructor(state: Workspace) {
    this.state = state
    state.journal.drain()
    this.#marks = [this.#mark()]
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
    }
    this.#marks.push(this.#mark())
  }

  /** Takes back every entry after `seq`, which MUST be at or after `first`. */
  backTo(seq: Seq): void {
    const at = seq - this.first
    undoTo(this.state, this.#marks[at] as { length: number; seq: Seq; atMs: number })
    this.#marks.length = at + 1
  }

  #mark(): { length: number; seq: Seq; atMs: number } {
    return { length: this.state.journal.length, seq: this.state.seq, atMs: this.state.atMs }
  }
}

/** How to come near a moment, from where entries are folded or undone; `cost` is of all of it, in entries that could be folded meanwhile. */
type Way = { cost: number; come(): Promise<Cursor> }

/**
 * The state at any moment: on from where the page has been, or back from a state that it holds by the steps that the hub keeps, or from the hub's nearest
 * snapshot. One `at` at a time. The state that was answered last MAY move when the next is asked for.
 */
export class Past {
  readonly #source: PastSource
  readonly #costs: Costs
  /** The one that was used last comes last. */
  #cursors: Cursor[] = []
  /** Steps that were read, by where they end and begin; the one that was used last comes last. */
  #steps = new Map<string, Step>()
  /** The state at the last rung, where the page had to ask for it. */
  #fetched: Stand | null = null
  #snapshotCost: number
  #msPerEntry = 0.01

  constructor(source: PastSource, costs: Costs = COSTS) {
    this.#source = source
    this.#costs = costs
    this.#snapshotCost = costs.snapshot
  }

  /** The state after entry `seq`. Throws `Error` where the ledger does not reach so far, or the hub does not answer; rejects with the signal's reason. */
  async at(seq: Seq, signal?: AbortSignal): Promise<Workspace> {
    const near = this.#cursors.filter(({ first }) => first <= seq).map((cursor) => ({ cost: this.#costOf(cursor, seq), come: () => Promise.resolve(cursor) }))
    const isNear = near.some(({ cost }) => cost <= this.#costs.near)
    const cursor = await shortest(isNear ? near : [...near, ...(await this.#farWays(seq, signal))]).come()
    this.#cursors = [...this.#cursors.filter((one) => one !== cursor), cursor].slice(-KEPT)
    try {
      if (cursor.seq > seq) cursor.backTo(seq)
      await this.#foldTo(cursor, seq, signal)
    } catch (error) {
      // It may have broken off in the midst of an entry.
      if (signal?.aborted !== true) this.#cursors = this.#cursors.filter((one) => one !== cursor)
      throw error
    }
    return cursor.state
  }

  /** Reads ahead the steps that most moments need, where nothing was asked yet; rejects as `at` does, and keeps what it has read. */
  async prepare(signal: AbortSignal): Promise<void> {
    if (this.#steps.size > 0) return
    const { rungs } = await this.#source.ladder()
    const [first] = rungs
    // Not to the very beginning: to there it is one wide step, which leads nowhere else.
    if (first !== undefined) await this.#before(first, rungs.at(-1) as Seq, signal)
  }

  /** Of another ledger nothing that was kept is true. */
  forget(): void {
    this.#cursors = []
    this.#steps.clear()
    this.#fetched = null
  }

  async #farWays(seq: Seq, signal?: AbortSignal): Promise<Way[]> {
    const [{ snapshots, rungs }, held] = await Promise.all([this.#source.ladder(), this.#source.stands()])
    const last = rungs.at(-1) ?? 0
    const rung = rungs.findLast((one) => one <= seq) ?? 0
    const stands = this.#fetched === null ? held : [...held, this.#fetched]
    const ways: Way[] = [{ cost: seq, come: () => Promise.resolve(new Cursor(new Workspace())) }]
    const kept = snapshots.findLast((one) => one <= seq)
    if (kept !== undefined)
      ways.push({ cost: this.#snapshotCost + seq - kept, come: async () => new Cursor((await this.#read(kept, signal)) ?? new Workspace()) })
    for (const stand of stands) {
      const cost = stand.size * this.#costs.record
      if (stand.seq <= seq) ways.push({ cost: cost + seq - stand.seq, come: () => this.#goOn(stand, signal) })
      if (stand.seq > rung && stand.seq <= last) {
        const steps = this.#stepsCost(rung, stand.seq, rungs)
        ways.push({ cost: cost + steps + seq - rung, come: () => this.#goBack(stand, rung, rungs, signal) })
      }
    }
    // Whoever holds nothing at or before the last rung asks for the state there.
    if (last > rung)
      ways.push({ cost: this.#snapshotCost + this.#stepsCost(rung, last, rungs) + seq - rung, come: () => this.#goBackFromLast(rung, rungs, signal) })
    return ways
  }

  async #goOn(stand: Stand, signal?: AbortSignal): Promise<Cursor> {
    const slice = new Slice(signal)
    return new Cursor(await stateBefore(stand, new Map(), stand, () => slice.breathe()))
  }

  async #goBackFromLast(to: Seq, rungs: readonly Seq[], signal?: AbortSignal): Promise<Cursor> {
    const state = await this.#read(rungs.at(-1) as Seq, signal)
    if (state === null || state.seq <= to) return new Cursor(state ?? new Workspace())
    this.#fetched = standOf(state)
    return this.#goBack(this.#fetched, to, rungs, signal)
  }

  /** The state at a rung, by steps that lead back from a stand: a step that ends after it leads from there as well. */
  async #goBack(stand: Stand, to: Seq, rungs: readonly Seq[], signal?: AbortSignal): Promise<Cursor> {
    const { before, atMs } = await this.#before(to, rungs.find((rung) => rung >= stand.seq) as Seq, signal)
    const slice = new Slice(signal)
    return new Cursor(await stateBefore(stand, before, { seq: to, atMs }, () => slice.breathe()))
  }

  /** What the records that changed since were at rung `to`. */
  async #before(to: Seq, from: Seq, signal?: AbortSignal): Promise<{ before: Before; atMs: number }> {
    const before: Before = new Map()
    const slice = new Slice(signal)
    let at = from
    let atMs = 0
    const go = async (step: Step): Promise<void> => {
      this.#keep(step)
      for (const { table, rows } of step.changes) takeEarlier(before, table, rows)
      at = step.from
      atMs = step.atMs
      await slice.breathe()
    }
    while (at > to) {
      const reached = at
      const known = this.#widest(at, to)
      if (known !== null) await go(known)
      else
        for await (const step of this.#source.steps(to, at, signal)) {
          if (step.to !== at || step.from < to) break
          await go(step)
        }
      if (at === reached) throw new Error(`the hub does not give the past before entry ${at}: try again in a minute, it is made anew`)
    }
    return { before, atMs }
  }

  #stepsCost(from: Seq, to: Seq, rungs: readonly Seq[]): number {
    return Math.min(STEPS_MAX, rungs.filter((rung) => rung > from && rung <= to).length + 1) * this.#costs.step
  }

  #costOf({ seq: at }: Cursor, seq: Seq): number {
    return at > seq ? (at - seq) * this.#costs.undo : seq - at
  }

  #widest(from: Seq, to: Seq): Step | null {
    const known = [...this.#steps.values()].filter((step) => step.to === from && step.from >= to)
    return known.reduce<Step | null>((widest, step) => (widest === null || step.from < widest.from ? step : widest), null)
  }

  #keep(step: Step): void {
    const key = `${step.to} ${step.from}`
    this.#steps.delete(key)
    this.#steps.set(key, step)
    const [oldest] = this.#steps.keys()
    if (this.#steps.size > STEPS_KEPT && oldest !== undefined) this.#steps.delete(oldest)
  }

  async #read(snapshot: Seq, signal?: AbortSignal): Promise<Workspace | null> {
    const startedMs = performance.now()
    const state = await this.#source.snapshot(snapshot, signal)
    if (state !== null) this.#snapshotCost = (performance.now() - startedMs) / this.#msPerEntry
    return state
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

function shortest(ways: readonly Way[]): Way {
  return ways.reduce((best, way) => (way.cost < best.cost ? way : best))
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
