import { createHash } from "node:crypto"
import type { Entry } from "../../src/core/entry.ts"
import type { Workspace } from "../../src/core/workspace.ts"
import type { Clock } from "../../src/hub/clock.ts"
import { digestOf } from "../../src/hub/fingerprint.ts"
import type { HubOptions } from "../../src/hub/hub.ts"
import type { Loop } from "../../src/hub/loop.ts"
import { replay } from "../../src/hub/replay.ts"
import { memorySnapshots } from "../../src/hub/snapshots.ts"
import type { Ledger, Stored } from "../../src/ledger/ledger.ts"
import { MemoryStore } from "../../src/ledger/memory.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { SimulatedAgent } from "./agent.ts"
import type { Surroundings } from "./caller.ts"
import { Chance } from "../../src/cli/simulation/chance.ts"
import { chaos } from "./chaos.ts"
import { Director } from "./director.ts"
import { SimulatedDisk } from "./disk.ts"
import { Host } from "./host.ts"
import { Oracle, Violation } from "./oracle.ts"
import { Ownership } from "./ownership.ts"
import { ProcessClock } from "./process-clock.ts"
import { traitsOf } from "./traits.ts"
import { settle, VirtualClock } from "../../src/hub/virtual-clock.ts"
import { Watch } from "./watch.ts"
import { CALM, type Reply, type Request, type Weather, Wire } from "./wire.ts"

export type WorldOptions = {
  seed: number
  /** Virtual time of trouble, in ms; 5 s at the most are then quiet. */
  troubleMs?: number
  /** One hub, or two that contend on one ledger; by default the seed says. */
  hubs?: 1 | 2
  /** Agents only claim, complete and release, and nobody steps in. */
  plain?: boolean
  /** There is a policy, whatever the seed says. */
  governed?: boolean
  /** Every attempt is throttled. */
  throttled?: boolean
  /** Faults to plant. */
  wrapLedger?: (ledger: Ledger) => Ledger
  wrapClock?: (clock: Clock) => Clock
}

/** What a caller asked and heard; `asked` and `heard` number all such moments of the run. */
export type Heard = { process: string; asked: number; heard: number | null; request: Request; reply: Reply | null }
export type Outcome = {
  seed: number
  hubs: number
  trace: string
  entries: number
  acknowledged: number
  lostRaces: number
  /** Decisions that went on in another batch. */
  putOff: number
  starts: number
  types: Map<string, number>
  /** Claims of agents that were tried on what they do not declare; commands that were decided under a policy. */
  probes: number
  judged: number
  /** Breakers that opened by failures. */
  broken: number
  /** Sessions that spoke to another hub than before, and sessions that were declared lost. */
  moved: number
  lost: number
  history: Heard[]
  /** Leases that the ledger ended, with the moment at which that was there; and every claim that it holds. */
  leaseEnds: { task: string; fence: number; moment: number }[]
  claims: { agent: string; task: string; fence: number }[]
}

const TROUBLE_MS = 9_000
const LIMITS = { batchMax: 12, checkpointEntries: 30, checkpointMs: 700, snapshotEntries: 60, graceMs: 800 }

/** Time stands still while a batch is decided: it is over at once. */
const HURRIED = { decideMs: -1, claimSteps: 1 }

