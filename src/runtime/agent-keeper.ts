import type { Client } from "../client/client.ts"
import { AgentSession } from "./agent-session.ts"
import { type Address, type Channel, type Delivered, type Delivery, type Driver, lacking, type Refused, refused, samePlace } from "./driver.ts"
import { notedConversation } from "./hook-conversation.ts"
import { deliverNatively, nativeTarget } from "./native-inbox.ts"
import { drawServer, serverArgs, serverEnv } from "./own-server.ts"
import type { AgentPreset, NativeInbox } from "./presets/preset.ts"
import type { Running, RunBy, Wanted } from "./supervised.ts"
import type { SupervisorFolder } from "./supervisor-folder.ts"
import type { QuotaNotice } from "./quota-notice.ts"
import { restartPauseMs, resumesAfter, type SupervisorNumbers } from "./supervisor-numbers.ts"

/** The ways that an agent can be run by. */
export type Drivers = Readonly<Record<RunBy, Driver>>

export type Keeping = {
  folder: SupervisorFolder
  hub: Pick<Client, "call">
  /** Where agents find the hub. */
  url(): string
  workspace: string
  drivers: Drivers
  /** Where the agents' hooks leave their marks. */
  marks: string
  preset(name: string): AgentPreset | null
  numbers: SupervisorNumbers
  nowMs(): number
  /** Pauses the account of an agent that says that it is used up; gives until when. */
  exhausted(agent: string, quota: QuotaNotice): Promise<number>
  /** One line for whoever watches. */
  told(line: string): void
}

/**
 * How a wake (`trigger`) starts an agent: with its conversation or a new one, and what it is told first. `beside`: what runs is not ended for it. `starts`: how
 * often it had been started when the wake was asked for.
 */
export type Restart = { trigger: string; resume: boolean; prompt: string; nonce: string; quietMs: number; beside: boolean; starts: number }
/** `session`: the one that the wake is meant for. `onChannel` is told before each try; false ends them. */
export type Reach = { session: string | null; native(inbox: NativeInbox): boolean; onChannel(channel: Channel): Promise<boolean> }

const DEATHS_KEPT = 50
/** Characters of why a session ended: the hub takes 4,096 bytes. */
const REASON_MAX = 1_000

/**
 * Keeps one agent as it is wanted: started, found again, started anew when it died, ended. Steps of one agent come one after the other (`#alone`), so a text
 * is never typed into a process that is just being replaced. What it knows is in its file before and after each step: whoever comes after a kill goes on.
 */
export class AgentKeeper {
  readonly agent: string
  readonly #o: Keeping
  #wanted: Wanted
  #now: Running
  #step: Promise<unknown> = Promise.resolve()
  readonly #session: AgentSession
  #closing = false
  /** A command has asked for it, and waits for what becomes of the first try. */
  #asked = false
  /** A second process beside the live one, without a terminal: for wakes that could wait no longer. */
  #beside: Address | null = null

  constructor(wanted: Wanted, options: Keeping) {
    this.agent = wanted.agent
    this.#o = options
    this.#wanted = wanted
    this.#now = options.folder.runningOf(wanted.agent)
    this.#session = new AgentSession({
      agent: wanted.agent,
      hub: options.hub,
      runtime: () => this.#wanted.by,
      running: () => this.#now,
      record: (changes) => this.#record(changes),
      told: options.told,
      identity: () => ({ agent: this.agent, url: options.url(), workspace: options.workspace, credentialFile: this.#wanted.credentialFile }),
    })
  }

  get running(): Running {
    return this.#now
  }

  get wanted(): Wanted {
    return this.#wanted
  }

  /**
   * Whether wakes of it are taken: it runs, or may be started for one. While it runs and its session is not begun, the hub takes it for asleep: a wake would end
   * it to start it.
   */
  get wakeable(): boolean {
    const { state, address, session } = this.#now
    return !this.#closing && this.#wanted.want === "running" && state !== "starting" && (address === null || session !== null)
  }

  /** Whether a second process of it may run beside its live one. */
  get allowsBeside(): boolean {
    const preset = this.#preset()
    return this.#wanted.by === "tmux" && preset?.beside === true && preset.headless !== null
  }

