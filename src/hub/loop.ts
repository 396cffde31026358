import { Chain, type Sha256, toHex } from "../core/chain.ts"
import { type CommandName, type Commands, commands } from "../core/command.ts"
import { type Actor, decodeEntry, encodeEntry, type Entry, ENTRY_MAX_BYTES, HUB } from "../core/entry.ts"
import { recall, type Remembered } from "../core/idempotency.ts"
import type { Seq, SessionId } from "../core/ids.ts"
import { isRefusal, type Refusal, refuse } from "../core/refusal.ts"
import { type Checkpoint, evolve, mark, undoTo, type Workspace } from "../core/workspace.ts"
import { SkeinError } from "../contract/errors.ts"
import { type Ledger, LedgerFailure, type Stored } from "../ledger/ledger.ts"
import { type Clock, LedgerClock } from "./clock.ts"
import type { Fingerprint } from "./fingerprint.ts"
import { Presence } from "./presence.ts"
import { type SnapshotStore, snapshotLines } from "./snapshots.ts"
import { type Sink, Subscriptions } from "./subscriptions.ts"

/** Idempotency: the caller's key, and the first 128 bits of the SHA-256 of what it asked, in hex. */
export type Key = { id: string; hash: string }
export type ExecuteOptions = {
  key?: Key | null
  /** `task.claimNext` only: parks until something fits, for 150,000 ms at the most. */
  waitMs?: number
  /** The caller's connection: what is parked dies with it. */
  signal?: AbortSignal
}

export type LoopLog = { info(fields: object, text: string): void; warn(fields: object, text: string): void; error(fields: object, text: string): void }

export type LoopOptions = {
  name: string
  clock: Clock
  sha256: Sha256
  ledger: Ledger
  state: Workspace
  chain: Chain
  fingerprint: Fingerprint
  snapshots: SnapshotStore
  log: LoopLog
  /** Signs a checkpoint and keeps it outside the ledger; returns the signed note. */
  sign(workspace: string, checkpoint: Checkpoint): Promise<string>
  /** The commit's outcome is unknown: the hub MUST stop; restart and replay tell the truth. */
  fatal(error: unknown): void
  /** Commands that may wait at once; beyond it callers hear `overloaded`. */
  queueMax: number
  /** Commands of one batch at the most. */
  batchMax: number
  /** A checkpoint is recorded after so many entries, or so long after the first that none covers. */
  checkpointEntries: number
  checkpointMs: number
  snapshotEntries: number
}

type Waiting = {
  name: CommandName
  actor: Actor
  /** A checkpoint is taken of the state that it is decided against; all else is as the caller gave it. */
  input: unknown
  key: Key | null
  signal: AbortSignal | undefined
  /** Until when it may be parked, on the workspace's clock; null: answered at once. */
  parkUntilMs: number | null
  /** Undoes what parking set up; null where it never was parked. */
  unpark: (() => void) | null
  resolve(output: unknown): void
  reject(error: unknown): void
}

type Outcome =
  | { kind: "answer"; output: unknown }
  | { kind: "refusal"; refusal: Refusal }
  | { kind: "again"; remembered: Remembered }
  | { kind: "fault"; error: unknown }

type Decided = { waiting: Waiting; outcome: Outcome }

const PAGE = 1_024
/** Records hashed for the digest after each batch, so that no checkpoint has to catch up with many at once. */
const SETTLE_RECORDS = 256
/** How often the disk is tried again after it refused a write, in ms. */
const PROBE_MS = 1_000
const WAIT_MAX_MS = 150_000
/** Quiet before the store may tidy up, in ms. */
const TIDY_AFTER_MS = 250
/** Sweeps are no closer together than the first, and no further apart than the second: work that stalls is flagged by them. */
const SWEEP_MIN_MS = 100
const SWEEP_MAX_MS = 60_000

/**
 * One workspace's loop: decide, append, publish. What arrives while a batch is in flight is the next batch; nothing is answered, published or
 * read before the ledger holds it.
 *
 * Interleavings: `#flush` is the only place that touches the state, and one runs at a time. Between its `await`s nobody reads the state: reads wait
 * for the batch in flight (`read`), and a batch that lost its race is undone before anything else happens.
 */
