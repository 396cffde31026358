import type { Client } from "../client/client.ts"
import { SkeinError } from "../contract/errors.ts"
import { type Address, type Channel, type Delivered, type Delivery, type Driver, type Refused, refused } from "./driver.ts"
import { notedConversation } from "./hook-conversation.ts"
import { deliverNatively, type NativeTarget } from "./native-inbox.ts"
import type { AgentPreset, NativeInbox } from "./presets/preset.ts"
import type { Running, RunBy, Wanted } from "./supervised.ts"
import type { SupervisorFolder } from "./supervisor-folder.ts"
import { restartPauseMs, type SupervisorNumbers } from "./supervisor-numbers.ts"

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
  /** One line for whoever watches. */
  told(line: string): void
}

/** How a wake starts an agent: with its conversation or a new one, and what it is told first. */
export type Restart = { resume: boolean; prompt: string; quietMs: number }

const DEATHS_KEPT = 50
/** A conversation that was resumed so often in a row and died each time is left alone: the fault may be in it. */
const RESUMES_IN_A_ROW = 2

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
  /** Sessions whose end the hub was not there to hear. */
  readonly #toEnd = new Map<string, string>()
  #closing = false
  /** The session that the hub knows to be in this process's keeping. */
  #kept: string | null = null

  constructor(wanted: Wanted, options: Keeping) {
    this.agent = wanted.agent
    this.#o = options
    this.#wanted = wanted
    this.#now = options.folder.runningOf(wanted.agent)
  }

  get running(): Running {
    return this.#now
  }

  get wanted(): Wanted {
    return this.#wanted
  }

  /** Whether wakes of it are taken: it runs, or may be started for one. */
  get wakeable(): boolean {
    return !this.#closing && this.#wanted.want === "running" && this.#now.state !== "starting"
  }

  /** Agents of ours that run and are in no record: the one of a start that was broken off becomes ours again, any other is ended. */
  async adopt(found: readonly Address[]): Promise<void> {
    await this.#alone(async () => {
      for (const address of found) {
        if (samePlace(address, this.#now.address)) continue
        const driver = this.#driver(address)
        if (this.#now.address === null && this.#wanted.want === "running" && (await driver.alive(address)).alive) {
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
      if (wanted.revision !== this.#now.revision) this.#minded(wanted)
      this.#wanted = wanted
      await this.#endLeft()
      await this.#check()
      if (wanted.want === "stopped" && this.#now.address !== null) await this.#end(wanted.reason)
      if (this.#now.address === null) await this.#bringUp()
      if (this.#now.address !== null) await this.#openSession()
      await this.#person()
    })
  }

  /**
   * Puts a text before the live agent: by its own inbox where there is one that `native` allows, else the way it is run. `onChannel` is told before each
   * try; false ends them.
   */
  reach(delivery: Delivery, { native, onChannel }: { native(inbox: NativeInbox): boolean; onChannel(channel: Channel): Promise<boolean> }): Promise<Delivered> {
    return this.#alone(async () => {
      await this.#check()
      const { address } = this.#now
      if (this.#closing || address === null) return refused("PANE_DEAD", this.#now.detail === "" ? "it does not run" : this.#now.detail)
      const gone = refused("TARGET_NOT_FOUND", "the job is somebody else's now")
      const inbox = this.#preset()?.native ?? null
      if (inbox !== null && native(inbox)) {
        if (!(await onChannel("native"))) return gone
        const answer = await deliverNatively(this.#nativeTarget(), delivery)
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
  startFor({ resume, prompt, quietMs }: Restart): Promise<{ ok: true; detail: string; session: string | null } | Refused> {
    return this.#alone(async () => {
      if (this.#closing) return refused("SPAWN_FAILED", "its supervisor is going down")
      await this.#check()
      const { address } = this.#now
      if (address !== null) {
        const typedAtMs = await this.#driver(address).lastHumanInputAtMs(address)
        if (typedAtMs !== null && this.#o.nowMs() - typedAtMs < quietMs) return refused("OPERATOR_BUSY", `a person has typed in the last ${quietMs} ms`)
        await this.#end(`it did not answer: ${resume ? "resumed" : "started anew"}`)
      }
      const { conversation, state } = this.#now
      if (resume && (conversation === null || this.#preset()?.interactive.resume === null)) return refused("RESUME_FAILED", "its conversation is not known")
      const failed = await this.#start(resume ? conversation : null, prompt)
      // How it goes on is the wake's to say; one that waits for its restart goes on waiting.
      if (failed !== null) this.#record({ state: state === "waiting" ? "waiting" : "ended" })
      if (failed !== null) return { ...failed, code: failed.code === "QUOTA_EXHAUSTED" ? failed.code : resume ? "RESUME_FAILED" : "SPAWN_FAILED" }
      await this.#openSession()
      return { ok: true, detail: resume ? `resumed ${conversation}` : "started anew", session: this.#now.session }
    })
  }

  /** The supervisor goes down. `keep`: the agent stays for the next one to adopt, where it can (terminals). */
  close(keep: boolean): Promise<void> {
    this.#closing = true
    return this.#alone(async () => {
      const { address } = this.#now
      if (address !== null && keep && address.channel === "tmux") return
      if (address !== null) await this.#end("its supervisor went down")
      await this.#endLeft()
    })
  }

  /** The hub does not know its session any more: the next look opens another. */
  sessionIsOver(): void {
    this.#kept = null
  }

  /** Its supervisor goes on under another session: the agent's is kept by that one. */
  keptAnew(): Promise<void> {
    return this.#alone(async () => {
      if (this.#now.session !== null) await this.#heard(() => this.#keepSession(this.#now.session as string))
    })
  }

  /** The last of what it shows. */
  capture(lines: number): Promise<string> {
    const { address } = this.#now
    return address === null ? Promise.resolve("") : this.#driver(address).capture(address, { lines })
  }

  // Steps; each runs alone

  #minded(wanted: Wanted): void {
    this.#record({
      revision: wanted.revision,
      ...(this.#now.state === "given_up" || this.#now.state === "ended" ? { state: "idle", crashes: [], notBeforeMs: 0 } : {}),
    })
  }

  /** Whether it still runs; where it does not, what follows. */
  async #check(): Promise<void> {
    const { address, startedAtMs } = this.#now
    if (address === null) return
    const conversation = notedConversation(this.#o.marks, this.agent, startedAtMs ?? 0)
    if (conversation !== null) this.conversationIs(conversation)
    const alive = await this.#driver(address).alive(address)
    if (alive.alive) return
    await this.#driver(address).stop(address, { graceMs: this.#o.numbers.stopMs })
    await this.#closeSession(`its process ended: ${alive.detail}`)
    const nowMs = this.#o.nowMs()
    if (alive.exit === 0) {
      this.#record({ address: null, state: "ended", detail: "it ended by itself" })
      return this.#o.told(`${this.agent} ended by itself; its next wake starts it again`)
    }
    this.#died(alive.detail, nowMs)
  }

  #died(detail: string, nowMs: number): void {
    const crashes = [...this.#now.crashes, nowMs].slice(-DEATHS_KEPT)
    const pauseMs = restartPauseMs(crashes, nowMs, this.#o.numbers)
    this.#record({ address: null, crashes, detail, ...(pauseMs === null ? { state: "given_up" } : { state: "waiting", notBeforeMs: nowMs + pauseMs }) })
    const then = pauseMs === null ? "it is not started again: skein agent resume" : `started again in ${pauseMs} ms`
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
    const recent = crashes.filter((atMs) => this.#o.nowMs() - atMs < this.#o.numbers.restartWindowMs).length
    const resume = starts > 0 && recent <= RESUMES_IN_A_ROW && this.#preset()?.interactive.resume !== null ? conversation : null
    const failed = await this.#start(resume, resume === null ? prompt : null)
    if (failed !== null) this.#died(`${failed.code}: ${failed.detail}`, this.#o.nowMs())
  }

  async #start(resumeId: string | null, prompt: string | null): Promise<Refused | null> {
    const { agent, binary, args, cwd, by } = this.#wanted
    const preset = this.#preset()
    const driver = this.#o.drivers[by]
    if (preset === null) return refused("SPAWN_FAILED", `there is no preset ${this.#wanted.preset}`)
    const was = this.#now
    this.#record({ state: "starting", address: null, starts: was.starts + 1, startedAtMs: this.#o.nowMs(), detail: "" })
    const env = this.#environment()
    const started = await driver.start({ agent, preset, ...(binary === null ? {} : { binary }), args, cwd, env, resumeId, prompt })
    if (!started.ok) {
      this.#record({ state: "idle", detail: `${started.code}: ${started.detail}` })
      return started
    }
    const { address } = started
    this.#record({ state: "running", address, conversation: address.session ?? resumeId, detail: "" })
    this.#o.told(`${agent} ${resumeId === null ? "is started" : "is resumed"} (${address.channel}, process ${"pid" in address ? address.pid : "?"})`)
    return null
  }

  #environment(): Record<string, string> {
    const { env, passEnv, credentialFile, agent } = this.#wanted
    const passed = passEnv.flatMap((name): [string, string][] => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    })
    const own = { SKEIN_URL: this.#o.url(), SKEIN_TOKEN_FILE: credentialFile, SKEIN_WORKSPACE: this.#o.workspace, SKEIN_AGENT: agent }
    return { ...Object.fromEntries(passed), ...env, ...own }
  }

  async #end(reason: string): Promise<void> {
    const { address } = this.#now
    if (address === null) return
    await this.#driver(address).stop(address, { graceMs: this.#o.numbers.stopMs })
    await this.#closeSession(reason)
    this.#record({ address: null, state: "stopped", detail: reason })
    this.#o.told(`${this.agent} is stopped: ${reason}`)
  }

  /** Its session with the hub: one for each start, gone on with by whoever adopts the agent. The hub may have ended it meanwhile. */
  async #openSession(): Promise<void> {
    const { session, conversation } = this.#now
    if (session !== null && this.#kept === session) return
    await this.#heard(async () => {
      if (session !== null && (await this.#o.hub.call("session.beat", { sessions: [session] })).heard.includes(session)) return this.#keepSession(session)
      const started = await this.#o.hub.call("session.start", { agent: this.agent, runtime: this.#wanted.by, resumeId: conversation, owned: true })
      this.#record({ session: started.session })
      this.#kept = started.session
    })
  }

  async #keepSession(session: string): Promise<void> {
    await this.#o.hub.call("session.adopt", { session, resumeId: this.#now.conversation })
    this.#kept = session
  }

  async #closeSession(reason: string): Promise<void> {
    const { session, startedAtMs } = this.#now
    if (session !== null) this.#toEnd.set(session, reason)
    this.#record({ session: null })
    await this.#endLeft()
    // Sessions that its tools began for it end with it: nobody speaks through them any more.
    await this.#heard(async () => {
      const { sessions } = await this.#o.hub.call("session.list", { agent: this.agent, status: "live" })
      for (const left of sessions)
        if (left.runtime === "mcp" && left.startedAtMs >= (startedAtMs ?? Infinity)) await this.#o.hub.call("session.end", { session: left.id, reason })
    })
  }

  async #endLeft(): Promise<void> {
    for (const [session, reason] of this.#toEnd) {
      await this.#heard(async () => {
        await this.#o.hub.call("session.end", { session, reason }).catch((error: unknown) => {
          if (!(error instanceof SkeinError && error.code === "not_found")) throw error
        })
        this.#toEnd.delete(session)
      })
    }
  }

  /** What the hub is not there to hear is said at a later look. */
  async #heard(say: () => Promise<void>): Promise<void> {
    try {
      await say()
    } catch (error) {
      if (!(error instanceof SkeinError)) throw error
      this.#o.told(`${this.agent}: the hub did not take it: ${error.message}`)
    }
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

  #nativeTarget(): NativeTarget {
    const { agent, cwd, binary, preset, args } = this.#wanted
    const port = args.indexOf("--port") < 0 ? undefined : args[args.indexOf("--port") + 1]
    const password = this.#environment()["OPENCODE_SERVER_PASSWORD"]
    const facts = this.#preset()
    if (facts === null) throw new RangeError(`there is no preset ${preset}`)
    return {
      agent,
      preset: facts,
      session: this.#now.conversation,
      cwd,
      env: this.#environment(),
      marks: this.#o.marks,
      ...(binary === null ? {} : { binary }),
      ...(port === undefined ? {} : { url: `http://127.0.0.1:${port}` }),
      ...(password === undefined ? {} : { password }),
    }
  }

  #driver({ channel }: Address): Driver {
    return this.#o.drivers[channel]
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
    this.#kept = null
    this.#record({ conversation, ...(address === null ? {} : { address: { ...address, session: conversation } }) })
  }

  #alone<Out>(step: () => Promise<Out>): Promise<Out> {
    const next = this.#step.then(step, step)
    this.#step = next.catch(() => undefined)
    return next
  }
}

function samePlace(a: Address, b: Address | null): boolean {
  if (b === null || a.channel !== b.channel) return false
  if (a.channel === "tmux" && b.channel === "tmux") return a.pane === b.pane && a.pid === b.pid && a.socket === b.socket
  return "pid" in a && "pid" in b && a.pid === b.pid
}