/** One simulated team with its hubs, disk, network and misfortunes, all from one seed. */
export class World {
  readonly seed: number
  readonly clock = new VirtualClock()
  readonly chance: Chance
  readonly store: MemoryStore
  readonly hosts: Host[]
  readonly agents: SimulatedAgent[]
  readonly director: Director
  readonly #asked = new Map<string, Request>()
  oracle = new Oracle(this.#asked)
  readonly watch: Watch
  readonly ownership: Ownership
  readonly wire: Wire
  readonly snapshots = memorySnapshots()
  readonly history: Heard[] = []
  weather: Weather = CALM
  readonly disk: SimulatedDisk
  quiet = false
  readonly #options: WorldOptions
  readonly #trace: string[] = []
  /** The machine is down: what lies on its disk is read by nobody, and what is torn there is not cut yet. */
  #down = false
  #over = false
  readonly #queueMax: number
  readonly #leaseEnds: Outcome["leaseEnds"] = []
  #broken: Violation | null = null
  #moments = 0
  #lostRaces = 0
  #putOff = 0
  /** Whether each batch ends after one command, and a claim compares the files of one task at a time. */
  readonly hurried: boolean

  constructor(options: WorldOptions) {
    this.seed = options.seed
    this.#options = options
    this.chance = new Chance(options.seed)
    const hubs = options.hubs ?? (this.chance.happens(0.4) ? 2 : 1)
    this.#queueMax = this.chance.pick([2, 4, 24])
    this.hurried = options.seed % 2 === 0
    this.disk = new SimulatedDisk({ clock: this.clock, chance: this.chance, isRemote: hubs === 2, onRefused: () => this.watch.trouble() })
    this.store = new MemoryStore({ manyWriters: hubs === 2, disk: this.disk })
    this.hosts = Array.from({ length: hubs }, (_, index) => this.#host(index))
    this.ownership = new Ownership(this.hosts)
    this.watch = new Watch(this)
    const { clock, chance } = this
    this.wire = new Wire({
      clock,
      chance,
      weather: () => this.weather,
      onTaken: (request, loop) => this.watch.taken(request, loop),
      voidSince: (request) => this.oracle.staff.voidSince(request),
      onAnswered: (request, loop, reply, known) => this.#guarded(() => this.watch.answered(request, loop, reply, known)),
    })
    const surroundings: Surroundings = {
      clock,
      chance,
      wire: this.wire,
      hosts: this.hosts,
      tasks: (statuses) => [...this.oracle.tasks.values()].filter(({ status }) => statuses?.includes(status) ?? true).map(({ id }) => id),
      unhelped: () => [...this.oracle.fillers.wanted.keys()],
      nowMs: () => this.oracle.atMs,
      plans: () => [...this.oracle.plans.running],
      notices: (agent) => this.oracle.notices.open(agent, this.oracle.agents.get(agent)?.role ?? "worker"),
      blocked: () => this.oracle.circles.blocked(),
      sessions: () => [...this.oracle.staff.sessions.sessions.keys()],
      leases: () => [...this.oracle.files.leases.keys()],
      onCall: (process, request) => this.#called(process, request),
      ...traitsOf(options, chance),
    }
    this.agents = Array.from(
      { length: chance.between(2, 5) },
      (_, at) => new SimulatedAgent(`agent${at}`, surroundings, chance.below(hubs), chance.pick([300, 500, 1_000])),
    )
    this.director = new Director(this, surroundings, options.governed === true)
  }

  /** Lives through it all. Throws `Violation`, with the seed and the last lines of the trace, when a promise is broken. */
  async run(): Promise<Outcome> {
    try {
      await this.#live()
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      const { troubleMs = TROUBLE_MS } = this.#options
      const again = `npm run simulate -- --seeds 1 --from ${this.seed} --trouble ${troubleMs}`
      throw new Violation(`seed ${this.seed}: ${error.message}\nRepeat it with: ${again}\n${this.#trace.slice(-40).join("\n")}`)
    }
    const { seed, hosts, history, oracle } = this
    return {
      seed,
      hubs: hosts.length,
      trace: createHash("sha256").update(this.#trace.join("")).digest("hex"),
      entries: oracle.seq,
      acknowledged: this.watch.acknowledged,
      lostRaces: this.#lostRaces,
      putOff: this.#putOff,
      starts: hosts.reduce((sum, host) => sum + host.starts, 0),
      types: oracle.types,
      probes: oracle.probation.probes,
      judged: oracle.policy.judged,
      broken: oracle.staff.breakers.broken,
      moved: this.ownership.moved,
      lost: this.ownership.lost,
      history,
      leaseEnds: this.#leaseEnds,
      claims: [...oracle.claims].map(([fence, claim]) => ({ fence, ...claim })),
    }
  }

  trace(line: string): void {
    this.#trace.push(`${this.clock.monotonicMs()} ${line}`)
  }

  /** A hub's process dies, with one hub the machine: of what was not synced the seed says how much is left. */
  kill(host: Host): void {
    this.trace(`kill hub ${host.index}`)
    this.watch.trouble()
    if (this.hosts.length === 1) this.powerCut()
    else host.kill()
  }

  /** The machine that holds the ledger goes down, and every hub with it. */
  powerCut(): void {
    const { chance } = this
    const remains = { whole: chance.happens(0.3) ? 1_000 : chance.below(4), torn: chance.below(200) }
    this.trace(`power cut, ${remains.whole} whole`)
    this.watch.trouble()
    if (this.#down) return
    this.#down = true
    // First the machine, then its processes: a handle that is let go in order is not dead.
    this.store.crash(remains)
    for (const host of this.hosts) host.kill()
  }

  async #live(): Promise<void> {
    const { hosts } = this
    for (const host of hosts) void this.#keepUp(host)
    await this.#until(() => hosts.every(({ loop }) => loop !== null), 5_000, "the hubs start")
    void this.director.direct()
    await this.#until(() => this.director.ready, 10_000, "the director adds agents and tasks")
    for (const agent of this.agents) void agent.live()
    void chaos(this)
    this.watch.start()
    const { troubleMs = TROUBLE_MS } = this.#options
    await this.#pass(troubleMs)
    this.quiet = true
    this.weather = CALM
    this.disk.calm()
    this.trace("quiet")
    await this.#pass(Math.min(troubleMs, 5_000))
    await this.#until(() => hosts.every(({ loop }) => loop !== null), 10_000, "the hubs come back")
    await this.#settleUp()
  }

  /** At the end: what was acknowledged is there, and live state, replay and snapshot say the same. */
  async #settleUp(): Promise<void> {
    const { clock, store } = this
    for (const agent of this.agents) agent.die()
    this.director.leave()
    for (const { loop } of this.hosts) {
      const { lostRaces = 0, putOff = 0 } = (loop as Loop).stats()
      this.#lostRaces += lostRaces
      this.#putOff += putOff
    }
    await this.#pass(2_000)
    let digests: string[] = []
    let head = -1
    // A sweep or a checkpoint may come in between: then they are asked once more.
    for (let attempt = 0; attempt < 5 && head !== this.oracle.seq; attempt += 1) {
      head = this.oracle.seq
      digests = await clock.until(Promise.all(this.hosts.map(({ loop }) => (loop as Loop).read((state) => `${state.seq} ${digestOf(sha256, state)}`))))
      this.#check()
    }
    for (const digest of digests) if (digest.split(" ")[0] !== `${head}`) throw new Violation(`a hub stands at ${digest.split(" ")[0]}, the ledger at ${head}`)
    for (const host of this.hosts)
      if (host.heardTo !== this.oracle.seq) throw new Violation(`the subscriber of hub ${host.index} heard up to ${host.heardTo} of ${head}`)
    this.#over = true
    for (const host of this.hosts) await clock.until(host.stop())
    this.#check()
    this.watch.everythingIsThere()
    const restored = this.#host(9)
    if (!(await clock.until(restored.start()))) throw new Violation("a hub cannot start from the snapshots")
    const fromSnapshot = await clock.until((restored.loop as Loop).read((state) => digestOf(sha256, state)))
    const auditor = { read: (from: number, limit: number): Promise<Stored[]> => Promise.resolve(store.entries.slice(from - 1, from - 1 + limit)) }
    let atHead = ""
    const onEntry = ({ seq }: Entry, state: Workspace): void => {
      if (seq === head) atHead = digestOf(sha256, state)
    }
    const replayed = await clock.until(replay(auditor, sha256, { onEntry }))
    const differing = replayed.compared.find(({ ok }) => !ok)
    if (differing !== undefined) throw new Violation(`the checkpoint at ${differing.seq} is not what a replay reaches`)
    for (const digest of digests) if (digest !== `${head} ${atHead}`) throw new Violation(`live state and replay differ at ${head}`)
    if (fromSnapshot !== replayed.digest) throw new Violation("the state from a snapshot and the one from a replay differ")
    this.trace(`${replayed.entries} ${replayed.digest}`)
    this.#check()
  }

  async #pass(ms: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ms
    while (await this.clock.step(untilMs)) this.#check()
  }

  async #until(done: () => boolean, withinMs: number, what: string): Promise<void> {
    const untilMs = this.clock.monotonicMs() + withinMs
    await settle()
    while (!done()) {
      if (!(await this.clock.step(untilMs))) throw new Violation(`${what}: not within ${withinMs} ms`)
      this.#check()
    }
  }