  /**
   * Agents of ours that are in no record: the one of a start that was broken off becomes ours again, whether it lives or has ended meanwhile, unless it was
   * never told what it was begun for, and no person has taken it up; any other is ended.
   */
  async adopt(found: readonly Address[]): Promise<void> {
    await this.#alone(async () => {
      for (const address of found) {
        if (samePlace(address, this.#now.address)) continue
        const driver = this.#driver(address)
        const alive = await driver.alive(address)
        const isStarts = this.#now.state === "starting" || (this.#wanted.want === "running" && alive.alive)
        const isUntold = alive.alive && alive.untold === true && (await driver.lastHumanInputAtMs(address)) === null
        if (this.#now.address === null && isStarts && !isUntold) {
          this.#o.told(`${this.agent} runs already: adopted`)
          this.#record({ address, state: "running", conversation: address.session ?? this.#now.conversation, detail: "adopted" })
        } else await driver.stop(address, { graceMs: this.#o.numbers.stopMs })
      }
      // What came of a start that was broken off is here, or nowhere.
      if (this.#now.state === "starting") this.#record({ state: "idle", detail: "its start was broken off" })
    })
  }

  /** Holds what runs against what is wanted, and does what is missing. */
  async look(wanted: Wanted): Promise<void> {
    await this.#alone(async () => {
      if (this.#closing) return
      if (this.#isOver) await this.#clear()
      if (wanted.revision !== this.#now.revision) this.#minded(wanted)
      this.#wanted = wanted
      await this.#session.endLeft()
      await this.#check()
      if (wanted.want === "stopped" && this.#now.address !== null) await this.#stop(wanted.reason)
      if (this.#now.address === null) await this.#bringUp()
      if (this.#now.address !== null) await this.#session.open()
      await this.#person()
    })
  }

  /** Puts a text before the live agent: by its own inbox where there is one that `native` allows, else the way it is run. */
  reach(delivery: Delivery, { session, native, onChannel }: Reach): Promise<Delivered> {
    return this.#alone(async () => {
      await this.#check()
      const { address } = this.#now
      if (address === null && !this.#closing && !this.#session.hasEnded(session))
        return refused("REGISTRY_DRIFT", `the hub knows session ${session} as live, and nothing of it runs here`)
      if (this.#closing || address === null) return refused("PANE_DEAD", this.#now.detail === "" ? "it does not run" : this.#now.detail)
      const gone = refused("TARGET_NOT_FOUND", "the job is somebody else's now")
      const preset = this.#preset()
      if (preset !== null && preset.native !== null && native(preset.native)) {
        if (!(await onChannel("native"))) return gone
        const answer = await deliverNatively(nativeTarget(this.#wanted, this.#now, preset, this.#environment(), this.#o.marks), delivery)
        // Where the inbox does not answer, its terminal may.
        if (answer.ok) return answer
      }
      if (!(await onChannel(address.channel))) return gone
      const answer = await this.#driver(address).deliver(address, delivery)
      if (!answer.ok && answer.code === "PANE_DEAD") await this.#check()
      return answer
    })
  }

  /** Starts the agent for a wake; one that still runs is ended first, but never under the hands of a person. */
  startFor({ trigger, resume, prompt, nonce, quietMs, beside, starts }: Restart): Promise<{ ok: true; detail: string; session: string | null } | Refused> {
    return this.#alone(async () => {
      if (this.#closing) return refused("SPAWN_FAILED", "its supervisor is going down")
      await this.#check()
      const { address } = this.#now
      // Interleaving: its restart was due after the wake was taken for one that is down. Ended for it would be what has just begun.
      if (address !== null && this.#now.starts !== starts) {
        await this.#session.open()
        const told = await this.#driver(address).deliver(address, { text: prompt, nonce, form: "body", quietMs, acknowledged: () => false })
        return told.ok ? { ok: true, detail: `it had been started meanwhile: ${told.detail}`, session: this.#now.session } : told
      }
      if (address !== null && beside && this.allowsBeside) return this.#startBeside(prompt)
      if (address !== null) {
        const typedAtMs = await this.#driver(address).lastHumanInputAtMs(address)
        if (typedAtMs !== null && this.#o.nowMs() - typedAtMs < quietMs) return refused("OPERATOR_BUSY", `a person has typed in the last ${quietMs} ms`)
        await this.#end(`it did not answer: ${resume ? "resumed" : "started anew"}`)
      }
      const { conversation, state } = this.#now
      if (resume && (conversation === null || !this.#resumes)) return refused("RESUME_FAILED", "its conversation is not known")
      // Where it fails, how it goes on is the wake's to say; one that waits for its restart goes on waiting.
      const failed = await this.#start(resume ? conversation : null, prompt, state === "waiting" ? "waiting" : "ended")
      if (failed !== null) return { ...failed, code: failed.code === "QUOTA_EXHAUSTED" ? failed.code : resume ? "RESUME_FAILED" : "SPAWN_FAILED" }
      await this.#session.open(trigger)
      return { ok: true, detail: resume ? `resumed ${conversation}` : "started anew", session: this.#now.session }
    })
  }

  /** The supervisor goes down. `keep`: the agent stays for the next one to adopt, where it can (terminals). */
  close(keep: boolean): Promise<void> {
    this.#closing = true
    return this.#alone(async () => {
      const { address } = this.#now
      if (this.#beside !== null) await this.#driver(this.#beside).stop(this.#beside, { graceMs: this.#o.numbers.stopMs })
      if (address !== null && keep && address.channel === "tmux") return
      if (address === null) await this.#session.endLeft()
      else await this.#stop("its supervisor went down")
    })
  }

  /** The hub does not know its session any more: the next look opens another. */
  sessionIsOver(): void {
    this.#session.forget()
  }

  /** Its supervisor goes on under another session: the agent's is kept by that one. */
  keptAnew(): Promise<void> {
    return this.#alone(() => this.#session.keepAnew())
  }

  /** The last of what it shows. */
  capture(lines: number): Promise<string> {
    const { address } = this.#now
    return address === null ? Promise.resolve("") : this.#driver(address).capture(address, { lines })
  }

  // Steps; each runs alone

  #minded(wanted: Wanted): void {
    this.#asked = true
    this.#record({
      revision: wanted.revision,
      ...(this.#now.state === "given_up" || this.#now.state === "ended" ? { state: "idle", crashes: [], notBeforeMs: 0 } : {}),
    })
  }

  /** What became of it is written down, and its place not cleared yet: it can be read there alone, so whoever comes after a kill finds it there or here. */
  get #isOver(): boolean {
    return this.#now.address !== null && this.#now.state !== "running"
  }

  async #clear(): Promise<void> {
    const { address, detail, state } = this.#now
    if (address !== null) await this.#driver(address).stop(address, { graceMs: this.#o.numbers.stopMs })
    await this.#session.close(detail.slice(0, REASON_MAX) || state)
    this.#record({ address: null, session: null })
  }

  /** Whether it still runs; where it does not, what follows. */
  async #check(): Promise<void> {
    const { address, startedAtMs } = this.#now
    if (address === null) return
    const conversation = notedConversation(this.#o.marks, this.agent, startedAtMs ?? 0)
    if (conversation !== null) this.conversationIs(conversation)
    if (this.#isOver) return this.#clear()
    const alive = await this.#driver(address).alive(address)
    if (alive.alive) return
    if (alive.exit === 0) {
      this.#record({ state: "ended", detail: "it ended by itself" })
      this.#o.told(`${this.agent} ended by itself; its next wake starts it again`)
    } else this.#died(alive.detail, this.#o.nowMs())
    await this.#clear()
  }

  /** `isFinal`: trying again brings nothing. */
  #died(detail: string, nowMs: number, isFinal = false): void {
    const crashes = [...this.#now.crashes, nowMs].slice(-DEATHS_KEPT)
    const pauseMs = isFinal ? null : restartPauseMs(crashes, nowMs, this.#o.numbers)
    this.#record({ crashes, detail, ...(pauseMs === null ? { state: "given_up" } : { state: "waiting", notBeforeMs: nowMs + pauseMs }) })
    const then = pauseMs === null ? `it is not started again: skein agent resume ${this.agent}` : `started again in ${pauseMs} ms`
    this.#o.told(`${this.agent} is down (${detail}); ${then}`)
  }

  async #bringUp(): Promise<void> {
    const { want, prompt } = this.#wanted
    const { state, notBeforeMs, conversation, crashes, starts } = this.#now
    if (want !== "running") {
      const left = want === "paused" ? "paused" : "stopped"
      if (state !== left) this.#record({ state: left, detail: this.#wanted.reason })
      return
    }
    if (state === "given_up" || state === "ended" || this.#o.nowMs() < notBeforeMs) return
    const resume = starts > 0 && this.#resumes && resumesAfter(crashes, this.#o.nowMs(), this.#o.numbers) ? conversation : null
    const asked = this.#asked
    this.#asked = false
    const failed = await this.#start(resume, resume === null ? prompt : null)
    if (failed?.quota !== undefined) {
      // No fault of the agent's: nothing is counted against it.
      const notBeforeMs = await this.#o.exhausted(this.agent, failed.quota)
      return this.#record({ state: "waiting", notBeforeMs, detail: failed.detail })
    }
    // Later it may be missing for a moment only, while it is installed anew.
    if (failed !== null) this.#died(`${failed.code}: ${failed.detail}`, this.#o.nowMs(), asked && failed.lacking === true)
  }

  async #start(resumeId: string | null, prompt: string | null, failed: Running["state"] = "idle"): Promise<Refused | null> {
    const { agent, binary, args, cwd, by } = this.#wanted
    const preset = this.#preset()
    const driver = this.#o.drivers[by]
    if (preset === null) return lacking(`there is no preset ${this.#wanted.preset}`)
    const was = this.#now
    const server = await drawServer(preset, by, args)
    this.#record({ state: "starting", address: null, server, starts: was.starts + 1, startedAtMs: this.#o.nowMs(), detail: "" })
    const env = this.#environment()
    const ownBinary = binary === null ? {} : { binary }
    const started = await driver.start({ agent, preset, ...ownBinary, args: [...args, ...serverArgs(server)], cwd, env, resumeId, prompt })
    if (!started.ok) {
      this.#record({ state: failed, detail: `${started.code}: ${started.detail}` })
      return started
    }
    const { address } = started
    this.#record({ state: "running", address, conversation: address.session ?? resumeId, detail: "" })
    this.#o.told(`${agent} ${resumeId === null ? "is started" : "is resumed"} (${address.channel}, process ${"pid" in address ? address.pid : "?"})`)
    return null
  }

  /** In a conversation of its own: two processes of one would write over each other. A later wake goes on with it. */
  async #startBeside(prompt: string): Promise<{ ok: true; detail: string; session: null } | Refused> {
    const driver = this.#o.drivers.process
    const { agent, binary, args, cwd } = this.#wanted
    const preset = this.#preset() as AgentPreset
    const going = this.#beside === null || !(await driver.alive(this.#beside)).alive ? null : this.#beside
    const launch = { agent, preset, ...(binary === null ? {} : { binary }), args, cwd, env: this.#environment(), resumeId: null, prompt }
    const delivery = { text: prompt, nonce: null, form: "body" as const, quietMs: 0, acknowledged: () => false }
    if (going === null && this.#beside !== null) await driver.stop(this.#beside)
    const started = going === null ? await driver.start(launch) : await driver.deliver(going, delivery)
    if (!started.ok) return started
    if ("address" in started) this.#beside = started.address
    this.#o.told(`${agent} has a second process beside its live one, which was not free`)
    return { ok: true, detail: "started beside its live session, which was not free", session: null }
  }

  #environment(): Record<string, string> {
    const { env, passEnv, credentialFile, agent, by } = this.#wanted
    // What its turns use would count twice where its hooks told it too.
    const told = by === "acp" && this.#preset()?.acp?.tellsUsage === true ? { SKEIN_HOOK_USAGE: "no" } : {}
    const passed = passEnv.flatMap((name): [string, string][] => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    })
    const own = { SKEIN_URL: this.#o.url(), SKEIN_TOKEN_FILE: credentialFile, SKEIN_WORKSPACE: this.#o.workspace, SKEIN_AGENT: agent }
    return { ...Object.fromEntries(passed), ...serverEnv(this.#now.server), ...told, ...env, ...own }
  }

  async #stop(reason: string): Promise<void> {
    await this.#session.giveBack(reason)
    await this.#end(reason)
  }

  async #end(reason: string): Promise<void> {
    if (this.#now.address === null) return
    this.#record({ state: "stopped", detail: reason })
    await this.#clear()
    this.#o.told(`${this.agent} is stopped: ${reason}`)
  }

  async #person(): Promise<void> {
    const { address, personAtMs } = this.#now
    if (address === null) return
    const typedAtMs = await this.#driver(address).lastHumanInputAtMs(address)
    if (typedAtMs !== null && typedAtMs > (personAtMs ?? 0)) this.#record({ personAtMs: typedAtMs })
  }

  /** Looks when a person last typed to it. */
  noticePerson(): Promise<void> {
    return this.#alone(() => this.#person())
  }

  /** The orchestrator knows of what a person did up to then. */
  personTold(atMs: number): void {
    this.#record({ toldAtMs: atMs })
  }

  #driver({ channel }: Address): Driver {
    return this.#o.drivers[channel]
  }

  /** Whether, by the way that it is run, it can go on with an earlier conversation. */
  get #resumes(): boolean {
    const preset = this.#preset()
    const by = { tmux: preset?.interactive.resume ?? null, process: preset?.headless?.resume ?? null, acp: preset?.acp?.resumes === true ? true : null }
    return by[this.#wanted.by] !== null
  }

  #preset(): AgentPreset | null {
    return this.#o.preset(this.#wanted.preset)
  }

  #record(changes: Partial<Running>): void {
    this.#now = { ...this.#now, ...changes }
    this.#o.folder.record(this.#now)
  }

  /** An agent told its own id of its conversation. */
  conversationIs(conversation: string): void {
    if (conversation === this.#now.conversation) return
    const { address } = this.#now
    // The hub hears of it at the next look: by it the agent can be resumed.
    this.#session.forget()
    this.#record({ conversation, ...(address === null ? {} : { address: { ...address, session: conversation } }) })
  }

  #alone<Out>(step: () => Promise<Out>): Promise<Out> {
    const next = this.#step.then(step, step)
    this.#step = next.catch(() => undefined)
    return next
  }
}
