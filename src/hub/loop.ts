import type { CommandName, Commands } from "../core/command.ts"
import type { Actor } from "../core/entry.ts"
import type { AgentId, Seq, SessionId } from "../core/ids.ts"
import type { Checkpoint, Workspace } from "../core/workspace.ts"
import { SkeinError } from "../contract/errors.ts"
import { KeptTree } from "../ledger/kept-tree.ts"
import type { Head, Ledger, LedgerFailure, Stored } from "../ledger/ledger.ts"
import { Admission } from "./admission.ts"
import { Checkpoints } from "./checkpoints.ts"
import { Commits } from "./commits.ts"
import type { ExecuteOptions, LoopOptions } from "./loop-options.ts"
import { stopping, storageRefused, unknownOutcome } from "./failures.ts"
import { Outage } from "./outage.ts"
import { Pace } from "./pace.ts"
import { Parked } from "./parked.ts"
import { Queue } from "./queue.ts"
import { Readers } from "./readers.ts"
import { Replica } from "./replica.ts"
import { newestSnapshot } from "./snapshots.ts"
import { type Sink, Subscriptions } from "./subscriptions.ts"
import { Sweeps } from "./sweeps.ts"
import { Turns } from "./turns.ts"
import { Upkeep } from "./upkeep.ts"
import { ownCommand, WAIT_MAX_MS, type Waiting } from "./waiting.ts"

/** More entries than these are a page. */
const FEW = 64
/** The most turns that a batch waits for connections that arrive: as many share its sync. */
const HELD_TURNS_MAX = 64

/**
 * One workspace's loop: decide, append (`Commits`), publish. What arrives while a batch is in flight is the next batch; nothing is answered, published or
 * read before the ledger holds it.
 *
 * Interleavings: `#flush` and `#follow` are the only places that touch the state, and one of them runs at a time (`#flushing`). Between their
 * `await`s nobody reads the state: reads wait for the batch in flight (`read`), and a batch that lost its race is undone before anything else happens.
 * What becomes due meanwhile only raises its flag, which `#landed` looks at.
 */
export class Loop {
  readonly name: string
  readonly admission: Admission
  readonly policy: LoopOptions["policy"]
  readonly #o: LoopOptions
  readonly #replica: Replica
  /** Who is in a turn. */ readonly turns = new Turns()
  /** For proofs. */ readonly tree = new KeptTree({ read: (from, limit) => this.entries(from, limit, "proofs") })
  readonly #sweeps: Sweeps
  readonly #checkpoints: Checkpoints
  readonly #parked: Parked
  readonly #commits: Commits
  readonly #upkeep: Upkeep
  readonly #pace: Pace
  readonly #outage: Outage
  readonly #subscriptions: Subscriptions
  readonly #following = new AbortController()
  readonly #queue = new Queue()
  readonly #readers: Readers
  #flushing = false
  #scheduled = false
  /** Connections since a batch was last begun or held, and for how many turns the next one has been held for them. */
  #arrivals = 0
  #held = 0
  /** `stopping`: what waits is still answered, nothing new is taken. `over`: the state may be wrong or the ledger closed; nothing moves any more. */
  #phase: "open" | "stopping" | "over" = "open"
  #closed: Promise<void> | null = null
  #stats = { batches: 0, entries: 0, largestBatch: 0, flushMs: 0 }