export class Loop {
  readonly name: string
  readonly #o: LoopOptions
  readonly #state: Workspace
  readonly #chain: Chain
  readonly #time: LedgerClock
  readonly #presence = new Presence()
  readonly #subscriptions: Subscriptions
  #queue: Waiting[] = []
  #parked: Waiting[] = []
  /** Readers that wait for the batch in flight. */
  #readers: (() => void)[] = []
  #flushing = false
  #scheduled = false
  #closing = false
  #cancelSweep: (() => void) | null = null
  #sweepAtMs = Number.POSITIVE_INFINITY
  #cancelCheckpoint: (() => void) | null = null
  #checkpointDue = false
  #checkpointWaiters: { resolve(): void; reject(error: unknown): void }[] = []
  /** The last seq that a checkpoint covers; the checkpoint's own entry does not count as activity. */
  #coveredSeq: Seq
  #note: string | null = null
  #snapshotSeq: Seq
  #snapshotting: Promise<void> = Promise.resolve()
  #idleScheduled = false
  #cancelTidying: (() => void) | null = null
  /** Set while the disk refuses writes: commands are refused at once, reads go on. */
  #refusing: LedgerFailure | null = null
  #stats = { batches: 0, entries: 0, commands: 0, refused: 0, overloaded: 0, lostRaces: 0, largestBatch: 0, flushMs: 0 }

  constructor(options: LoopOptions) {
    this.#o = options
    this.name = options.name
    this.#state = options.state
    this.#chain = options.chain
    this.#time = new LedgerClock(options.clock, options.state.atMs)
    this.#coveredSeq = options.state.meta.get("workspace")?.checkpoint?.size ?? 0
    this.#snapshotSeq = options.state.seq - (options.state.seq % options.snapshotEntries)
    this.#subscriptions = new Subscriptions((from, limit) => options.ledger.read(from, limit), options.state.seq)
    if (options.ledger.supports.manyWriters) this.#follow()
  }

