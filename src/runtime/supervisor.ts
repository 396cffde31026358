import { type FSWatcher, watch } from "node:fs"
import { join } from "node:path"
import { type Client, connect, type Entry, type LiveSession } from "../client/client.ts"
import { SkeinError } from "../contract/errors.ts"
import type { AcpCallbacks } from "./acp-connection.ts"
import { AgentKeeper, type Drivers } from "./agent-keeper.ts"
import type { Driver, DriverEvents } from "./driver.ts"
import { PermissionDesk, type PermissionRule } from "./permission-desk.ts"
import type { AgentPreset } from "./presets/preset.ts"
import type { QuotaNotice } from "./quota-notice.ts"
import { obey, orderIn } from "./orders.ts"
import { ScreenReports } from "./screen-reports.ts"
import { held, type SupervisorFolder } from "./supervisor-folder.ts"
import { isBeforeNextLook, quotaEndMs, type SupervisorNumbers } from "./supervisor-numbers.ts"
import { UsageReports } from "./usage-reports.ts"
import { WakeRunner } from "./wake-runner.ts"

/** What the ways to run agents tell their supervisor. */
export type SupervisorEvents = DriverEvents & Required<Pick<AcpCallbacks, "permission" | "usage">>

export type SupervisorOptions = {
  folder: SupervisorFolder
  /** The supervisor's own name with the hub, and its credential. */
  agent: string
  credentialFile: string
  /** Where the hub is now: looked up anew at each look, since one that came back may listen elsewhere. */
  url(): string
  workspace: string
  drivers(events: SupervisorEvents): Drivers
  /** Where the agents' hooks leave their marks. */
  marks: string
  preset(name: string): AgentPreset | null
  numbers: SupervisorNumbers
  /** Which requests of agents for leave are decided without the operator. */
  permissions: readonly PermissionRule[]
  /** One line for whoever watches. */
  told(line: string): void
  /** The supervisor cannot go on: its credential is void, or another took its place. */
  lost(error: Error): void
}

/** A hub that does not answer must not hold up the restart of agents. */
const CALL_MS = 5_000
const CONNECT_PATIENCE_MS = 30_000
/** Files that are written together are looked at once. */
const SOON_MS = 30
/** Agents that are looked after at once: a start takes a processor for seconds. */
const AT_ONCE = 4

/**
 * Runs the agents of one machine for one workspace: its registry is a folder of plain files, its truth about wakes the hub's. Every `reconcileMs`, and
 * whenever a file, an agent or the ledger gives reason, it holds what runs against what is wanted and takes the jobs of its agents. Killed, it leaves agents in
 * their terminals, and its next run adopts them; asked to go, it leaves nothing.
 */
export class Supervisor {
  readonly #o: SupervisorOptions
  readonly #drivers: Drivers
  readonly #keepers = new Map<string, AgentKeeper>()
  readonly #wakes: WakeRunner
  readonly #desk: PermissionDesk
  readonly #usage: UsageReports
  #turns: Promise<unknown> = Promise.resolve()
  readonly #screens: ScreenReports
  readonly #over = new AbortController()
  #client: Client | null = null
  #url = ""
  #live: LiveSession | null = null
  #policyQuietMs = 20_000
  #timer: NodeJS.Timeout | undefined
  #beats: NodeJS.Timeout | undefined
  #soon: NodeJS.Timeout | undefined
  readonly #due = new Set<NodeJS.Timeout>()
  readonly #telling = new Map<string, Promise<unknown>>()
  #looking: Promise<void> | null = null
  #watcher: FSWatcher | null = null

