import type { Commands } from "../../src/core/command.ts"
import type { Actor, Role } from "../../src/core/entry.ts"
import { decodeEntry, type Entry } from "../../src/core/entry.ts"
import type { SessionId } from "../../src/core/ids.ts"
import type { Checkpoint } from "../../src/core/workspace.ts"
import { SkeinError } from "../../src/contract/errors.ts"
import { type Hub, type HubOptions, type Limits, openHub } from "../../src/hub/hub.ts"
import type { Loop } from "../../src/hub/loop.ts"
import type { ExecuteOptions } from "../../src/hub/loop-options.ts"
import { memorySnapshots, type SnapshotStore } from "../../src/hub/snapshots.ts"
import type { Ledger } from "../../src/ledger/ledger.ts"
import { type Disk, type MemoryOptions, MemoryStore, type Synced } from "../../src/ledger/memory.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { VirtualClock } from "../../src/hub/virtual-clock.ts"

export const OPERATOR: Actor = { agent: "director", session: null, role: "operator" }

export function actor(agent: string, session: SessionId | null = null, role: Role = "worker"): Actor {
  return { agent, session, role }
}

/** A disk that does as it is told: syncs are held back while `held`, and end as `next` says. */
export class Bench implements Disk {
  held = false
  next: Synced = "done"
  /** Batches that were synced, by their length. */
  batches: number[] = []
  readonly #waiting: (() => void)[] = []

  async sync(batch: readonly { seq: number }[]): Promise<Synced> {
    if (this.held) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.batches.push(batch.length)
    return this.next
  }

  release(): void {
    this.held = false
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

export type RigOptions = {
  limits?: Partial<Limits>
  memory?: MemoryOptions
  store?: MemoryStore
  clock?: VirtualClock
  snapshots?: SnapshotStore
  sign?: HubOptions["sign"]
  wrap?: (ledger: Ledger) => Ledger
  workspaces?: string[]
}

/** A hub on a virtual clock and a ledger in memory: the real parts, with time and disk in the test's hands. */
export class Rig {
  readonly clock: VirtualClock
  readonly disk: Bench
  readonly store: MemoryStore
  readonly snapshots: SnapshotStore
  readonly stores = new Map<string, MemoryStore>()
  readonly fatal: unknown[] = []
  readonly logged: string[] = []
  readonly signed: Checkpoint[] = []
  readonly options: HubOptions
  readonly #workspaces: string[]
  hub!: Hub
  loop!: Loop

  constructor({ limits = {}, memory = {}, store, clock, snapshots, sign, wrap = (ledger) => ledger, workspaces = ["main"] }: RigOptions) {
    this.clock = clock ?? new VirtualClock()
    this.disk = new Bench()
    this.store = store ?? new MemoryStore({ disk: this.disk, ...memory })
    this.snapshots = snapshots ?? memorySnapshots()
    this.#workspaces = workspaces
    const note = (_fields: object, text: string): void => void this.logged.push(text)
    this.options = {
      clock: this.clock,
      sha256,
      openLedger: (name) => Promise.resolve(wrap(this.storeOf(name).open())),
      snapshots: this.snapshots,
      log: { info: () => undefined, warn: note, error: note },
      sign: sign ?? ((_, checkpoint) => (this.signed.push(checkpoint), Promise.resolve(`note of ${checkpoint.size}`))),
      fatal: (error) => void this.fatal.push(error),
      limits,
    }
  }

  storeOf(name: string): MemoryStore {
    if (name === "main") return this.store
    const known = this.stores.get(name) ?? new MemoryStore()
    this.stores.set(name, known)
    return known
  }

  async open(): Promise<this> {
    this.hub = await this.clock.until(openHub(this.options, this.#workspaces))
    this.loop = this.hub.workspace("main") as Loop
    return this
  }

  /** Lets time go by until there is an answer. */
  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.until(promise)
  }

  /** The code that a call is refused with, or null where it is answered. */
  refused(promise: Promise<unknown>): Promise<string | null> {
    const code = promise.then(
      () => null,
      (error: unknown) => (error instanceof SkeinError ? error.code : String(error)),
    )
    return this.clock.until(code)
  }

  execute<Name extends keyof Commands>(name: Name, by: Actor, input: Commands[Name]["input"], options?: ExecuteOptions): Promise<Commands[Name]["output"]> {
    return this.run(this.loop.execute(name, by, input, options))
  }

  entries(): Entry[] {
    return this.store.entries.map(({ bytes }) => decodeEntry(bytes))
  }

  types(): string[] {
    return this.entries().map(({ type }) => type)
  }

  /** Adds agents, each with one session that something beats for, and says who they are. */
  async agents(...names: string[]): Promise<Actor[]> {
    const actors: Actor[] = []
    for (const name of names) {
      await this.execute("agent.add", OPERATOR, { name })
      const { session } = await this.execute("session.start", actor(name), { id: `s_${name}`, agent: name, runtime: "test", resumeId: null, owned: true })
      actors.push(actor(name, session))
    }
    return actors
  }

  async tasks(...ids: string[]): Promise<void> {
    for (const id of ids) await this.execute("task.add", OPERATOR, { id, title: id })
  }

  close(): Promise<void> {
    return this.clock.until(this.hub.close())
  }
}

export function openRig(options: RigOptions = {}): Promise<Rig> {
  return new Rig(options).open()
}

export const CLAIM_ANY = { plan: null, labels: [], filler: null, max: 1 } as const
export const NOTHING_USED = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
export const DONE = { deliverable: { text: "", evidence: { testsPass: null, commit: null, links: [] } }, usage: NOTHING_USED }
