import { Chain, type Sha256, toHex } from "../core/chain.ts"
import { type CommandName, type Commands, commands } from "../core/command.ts"
import { type Actor, decodeEntry, HUB } from "../core/entry.ts"
import type { Remembered } from "../core/idempotency.ts"
import type { Seq, SessionId } from "../core/ids.ts"
import type { Refusal } from "../core/refusal.ts"
import { type Checkpoint, evolve, mark, undoTo, type Workspace } from "../core/workspace.ts"
import { SkeinError } from "../contract/errors.ts"
import { type Head, type Ledger, LedgerFailure, type Stored } from "../ledger/ledger.ts"
import { Batch, stirs } from "./batch.ts"
import { Checkpoints } from "./checkpoints.ts"
import { type Clock, LedgerClock } from "./clock.ts"
import { aborted, PROBE_MS, stopping, storageRefused, unknownOutcome } from "./failures.ts"
import type { Fingerprint } from "./fingerprint.ts"
import { Parked } from "./parked.ts"
import { Presence } from "./presence.ts"
import { type SnapshotStore, snapshotLines } from "./snapshots.ts"
import { type Sink, Subscriptions } from "./subscriptions.ts"
import { Sweeps } from "./sweeps.ts"
import type { Key, Waiting } from "./waiting.ts"

export type { Key } from "./waiting.ts"

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
  /** Commands that may wait at once, and claims that may be parked; beyond it callers hear `overloaded`, or that nothing is ready. */
  queueMax: number
  /** Commands of one batch at the most, not counting parked claims that are woken by it. */
  batchMax: number
  /** A checkpoint is recorded after so many entries, or so long after the first that none covers. */
  checkpointEntries: number
  checkpointMs: number
  snapshotEntries: number
}

const PAGE = 1_024
/** Records hashed for the digest after each batch, so that no checkpoint has to catch up with many at once. */
const SETTLE_RECORDS = 256
const WAIT_MAX_MS = 150_000
/** Quiet before the store may tidy up, in ms. */
const TIDY_AFTER_MS = 250

/**
 * One workspace's loop: decide, append, publish. What arrives while a batch is in flight is the next batch; nothing is answered, published or
 * read before the ledger holds it.
 *
 * Interleavings: `#flush` and `#follow` are the only places that touch the state, and one of them runs at a time (`#flushing`). Between their
 * `await`s nobody reads the state: reads wait for the batch in flight (`read`), and a batch that lost its race is undone before anything else happens.
 * What becomes due meanwhile only raises its flag, which `#landed` looks at.
 */
export class Loop {
  readonly name: string
  readonly #o: LoopOptions
  readonly #state: Workspace
  readonly #chain: Chain
  readonly #time: LedgerClock
  readonly #presence = new Presence()
  readonly #sweeps: Sweeps
  readonly #checkpoints: Checkpoints
  readonly #parked: Parked
  readonly #subscriptions: Subscriptions
  readonly #following = new AbortController()
  /** What the ledger holds; the state may be ahead of it while a batch is in flight. */
  #head: Head
  #queue: Waiting[] = []
  /** Readers that wait for the batch in flight. */
  #readers: { run(): void; reject(error: unknown): void }[] = []
  #flushing = false
  #scheduled = false
  /** `stopping`: what waits is still answered, nothing new is taken. `over`: the state may be wrong or the ledger closed; nothing moves any more. */
  #phase: "open" | "stopping" | "over" = "open"
  #closed: Promise<void> | null = null
  /** Whether an entry came that may let a parked claim succeed. */
  #stirred = false
  #snapshotSeq: Seq
  #snapshotting: Promise<void> = Promise.resolve()
  #idleScheduled = false
  #cancelTidying: (() => void) | null = null
  /** Set while the disk refuses writes: commands are refused at once, reads go on. */
  #refusing: LedgerFailure | null = null
  #cancelProbe: (() => void) | null = null
  #stats = { batches: 0, entries: 0, commands: 0, refused: 0, overloaded: 0, lostRaces: 0, largestBatch: 0, flushMs: 0 }

