import { Chain } from "../core/chain.ts"
import type { Sha256 } from "../core/hash.ts"
import { type Entry, HUB } from "../core/entry.ts"
import { EFFORT_MAX } from "../core/glob-automaton.ts"
import { isName, type Seq } from "../core/ids.ts"
import { type Checkpoint, Workspace } from "../core/workspace.ts"
import { SkeinError } from "../contract/errors.ts"
import type { Ledger } from "../ledger/ledger.ts"
import type { Clock } from "./clock.ts"
import { Fingerprint } from "./fingerprint.ts"
import { stopping } from "./failures.ts"
import { Ladder } from "./ladder.ts"
import { Loop } from "./loop.ts"
import type { LoopLog, LoopOptions } from "./loop-options.ts"
import { Policy } from "./policy.ts"
import { Quiet } from "./quiet.ts"
import { foldEntry, type Replayed, settled } from "./replay.ts"
import { replayApart } from "./replay-apart.ts"
import { restore, type Restored, type SnapshotStore } from "./snapshots.ts"

/** How much a hub takes on. */
export type Limits = Pick<
  LoopOptions,
  "queueMax" | "queueWaitMs" | "batchMax" | "decideMs" | "claimSteps" | "checkpointEntries" | "checkpointMs" | "snapshotEntries"
> & {
  /** Leases run at least this long after a start, so that whoever held one can come back, in ms. */
  graceMs: number
  /** Entries from one step of the kept past to the next. */
  rungEntries: number
}

const LIMITS: Limits = {
  queueMax: 10_000,
  queueWaitMs: 250,
  batchMax: 512,
  decideMs: 30,
  claimSteps: EFFORT_MAX,
  checkpointEntries: 1_000,
  checkpointMs: 1_000,
  snapshotEntries: 50_000,
  graceMs: 15_000,
  rungEntries: 10_000,
}

/** Everything the hub needs of the world, handed in: a simulation hands in its own. */
export type HubOptions = {
  clock: Clock
  sha256: Sha256
  /** Opens (or makes) the ledger of a workspace. */
  openLedger(workspace: string): Promise<Ledger>
  snapshots: SnapshotStore
  /** Where the past is kept in steps, for those who look back; by default nowhere. */
  ladder?: SnapshotStore
  log: LoopLog
  /** Signs a checkpoint and keeps the note outside the ledger; returns the note. */
  sign(workspace: string, checkpoint: Checkpoint): Promise<string>
  /** A commit's outcome is unknown: the process MUST end and start again. */
  fatal(error: unknown): void
  limits?: Partial<Limits>
  /** 32 random bits, for pauses that differ; the system's own by default. */
  bits?(): number
}

type Hear = (workspace: string, entry: Entry) => void

/** Several workspaces under one roof. They share nothing: each has its ledger, its order and its loop. */
export class Hub {
  readonly #options: HubOptions
  readonly #loops = new Map<string, Loop>()
  readonly #ladders = new Map<string, Ladder>()
  /** Workspaces that are being opened: whoever asks meanwhile gets the same. */
  readonly #opening = new Map<string, Promise<Loop>>()
  readonly #hearing = new Set<Hear>()
  #closed = false

  constructor(options: HubOptions) {
    this.#options = options
  }

  /** Tells of each entry that another hub on the same ledger appended, once it is folded in; the answer ends it. `hear` MUST NOT throw. */
  hearOthers(hear: Hear): () => void {
    this.#hearing.add(hear)
    return () => this.#hearing.delete(hear)
  }

  workspace(name: string): Loop | null {
    return this.#loops.get(name) ?? null
  }