  get head(): { seq: Seq; hash: Uint8Array } {
    return { seq: this.#state.seq, hash: this.#chain.hash }
  }

  nowMs(): number {
    return this.#time.nowMs()
  }

  stats(): Readonly<Record<string, number>> {
    return { ...this.#stats, seq: this.#state.seq, queue: this.#queue.length, parked: this.#parked.length, subscribers: this.#subscriptions.size }
  }

  /**
   * Decides one command, and answers when the ledger holds what came of it. Throws `SkeinError`: a refusal with its remedy, `overloaded` (nothing was
   * done, come again after `retryAfterMs`), `storage_refused`, `hub_stopping`.
   */
  execute<Name extends CommandName>(name: Name, actor: Actor, input: Commands[Name]["input"], { key = null, waitMs = 0, signal }: ExecuteOptions = {}): Promise<Commands[Name]["output"]> {
    if (this.#closing) return Promise.reject(stopping())
    if (this.#queue.length >= this.#o.queueMax) return Promise.reject(this.#overloaded())
    if (this.#refusing !== null) return Promise.reject(storageRefused(this.#refusing))
    return new Promise((resolve, reject) => {
      const parkUntilMs = waitMs > 0 ? this.nowMs() + Math.min(waitMs, WAIT_MAX_MS) : null
      this.#queue.push({ name, actor, input, key, signal, parkUntilMs, unpark: null, resolve: resolve as (output: unknown) => void, reject })
      this.#schedule()
    })
  }

  /** Looks at the state when no batch is in flight. `look` MUST be synchronous and change nothing. */
  read<T>(look: (state: Workspace, nowMs: number) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(look(this.#state, this.nowMs()))
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      }
      if (this.#flushing) this.#readers.push(run)
      else run()
    })
  }

  /** The ledger for those who only read: proofs and audits. */
  get ledger(): Pick<Ledger, "read" | "head"> {
    return this.#o.ledger
  }

  /** Stored entries, as they were hashed. */
  entries(from: Seq, limit: number): Promise<Stored[]> {
    return this.#o.ledger.read(from, limit)
  }

  /** The stream from `from` on, without a gap; the answer ends it. */
  subscribe(from: Seq, sink: Sink): () => void {
    return this.#subscriptions.subscribe(from, sink)
  }

  /** A live connection owns the session from now on. */
  attach(session: SessionId): void {
    const heartbeatMs = this.#state.sessions.get(session)?.heartbeatMs
    if (heartbeatMs === undefined) return
    this.#presence.attach(session, heartbeatMs, this.nowMs())
    this.#returned(session)
    this.#planSweep()
  }

  detach(session: SessionId): void {
    this.#presence.detach(session)
    this.#planSweep()
  }

  /** A sign of life by the session's owner. Returns whether the session exists and has one. */
  beat(session: SessionId): boolean {
    const record = this.#state.sessions.get(session)
    if (record === undefined || !record.owned || record.status === "ended") return false
    if (!this.#presence.beat(session, this.nowMs(), record.heartbeatMs)) this.#planSweep()
    this.#returned(session)
    return true
  }

  presence(session: SessionId): { lastBeatMs: number; connections: number } | null {
    return this.#presence.of(session)
  }

  /** Records a checkpoint of all that is there now, unless the last one covers it, and signs it. */
  async checkpoint(): Promise<Checkpoint & { note: string }> {
    if (this.#uncovered() > 0) {
      await new Promise<void>((resolve, reject) => {
        this.#checkpointWaiters.push({ resolve, reject })
        this.#checkpointDue = true
        this.#schedule()
      })
    }
    const checkpoint = await this.read((state) => state.meta.get("workspace")?.checkpoint ?? null)
    if (checkpoint === null) throw new SkeinError("wrong_status", "the ledger is empty", "Do something first.")
    return { ...checkpoint, note: this.#note ?? (await this.#sign(checkpoint)) }
  }

  /** The latest checkpoint as a signed note, or null before the first. */
  note(): string | null {
    return this.#note
  }

  snapshots(): Promise<Seq[]> {
    return this.#o.snapshots.list(this.name)
  }

  /** The lines of the newest kept snapshot at or before a seq, or null. */
  async snapshot(atOrBefore: Seq): Promise<{ seq: Seq; lines: AsyncIterable<string> } | null> {
    const seq = (await this.snapshots()).findLast((kept) => kept <= atOrBefore)
    const lines = seq === undefined ? null : await this.#o.snapshots.open(this.name, seq)
    return seq === undefined || lines === null ? null : { seq, lines }
  }

  /** Starts the timers; called once the hub has recorded its start. */
  start(): void {
    this.#planSweep()
    this.#planCheckpoint()
  }

  /** Answers what waits, records a last checkpoint, and lets the ledger go. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#cancelSweep?.()
    const parked = this.#parked
    this.#parked = []
    for (const waiting of parked) waiting.reject(stopping())
    if (this.#refusing === null) await this.checkpoint().catch((error: unknown) => this.#o.log.warn({ err: error }, "no last checkpoint"))
    this.#closing = true
    this.#cancelCheckpoint?.()
    this.#cancelTidying?.()
    while (this.#flushing || this.#scheduled || this.#queue.length > 0) await new Promise<void>((resolve) => this.#o.clock.soon(resolve))
    this.#subscriptions.close()
    await this.#snapshotting
    await this.#o.ledger.close()
  }

  // The batch

  #schedule(): void {
    if (this.#scheduled || this.#flushing) return
    this.#scheduled = true
    this.#o.clock.soon(() => {
      this.#scheduled = false
      void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    if (this.#flushing) return
    this.#flushing = true
    const startMs = this.#o.clock.monotonicMs()
    const batch = this.#takeBatch()
    try {
      await this.#commit(batch)
    } catch (error) {
      // The outcome is unknown, or the fold itself failed: only a restart tells the truth.
      this.#closing = true
      for (const waiting of [...batch, ...this.#queue, ...this.#parked]) waiting.reject(unknownOutcome())
      this.#queue = []
      this.#parked = []
      this.#o.fatal(error)
      return
    } finally {
      this.#stats.flushMs += this.#o.clock.monotonicMs() - startMs
      this.#flushing = false
      const readers = this.#readers
      this.#readers = []
      for (const run of readers) run()
    }
    if (this.#queue.length > 0) this.#schedule()
    else this.#planIdle()
  }

  #takeBatch(): Waiting[] {
    const batch: Waiting[] = []
    // A checkpoint covers what is durable: it goes first, decided against exactly that.
    if (this.#checkpointDue) batch.push(this.#ownCheckpoint())
    this.#checkpointDue = false
    const rest = this.#o.batchMax
    if (this.#queue.length <= rest) {
      batch.push(...this.#queue)
      this.#queue = []
    } else batch.push(...this.#queue.splice(0, rest))
    return batch.filter((waiting) => waiting.signal?.aborted !== true || (waiting.reject(aborted()), false))
  }

  /** Decides the batch and appends it; whoever lost the race decides again. */
  async #commit(batch: Waiting[]): Promise<void> {
    for (;;) {
      const before = mark(this.#state)
      const stored: Stored[] = []
      const decided = batch.map((waiting): Decided => ({ waiting, outcome: this.#decide(waiting, stored) }))
      if (stored.length === 0) {
        await this.#answer(decided, stored)
        return
      }
      try {
        const appended = await this.#o.ledger.append(before.seq, stored)
        if (appended.ok) {
          this.#chain.commit()
          this.#o.fingerprint.note(this.#state.journal.drain())
          await this.#answer(decided, stored)
          this.#committed(stored)
          return
        }
      } catch (error) {
        if (!(error instanceof LedgerFailure) || error.code !== "rolled_back") throw error
        this.#takeBack(before)
        this.#storageRefused(error, batch)
        return
      }
      this.#stats.lostRaces += 1
      this.#takeBack(before)
      await this.#catchUp()
    }
  }

  #takeBack(before: ReturnType<typeof mark>): void {
    undoTo(this.#state, before)
    this.#chain.rollback()
  }

  /** Folds what other hubs appended. */
  async #catchUp(): Promise<void> {
    for (;;) {
      const page = await this.#o.ledger.read(this.#state.seq + 1, PAGE)
      if (page.length === 0) return
      for (const { bytes, hash } of page) {
        const entry = decodeEntry(bytes)
        if (toHex(this.#chain.append(bytes)) !== toHex(hash)) throw new LedgerFailure("damaged", `entry ${entry.seq} does not chain`, "Run `skein ledger verify`.", entry.seq)
        evolve(this.#state, entry)
        this.#time.catchUp(entry.atMs)
      }
      this.#chain.commit()
      this.#o.fingerprint.note(this.#state.journal.drain())
      this.#subscriptions.publish(page)
      this.#committed(page)
    }
  }

  #decide(waiting: Waiting, stored: Stored[]): Outcome {
    const { name, actor, key } = waiting
    const state = this.#state
    const nowMs = Math.max(this.nowMs(), state.atMs)
    const input = (name === "hub.checkpoint" ? this.#checkpointNow() : waiting.input) as never
    try {
      if (key !== null) {
        const remembered = recall(state, actor.agent, key.id, key.hash)
        if (remembered !== null) return isRefusal(remembered) ? { kind: "refusal", refusal: remembered } : { kind: "again", remembered }
      }
      const decision = commands[name].decide(state, actor, input, nowMs)
      if (isRefusal(decision)) return { kind: "refusal", refusal: decision }
      const entries = decision.map(
        (event, at): Entry => ({ seq: state.seq + 1 + at, atMs: nowMs, type: event.type, v: 1, actor, commandId: key?.id ?? null, commandHash: key?.hash ?? null, causedBy: event.causedBy ?? null, data: event.data }),
      )
      const texts = entries.map(encodeEntry)
      const long = texts.findIndex(tooLong)
      if (long >= 0) return { kind: "refusal", refusal: tooLarge(entries[long] as Entry) }
      this.#take(entries, texts, stored)
      return { kind: "answer", output: commands[name].answer(state, actor, input, entries) }
    } catch (error) {
      if (error instanceof FoldFailed) throw error.reason
      return { kind: "fault", error }
    }
  }

  /** Folds decided entries in. From here on a fault is no longer the caller's: the state may be half changed. */
  #take(entries: Entry[], texts: string[], stored: Stored[]): void {
    try {
      for (const [at, entry] of entries.entries()) {
        const bytes = texts[at] as string
        evolve(this.#state, entry)
        stored.push({ seq: entry.seq, bytes, hash: this.#chain.append(bytes) })
      }
    } catch (error) {
      throw new FoldFailed(error)
    }
  }

  async #answer(decided: Decided[], stored: Stored[]): Promise<void> {
    this.#stats.commands += decided.length
    const again: Promise<void>[] = []
    for (const { waiting, outcome } of decided) {
      if (outcome.kind === "answer") waiting.resolve(outcome.output)
      else if (outcome.kind === "refusal") this.#refused(waiting, outcome.refusal)
      else if (outcome.kind === "again") again.push(this.#answerAgain(waiting, outcome.remembered))
      else {
        this.#o.log.error({ err: outcome.error, command: waiting.name, workspace: this.name }, "a decider failed")
        waiting.reject(new SkeinError("internal", `${waiting.name} failed inside Skein; nothing was done`, "Report it with the hub's log."))
      }
    }
    if (stored.length > 0) this.#subscriptions.publish(stored)
    if (again.length > 0) await Promise.all(again)
  }

  #refused(waiting: Waiting, refusal: Refusal): void {
    const { parkUntilMs } = waiting
    if (parkUntilMs !== null && (refusal.refused === "nothing_ready" || refusal.refused === "at_limit") && this.nowMs() < parkUntilMs && !this.#closing) {
      this.#park(waiting, parkUntilMs)
      return
    }
    this.#stats.refused += 1
    waiting.reject(SkeinError.fromRefusal(refusal))
  }

  /** The same key again: the answer is built from the entries that it made the first time. */
  async #answerAgain(waiting: Waiting, { first, last }: Remembered): Promise<void> {
    const stored = await this.#o.ledger.read(first, last - first + 1)
    const entries = stored.map(({ bytes }) => decodeEntry(bytes))
    waiting.resolve(commands[waiting.name].answer(this.#state, waiting.actor, waiting.input as never, entries))
  }

  // What follows a durable batch

  #committed(stored: readonly Stored[]): void {
    this.#stats.batches += 1
    this.#stats.entries += stored.length
    this.#stats.largestBatch = Math.max(this.#stats.largestBatch, stored.length)
    this.#unpark()
    const leaseEndMs = this.#state.board.nextLeaseEndMs
    if (leaseEndMs !== null && leaseEndMs < this.#sweepAtMs) this.#planSweep()
    this.#planCheckpoint()
    this.#keepSnapshot()
  }

  #park(waiting: Waiting, untilMs: number): void {
    this.#parked.push(waiting)
    if (waiting.unpark !== null) return
    // At its time it is decided once more, and the refusal is then its answer.
    const cancel = this.#o.clock.after(Math.max(1, untilMs - this.nowMs()), () => this.#requeue(waiting))
    const leave = (): void => {
      const at = this.#parked.indexOf(waiting)
      if (at >= 0) this.#parked.splice(at, 1)
      waiting.reject(aborted())
    }
    waiting.signal?.addEventListener("abort", leave, { once: true })
    waiting.unpark = () => {
      cancel()
      waiting.signal?.removeEventListener("abort", leave)
    }
    const { resolve, reject } = waiting
    waiting.resolve = (output) => {
      waiting.unpark?.()
      resolve(output)
    }
    waiting.reject = (error) => {
      waiting.unpark?.()
      reject(error)
    }
  }

  #requeue(waiting: Waiting): void {
    const at = this.#parked.indexOf(waiting)
    if (at < 0) return
    this.#parked.splice(at, 1)
    this.#queue.push(waiting)
    this.#schedule()
  }

  /** Something may be ready now: whoever is parked decides again, first come first served. */
  #unpark(): void {
    if (this.#parked.length === 0 || this.#state.board.readyCount === 0) return
    this.#queue.unshift(...this.#parked)
    this.#parked = []
    this.#schedule()
  }

  #own(name: CommandName, input: unknown): Waiting {
    const reject = (error: unknown): void => {
      if (!(error instanceof SkeinError)) this.#o.log.warn({ err: error, command: name, workspace: this.name }, "the hub's own command failed")
    }
    return { name, actor: HUB, input, key: null, signal: undefined, parkUntilMs: null, unpark: null, resolve: () => undefined, reject }
  }

  #ownCheckpoint(): Waiting {
    const own = this.#own("hub.checkpoint", null)
    const waiters = this.#checkpointWaiters
    this.#checkpointWaiters = []
    const resolve = (): void => {
      for (const waiter of waiters) waiter.resolve()
    }
    const reject = (error: unknown): void => {
      own.reject(error)
      for (const waiter of waiters) waiter.reject(error)
    }
    return { ...own, resolve, reject }
  }

  #submit(name: CommandName, input: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#queue.unshift({ ...this.#own(name, input), resolve, reject })
      this.#schedule()
    })
  }

  #returned(session: SessionId): void {
    if (this.#state.sessions.get(session)?.status === "lost") this.#planSweep(0)
  }

  /** The next sweep: half-way to the end of the first lease (whoever beats is renewed well before it), at that end, or when a session was silent for too long. */
  #planSweep(inMs?: number): void {
    if (this.#closing) return
    const nowMs = this.nowMs()
    const leaseEndMs = this.#state.board.nextLeaseEndMs ?? Number.POSITIVE_INFINITY
    const silenceMs = this.#presence.nextSilenceMs(nowMs) ?? Number.POSITIVE_INFINITY
    const halfWayMs = Math.min(leaseEndMs, nowMs + Math.max(SWEEP_MIN_MS, (leaseEndMs - nowMs) / 2))
    const atMs = inMs === undefined ? Math.min(halfWayMs, silenceMs, nowMs + SWEEP_MAX_MS) : nowMs + inMs
    this.#cancelSweep?.()
    this.#cancelSweep = null
    this.#sweepAtMs = atMs
    this.#cancelSweep = this.#o.clock.after(Math.max(1, Math.ceil(atMs - nowMs)), () => this.#sweep())
  }

  #sweep(): void {
    this.#cancelSweep = null
    this.#sweepAtMs = Number.POSITIVE_INFINITY
    const silent = this.#presence.silent(this.nowMs()).filter(({ id }) => {
      // Ended, or lost already: a beat makes it known again.
      const over = this.#state.sessions.get(id)?.status !== "live"
      if (over) this.#presence.forget(id)
      return !over
    })
    const sweep = { beats: this.#presence.takeBeats(), silent }
    void this.#submit("hub.sweep", sweep)
      .catch((error: unknown) => this.#o.log.warn({ err: error, workspace: this.name }, "a sweep failed"))
      .finally(() => this.#planSweep())
  }

  #checkpointNow(): Checkpoint {
    return { size: this.#state.seq, root: toHex(this.#chain.root()), digest: this.#o.fingerprint.digest() }
  }

  #planCheckpoint(): void {
    const covered = this.#state.meta.get("workspace")?.checkpoint
    if (covered && covered.size > this.#coveredSeq) {
      this.#coveredSeq = covered.size
      this.#note = null
      void this.#sign(covered).catch((error: unknown) => this.#o.log.error({ err: error, workspace: this.name }, "a checkpoint could not be signed"))
    }
    const uncovered = this.#uncovered()
    if (uncovered <= 0 || this.#closing) return
    if (uncovered >= this.#o.checkpointEntries) this.#checkpointDue = true
    else this.#cancelCheckpoint ??= this.#o.clock.after(this.#o.checkpointMs, () => this.#checkpointTime())
  }

  /** Entries that no checkpoint covers; the checkpoint's own entry is no activity that calls for another. */
  #uncovered(): number {
    return this.#state.seq - this.#coveredSeq - (this.#coveredSeq > 0 ? 1 : 0)
  }

  #checkpointTime(): void {
    this.#cancelCheckpoint = null
    this.#checkpointDue = true
    this.#schedule()
  }

  async #sign(checkpoint: Checkpoint): Promise<string> {
    const note = await this.#o.sign(this.name, checkpoint)
    this.#note = note
    return note
  }

  #keepSnapshot(): void {
    if (this.#state.seq < this.#snapshotSeq + this.#o.snapshotEntries) return
    this.#snapshotSeq = this.#state.seq - (this.#state.seq % this.#o.snapshotEntries)
    const pause = (): Promise<void> => new Promise((resolve) => this.#o.clock.soon(resolve))
    const lines = snapshotLines(this.#state, this.#chain.record(), this.#o.fingerprint.digest(), pause)
    const { seq } = this.#state
    this.#snapshotting = this.#snapshotting
      .then(() => this.#o.snapshots.keep(this.name, seq, lines))
      .catch((error: unknown) => this.#o.log.warn({ err: error, workspace: this.name, seq }, "a snapshot could not be kept"))
  }

  /** When nothing waits: hash what the next checkpoint needs, fold the tree; after a while of quiet, let the ledger tidy up. */
  #planIdle(): void {
    if (this.#idleScheduled) return
    this.#idleScheduled = true
    this.#o.clock.soon(() => {
      this.#idleScheduled = false
      if (this.#flushing || this.#scheduled || this.#closing) return
      this.#o.fingerprint.settle(SETTLE_RECORDS)
      this.#chain.fold()
      if (this.#o.fingerprint.waiting > 0) this.#planIdle()
      else this.#planTidying()
    })
  }

  #planTidying(): void {
    const { batches } = this.#stats
    this.#cancelTidying ??= this.#o.clock.after(TIDY_AFTER_MS, () => {
      this.#cancelTidying = null
      if (this.#flushing || this.#closing) return
      // Somebody was at work meanwhile: a sync of the store's own would stand in their way.
      if (this.#stats.batches !== batches) return this.#planTidying()
      void this.#o.ledger.idle().catch((error: unknown) => this.#o.log.warn({ err: error, workspace: this.name }, "the ledger could not tidy up"))
    })
  }

  #overloaded(): SkeinError {
    this.#stats.overloaded += 1
    const perBatchMs = this.#stats.flushMs / Math.max(1, this.#stats.batches)
    const retryAfterMs = Math.max(20, Math.ceil((perBatchMs * this.#o.queueMax) / this.#o.batchMax))
    return new SkeinError("overloaded", `${this.#queue.length} commands wait already; nothing was done`, "Come again after `retryAfterMs`, with the same key.", { queue: this.#queue.length }, retryAfterMs)
  }

  /** Nothing was written: callers are told so, reads go on, and the store is tried again until it takes a write. */
  #storageRefused(error: LedgerFailure, batch: Waiting[]): void {
    this.#refusing = error
    this.#o.log.error({ err: error, workspace: this.name }, "the ledger refuses writes")
    const waiting = [...batch, ...this.#queue]
    this.#queue = []
    for (const { reject } of waiting) reject(storageRefused(error))
    this.#o.clock.after(PROBE_MS, () => this.#probe())
  }

  #probe(): void {
    this.#refusing = null
    if (this.#closing) return
    // A checkpoint is a write like any other, and one that we would want now anyway.
    this.#checkpointDue = true
    this.#schedule()
  }

  /** Many hubs on one ledger: folds what others append while this one has nothing to say. */
  #follow(): void {
    const abort = new AbortController()
    const step = async (): Promise<void> => {
      while (!this.#closing) {
        await this.#o.ledger.moved(this.#state.seq, abort.signal)
        if (this.#closing) return
        if (this.#flushing) await this.read(() => undefined)
        if (this.#flushing || this.#closing) continue
        this.#flushing = true
        try {
          await this.#catchUp()
        } finally {
          this.#flushing = false
          const readers = this.#readers
          this.#readers = []
          for (const run of readers) run()
          if (this.#queue.length > 0) this.#schedule()
        }
      }
    }
    void step().catch((error: unknown) => this.#o.fatal(error))
  }
}

/** The fold of a decided entry failed: a bug, after which the state cannot be trusted. */
class FoldFailed extends Error {
  readonly reason: unknown
  constructor(reason: unknown) {
    super("fold failed")
    this.reason = reason
  }
}

function tooLong(text: string): boolean {
  return text.length > ENTRY_MAX_BYTES || (text.length * 3 > ENTRY_MAX_BYTES && Buffer.byteLength(text) > ENTRY_MAX_BYTES)
}

function tooLarge(entry: Entry): Refusal {
  return refuse("too_large", `the entry ${entry.type} would be longer than ${ENTRY_MAX_BYTES} bytes`, "Shorten its texts: put what is large in a file or a commit, and name it.", { type: entry.type, limit: ENTRY_MAX_BYTES })
}

function stopping(): SkeinError {
  return new SkeinError("hub_stopping", "the hub is shutting down", "Come again when it is up.", {}, 1_000)
}

function aborted(): SkeinError {
  return new SkeinError("timed_out", "the caller is gone", "Ask again with the same key.")
}

function unknownOutcome(): SkeinError {
  return new SkeinError("timed_out", "the ledger did not say whether it was written; the hub restarts", "Ask again with the same key: it is done once.", {}, 1_000)
}

function storageRefused(error: LedgerFailure): SkeinError {
  return new SkeinError("storage_refused", `the ledger refuses writes: ${error.message}`, `${error.remedy} Nothing was written; reads go on.`, {}, PROBE_MS)
}
