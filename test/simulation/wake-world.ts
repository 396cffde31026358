import { createHash } from "node:crypto"
import type { CommandName, Commands } from "../../src/core/command.ts"
import { type Actor, decodeEntry } from "../../src/core/entry.ts"
import { isLive } from "../../src/core/trigger.ts"
import { standOf } from "../../src/core/trigger-why.ts"
import { unreadOf } from "../../src/core/unread.ts"
import { SkeinError } from "../../src/contract/errors.ts"
import type { Loop } from "../../src/hub/loop.ts"
import type { Workspace } from "../../src/core/workspace.ts"
import { Chance } from "../../src/cli/simulation/chance.ts"
import { Host } from "./host.ts"
import { Violation } from "./oracle.ts"
import { Pane } from "./pane.ts"
import { ProcessClock } from "./process-clock.ts"
import { OPERATOR, openRig, type Rig } from "./rig.ts"
import { WakeOracle } from "./wake-oracle.ts"
import { WakeSupervisor } from "./wake-supervisor.ts"

const AGENTS = ["ann", "bob", "cat"] as const
const TROUBLE_MS = 90_000
/** After the trouble everything unread is read, or stands there with its reason, within this; looked at so often, and over once nothing is left to do. */
const BOUND_MS = 600_000
const LOOK_MS = 5_000
/** A hub that died answers nothing: so long a call waits for it. */
const ANSWER_MS = 3_000
const AGAIN: ReadonlySet<string> = new Set(["overloaded", "storage_refused", "hub_stopping", "timed_out"])

export type WakeOutcome = { trace: string; entries: number; types: Map<string, number>; dead: number; crashes: number; quietMs: number }

/** Agents asleep in their panes, two supervisors that contend for them, a hub that restarts in order or by a crash, and messages that get lost: all from one seed. */
export class WakeWorld {
  readonly chance: Chance
  readonly agents = AGENTS
  readonly oracle = new WakeOracle()
  readonly panes = new Map<string, Pane>()
  quiet = false
  #rig!: Rig
  #host!: Host
  #crashes = 0
  #broken: Violation | null = null
  #calls = 0
  #sessions = 0
  #seen = 0
  readonly #seed: number
  readonly #careless: boolean

  constructor(seed: number, careless = false) {
    this.#seed = seed
    this.#careless = careless
    this.chance = new Chance(seed, 5)
  }

  get nowMs(): number {
    return this.#rig.clock.monotonicMs()
  }

  /** That of the hub that is up. */
  get loop(): Loop | null {
    return this.#host.loop
  }

  after(ms: number, call: () => void): () => void {
    return this.#rig.clock.after(ms, call)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve))
  }

  /** Agents in a turn, as the hub that is up knows. */
  async busy(): Promise<string[]> {
    return (await this.read((state, nowMs, loop) => loop.turns.busy(state, nowMs))) ?? []
  }

  /** What the hub that is up has; null where it does not answer. */
  async read<T>(look: (state: Workspace, nowMs: number, loop: Loop) => T): Promise<T | null> {
    const { loop } = this
    if (loop === null) return null
    return this.#within(loop.read((state, nowMs) => look(state, nowMs, loop))).catch(() => null)
  }