  private constructor(options: SupervisorOptions) {
    this.#o = options
    const session = (agent: string): string | null => this.#keepers.get(agent)?.running.session ?? null
    this.#desk = new PermissionDesk({ hub: this.#hub, rules: options.permissions, session, told: options.told })
    this.#usage = new UsageReports(this.#hub, options.told)
    this.#drivers = options.drivers({
      session: (agent, conversation) => this.#keepers.get(agent)?.conversationIs(conversation),
      permission: (request, signal) => this.#desk.ask(request, signal),
      usage: (usage) => this.#usage.add(usage, session(usage.agent)),
      ended: () => this.#lookSoon(),
      turn: (agent, state) => this.#turn(agent, state),
      exhausted: (agent, quota) => void this.#exhausted(agent, quota),
    })
    this.#screens = new ScreenReports({ hub: this.#hub, agents: () => this.agents })
    this.#wakes = new WakeRunner({
      hub: this.#hub,
      keepers: () => [...this.#keepers.values()],
      quietMs: () => this.#policyQuietMs,
      quotaEndMs: (namedMs) => quotaEndMs(namedMs, Date.now(), options.numbers),
      told: options.told,
      beforeText: async (keeper) => {
        await keeper.noticePerson()
        return this.#tellOfPerson(keeper)
      },
    })
  }

  /** Begins, and settles once the agents that ran already are adopted. Throws `SkeinError` where another supervisor lives, or the hub refuses it. */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const { folder, agent } = options
    const last = folder.lastHolder()
    if (!folder.hold({ session: last?.session ?? null, agent, startedAtMs: Date.now() })) throw held(folder)
    const supervisor = new Supervisor(options)
    try {
      await supervisor.#begin(last?.session ?? null)
    } catch (error) {
      await supervisor.#leave()
      throw error
    }
    return supervisor
  }

  /**
   * Takes no more wakes, ends its agents and their sessions, and its own. `keep`: agents in terminals stay, for the next supervisor to adopt. What the hub is
   * not there to hear it finds out by itself: sessions without heartbeats are lost.
   */
  async close({ keep = false }: { keep?: boolean } = {}): Promise<void> {
    if (this.#over.signal.aborted) return
    this.#stopLooking()
    await this.#looking?.catch(() => undefined)
    await this.#wakes.close()
    await Promise.allSettled([...this.#keepers.values()].map((keeper) => keeper.close(keep)))
    // Not by its own `end`, which has more patience with a hub that is gone.
    if (this.#live !== null) await this.#hub.call("session.end", { session: this.#live.id, reason: "the supervisor went down" }).catch(() => undefined)
    await this.#leave()
  }

  get agents(): readonly AgentKeeper[] {
    return [...this.#keepers.values()]
  }

  #stopLooking(): void {
    this.#over.abort()
    this.#screens.close()
    clearInterval(this.#timer)
    clearInterval(this.#beats)
    clearTimeout(this.#soon)
    for (const timer of this.#due) clearTimeout(timer)
    this.#watcher?.close()
  }

  async #leave(): Promise<void> {
    this.#stopLooking()
    await Promise.allSettled(this.#everyDriver().map((driver) => driver.close()))
    await this.#client?.close()
    this.#o.folder.release()
  }

  async #begin(lastSession: string | null): Promise<void> {
    await this.#connect(lastSession)
    await this.#adopt()
    await this.#look()
    const { numbers, folder } = this.#o
    this.#timer = setInterval(() => this.#lookSoon(0), numbers.reconcileMs)
    this.#watcher = watch(join(folder.path, "wanted"), () => this.#lookSoon())
    this.#watcher.on("error", () => undefined)
    this.#screens.begin()
  }

  // The hub

  /** What keepers and wakes call by: the connection that there is now. */
  readonly #hub: Pick<Client, "call"> = {
    call: (name, input, options) => {
      if (this.#client === null) throw new SkeinError("hub_unreachable", "the supervisor is not connected", "Start the hub: skein up")
      return this.#client.call(name, input, { timeoutMs: CALL_MS, ...options })
    },
  }

  async #connect(lastSession: string | null): Promise<void> {
    const { credentialFile, workspace } = this.#o
    this.#url = this.#o.url()
    const client = await connect({ url: this.#url, credentialFile, workspace, timeoutMs: CONNECT_PATIENCE_MS })
    await this.#client?.close()
    this.#client = client
    // Jobs that its last run held are free at once.
    if (lastSession !== null) await client.session.end({ session: lastSession, reason: "another run of the supervisor goes on" }).catch(() => undefined)
    this.#goesOnUnder(await client.session({ runtime: "supervisor" }))
    this.#policyQuietMs = (await client.wake.policy()).policy.quietMs
    void this.#follow(client)
  }

  #goesOnUnder(live: LiveSession): void {
    this.#live = live
    this.#o.folder.hold({ session: live.id, agent: this.#o.agent, startedAtMs: Date.now() })
    clearInterval(this.#beats)
    if (!this.#over.signal.aborted) this.#beats = setInterval(() => void this.#beat(), Math.max(50, Math.floor(live.heartbeatMs / 3)))
  }

  /** The agents' sessions live as long as their processes: whether a model thinks for an hour is not the hub's concern. */
  async #beat(): Promise<void> {
    const sessions = this.agents.flatMap(({ running }) => (running.session === null || running.address === null ? [] : [running.session]))
    if (sessions.length === 0) return
    const answer = await this.#hub.call("session.beat", { sessions }).catch(() => null)
    if (answer === null) return
    const over = this.agents.filter(({ running: { session } }) => session !== null && sessions.includes(session) && !answer.heard.includes(session))
    for (const keeper of over) keeper.sessionIsOver()
    if (over.length > 0) this.#lookSoon()
  }

  /** Whatever the ledger tells of triggers is a reason to look; so is the time that a job waits for. */
  async #follow(client: Client): Promise<void> {
    try {
      for await (const entry of client.events({ signal: this.#over.signal })) {
        this.#heard(entry)
        const order = orderIn(entry)
        if (order !== null) await obey(order, { ...this.#o, hub: this.#hub })
      }
    } catch (error) {
      if (this.#over.signal.aborted || client !== this.#client) return
      this.#o.lost(error instanceof Error ? error : new Error(String(error)))
    }
  }

  #heard({ type, data, atMs }: Entry): void {
    this.#desk.heard({ type, data })
    if (type === "policy.changed") {
      this.#policyQuietMs = (data as { changes: { quietMs?: number } }).changes.quietMs ?? this.#policyQuietMs
      this.#wakesSoon(0)
    }
    // All that a job may have waited for.
    if (!/^(?:trigger|account|breaker)\.|^thread\.status_changed$/.test(type)) return
    const { notBeforeMs, next } = data as { notBeforeMs?: number; next?: { notBeforeMs?: number } }
    const dueMs = next?.notBeforeMs ?? notBeforeMs
    this.#wakesSoon(dueMs === undefined ? 0 : Math.max(0, dueMs - atMs))
  }

  #wakesSoon(inMs: number): void {
    if (this.#over.signal.aborted || !isBeforeNextLook(inMs, this.#o.numbers)) return
    const timer = setTimeout(() => {
      this.#due.delete(timer)
      void this.#takeWakes()
    }, inMs)
    this.#due.add(timer)
  }

  async #takeWakes(): Promise<void> {
    if (this.#over.signal.aborted) return
    try {
      await this.#wakes.look()
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      // Somebody ended its session, or a hub that was away too long: another one.
      if (error.code === "wrong_status" && !this.#over.signal.aborted) await this.#again()
      else this.#o.told(`no jobs are taken: ${error.message}`)
    }
  }

  async #again(): Promise<void> {
    this.#o.told("the supervisor's session is over: another begins")
    const live = (await this.#client?.session({ runtime: "supervisor" }).catch(() => null)) ?? null
    if (live !== null) {
      // Over as it is, it would be beaten for as long as this one lives.
      await this.#live?.end("another goes on").catch(() => undefined)
      this.#goesOnUnder(live)
    }
    await Promise.allSettled(this.agents.map((keeper) => keeper.keptAnew()))
  }

  // The agents

  async #adopt(): Promise<void> {
    const found = (await Promise.all(this.#everyDriver().map((driver) => driver.running()))).flat()
    const wanted = this.#o.folder.wanted()
    for (const one of wanted) this.#keeper(one.agent)
    await Promise.all(this.agents.map((keeper) => keeper.adopt(found.filter(({ agent }) => agent === keeper.agent))))
    // Of agents that nobody wants any more.
    const known = new Set(wanted.map(({ agent }) => agent))
    for (const address of found) if (!known.has(address.agent)) await this.#drivers[address.channel].stop(address, { graceMs: this.#o.numbers.stopMs })
  }

  #lookSoon(inMs = SOON_MS): void {
    if (this.#over.signal.aborted) return
    clearTimeout(this.#soon)
    this.#soon = setTimeout(() => {
      // One that comes while another is under way follows it.
      const run = (this.#looking ?? Promise.resolve()).then(
        () => this.#look(),
        () => this.#look(),
      )
      this.#looking = run
      run.catch((error: unknown) => this.#o.told(`a look failed: ${error instanceof Error ? error.message : String(error)}`))
    }, inMs)
  }

  async #look(): Promise<void> {
    if (this.#over.signal.aborted) return
    const { folder } = this.#o
    if (!folder.isHeld()) return this.#o.lost(held(folder))
    await this.#moved()
    const wanted = folder.wanted()
    const queue = [...wanted]
    const one = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        try {
          await this.#keeper(next.agent)?.look(next)
        } catch (error) {
          this.#o.told(`${next.agent}: ${error instanceof Error ? error.message : String(error)}`)
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, one))
    const names = new Set(wanted.map(({ agent }) => agent))
    for (const keeper of this.agents) {
      if (!names.has(keeper.agent)) {
        await keeper.close(false)
        this.#keepers.delete(keeper.agent)
      } else await this.#tellOfPerson(keeper)
    }
    await Promise.all([this.#desk.look(), this.#usage.send()]).catch((error: unknown) => this.#o.told(error instanceof Error ? error.message : String(error)))
    this.#wakeAtPauseEnd()
    await this.#takeWakes()
  }

  /** An agent that waits for its restart gets it on time, not at the next look. */
  #wakeAtPauseEnd(): void {
    const nowMs = Date.now()
    const waits = this.agents.flatMap(({ running }) => (running.state === "waiting" ? [Math.max(0, running.notBeforeMs - nowMs)] : []))
    const inMs = Math.min(...waits)
    if (isBeforeNextLook(inMs, this.#o.numbers)) this.#lookSoon(inMs + 1)
  }

  /** The hub may have come back elsewhere. */
  async #moved(): Promise<void> {
    let url: string
    try {
      url = this.#o.url()
    } catch {
      return
    }
    if (url === this.#url) return
    this.#o.told(`the hub is at ${url} now`)
    await this.#connect(this.#live?.id ?? null).catch((error: unknown) => this.#o.told(error instanceof Error ? error.message : String(error)))
  }

  /** After a person has worked in an agent's pane, the orchestrator hears of it before automation goes on there. False: the person is still at it. */
  async #tellOfPerson(keeper: AgentKeeper): Promise<boolean> {
    const { personAtMs, toldAtMs } = keeper.running
    if (personAtMs === null || personAtMs <= (toldAtMs ?? 0)) return true
    if (Date.now() - personAtMs < this.#policyQuietMs) return false
    // A look and a wake may come here at once: told is it once, and the wake waits for it.
    const telling = this.#telling.get(keeper.agent) ?? this.#hub.call("agent.handled", { agent: keeper.agent, untilMs: personAtMs })
    this.#telling.set(keeper.agent, telling)
    try {
      await telling
      keeper.personTold(personAtMs)
      return true
    } finally {
      this.#telling.delete(keeper.agent)
    }
  }

  /** Whoever speaks to its agent by messages sees its turns: in the middle of one nothing is started beside it, and its time to answer stands still. */
  #turn(agent: string, state: "started" | "ended"): void {
    // One after the other, and under one name: the agent's own of its conversation may become known in between.
    const said = (): Promise<unknown> => this.#hub.call("session.turn", { agent, state, conversation: "its supervisor" }).catch(() => undefined)
    this.#turns = this.#turns.then(said)
  }

  /** The account's pause is the hub's to keep: for every agent of it, here and elsewhere. */
  async #exhausted(agent: string, { said, untilMs: named }: QuotaNotice): Promise<number> {
    const untilMs = quotaEndMs(named, Date.now(), this.#o.numbers)
    try {
      const { account } = (await this.#hub.call("agent.show", { name: agent })).agent
      await this.#hub.call("account.exhausted", { account: account ?? `agent/${agent}`, untilMs, reason: said.slice(0, 300) })
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      this.#o.told(`${agent} is out of quota, and the hub did not take it: ${error.message}`)
    }
    return untilMs
  }

  #keeper(agent: string): AgentKeeper | undefined {
    const known = this.#keepers.get(agent)
    if (known !== undefined) return known
    const { folder, workspace, preset, numbers, told, marks } = this.#o
    const wanted = folder.wantedOf(agent)
    if (wanted === null) return undefined
    const exhausted = (name: string, quota: QuotaNotice): Promise<number> => this.#exhausted(name, quota)
    const here = { hub: this.#hub, url: () => this.#url, drivers: this.#drivers, nowMs: () => Date.now(), exhausted }
    const keeping = { ...here, folder, workspace, marks, preset, numbers, told }
    const keeper = new AgentKeeper(wanted, keeping)
    this.#keepers.set(agent, keeper)
    return keeper
  }

  #everyDriver(): Driver[] {
    return Object.values(this.#drivers)
  }
}