  constructor(options: LoopOptions) {
    const { name, clock, state, ledger, log, sign, bits, queueMax, decideMs, claimSteps, checkpointEntries: entries, checkpointMs: ms } = options
    this.#o = options
    this.name = name
    this.policy = options.policy
    this.#replica = new Replica({
      ...options,
      workspace: name,
      onKept: (stored, stirred) => this.#kept(stored, stirred),
      onForeign: (entry) => {
        this.#sweeps.heardElsewhere(entry)
        options.onForeign(entry)
      },
    })
    this.#readers = new Readers(clock, () => this.#flushing)
    this.#pace = new Pace(options, () => clock.monotonicMs())
    this.admission = new Admission(this.#queue, this.#pace)
    this.#parked = new Parked(clock, (waiting) => this.#enqueue(waiting), this.#replica)
    // A checkpoint is a write like any other, and one that we would want now anyway.
    this.#outage = new Outage(clock, () => {
      if (this.#phase === "open") this.#checkpoints.ask()
    })
    this.#subscriptions = new Subscriptions((from, limit) => this.entries(from, limit), state.seq)
    const due = (): void => this.#schedule()
    this.#sweeps = new Sweeps({ clock, due, bits, replica: this.#replica, turns: this.turns })
    const onUnsigned = (error: unknown): void => log.error({ err: error, workspace: name }, "a checkpoint could not be signed")
    this.#checkpoints = new Checkpoints({ clock, entries, ms, due, onUnsigned, sign: (checkpoint) => sign(name, checkpoint) }, this.#replica.covered())
    const parts = { replica: this.#replica, queue: this.#queue, parked: this.#parked, checkpoints: this.#checkpoints, outage: this.#outage }
    const isOpen = (): boolean => this.#phase === "open"
    this.#commits = new Commits({ ...parts, workspace: name, clock, pace: this.#pace, log, ledger, queueMax, decideMs, claimSteps, isOpen })
    const isIdle = (): boolean => !this.#flushing && !this.#scheduled && this.#phase === "open"
    const onFailed = (error: unknown, text: string): void => log.warn({ err: error, workspace: name }, text)
    this.#upkeep = new Upkeep({ ...options, workspace: name, replica: this.#replica, isIdle, onFailed })
    if (ledger.supports.manyWriters) void this.#follow()
  }

  /** The last entry that the ledger is known to hold, and its chain hash. */
  get head(): Readonly<Head> {
    return this.#replica.head
  }

  /** The ledger for those who only read: proofs and audits. */
  get ledger(): Pick<Ledger, "read" | "head"> {
    return this.#o.ledger
  }

  /** What the disk refuses writes with, or null while it takes them. */
  get refusing(): LedgerFailure | null {
    return this.#outage.failure
  }

  nowMs(): number {
    return this.#replica.nowMs()
  }

  stats(): Readonly<Record<string, number>> {
    return {
      ...this.#stats,
      ...this.#commits.stats,
      overloaded: this.admission.refused,
      seq: this.head.seq,
      queue: this.#queue.length,
      beats: this.#sweeps.beats,
      parked: this.#parked.size,
      subscribers: this.#subscriptions.size,
    }
  }

  /**
   * Somebody has connected, and will ask in a moment. Node takes up one connection in a turn of its event loop (libuv from 1.45 on): a batch in each of them would make
   * every one wait for the syncs of all before it.
   */
  arriving(): void {
    this.#arrivals += 1
  }

  /**
   * Decides one command, and answers when the ledger holds what came of it. Throws `SkeinError`: a refusal with its remedy, `overloaded` (nothing was
   * done: come again after `retryAfterMs`), `storage_refused` (nothing was written), `hub_stopping`, or `timed_out` where the outcome is unknown.
   */
  execute<Name extends CommandName>(name: Name, actor: Actor, input: Commands[Name]["input"], options: ExecuteOptions = {}): Promise<Commands[Name]["output"]> {
    const { key = null, waitMs = 0, signal, from } = options
    return new Promise((resolve, reject) => {
      this.admit(actor.agent)
      const parkUntilMs = waitMs > 0 ? this.nowMs() + Math.min(waitMs, WAIT_MAX_MS) : null
      this.#enqueue({ name, actor, input, key, signal, from, parkUntilMs, timed: false, resolve, reject })
    })
  }

  /** Throws what any command of this agent would hear right now, whatever it is: `overloaded`, `storage_refused` or `hub_stopping`. */
  admit(agent: AgentId): void {
    if (this.#phase !== "open") throw stopping()
    if (this.admission.isFull(agent)) throw this.admission.refuse()
    if (this.#outage.failure !== null) throw storageRefused(this.#outage.failure)
  }

  /**
   * Looks at the state when no batch is in flight, and others' looks have not taken long in this turn; `of`: on whose behalf. `look` MUST be synchronous and change
   * nothing. Throws `hub_stopping` once the hub is down.
   */
  read<T>(look: (state: Workspace, nowMs: number) => T, of = ""): Promise<T> {
    if (this.#phase === "over") return Promise.reject(stopping())
    return this.#readers.read(of, () => look(this.#replica.state, this.nowMs()))
  }

  /** Stored entries, as they were hashed. A page of them is read in a turn of its own, as looks that take long are. Throws `hub_stopping` once the hub is down. */
  async entries(from: Seq, limit: number, of = ""): Promise<Stored[]> {
    const look = (): Promise<Stored[]> => {
      if (this.#phase === "over") throw stopping()
      return this.#o.ledger.read(from, limit)
    }
    return limit > FEW ? this.#readers.later(of, look) : this.#readers.read(of, look)
  }

  /** The stream from `from` on, without a gap; the answer ends it. */
  subscribe(from: Seq, sink: Sink): () => void {
    return this.#subscriptions.subscribe(from, sink)
  }

  /** A live connection owns the session from now on: its silence may declare it lost. */
  attach(session: SessionId): void {
    this.#sweeps.attach(session)
  }

  detach(session: SessionId): void {
    this.#sweeps.detach(session)
  }

  /** A sign of life by the session's owner. Returns whether the session exists and has one. */
  beat(session: SessionId): boolean {
    return this.#sweeps.beat(session)
  }

  presence(session: SessionId): { lastBeatMs: number; connections: number } | null {
    return this.#sweeps.presence(session)
  }

  /** Records a checkpoint of all that is there now, unless the last one covers it, and signs it. */
  async checkpoint(): Promise<Checkpoint & { note: string }> {
    if (this.#phase === "over") throw stopping()
    // With a batch in flight the state is ahead of the ledger: what it holds by then is covered too.
    if (this.#flushing || this.#checkpoints.uncovered(this.head.seq) > 0) await this.#checkpoints.next()
    const checkpoint = await this.read(() => this.#replica.covered())
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

  /** The lines of the newest kept snapshot at or before a seq that the ledger confirms, or null. */
  snapshot(atOrBefore: Seq): Promise<{ seq: Seq; lines: AsyncIterable<string> } | null> {
    const { snapshots: store, ledger, sha256 } = this.#o
    return newestSnapshot({ store, workspace: this.name, ledger, sha256 }, atOrBefore)
  }

  /** Starts the timers; called once the hub has recorded its start. */
  start(): void {
    this.#sweeps.start()
    this.#checkpoints.committed(this.head.seq, this.#replica.covered())
  }

  /** Answers what waits, records a last checkpoint, and lets the ledger go. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close())
  }

  async #close(): Promise<void> {
    if (this.#phase === "open") this.#phase = "stopping"
    this.#sweeps.stop()
    this.#following.abort()
    for (const waiting of [...this.#parked.takeAll(), ...this.#queue.takePutOff()]) waiting.reject(stopping())
    await this.#drained()
    if (this.#outage.failure === null)
      await this.checkpoint().catch((error: unknown) => this.#o.log.warn({ err: error, workspace: this.name }, "no last checkpoint"))
    await this.#drained()
    this.#phase = "over"
    this.#outage.stop()
    this.#subscriptions.close()
    await this.#checkpoints.stop(stopping())
    await this.#upkeep.stop()
    await this.#o.ledger.close()
  }

  async #drained(): Promise<void> {
    while (this.#flushing || this.#scheduled || this.#queue.length > 0) {
      if (this.#flushing) await this.#readers.later("", () => undefined).catch(() => undefined)
      else await new Promise<void>((resolve) => this.#o.clock.soon(resolve))
    }
  }

  #enqueue(waiting: Waiting): void {
    this.#queue.push(waiting)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#flushing || this.#phase === "over") return
    this.#scheduled = true
    this.#held = 0
    this.#o.clock.soon(this.#begin)
  }

  /** A batch waits for those who are just connecting, a turn for each, and not for ever. */
  readonly #begin = (): void => {
    if (this.#arrivals > 0 && this.#held < HELD_TURNS_MAX) {
      this.#arrivals = 0
      this.#held += 1
      this.#o.clock.soon(this.#begin)
      return
    }
    this.#scheduled = false
    void this.#flush()
  }

  async #flush(): Promise<void> {
    if (this.#flushing || this.#phase === "over") return
    this.#flushing = true
    this.#upkeep.ahead()
    const startMs = this.#o.clock.monotonicMs()
    const batch = this.#takeBatch()
    this.#pace.batch(startMs, batch.length, this.#queue.length)
    try {
      await this.#commits.commit(batch)
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
    this.#readers.look()
    this.#outage.plan()
    if (this.#queue.length > 0 || this.#checkpoints.due || this.#sweeps.due) this.#schedule()
    else this.#upkeep.idle()
  }

  /** The outcome is unknown, or the fold itself failed: only a restart tells the truth. Nothing more is decided, read or written. */
  #fail(error: unknown, batch: readonly Waiting[]): void {
    this.#phase = "over"
    this.#flushing = false
    for (const waiting of batch) waiting.reject(unknownOutcome())
    for (const waiting of [...this.#queue.takeAll(), ...this.#parked.takeAll()]) waiting.reject(stopping())
    this.#readers.fail(stopping())
    this.#sweeps.stop()
    void this.#upkeep.stop()
    this.#outage.stop()
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
    batch.push(...this.#queue.take(this.#pace.batchMax))
    return batch
  }

  /** The ledger holds these entries: subscribers hear of them before anybody is answered. */
  #kept(stored: readonly Stored[], stirred: boolean): void {
    this.#stats.batches += 1
    this.#stats.entries += stored.length
    this.#stats.largestBatch = Math.max(this.#stats.largestBatch, stored.length)
    if (stirred) this.#commits.stir()
    this.#subscriptions.publish(stored)
    this.#sweeps.stateMoved()
    this.#checkpoints.committed(this.head.seq, this.#replica.covered())
    this.#upkeep.committed()
  }

  #ownCheckpoint(): Waiting {
    const waiters = this.#checkpoints.take()
    const failed = (error: unknown): void => waiters.forEach(({ reject }) => reject(error))
    return ownCommand("hub.checkpoint", null, () => waiters.forEach(({ resolve }) => resolve()), failed)
  }

  #ownSweep(): Waiting {
    const sweep = this.#sweeps.take()
    const failed = (): void => this.#sweeps.failed(sweep)
    return ownCommand("hub.sweep", sweep, () => this.#sweeps.plan(), failed)
  }

  /** Many hubs on one ledger: folds what others append while this one has nothing to say. */
  async #follow(): Promise<void> {
    const { signal } = this.#following
    let folding = false
    try {
      while (this.#phase !== "over") {
        await this.#o.ledger.moved(this.head.seq, signal)
        if (this.#flushing) {
          // The batch in flight finds out by itself that it lost its race.
          await this.read(() => undefined)
          continue
        }
        this.#flushing = folding = true
        await this.#replica.catchUp()
        this.#commits.wake()
        folding = false
        this.#landed()
      }
    } catch (error) {
      if (this.#phase !== "over" && (folding || !signal.aborted)) this.#fail(error, [])
    }
  }
}
