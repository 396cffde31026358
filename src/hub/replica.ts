import type { Chain } from "../core/chain.ts"
import { type Sha256, toHex } from "../core/hash.ts"
import type { Entry } from "../core/entry.ts"
import { type Checkpoint, type Mark, mark, undoTo, type Workspace } from "../core/workspace.ts"
import { type Head, type Ledger, LedgerFailure, type Stored } from "../ledger/ledger.ts"
import { Batch, stirs } from "./batch.ts"
import { type Clock, LedgerClock } from "./clock.ts"
import type { Fingerprint } from "./fingerprint.ts"
import type { LoopLog } from "./loop-options.ts"
import type { Policy } from "./policy.ts"
import { foldEntry } from "./replay.ts"
import { snapshotLines } from "./snapshots.ts"

type ReplicaOptions = {
  workspace: string
  log: LoopLog
  ledger: Ledger
  state: Workspace
  chain: Chain
  fingerprint: Fingerprint
  sha256: Sha256
  clock: Clock
  policy: Policy
  /** Another hub has appended this. */
  onForeign(entry: Entry): void
  /** The ledger holds these entries: from here on they may be read, heard of and answered. `stirred`: a parked claim may succeed now. */
  onKept(stored: readonly Stored[], stirred: boolean): void
}

const PAGE = 1_024
/** Records hashed for the digest at once, so that nobody waits long for it and no checkpoint has to catch up with many. */
const SETTLE_RECORDS = 256

/** The hub's copy of one ledger: the state, its chain and its digest. While a batch is in flight the state is ahead of `head`. */
export class Replica {
  readonly state: Workspace
  readonly #o: ReplicaOptions
  readonly #chain: Chain
  readonly #time: LedgerClock
  #head: Head

  constructor(options: ReplicaOptions) {
    this.#o = options
    this.state = options.state
    this.#chain = options.chain
    this.#time = new LedgerClock(options.clock, options.state.atMs)
    this.#head = { seq: options.state.seq, hash: options.chain.hash }
  }

  /** What the ledger is known to hold. */
  get head(): Readonly<Head> {
    return this.#head
  }

  nowMs(): number {
    return this.#time.nowMs()
  }

  /** Whether this hub is the only one on its ledger. */
  get alone(): boolean {
    return !this.#o.ledger.supports.manyWriters
  }

  /** How many records the state has, in all tables. */
  get records(): number {
    return this.state.tables.reduce((sum, { size }) => sum + size, 0)
  }

  /** A batch to decide against the state as it stands. */
  begin(): { batch: Batch; before: Mark } {
    const { workspace, log, policy } = this.#o
    const onFault = (error: unknown, command: string): void => log.error({ err: error, command, workspace }, "a decider failed")
    return { batch: new Batch(this.state, this.#chain, this.nowMs(), policy, onFault), before: mark(this.state) }
  }

  /**
   * Appends what a batch decided. `lost`: another hub was first; the batch is undone and what came instead is folded in: decide again. A failure: nothing
   * was written, and the batch is undone. Throws where the outcome is unknown.
   */
  async append({ stored, stirred }: Batch, before: Mark): Promise<"kept" | "lost" | LedgerFailure> {
    try {
      const appended = await this.#o.ledger.append(before.seq, stored)
      if (appended.ok) {
        this.#keep(stored, stirred)
        return "kept"
      }
    } catch (error) {
      if (!(error instanceof LedgerFailure) || error.code !== "rolled_back") throw error
      this.#undo(before)
      return error
    }
    this.#undo(before)
    await this.catchUp()
    return "lost"
  }

  /** Folds in what other hubs appended. */
  async catchUp(): Promise<void> {
    for (;;) {
      const page = await this.#o.ledger.read(this.state.seq + 1, PAGE)
      if (page.length === 0) return
      let stirred = false
      let governed = false
      for (const stored of page) {
        const entry = foldEntry(this.state, this.#chain, stored)
        this.#time.catchUp(entry.atMs)
        this.#o.onForeign(entry)
        stirred ||= stirs(entry.type)
        governed ||= entry.type === "policy.set"
      }
      this.#keep(page, stirred)
      if (governed) this.#o.policy.prepare()
    }
  }

  /** A checkpoint of the state as it stands. MUST be called before anything of a batch is decided. */
  checkpoint(): Checkpoint {
    return { size: this.state.seq, root: toHex(this.#chain.root()), digest: this.#o.fingerprint.digest() }
  }

  /** The last checkpoint that the state knows of. */
  covered(): Checkpoint | null {
    return this.state.meta.get("workspace")?.checkpoint ?? null
  }

  /** A snapshot of what the ledger holds, line by line. MUST be called while no batch is in flight. */
  snapshot(pause: () => Promise<void>): AsyncIterable<string> {
    return snapshotLines(this.#o.sha256, this.state, this.#chain.record(), this.#o.fingerprint.digest(), pause)
  }

  /** Records that changed and are not counted in the digest yet. */
  get unsettled(): number {
    return this.#o.fingerprint.waiting
  }

  /** Does ahead of time what the next checkpoint needs. MUST be called while no batch is in flight. Answers whether more is left. */
  settle(): boolean {
    this.#o.fingerprint.settle(SETTLE_RECORDS)
    this.state.board.settle()
    this.#chain.fold()
    return this.#o.fingerprint.waiting > 0
  }

  #keep(stored: readonly Stored[], stirred: boolean): void {
    this.#chain.commit()
    this.#o.fingerprint.note(this.state.journal.drain())
    this.#head = { seq: this.state.seq, hash: this.#chain.hash }
    this.#o.onKept(stored, stirred)
  }

  #undo(before: Mark): void {
    undoTo(this.state, before)
    this.#chain.rollback()
  }
}