  /** Somebody has connected, for whatever workspace. */
  arriving(): void {
    for (const loop of this.#loops.values()) loop.arriving()
  }

  /** The past of a workspace in steps; null where it is not kept. */
  ladder(name: string): Ladder | null {
    return this.#ladders.get(name) ?? null
  }

  names(): string[] {
    return [...this.#loops.keys()].sort()
  }

  /** Opens a workspace, and makes it where it is not there. Throws `LedgerFailure` (`locked`, `damaged` at a seq) with the remedy. */
  async create(name: string): Promise<Loop> {
    const open = this.#loops.get(name)
    if (open !== undefined) return open
    if (!isName(name))
      throw new SkeinError("invalid_input", `"${name}" cannot name a workspace`, "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit.")
    if (this.#closed) throw stopping()
    const opening = this.#opening.get(name) ?? this.#open(name)
    this.#opening.set(name, opening)
    return opening
  }

  /** Answers what waits, records last checkpoints, and closes every ledger. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#opening.values())
    await Promise.all([...this.#loops.values()].map((loop) => loop.close()))
  }

  async #open(name: string): Promise<Loop> {
    try {
      const onForeign = (entry: Entry): void => this.#hearing.forEach((hear) => hear(name, entry))
      const { loop, ladder } = await openLoop(name, this.#options, onForeign)
      if (ladder !== null) this.#ladders.set(name, ladder)
      this.#loops.set(name, loop)
      return loop
    } finally {
      this.#opening.delete(name)
    }
  }
}

export async function openHub(options: HubOptions, workspaces: readonly string[] = ["main"]): Promise<Hub> {
  const hub = new Hub(options)
  try {
    for (const name of workspaces) await hub.create(name)
    return hub
  } catch (error) {
    await hub.close()
    throw error
  }
}

const randomBits = (): number => crypto.getRandomValues(new Uint32Array(1))[0] as number

const PAGE = 4_096
/** From so many entries on, a second thread pays. */
const LONG = 50_000

async function openLoop(name: string, options: HubOptions, onForeign: LoopOptions["onForeign"]): Promise<{ loop: Loop; ladder: Ladder | null }> {
  const { clock, sha256, snapshots, log, sign, fatal } = options
  const limits = { ...LIMITS, ...options.limits }
  const ledger = await options.openLedger(name)
  let loop: Loop | null = null
  try {
    const started = clock.monotonicMs()
    const folded = await fold(name, ledger, options)
    log.info({ workspace: name, seq: folded.state.seq, tookMs: Math.round(clock.monotonicMs() - started) }, "workspace open")
    const policy = new Policy({ workspace: name, log, state: folded.state })
    policy.prepare()
    const quiet = new Quiet(clock)
    const { ladder: store } = options
    const ladder =
      store === undefined ? null : new Ladder({ workspace: name, store, ledger, sha256, rungEntries: limits.rungEntries, pause: () => quiet.wait() })
    const bits = options.bits ?? randomBits
    loop = new Loop({ ladder, quiet, policy, name, clock, sha256, ledger, snapshots, log, sign, fatal, bits, onForeign, ...folded, ...limits })
    await loop.execute("workspace.create", HUB, { name })
    await loop.execute("hub.start", HUB, { graceMs: limits.graceMs })
    loop.start()
    return { loop, ladder }
  } catch (error) {
    // The loop's timers end with it: none may come back to a ledger that is closed.
    await (loop ?? ledger).close()
    throw error
  }
}

/** The state as the ledger has it: from the newest snapshot that the ledger confirms, else from the first entry. */
async function fold(
  name: string,
  ledger: Ledger,
  { sha256, snapshots, log }: HubOptions,
): Promise<{ state: Workspace; chain: Chain; fingerprint: Fingerprint }> {
  const head = await ledger.head()
  const passedOver = (seq: Seq, error: unknown): void => log.warn({ err: error, workspace: name, seq }, "a snapshot was passed over")
  const restored = (): Promise<Restored | null> => restore(snapshots, name, ledger, sha256, head.seq, passedOver)
  let begin: Restored | null = await restored()
  if (head.seq - (begin?.state.seq ?? 0) >= LONG) {
    const replayed = await replayApart(ledger, { to: head.seq, from: begin })
    if (replayed !== null) warnOf(replayed, name, log)
    // What failed half way has changed the state that it began with.
    begin = replayed ?? (begin === null ? null : await restored())
  }
  const state = begin?.state ?? new Workspace()
  const chain = new Chain(sha256, begin?.chain)
  const fingerprint = new Fingerprint(sha256, begin?.digest)
  for (;;) {
    const page = await ledger.read(state.seq + 1, PAGE)
    if (page.length === 0) break
    for (const stored of page) foldEntry(state, chain, stored)
    fingerprint.note(state.journal.drain())
  }
  // Else the first checkpoint would hash, and the first claim order, all that was folded, while others wait.
  settled(state, () => {
    fingerprint.settle()
    state.board.settle()
  })
  return { state, chain, fingerprint }
}

function warnOf({ compared }: Replayed, workspace: string, log: LoopLog): void {
  const wrong = compared.find(({ ok }) => !ok)
  if (wrong !== undefined) log.warn({ workspace, ...wrong }, "a recorded checkpoint is not what the entries before it make: run `skein ledger replay`")
}
