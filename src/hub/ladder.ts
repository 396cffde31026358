import { type Before, takeEarlier } from "../core/before.ts"
import { type Sha256, toHex } from "../core/hash.ts"
import { decodeEntry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { isReadable, rowsOf } from "../core/kept-rows.ts"
import { evolve, putRows, Workspace } from "../core/workspace.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { isOf, letGo, SEAL_LENGTH, type SnapshotStore, unsealed } from "./snapshots.ts"
import { noteBefore, sealed, stepHead, stepLines } from "./step-back.ts"

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

/** Steps of one width that make the next wider one: so that a way back over n entries has as many steps as n has digits, ten times over at the most. */
const WIDER = 10
/** Rungs are made when so many of them are missing, and an entry for so many of the state's records: it begins with reading the state at the last and ends with writing it. */
const MISSING = 2
const RECORDS_AN_ENTRY = 8
/** Entries that are folded between two pauses: about a millisecond. */
const ENTRIES_AT_ONCE = 64

type TopHead = { version: 3; seq: Seq; atMs: number; hash: string }

/**
 * The workspace's past in steps back, and the state at the last rung, from which they lead down: a projection like a snapshot, made from the ledger alone while
 * nobody waits, and made again where it was deleted.
 *
 * A step from `to` back to `from` holds what the records that changed between them were at `from`. So whoever has the state at any entry after `from` and up to
 * `to` has it at `from`. What was added in between is named only, and what changed often is in it once: a step over 100,000 entries weighs little more than one
 * over 10,000. Steps of each width together weigh less than those of the next narrower one.
 */
export class Ladder {
  readonly #o: LadderOptions
  #growing: Promise<void> | null = null
  #isOver = false
  /** The head from which on it is tried again after it could not be kept. */
  #againFrom: Seq = 0
  /** Something was found that is not as it was written: all of it is made again. */
  #isBad = false
  /** The rung of which it was seen that the state kept there is this ledger's. */
  #ours: Seq = 0
  /** Records of the state at the last rung, once it was seen. */
  #records = 0

  constructor(options: LadderOptions) {
    this.#o = options
  }

  /** Where the narrowest steps end, ascending: each begins where the one before it ends, the first at 0. At the last of them the whole state is kept. */
  async rungs(): Promise<Seq[]> {
    const { store, workspace, rungEntries } = this.#o
    const top = await this.#topSeq()
    return top === 0 ? [] : (await store.list(workspace)).filter((seq) => seq <= top && seq % rungEntries === 0)
  }

  /** The state at the last rung, without the keys of commands; null where none is kept. The lines end with a `SyntaxError` at one that is not as it was written. */
  async top(): Promise<{ seq: Seq; lines: AsyncIterable<string> } | null> {
    const seq = await this.#topSeq()
    const pieces = seq === 0 ? null : await this.#o.store.open(this.#key("top"), seq)
    return pieces === null ? null : { seq, lines: this.#looked(pieces) }
  }

  async *#looked(pieces: AsyncIterable<string>): AsyncIterable<string> {
    try {
      for await (const line of unsealed(this.#o.sha256, pieces)) yield `${line}\n`
    } catch (error) {
      this.#isBad ||= error instanceof SyntaxError
      throw error
    }
  }

  /** The lines of the fewest steps from one rung back to another, in the order in which they are gone. Ends before one that is not as it was written. */
  async *lines(from: Seq, to: Seq): AsyncIterable<string> {
    const { store, sha256, rungEntries } = this.#o
    // What lies beyond the last rung was seen to be this ledger's by nobody.
    if (to > (await this.#topSeq())) return
    const widths = await this.#widths()
    for (let at = to; at > from;) {
      const width = widths.find((one) => at % one.width === 0 && at - one.width >= from && one.ends.has(at))
      const pieces = this.#isBad || width === undefined ? null : await store.open(this.#key(width.width), at)
      if (pieces === null || width === undefined) {
        // Somebody took it away: from one rung to another there is a way.
        this.#isBad ||= from % rungEntries === 0 && at % rungEntries === 0 && at <= (await this.#topSeq())
        return
      }
      try {
        let isFirst = true
        for await (const line of unsealed(sha256, pieces)) {
          if (isFirst) stepHead(line, at - width.width, at)
          isFirst = false
          yield `${line}\n`
        }
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error
        this.#isBad = true
        return
      }
      at -= width.width
    }
  }

  /**
   * Makes what is missing up to `head`, if it is worth it. Resolves when it is done; one at a time. Rejects where it cannot be kept: on a full disk each quiet
   * moment would else read the whole state and fold thousands of entries for nothing, so it is tried again once some more have come.
   */
  grow(head: Seq): Promise<void> {
    if (head < this.#againFrom) return Promise.resolve()
    this.#growing ??= this.#grow(head)
      .catch((error: unknown) => {
        this.#againFrom = head + this.#o.rungEntries / WIDER
        throw error
      })
      .finally(() => (this.#growing = null))
    return this.#growing
  }

  /** Makes no more; resolves when nothing is written any more. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#growing?.catch(() => undefined)
  }

  async #grow(head: Seq): Promise<void> {
    const worthIt = Math.max(MISSING * this.#o.rungEntries, this.#records / RECORDS_AN_ENTRY)
    const top = await this.#topSeq()
    if (!this.#isBad && head < top + worthIt) return
    try {
      await this.#climb((await this.#restored()) ?? (await this.#anew()), head)
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
      // A narrow step is not as it was written.
      await this.#climb(await this.#anew(), head)
    }
  }

  async #climb(state: Workspace, head: Seq): Promise<void> {
    const { workspace, store, ledger, sha256, rungEntries, pause } = this.#o
    let before: Before = new Map()
    let { atMs } = state
    const last = head - (head % rungEntries)
    while (state.seq < last && !this.#isOver) {
      const page = await ledger.read(state.seq + 1, Math.min(ENTRIES_AT_ONCE, last - state.seq))
      if (page.length === 0) return
      for (const { seq, bytes, hash } of page) {
        evolve(state, decodeEntry(bytes))
        noteBefore(state, before)
        if (seq % rungEntries !== 0) continue
        await store.keep(workspace, seq, stepLines(sha256, { version: 3, from: seq - rungEntries, to: seq, atMs }, before, pause))
        // Of a long way what is done counts, should the hub end before the rest.
        if (seq % (WIDER * rungEntries) === 0 || seq === last) await this.#rest(state, toHex(hash))
        before = new Map()
        atMs = state.atMs
        if (this.#isOver) return
      }
      await pause()
    }
  }

  /** Makes the wider steps up to here, then keeps the state: from here on it goes on. */
  async #rest(state: Workspace, hash: string): Promise<void> {
    const { store, sha256, rungEntries, pause } = this.#o
    const { seq, atMs } = state
    for (let width = WIDER * rungEntries; width <= seq; width *= WIDER) {
      const made = new Set(await store.list(this.#key(width)))
      for (let to = width; to <= seq; to += width) if (!made.has(to)) await this.#widen(width, to)
    }
    const head: TopHead = { version: 3, seq, atMs, hash }
    this.#records = state.tables.reduce((sum, { size }) => sum + size, 0)
    // Nobody changes it meanwhile: a copy would stop the hub for as long as it is large.
    const tables = state.tables.map((table) => [table.name, table.entries()] as const)
    await store.keep(this.#key("top"), seq, sealed(sha256, head, tables, pause))
    this.#ours = seq
    for (const older of await store.list(this.#key("top"))) if (older !== seq) await store.drop(this.#key("top"), older)
  }

  /** One step of several: of a record that changed in more than one of them the earliest counts. */
  async #widen(width: number, to: Seq): Promise<void> {
    const { store, sha256, pause } = this.#o
    const before: Before = new Map()
    const narrow = width / WIDER
    let atMs = 0
    for (let at = to; at > to - width; at -= narrow) {
      const pieces = await store.open(this.#key(narrow), at)
      if (pieces === null) throw new SyntaxError(`the step back from entry ${at} is missing`)
      let isFirst = true
      for await (const line of unsealed(sha256, pieces)) {
        const kept = isFirst ? null : rowsOf(JSON.parse(line.slice(SEAL_LENGTH)))
        if (isFirst) ({ atMs } = stepHead(line, at - narrow, at))
        else if (kept !== null) takeEarlier(before, kept.table, kept.rows)
        isFirst = false
        await pause()
      }
    }
    await store.keep(this.#key(width), to, stepLines(sha256, { version: 3, from: to - width, to, atMs }, before, pause))
  }

  /** The state at the last rung; null where it is not as it was written, is of another ledger, or lacks a step. */
  async #restored(): Promise<Workspace | null> {
    const { workspace, store, rungEntries, pause } = this.#o
    const top = await this.top()
    if (top === null) return null
    const ends = new Set(await store.list(workspace))
    for (let end = rungEntries; end <= top.seq; end += rungEntries) if (!ends.has(end)) return letGo(top.lines).then(() => null)
    const state = new Workspace()
    for await (const line of top.lines) {
      const value: unknown = JSON.parse(line.slice(SEAL_LENGTH))
      const kept = rowsOf(value)
      if (kept !== null) putRows(state, kept.table, kept.rows)
      else if (value !== null) state.atMs = (value as TopHead).atMs
      await pause()
    }
    state.seq = top.seq
    await this.#dropAfter(top.seq)
    return state
  }

  /** Nothing of it can be relied on. */
  async #anew(): Promise<Workspace> {
    const { store } = this.#o
    const key = this.#key("top")
    for (const seq of await store.list(key)) await store.drop(key, seq)
    await this.#dropAfter(0)
    this.#isBad = false
    return new Workspace()
  }

  /** The steps that end after a rung: a hub that was killed may have left some, and the ledger have been taken back and gone on otherwise since. */
  async #dropAfter(rung: Seq): Promise<void> {
    const { store, rungEntries } = this.#o
    // Of every width: wider ones may have been left where the narrow ones were deleted.
    for (let width = rungEntries; width < Number.MAX_SAFE_INTEGER; width *= WIDER) {
      const key = this.#key(width)
      for (const seq of await store.list(key)) if (seq > rung) await store.drop(key, seq)
    }
  }

  /** Where the last rung is; 0 where there is none, or the state that is kept there is not this ledger's: then no step is, for all that can be told. */
  async #topSeq(): Promise<Seq> {
    const { store, ledger, sha256 } = this.#o
    const seq = this.#isBad ? 0 : ((await store.list(this.#key("top"))).at(-1) ?? 0)
    if (seq === 0 || seq === this.#ours) return seq
    const pieces = await store.open(this.#key("top"), seq)
    if (pieces === null) return 0
    try {
      for await (const line of unsealed(sha256, pieces)) {
        const head = JSON.parse(line.slice(SEAL_LENGTH)) as TopHead | null
        if (!isReadable(head?.version) || !(await isOf(ledger, seq, head?.seq, head?.hash))) break
        this.#ours = seq
        return seq
      }
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
    this.#isBad = true
    return 0
  }

  /** The steps that there are, the widest first. */
  async #widths(): Promise<{ width: number; ends: ReadonlySet<Seq> }[]> {
    const { store, rungEntries } = this.#o
    const widths: { width: number; ends: ReadonlySet<Seq> }[] = []
    for (let width = rungEntries; ; width *= WIDER) {
      const ends = await store.list(this.#key(width))
      if (ends.length === 0) return widths
      widths.unshift({ width, ends: new Set(ends) })
    }
  }

  /** The name in the store: no workspace has an @ in its own. */
  #key(what: number | "top"): string {
    const { workspace, rungEntries } = this.#o
    return what === rungEntries ? workspace : `${workspace}@${what}`
  }
}