  constructor(options: LoopOptions) {
    const { name, clock, state, ledger, log, sign } = options
    this.#o = options
    this.name = name
    this.#state = state
    this.#chain = options.chain
    this.#head = { seq: state.seq, hash: options.chain.hash }
    this.#time = new LedgerClock(clock, state.atMs)
    this.#snapshotSeq = state.seq - (state.seq % options.snapshotEntries)
    this.#parked = new Parked(clock, (waiting) => this.#enqueue(waiting))
    this.#subscriptions = new Subscriptions((from, limit) => ledger.read(from, limit), state.seq)
    const due = (): void => this.#schedule()
    const { presence, nowMs } = { presence: this.#presence, nowMs: (): number => this.nowMs() }
    this.#sweeps = new Sweeps({ clock, presence, nowMs, due, nextLeaseEndMs: () => state.board.nextLeaseEndMs, session: (id) => state.sessions.get(id) })
    const onUnsigned = (error: unknown): void => log.error({ err: error, workspace: name }, "a checkpoint could not be signed")
    const { checkpointEntries: entries, checkpointMs: ms } = options
    this.#checkpoints = new Checkpoints({ clock, entries, ms, due, onUnsigned, sign: (checkpoint) => sign(name, checkpoint) }, this.#covered())
    if (ledger.supports.manyWriters) void this.#follow()
  }

  /** The last entry that the ledger is known to hold, and its chain hash. */
  get head(): Readonly<Head> {
    return this.#head
  }

  /** The ledger for those who only read: proofs and audits. */
  get ledger(): Pick<Ledger, "read" | "head"> {
    return this.#o.ledger
  }

  nowMs(): number {
    return this.#time.nowMs()
  }

  stats(): Readonly<Record<string, number>> {
    return { ...this.#stats, seq: this.#head.seq, queue: this.#queue.length, parked: this.#parked.size, subscribers: this.#subscriptions.size }
  }

  /**
   * Decides one command, and answers when the ledger holds what came of it. Throws `SkeinError`: a refusal with its remedy, `overloaded` (nothing was
   * done: come again after `retryAfterMs`), `storage_refused` (nothing was written), `hub_stopping`, or `timed_out` where the outcome is unknown.
   */
  execute<Name extends CommandName>(
    name: Name,
    actor: Actor,
    input: Commands[Name]["input"],
    { key = null, waitMs = 0, signal }: ExecuteOptions = {},
  ): Promise<Commands[Name]["output"]> {
    if (this.#phase !== "open") return Promise.reject(stopping())
    if (this.#queue.length >= this.#o.queueMax) return Promise.reject(this.#overloaded())
    if (this.#refusing !== null) return Promise.reject(storageRefused(this.#refusing))
    return new Promise((resolve, reject) => {
      const parkUntilMs = waitMs > 0 ? this.nowMs() + Math.min(waitMs, WAIT_MAX_MS) : null
      this.#enqueue({ name, actor, input, key, signal, parkUntilMs, timed: false, resolve: resolve as (output: unknown) => void, reject })
    })
  }

  /** Looks at the state when no batch is in flight. `look` MUST be synchronous and change nothing. Throws `hub_stopping` once the hub is down. */
  read<T>(look: (state: Workspace, nowMs: number) => T): Promise<T> {
    if (this.#phase === "over") return Promise.reject(stopping())
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          resolve(look(this.#state, this.nowMs()))
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)))
        }
      }
      if (this.#flushing) this.#readers.push({ run, reject })
      else run()
    })
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
    this.#heard(session)
    this.#sweeps.plan()
  }

  detach(session: SessionId): void {
    this.#presence.detach(session)
    this.#sweeps.plan()
  }

  /** A sign of life by the session's owner. Returns whether the session exists and has one. */
  beat(session: SessionId): boolean {
    const record = this.#state.sessions.get(session)
    if (record === undefined || !record.owned || record.status === "ended") return false
    if (!this.#presence.beat(session, this.nowMs(), record.heartbeatMs)) this.#sweeps.plan()
    this.#heard(session)
    return true
  }

  presence(session: SessionId): { lastBeatMs: number; connections: number } | null {
    return this.#presence.of(session)
  }

  /** Records a checkpoint of all that is there now, unless the last one covers it, and signs it. */
  async checkpoint(): Promise<Checkpoint & { note: string }> {
    if (this.#phase === "over") throw stopping()
    // With a batch in flight the state is ahead of the ledger: what it holds by then is covered too.
    if (this.#flushing || this.#checkpoints.uncovered(this.#head.seq) > 0) await this.#checkpoints.next()
    const checkpoint = await this.read(() => this.#covered())
    if (checkpoint === null) throw new SkeinError("wrong_status", "the ledger is empty", "Do something first.")
    return { ...checkpoint, note: await this.#checkpoints.signed(checkpoint) }
  }

  /** The latest checkpoint as a signed note, or null before the first. */
  note(): string | null {
    return this.#checkpoints.note
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
    this.#sweeps.start()
    this.#checkpoints.committed(this.#head.seq, this.#covered())
  }

  /** Answers what waits, records a last checkpoint, and lets the ledger go. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    if (this.#phase === "open") this.#phase = "stopping"
    this.#sweeps.stop()
    this.#following.abort()
    for (const waiting of this.#parked.takeAll()) waiting.reject(stopping())
    await this.#drained()
    if (this.#refusing === null) await this.checkpoint().catch((error: unknown) => this.#o.log.warn({ err: error, workspace: this.name }, "no last checkpoint"))
    await this.#drained()
    this.#phase = "over"
    this.#cancelTidying?.()
    this.#cancelProbe?.()
    this.#subscriptions.close()
    await this.#checkpoints.stop(stopping())
    await this.#snapshotting
    await this.#o.ledger.close()
  }

  async #drained(): Promise<void> {
    while (this.#flushing || this.#scheduled || this.#queue.length > 0)
      await new Promise<void>((resolve) => (this.#flushing ? this.#readers.push({ run: resolve, reject: resolve }) : this.#o.clock.soon(resolve)))
  }

  // The batch

  #enqueue(waiting: Waiting): void {
    this.#queue.push(waiting)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#flushing || this.#phase === "over") return
    this.#scheduled = true
    this.#o.clock.soon(() => {
      this.#scheduled = false
      void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    if (this.#flushing || this.#phase === "over") return
    this.#flushing = true
    const startMs = this.#o.clock.monotonicMs()
    const batch = this.#takeBatch()
    try {
      await this.#commit(batch)
    } catch (error) {
      this.#fail(error, batch)
      return
    }
    this.#stats.flushMs += this.#o.clock.monotonicMs() - startMs
    this.#landed()
  }

  /** A batch, or what another hub appended, is folded in and durable: readers first, then whatever came meanwhile. */
  #landed(): void {
    this.#flushing = false
    const readers = this.#readers
    this.#readers = []
    for (const { run } of readers) run()
    if (this.#refusing !== null) this.#cancelProbe ??= this.#o.clock.after(PROBE_MS, () => this.#probe())
    if (this.#queue.length > 0 || this.#checkpoints.due || this.#sweeps.due) this.#schedule()
    else this.#planIdle()
  }

  /** The outcome is unknown, or the fold itself failed: only a restart tells the truth. Nothing more is decided, read or written. */
  #fail(error: unknown, batch: readonly Waiting[]): void {
    this.#phase = "over"
    this.#flushing = false
    for (const waiting of batch) waiting.reject(unknownOutcome())
    for (const waiting of [...this.#queue, ...this.#parked.takeAll(), ...this.#readers]) waiting.reject(stopping())
    this.#queue = []
    this.#readers = []
    this.#sweeps.stop()
    this.#cancelTidying?.()
    this.#cancelProbe?.()
    this.#following.abort()
    void this.#checkpoints.stop(stopping())
    this.#subscriptions.close()
    this.#o.fatal(error)
  }

  /** A checkpoint goes first: it covers what is durable. Then a sweep, so that beats count before anything is decided on a lease that is over. */
  #takeBatch(): Waiting[] {
    const batch: Waiting[] = []
    if (this.#checkpoints.due) batch.push(this.#ownCheckpoint())
    if (this.#sweeps.due || this.#sweeps.overdue) batch.push(this.#ownSweep())
    batch.push(...this.#queue.splice(0, this.#o.batchMax))
    return batch
  }

  /** Decides the batch and appends it; whoever lost the race decides again. */
  async #commit(batch: Waiting[]): Promise<void> {
    for (;;) {
      const before = mark(this.#state)
      const { decided, stored, stirred } = this.#decide(batch)
      if (stored.length > 0) {
        try {
          const appended = await this.#o.ledger.append(before.seq, stored)
          if (!appended.ok) {
            this.#stats.lostRaces += 1
            this.#takeBack(before)
            await this.#catchUp()
            continue
          }
        } catch (error) {
          if (!(error instanceof LedgerFailure) || error.code !== "rolled_back") throw error
          this.#takeBack(before)
          this.#storageRefused(error, batch)
          return
        }
        this.#refusing = null
        this.#keep(stored, stirred)
      }
      await this.#answer(decided)
      if (stored.length > 0) this.#committed(stored)
      return
    }
  }

  #decide(batch: Waiting[]): Batch {
    const deciding = new Batch(this.#state, this.#chain, this.nowMs())
    for (let at = 0; at < batch.length; at += 1) {
      // Whoever is parked came first: what the batch itself has made ready is theirs.
      if (deciding.stirred && (batch[at] as Waiting).name === "task.claimNext" && this.#parked.size > 0) batch.splice(at, 0, ...this.#parked.takeAll())
      const waiting = batch[at] as Waiting
      // The abort has been or will be its answer.
      if (waiting.signal?.aborted === true) waiting.reject(aborted())
      else if (waiting.name !== "hub.checkpoint") deciding.decide(waiting, waiting.input)
      // Another hub's checkpoint may have come first; a disk that refused is tried again with one all the same.
      else if (this.#checkpoints.uncovered(this.#state.seq) > 0 || this.#refusing !== null) deciding.decide(waiting, this.#checkpointNow())
      else waiting.resolve(undefined)
    }
    return deciding
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
      let stirred = false
      for (const { bytes, hash } of page) {
        const entry = decodeEntry(bytes)
        if (toHex(this.#chain.append(bytes)) !== toHex(hash))
          throw new LedgerFailure("damaged", `entry ${entry.seq} does not chain`, "Run `skein ledger verify`.", entry.seq)
        evolve(this.#state, entry)
        this.#time.catchUp(entry.atMs)
        stirred ||= stirs(entry.type)
      }
      this.#keep(page, stirred)
      this.#committed(page)
    }
  }

  /** The ledger holds these entries: from here on they may be read, heard of and answered. */
  #keep(stored: readonly Stored[], stirred: boolean): void {
    this.#chain.commit()
    this.#o.fingerprint.note(this.#state.journal.drain())
    this.#head = { seq: this.#state.seq, hash: this.#chain.hash }
    this.#stirred ||= stirred
    this.#subscriptions.publish(stored)
  }

  async #answer(decided: Batch["decided"]): Promise<void> {
    this.#stats.commands += decided.length
    const again: Promise<void>[] = []
    for (const { waiting, outcome } of decided) {
      if (outcome.kind === "answer") waiting.resolve(outcome.output)
      else if (outcome.kind === "refusal") this.#refused(waiting, outcome.refusal)
      else if (outcome.kind === "again") again.push(this.#answerAgain(waiting, outcome.remembered))
      else {
        this.#o.log.error({ err: outcome.error, command: waiting.name, workspace: this.name }, "a decider failed")
        waiting.reject(
          new SkeinError(
            "internal",
            `${waiting.name} failed inside Skein; ${outcome.recorded ? "it was done, but has no answer" : "nothing was done"}`,
            "Report it with the hub's log.",
          ),
        )
      }
    }
    if (again.length > 0) await Promise.all(again)
  }

  #refused(waiting: Waiting, refusal: Refusal): void {
    const { parkUntilMs } = waiting
    if (
      parkUntilMs !== null &&
      (refusal.refused === "nothing_ready" || refusal.refused === "at_limit") &&
      this.#phase === "open" &&
      this.#parked.size < this.#o.queueMax
    ) {
      this.#parked.add(waiting, parkUntilMs - this.nowMs())
      return
    }
    this.#stats.refused += 1
    waiting.reject(SkeinError.fromRefusal(refusal))
  }

  /** The same key again: the answer is built from the entries that it made the first time. */
  async #answerAgain(waiting: Waiting, { first, last }: Remembered): Promise<void> {
    try {
      const stored = await this.#o.ledger.read(first, last - first + 1)
      const entries = stored.map(({ bytes }) => decodeEntry(bytes))
      waiting.resolve(commands[waiting.name].answer(this.#state, waiting.actor, waiting.input as never, entries))
    } catch (error) {
      this.#o.log.error({ err: error, command: waiting.name, workspace: this.name, seq: first }, "an answer could not be built again")
      waiting.reject(new SkeinError("timed_out", "it was done before, but its answer could not be read back", "Ask again with the same key."))
    }
  }

  // What follows a durable batch

  #committed(stored: readonly Stored[]): void {
    this.#stats.batches += 1
    this.#stats.entries += stored.length
    this.#stats.largestBatch = Math.max(this.#stats.largestBatch, stored.length)
    if (this.#stirred && this.#parked.size > 0 && this.#state.board.readyCount > 0) this.#queue = [...this.#parked.takeAll(), ...this.#queue]
    this.#stirred = false
    this.#sweeps.leasesMoved()
    this.#checkpoints.committed(this.#head.seq, this.#covered())
    this.#keepSnapshot()
  }

  #own(name: CommandName, input: unknown, resolve: () => void, reject: (error: unknown) => void): Waiting {
    return { name, actor: HUB, input, key: null, signal: undefined, parkUntilMs: null, timed: false, resolve, reject }
  }

  #ownCheckpoint(): Waiting {
    const waiters = this.#checkpoints.take()
    const resolve = (): void => {
      for (const waiter of waiters) waiter.resolve()
    }
    const reject = (error: unknown): void => {
      for (const waiter of waiters) waiter.reject(error)
    }
    return this.#own("hub.checkpoint", null, resolve, reject)
  }

  #ownSweep(): Waiting {
    const sweep = this.#sweeps.take()
    return this.#own(
      "hub.sweep",
      sweep,
      () => this.#sweeps.plan(),
      () => this.#sweeps.failed(sweep),
    )
  }

  #heard(session: SessionId): void {
    if (this.#state.sessions.get(session)?.status === "lost") this.#sweeps.soon()
  }

  #checkpointNow(): Checkpoint {
    return { size: this.#state.seq, root: toHex(this.#chain.root()), digest: this.#o.fingerprint.digest() }
  }

  /** The last checkpoint that the state knows of. */
  #covered(): Checkpoint | null {
    return this.#state.meta.get("workspace")?.checkpoint ?? null
  }

  #keepSnapshot(): void {
    if (this.#state.seq < this.#snapshotSeq + this.#o.snapshotEntries) return
    this.#snapshotSeq = this.#state.seq - (this.#state.seq % this.#o.snapshotEntries)
    const pause = (): Promise<void> => new Promise((resolve) => this.#o.clock.soon(resolve))
    const lines = snapshotLines(this.#o.sha256, this.#state, this.#chain.record(), this.#o.fingerprint.digest(), pause)
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
      if (this.#flushing || this.#scheduled || this.#phase !== "open") return
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
      if (this.#flushing || this.#phase !== "open") return
      // Somebody was at work meanwhile: a sync of the store's own would stand in their way.
      if (this.#stats.batches !== batches) return this.#planTidying()
      void this.#o.ledger.idle().catch((error: unknown) => this.#o.log.warn({ err: error, workspace: this.name }, "the ledger could not tidy up"))
    })
  }

  #overloaded(): SkeinError {
    this.#stats.overloaded += 1
    const perBatchMs = this.#stats.flushMs / Math.max(1, this.#stats.batches)
    const retryAfterMs = Math.max(20, Math.ceil((perBatchMs * this.#o.queueMax) / this.#o.batchMax))
    return new SkeinError(
      "overloaded",
      `${this.#queue.length} commands wait already; nothing was done`,
      "Come again after `retryAfterMs`, with the same key.",
      { queue: this.#queue.length },
      retryAfterMs,
    )
  }

  /** Nothing was written: callers are told so, reads go on, and the store is tried again until it takes a write. */
  #storageRefused(error: LedgerFailure, batch: readonly Waiting[]): void {
    if (this.#refusing === null) this.#o.log.error({ err: error, workspace: this.name }, "the ledger refuses writes")
    this.#refusing = error
    const waiting = [...batch, ...this.#queue]
    this.#queue = []
    for (const { reject } of waiting) reject(storageRefused(error))
  }

  /** A checkpoint is a write like any other, and one that we would want now anyway. */
  #probe(): void {
    this.#cancelProbe = null
    if (this.#phase === "open" && this.#refusing !== null) this.#checkpoints.ask()
  }

  /** Many hubs on one ledger: folds what others append while this one has nothing to say. */
  async #follow(): Promise<void> {
    const { signal } = this.#following
    let folding = false
    try {
      while (this.#phase !== "over") {
        await this.#o.ledger.moved(this.#head.seq, signal)
        if (this.#flushing) {
          // The batch in flight finds out by itself that it lost its race.
          await this.read(() => undefined)
          continue
        }
        this.#flushing = folding = true
        await this.#catchUp()
        folding = false
        this.#landed()
      }
    } catch (error) {
      if (this.#phase !== "over" && (folding || !signal.aborted)) this.#fail(error, [])
    }
  }
}
