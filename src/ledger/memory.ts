import { EntryHasher, GENESIS, sameHash } from "../core/hash.ts"
import type { Seq } from "../core/ids.ts"
import { LedgerFailure, oneWriter, type Appended, type Head, type Ledger, type Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"

/** How the sync of a batch ends. `lost`: the writer is told nothing certain, and the batch is `written` or is not. */
export type Synced = "done" | "refused" | { lost: "written" | "not_written" }

/** The disk, or the server, under a memory ledger: a simulation hands in one that delays and fails as its seed says. */
export type Disk = {
  /** The way to the store; other writers may win the race meanwhile. Rejecting loses the batch: `unknown_outcome`, not written. */
  reach?(): Promise<void>
  /** The sync of a batch that has won its race; a crash until it resolves may keep, lose or tear the batch. */
  sync?(batch: readonly Stored[]): Promise<Synced>
  /** The way of a read. */
  read?(): Promise<void>
}

/** What a crash leaves of the entries that were written but not synced: so many whole, and so many characters of the next. */
export type Remains = { whole: number; torn: number }

export type MemoryOptions = {
  /** Several hubs may have it open at once, and race. False by default: a second `open` is refused as `locked`. */
  manyWriters?: boolean
  /** What `append` has answered survives a crash. True by default; false: only what `idle` has synced does. */
  durable?: boolean
  disk?: Disk
}

/** What opening found after a crash: the entries from `from` on belonged to a batch that never was acknowledged whole, and were cut. */
export type Cut = { from: Seq; entries: number }

/** One record of the simulated file; the last of a batch carries the commit mark, as a write-ahead log's last frame does. */
type Frame = Stored & { commits: boolean }

/**
 * A store in memory, deterministic: no timer, no randomness; whatever varies comes from its `Disk`. It dies with the process; "durable" is
 * meant against `crash()`. Appends are taken one at a time, as a server or a file lock would.
 */
export class MemoryStore {
  readonly supports: { durable: boolean; manyWriters: boolean }
  readonly disk: Disk
  /** What is readable: whole batches. Tests damage it in place. */
  entries: Stored[] = []
  /** Of `entries`, so many are safe from a crash. */
  #synced = 0
  /** The batch between write and sync, not readable yet. */
  #inFlight: Frame[] = []
  /** What lies on the disk after a crash, until the next `open` cuts its torn tail. */
  #crashed: Frame[] | null = null
  #turn: Promise<unknown> = Promise.resolve()
  readonly #open = new Set<MemoryLedger>()
  /** All handles since the last crash: one that was closed, as by a process that was killed, may still have an append on its way. */
  readonly #handles = new Set<MemoryLedger>()

  constructor(options: MemoryOptions = {}) {
    this.supports = { durable: options.durable ?? true, manyWriters: options.manyWriters ?? false }
    this.disk = options.disk ?? {}
  }

  /** A handle for one hub. After a crash it first cuts the batch that was torn. */
  open(name = "a hub"): MemoryLedger {
    const [holder] = this.#open
    if (holder && !this.supports.manyWriters) {
      throw new LedgerFailure("locked", `the ledger is in use by ${holder.name}`, "use that hub, or stop it first")
    }
    const cut = this.#recover()
    const ledger = new MemoryLedger(this, name, cut)
    this.#open.add(ledger)
    this.#handles.add(ledger)
    return ledger
  }

  /**
   * The machine goes down: every handle is dead, what was not synced is lost but for `remains`. An append that waits for its sync
   * fails with `unknown_outcome`, as a hub would learn of it after its restart.
   */
  crash(remains: Remains = { whole: 0, torn: 0 }): void {
    for (const ledger of this.#handles) ledger.die()
    this.#handles.clear()
    this.#open.clear()
    // Nobody has opened it since the last crash: what that one left lies on the disk, and whether it was committed is not for this one to say.
    if (this.#crashed !== null) return
    const unsynced: Frame[] = [...this.entries.slice(this.#synced).map((entry) => ({ ...entry, commits: true })), ...this.#inFlight]
    const kept = unsynced.slice(0, remains.whole)
    const next = unsynced[remains.whole]
    if (next && remains.torn > 0) kept.push({ ...next, bytes: next.bytes.slice(0, remains.torn), commits: false })
    this.#crashed = [...this.entries.slice(0, this.#synced).map((entry) => ({ ...entry, commits: true })), ...kept]
    this.entries = this.#crashed
    this.#inFlight = []
    this.#turn = Promise.resolve()
  }

  head(): Head {
    const last = this.entries.at(-1)
    return last ? { seq: last.seq, hash: last.hash } : { seq: 0, hash: GENESIS }
  }

  /** Takes an append in its turn: compare, write, sync, and only then let others see it. */
  append(by: MemoryLedger, expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    const appended = this.#turn.then(() => this.#append(by, expected, batch))
    this.#turn = appended.catch(() => undefined)
    return appended
  }

  /** Syncs what a store that is not durable by itself has answered. */
  sync(): void {
    this.#synced = this.entries.length
  }

  leave(ledger: MemoryLedger): void {
    this.#open.delete(ledger)
  }

  async #append(by: MemoryLedger, expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    if (by.dead) throw unknownOutcome()
    const head = this.head()
    if (head.seq !== expected) return { ok: false, moved: head }
    for (const [i, { seq }] of batch.entries())
      if (seq !== expected + 1 + i) throw new Error(`bug: entry ${seq} was appended where ${expected + 1 + i} belongs`)
    if (this.supports.durable) {
      this.#inFlight = batch.map((entry, i) => ({ ...entry, commits: i === batch.length - 1 }))
      const synced = (await this.disk.sync?.(batch)) ?? "done"
      // A crash while the sync was under way has already decided what remains.
      if (by.dead) throw unknownOutcome()
      this.#inFlight = []
      if (synced === "refused") throw new LedgerFailure("rolled_back", "the disk is full", "free space; nothing was written")
      if (synced !== "done" && synced.lost === "not_written") throw unknownOutcome()
      this.entries.push(...batch)
      this.#synced = this.entries.length
      this.#wake(by)
      if (synced !== "done") throw unknownOutcome()
    } else {
      this.entries.push(...batch)
      this.#wake(by)
    }
    return { ok: true, head: this.head() }
  }

  #wake(writer: MemoryLedger): void {
    for (const ledger of this.#open) if (ledger !== writer) ledger.wake(this.head().seq)
  }

  /** Keeps whole batches: cuts from the first entry after the last commit mark, or at one whose bytes do not fit its hash. */
  #recover(): Cut | null {
    const frames = this.#crashed
    if (!frames) return null
    const hasher = new EntryHasher(sha256)
    let whole = this.#synced
    for (let i = this.#synced; i < frames.length; i++) {
      const frame = frames[i]!
      if (!sameHash(hasher.chain(frames[i - 1]?.hash ?? GENESIS, frame.bytes), frame.hash)) break
      if (frame.commits) whole = i + 1
    }
    const cut = whole < frames.length ? { from: whole + 1, entries: frames.length - whole } : null
    this.entries = frames.slice(0, whole).map(({ seq, bytes, hash }) => ({ seq, bytes, hash }))
    this.#synced = whole
    this.#crashed = null
    return cut
  }
}

/** Somebody who waits for another writer's entries beyond `seq`. */
type Waiter = { seq: Seq; end: (failure: Error | null) => void }

/** One hub's handle on a memory store. */
export class MemoryLedger implements Ledger {
  readonly supports: { durable: boolean; manyWriters: boolean }
  readonly name: string
  /** The torn batch that opening cut, if there was one. */
  readonly cut: Cut | null
  dead = false
  readonly #store: MemoryStore
  #closed = false
  #outcomeUnknown: LedgerFailure | null = null
  readonly #waiting = new Set<Waiter>()

  constructor(store: MemoryStore, name: string, cut: Cut | null) {
    this.#store = store
    this.supports = store.supports
    this.name = name
    this.cut = cut
  }

  async head(): Promise<Head> {
    await this.#store.disk.read?.()
    this.#check()
    return this.#store.head()
  }

  async append(expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    this.#check()
    if (this.#outcomeUnknown) throw this.#outcomeUnknown
    try {
      await this.#store.disk.reach?.()
      return await this.#store.append(this, expected, batch)
    } catch (error) {
      const failure = error instanceof LedgerFailure || (error as Error).message?.startsWith("bug:") ? error : unknownOutcome(error)
      if (failure instanceof LedgerFailure && failure.code === "unknown_outcome") this.#outcomeUnknown = failure
      throw failure
    }
  }

  async read(from: Seq, limit: number): Promise<Stored[]> {
    await this.#store.disk.read?.()
    this.#check()
    return this.#store.entries.slice(Math.max(0, from - 1), Math.max(0, from - 1) + limit)
  }

  moved(seq: Seq, signal: AbortSignal): Promise<void> {
    if (!this.supports.manyWriters) return oneWriter(signal)
    this.#check()
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    if (this.#store.head().seq > seq) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const aborted = (): void => waiter.end(signal.reason as Error)
      const waiter: Waiter = {
        seq,
        end: (failure) => {
          signal.removeEventListener("abort", aborted)
          this.#waiting.delete(waiter)
          if (failure) reject(failure)
          else resolve()
        },
      }
      this.#waiting.add(waiter)
      signal.addEventListener("abort", aborted)
    })
  }

  async idle(): Promise<void> {
    this.#check()
    this.#store.sync()
  }

  async backup(): Promise<void> {
    throw new LedgerFailure("unsupported", "a ledger in memory has no file to copy", "use a SQLite ledger")
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#store.leave(this)
    for (const waiter of this.#waiting) waiter.end(new LedgerFailure("unsupported", "the ledger was closed", "open it again"))
  }

  /** Another writer's entries have become readable. For the store alone. */
  wake(head: Seq): void {
    for (const waiter of this.#waiting) if (head > waiter.seq) waiter.end(null)
  }

  /** The machine went down. For the store alone. */
  die(): void {
    this.dead = true
    for (const waiter of this.#waiting) waiter.end(unknownOutcome())
  }

  #check(): void {
    if (this.dead) throw unknownOutcome()
    if (this.#closed) throw new LedgerFailure("unsupported", "the ledger was closed", "open it again")
  }
}

function unknownOutcome(cause?: unknown): LedgerFailure {
  return new LedgerFailure("unknown_outcome", "the store did not say whether the batch was written", "restart the hub: it reads what was written", null, cause)
}