  /** A process that is gone settles nothing that it promised. */
  #within<T>(answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.after(ANSWER_MS, () => reject(new SkeinError("timed_out", "no answer", "ask again")))
      answer.finally(cancel).then(resolve, reject)
    })
  }

  guarded(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.#broken ??= error as Violation
    }
  }

  /** One command over a bad network, sent again under its key; null where it was refused, or nobody answered `tries` times. */
  async call<Name extends CommandName>(name: Name, actor: Actor, input: Commands[Name]["input"], tries = 12): Promise<Commands[Name]["output"] | null> {
    const id = `k${(this.#calls += 1)}`
    for (let attempt = 0; attempt < tries; attempt += 1) {
      await this.sleep(this.chance.between(1, 20))
      const { loop } = this
      const lost = !this.quiet && this.chance.happens(0.1)
      if (loop !== null && !lost) {
        try {
          const output = await this.#within(loop.execute(name, actor, input, { key: { id, hash: "0".repeat(32) } }))
          // The answer is lost on its way: the same is sent again.
          if (this.quiet || !this.chance.happens(0.1)) return output
        } catch (error) {
          if (!(error instanceof SkeinError) || !AGAIN.has(error.code)) return null
        }
      }
      await this.sleep(this.chance.between(50, 500))
    }
    return null
  }

  async startPane(actor: Actor, agent: string): Promise<Pane | null> {
    const id = `s_${agent}${(this.#sessions += 1)}`
    const started = await this.call("session.start", actor, { id, agent, runtime: "pane", resumeId: `c_${agent}`, owned: true })
    if (started === null) return null
    const pane = new Pane(this, agent, started.session)
    this.panes.set(agent, pane)
    return pane
  }

  async run(): Promise<WakeOutcome> {
    this.#rig = await openRig({ limits: { checkpointMs: 60_000 } })
    const { chance } = this
    const rig = this.#rig
    // What the hub draws comes from the seed too.
    await rig.close()
    this.#host = new Host(
      0,
      () => new ProcessClock(rig.clock),
      () => rig.store.open(),
      () => rig.store.entries,
      (clock, openLedger, fatal) => ({ ...rig.options, clock, openLedger, fatal, bits: () => chance.below(2 ** 31) }),
      () => undefined,
      (violation) => (this.#broken ??= violation),
    )
    // A batch takes its time to reach the disk: a crash may find it on its way.
    Object.assign(rig.disk, { sync: async () => (await this.sleep(chance.between(0, 3)), "done") })
    await rig.run(this.#host.start())
    rig.loop = this.loop as Loop
    for (const name of AGENTS) await rig.execute("agent.add", OPERATOR, { name, heartbeatMs: 2_000 })
    await rig.execute("thread.create", OPERATOR, { thread: "plan", title: "Plan", type: "conversation", participants: [...AGENTS] })
    const supervisors = ["north", "south"].map((name, at) => new WakeSupervisor(this, name, this.#careless && at === 0))
    for (const { name } of supervisors) await rig.execute("agent.add", OPERATOR, { name, role: "supervisor", heartbeatMs: 500 })
    for (const supervisor of supervisors) void supervisor.live()
    void this.#talk()
    void this.#trouble(supervisors)
    await this.#pass(TROUBLE_MS)
    this.quiet = true
    const quietFromMs = this.nowMs
    do await this.#pass(LOOK_MS)
    while (this.nowMs - quietFromMs < BOUND_MS && !(await this.#isSettled()))
    const dead = await rig.run(
      (this.loop as Loop).read((state, nowMs) => {
        for (const agent of AGENTS) {
          for (const { thread, unread } of unreadOf(state, { agent, role: "worker" })) {
            const jobs = state.jobs.of(`${thread}#${agent}`)
            const last = jobs.at(-1)
            const reason = last === undefined ? "" : standOf(state, last, nowMs).text
            if (last === undefined || (last.status !== "dead" && !(isLive(last) && last.notBeforeMs > nowMs)))
              throw this.#violation(`${agent} has ${unread} unread in ${thread}, and nothing is done about it: ${last?.id} ${last?.status} ${reason}`)
          }
        }
        return [...state.triggers.values()].filter(({ status }) => status === "dead").length
      }),
    )
    await rig.run(this.#host.stop())
    const trace = createHash("sha256")
    for (const { bytes } of rig.store.entries) trace.update(bytes)
    return {
      trace: trace.digest("hex"),
      entries: rig.store.entries.length,
      types: this.oracle.types,
      dead,
      crashes: this.#crashes,
      quietMs: this.nowMs - quietFromMs,
    }
  }

  /** Nothing is unread, and no job is on its way. */
  async #isSettled(): Promise<boolean> {
    const settled = this.read((state) => state.jobs.liveCount === 0 && AGENTS.every((agent) => unreadOf(state, { agent, role: "worker" }).length === 0))
    return (await this.#rig.run(settled)) === true
  }

  async #pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    while (await this.#rig.clock.step(untilMs)) {
      const { entries } = this.#rig.store
      // What a crash leaves of a batch is not there before the next start has found it whole.
      if (this.loop === null) continue
      for (; this.#seen < entries.length; this.#seen += 1) this.guarded(() => this.oracle.read(decodeEntry(entries[this.#seen]!.bytes) as never))
      if (this.#broken !== null) throw this.#violation(this.#broken.message)
    }
  }

  #violation(message: string): Violation {
    const again = `WAKE_SEEDS=1 WAKE_FROM=${this.#seed} npx vitest run test/simulation/wake.test.ts`
    return new Violation(`seed ${this.#seed}: ${message}\nRepeat it with: ${again}`)
  }

  async #talk(): Promise<void> {
    const metadata = { severity: null, file: null, line: null, endLine: null, task: null }
    while (!this.quiet) {
      const thread = this.chance.pick(["plan", "team", ...AGENTS.map((name) => `agent/${name}`)])
      await this.call("message.post", OPERATOR, { thread, body: "news", kind: "chat", inReplyTo: null, metadata: { ...metadata, eventType: null } })
      if (this.chance.happens(0.1)) {
        const target = this.chance.pick(AGENTS)
        const job = `r${String(this.#calls).padStart(24, "0")}`
        await this.call("trigger.participant", OPERATOR, { job, request: job, thread: "plan", target, reason: "now", prompt: "" })
      }
      await this.sleep(this.chance.between(200, 6_000))
    }
  }

  async #trouble(supervisors: readonly WakeSupervisor[]): Promise<void> {
    const { chance } = this
    for (;;) {
      await this.sleep(chance.between(500, 7_000))
      if (this.quiet) return
      const pane = this.panes.get(chance.pick(AGENTS))
      const dice = chance.below(10)
      if (dice < 3) chance.pick(supervisors).die()
      else if (dice < 6) pane?.die()
      else if (dice < 8 && pane !== undefined) pane.humanUntilMs = this.nowMs + chance.between(2_000, 90_000)
      else if (dice < 9) await this.#restart(chance.happens(0.6))
      else
        await this.call("account.exhausted", OPERATOR, {
          account: `agent/${chance.pick(AGENTS)}`,
          untilMs: (this.loop?.nowMs() ?? 0) + chance.between(2_000, 30_000),
          reason: "limit",
        })
    }
  }

  /** The hub goes down, in order or between two instructions, and comes back: what it knew of turns and heartbeats is gone. */
  async #restart(crash: boolean): Promise<void> {
    if (crash) {
      this.#crashes += 1
      // The machine's end: what was on its way to the disk is there, in part or not at all.
      this.#rig.store.crash({ whole: this.chance.below(4), torn: this.chance.below(40) })
      this.#host.kill()
    } else await this.#host.stop()
    do await this.sleep(this.chance.between(50, 2_000))
    while (!(await this.#host.start()))
  }
}