  /** The ledger is read from its first entry again: nothing that was acknowledged is gone. */
  #afterPowerCut(): void {
    this.#down = false
    this.#guarded(() => {
      this.oracle = new Oracle(this.#asked)
      this.ownership.cut(this.store.entries.length)
      this.oracle.read(this.store.entries, this.clock.monotonicMs())
      this.watch.everythingIsThere()
    })
  }

  /** After every step: whatever is new in the ledger is held against the rules. */
  #check(): void {
    // What comes after the first broken promise may follow from it.
    this.#throwBroken()
    if (!this.#down && this.oracle.seq !== this.store.entries.length) {
      const from = this.oracle.seq
      this.oracle.read(this.store.entries, this.clock.monotonicMs())
      this.trace(`ledger ${from} to ${this.oracle.seq} ${this.oracle.hash.toString("hex")}`)
    }
    if (!this.#down) this.ownership.read(this.store.entries, this.oracle.entries, this.clock.monotonicMs())
    for (const end of this.oracle.leaseEnds.slice(this.#leaseEnds.length)) {
      this.#leaseEnds.push({ task: end.task, fence: end.fence, moment: (this.#moments += 1) })
      this.watch.leaseEnded(end)
    }
    this.#throwBroken()
  }

  #throwBroken(): void {
    if (this.#broken !== null) throw this.#broken
  }

  #guarded(check: () => void): void {
    try {
      check()
    } catch (error) {
      this.broke(error as Violation)
    }
  }

  broke(violation: Violation): void {
    this.#broken ??= violation
  }

  #called(process: string, request: Request): (reply: Reply) => void {
    const call: Heard = { process, asked: (this.#moments += 1), heard: null, request, reply: null }
    this.history.push(call)
    this.#asked.set(`${process} ${request.key}`, request)
    return (reply) => {
      call.heard = this.#moments += 1
      call.reply = reply
      this.trace(`${process} ${request.name} ${request.key}: ${reply.kind === "error" ? reply.code : reply.kind}`)
      if (reply.kind === "ok") this.#guarded(() => this.watch.heard(request, reply.output))
    }
  }

  #host(index: number): Host {
    const { wrapLedger = (ledger) => ledger, wrapClock = (clock) => clock } = this.#options
    const open = (): Ledger => {
      const ledger = wrapLedger(this.ownership.watched(index, this.store.open(`hub ${index}`)))
      if (this.#down) this.#afterPowerCut()
      return ledger
    }
    const log = { info: () => undefined, warn: (_: object, text: string) => this.trace(text), error: (_: object, text: string) => this.trace(text) }
    const options = (clock: Clock, openLedger: HubOptions["openLedger"], fatal: () => void): HubOptions => ({
      clock: wrapClock(clock),
      sha256,
      snapshots: this.snapshots,
      log,
      openLedger,
      fatal,
      limits: { ...LIMITS, queueMax: this.#queueMax, ...(this.hurried ? HURRIED : {}) },
      sign: (_, { size }) => this.#sign(size),
    })
    return new Host(
      index,
      () => new ProcessClock(this.clock),
      open,
      () => this.store.entries,
      options,
      () => this.watch?.trouble(),
      (violation) => this.broke(violation),
    )
  }

  /** Somebody who starts a hub again whenever it is down. */
  async #keepUp(host: Host): Promise<void> {
    const { clock, chance } = this
    for (;;) {
      if (this.#over) return
      if (host.loop === null) {
        this.watch.trouble()
        const up = await host.start()
        this.trace(`hub ${host.index} ${up ? "is up" : "does not come up"}`)
      }
      await new Promise<void>((resolve) => clock.after(this.quiet ? 50 : chance.between(20, 900), resolve))
    }
  }

  #sign(size: number): Promise<string> {
    return new Promise((resolve, reject) =>
      this.clock.after(this.chance.below(20), () => (this.chance.happens(0.05) ? reject(new Error("no key")) : resolve(`note of ${size}`))),
    )
  }
}

export function simulate(options: WorldOptions): Promise<Outcome> {
  return new World(options).run()
}
