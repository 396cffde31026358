import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { UPCASTS, upcast } from "../core/upcast.ts"
import { evolve, undoTo, Workspace } from "../core/workspace.ts"

/** Where the past comes from. */
export type PastSource = {
  entries(from: Seq, to: Seq, signal?: AbortSignal): AsyncIterable<readonly Entry[]>
  /** The newest kept state at or before a seq; null where none is kept. */
  snapshot(atOrBefore: Seq, signal?: AbortSignal): Promise<Workspace | null>
  /** The seqs at which states are kept, ascending. */
  ladder(): Promise<readonly Seq[]>
}

/** States that are kept, each where it was left: the nearest goes on from there. */
const KEPT = 3
/** So many entries a state can be taken back; what was before them is folded anew. */
const BACK_MAX = 100_000
/** Folded at a stretch before the page may draw, in ms. */
const SLICE_MS = 8
/** What reading a snapshot costs before one was read, in entries that could be folded meanwhile. */
const SNAPSHOT_COST = 5_000
/** Taking an entry back costs so much of folding it. */
const UNDO_COST = 0.4

/** A state that goes forward by folding entries, and back by undoing them. */
export class Cursor {
  readonly state: Workspace
  /** After each entry that can be taken back: how long the journal was, and its time. */
  #marks: { length: number; seq: Seq; atMs: number }[]

  constructor(state: Workspace) {
    this.state = state
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

/**
 * The state at any moment: by the shortest way from where the page has been, or from the nearest snapshot of the hub. One `at` at a time.
 * The state that was answered last MAY move when the next is asked for.
 */
export class Past {
  readonly #source: PastSource
  /** The one that was used last comes last. */
  #cursors: Cursor[] = []
  #snapshotCost = SNAPSHOT_COST
  #msPerEntry = 0.01

  constructor(source: PastSource) {
    this.#source = source
  }

  /** The state after entry `seq`. Throws `Error` where the ledger does not reach so far, or the hub does not answer; rejects with the signal's reason. */
  async at(seq: Seq, signal?: AbortSignal): Promise<Workspace> {
    const cursor = await this.#nearest(seq, signal)
    this.#cursors = [...this.#cursors.filter((one) => one !== cursor), cursor].slice(-KEPT)
    if (cursor.seq > seq) cursor.backTo(seq)
    try {
      await this.#foldTo(cursor, seq, signal)
    } catch (error) {
      // It may have broken off in the midst of an entry.
      if (signal?.aborted !== true) this.#cursors = this.#cursors.filter((one) => one !== cursor)
      throw error
    }
    return cursor.state
  }

  /** Of another ledger nothing that was kept is true. */
  forget(): void {
    this.#cursors = []
  }

  async #nearest(seq: Seq, signal?: AbortSignal): Promise<Cursor> {
    const ways = this.#cursors.filter(({ first }) => first <= seq).map((cursor) => ({ cursor, cost: costOf(cursor, seq) }))
    const best = ways.sort((a, b) => a.cost - b.cost)[0] ?? { cursor: null, cost: Number.POSITIVE_INFINITY }
    const rung = best.cost <= this.#snapshotCost ? 0 : ((await this.#source.ladder()).findLast((kept) => kept <= seq) ?? 0)
    const byRung = seq - rung + (rung === 0 ? 0 : this.#snapshotCost)
    if (best.cursor !== null && best.cost <= byRung) return best.cursor
    if (rung === 0) return new Cursor(new Workspace())
    const startedMs = performance.now()
    const state = await this.#source.snapshot(rung, signal)
    if (state !== null) this.#snapshotCost = (performance.now() - startedMs) / this.#msPerEntry
    return new Cursor(state ?? new Workspace())
  }

  async #foldTo(cursor: Cursor, seq: Seq, signal?: AbortSignal): Promise<void> {
    if (cursor.seq === seq) return
    let sliceMs = performance.now()
    for await (const page of this.#source.entries(cursor.seq + 1, seq, signal)) {
      const startedMs = performance.now()
      for (const entry of page) {
        cursor.fold(entry)
        if (performance.now() - sliceMs < SLICE_MS) continue
        await breath()
        signal?.throwIfAborted()
        sliceMs = performance.now()
      }
      if (page.length > 100) this.#msPerEntry = 0.8 * this.#msPerEntry + (0.2 * (performance.now() - startedMs)) / page.length
    }
    if (cursor.seq !== seq) throw new Error(`the ledger ends at entry ${cursor.seq}, before ${seq}`)
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
