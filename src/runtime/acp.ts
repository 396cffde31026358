import type { ClientConnection } from "@agentclientprotocol/sdk"
import { AcpConnection, type AcpCallbacks, fieldsOf } from "./acp-connection.ts"
import { acp } from "./acp-library.ts"
import { sifted } from "./acp-messages.ts"
import {
  type Address,
  type Alive,
  type Delivered,
  type Delivery,
  type Driver,
  type DriverEvents,
  isConversation,
  lacking,
  type Launch,
  outOfQuota,
  type Refused,
  refused,
  type Started,
} from "./driver.ts"
import { type AgentPreset, commandLine } from "./presets/preset.ts"
import { quotaNotice } from "./quota-notice.ts"
import { notStarted, ProcessError, type RunningProcess, startProcess } from "./process.ts"

export type AcpOptions = AcpCallbacks & {
  events?: DriverEvents
  logFile?: (agent: string) => string | null
  /** How long an agent may take to start, and to open a conversation, in ms: 60,000 unless told. */
  openMaxMs?: number
}

const OPEN_MAX_MS = 60_000
/** Of what it was answered and has not read: an agent that goes on asking and never reads would fill our memory. */
const UNREAD_MAX_BYTES = 16 * 1024 * 1024
/** A failing prompt is told of within this, else it is taken to be under way. */
const FAILS_WITHIN_MS = 500
/** Of what an agent says of its failure. */
const TOLD_MAX = 2_000

/**
 * Agents that speak the Agent Client Protocol on their standard streams: texts, permissions and usage are messages. One prompt at a time: Gemini would
 * cancel the first for the second. They are children of this process and end with it.
 */
export class AcpDriver implements Driver {
  readonly channel = "acp"
  readonly #options: AcpOptions
  readonly #agents = new Map<string, AcpConnection>()
  readonly #presets = new Map<string, AgentPreset>()
  readonly #queues = new Map<string, Promise<unknown>>()

  constructor(options: AcpOptions = {}) {
    this.#options = options
  }

  async start(launch: Launch): Promise<Started> {
    const facts = launch.preset.acp
    if (facts === null) return lacking(`${launch.preset.name} does not speak ACP`)
    if (launch.resumeId !== null && !facts.resumes) return refused("RESUME_FAILED", `${launch.preset.name} cannot go on with an earlier conversation by ACP`)
    if (this.#presets.has(launch.agent)) return refused("SPAWN_FAILED", `${launch.agent} runs already`)
    this.#presets.set(launch.agent, launch.preset)
    const opened = await this.#open(launch, commandLine(facts.argv, { cwd: launch.cwd }))
    if ("ok" in opened) {
      this.#presets.delete(launch.agent)
      return opened
    }
    this.#agents.set(launch.agent, opened)
    void opened.child.exited.then(({ code }) => this.#forget(opened, code))
    this.#options.events?.session?.(launch.agent, opened.session)
    if (launch.prompt !== null) {
      const begun = await this.#prompt(opened, launch.prompt)
      if (begun !== null) {
        await opened.child.stop({ graceMs: 1_000 })
        return begun.code === "QUOTA_EXHAUSTED" ? begun : refused("SPAWN_FAILED", begun.detail)
      }
    }
    return { ok: true, address: this.#addressOf(opened) }
  }

  /** Settles when its turn has begun: behind a turn that is under way it waits for its end. */
  async deliver(address: Address, { text }: Delivery): Promise<Delivered> {
    const agent = this.#agents.get(own(address).agent)
    if (agent === undefined) return refused("TARGET_NOT_FOUND", `${address.agent} does not run here`)
    const failed = await this.#prompt(agent, text)
    return failed ?? { ok: true, channel: "acp", handed: true, detail: `prompt of conversation ${agent.session}` }
  }

  async alive(address: Address): Promise<Alive> {
    return this.#agents.get(own(address).agent)?.child.alive() === true ? { alive: true } : { alive: false, detail: "it does not run here", exit: null }
  }

  async lastHumanInputAtMs(): Promise<null> {
    return null
  }

  async interrupt(address: Address): Promise<void> {
    const agent = this.#agents.get(own(address).agent)
    if (agent === undefined) return
    await agent.connection.agent.notify(acp.methods.agent.session.cancel, { sessionId: agent.session }).catch(() => undefined)
    agent.cancelRequests()
  }

  async stop(address: Address, options?: { graceMs?: number }): Promise<void> {
    const agent = this.#agents.get(own(address).agent)
    if (agent === undefined) return
    agent.cancelRequests()
    await agent.child.stop(options)
    await this.#queues.get(agent.agent)
  }

  async capture(address: Address, { lines = 50 }: { lines?: number } = {}): Promise<string> {
    const shown = this.#agents.get(own(address).agent)?.shown ?? ""
    const last = shown.trimEnd().split("\n").slice(-lines)
    return last.map((line) => line.replace(/[\u0000-\u001f\u007f-\u009f]/g, "")).join("\n")
  }

  async running(): Promise<Address[]> {
    return [...this.#agents.values()].map((agent) => this.#addressOf(agent))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => this.stop(this.#addressOf(agent), { graceMs: 1_000 })))
  }

  async #open(launch: Launch, argv: readonly [string, ...string[]]): Promise<AcpConnection | Refused> {
    const [program, ...words] = argv
    const output = new TransformStream<Uint8Array, Uint8Array>()
    const writer = output.writable.getWriter()
    const logFile = this.#options.logFile?.(launch.agent) ?? null
    let child: RunningProcess
    try {
      child = await startProcess({
        name: launch.agent,
        argv: [launch.binary ?? program, ...words, ...(launch.args ?? [])],
        cwd: launch.cwd,
        env: { ...launch.env, PWD: launch.cwd },
        keepInput: true,
        // The protocol itself: nothing of it may be dropped.
        outputMaxBytes: Number.MAX_SAFE_INTEGER,
        ...(logFile === null ? {} : { logFile }),
        onOutput: ({ stream, text }) => {
          if (stream === "stdout") void writer.write(new TextEncoder().encode(text)).catch(() => undefined)
        },
      })
    } catch (error) {
      if (!(error instanceof ProcessError)) throw error
      return notStarted(error)
    }
    void child.exited.then(() => writer.close().catch(() => undefined))
    const input = new WritableStream<Uint8Array>({
      write: (chunk, controller) => {
        child.input?.write(chunk)
        if ((child.input?.writableLength ?? 0) > UNREAD_MAX_BYTES) controller.error(new Error("it does not read what it is answered"))
      },
    })
    let agent: AcpConnection | null = null
    const stream = sifted(acp.ndJsonStream(input, output.readable), (params) => agent?.take(params))
    const app = acp
      .client({ name: "skein" })
      .onRequest(acp.methods.client.session.requestPermission, ({ params }) => agent?.permit(params) ?? { outcome: { outcome: "cancelled" } })
    agent = new AcpConnection(launch.agent, app.connect(stream), child, this.#options)
    // Whoever cannot be spoken to any more is not alive, whatever its process does.
    void agent.connection.closed.then(() => child.stop({ graceMs: 1_000 }))
    const failed = await this.#converse(agent, launch)
    if (failed === null) return agent
    agent.connection.close()
    await child.stop({ graceMs: 1_000 })
    const complaint = child.tail("stderr").trim().slice(-500)
    return complaint === "" ? failed : { ...failed, detail: `${failed.detail}; it said: ${complaint}` }
  }

  async #converse(agent: AcpConnection, { cwd, resumeId }: Launch): Promise<Refused | null> {
    const { agent: peer } = agent.connection
    const openMaxMs = this.#options.openMaxMs ?? OPEN_MAX_MS
    const signal = AbortSignal.timeout(openMaxMs)
    const failed = resumeId === null ? "SPAWN_FAILED" : "RESUME_FAILED"
    try {
      const introduced = { protocolVersion: acp.PROTOCOL_VERSION, clientCapabilities: {}, clientInfo: { name: "skein", version: "1" } }
      const { agentCapabilities, protocolVersion } = fieldsOf(await within(agent, peer.request(acp.methods.agent.initialize, introduced), signal))
      if (protocolVersion !== acp.PROTOCOL_VERSION) {
        const version = typeof protocolVersion === "number" ? protocolVersion : "?"
        return refused("SPAWN_FAILED", `it speaks version ${version} of ACP, not ${acp.PROTOCOL_VERSION}`)
      }
      const can = fieldsOf(agentCapabilities)
      if (resumeId === null) {
        const { sessionId } = fieldsOf(await within(agent, peer.request(acp.methods.agent.session.new, { cwd, mcpServers: [] }), signal))
        if (!isConversation(sessionId)) return refused("SPAWN_FAILED", "it does not name the conversation that it opened")
        agent.session = sessionId
        return null
      }
      const params = { sessionId: resumeId, cwd, mcpServers: [] }
      if (fieldsOf(can["sessionCapabilities"])["resume"]) await within(agent, peer.request(acp.methods.agent.session.resume, params), signal)
      else if (can["loadSession"] === true) await within(agent, peer.request(acp.methods.agent.session.load, params), signal)
      else return refused("RESUME_FAILED", "it cannot go on with an earlier conversation")
      agent.goesOnWith(resumeId)
      return null
    } catch (error) {
      return refused(failed, signal.aborted ? `no answer within ${openMaxMs} ms` : messageOf(error))
    }
  }

  /** Null when the turn is under way, or over already. */
  #prompt(agent: AcpConnection, text: string): Promise<Refused | null> {
    return new Promise((settle) => {
      const before = this.#queues.get(agent.agent) ?? Promise.resolve()
      const done = before.then(() => this.#turn(agent, text, settle))
      this.#queues.set(agent.agent, done)
    })
  }

  async #turn(agent: AcpConnection, text: string, begun: (failed: Refused | null) => void): Promise<void> {
    if (!agent.child.alive() || this.#agents.get(agent.agent) !== agent) return begun(refused("TARGET_NOT_FOUND", `${agent.agent} has ended before this turn`))
    this.#options.events?.turn?.(agent.agent, "started")
    agent.busy = true
    let isTold = false
    const timer = setTimeout(() => begun(((isTold = true), null)), FAILS_WITHIN_MS)
    try {
      const prompt = { sessionId: agent.session, prompt: [{ type: "text" as const, text }] }
      const answer = fieldsOf(await within(agent, agent.connection.agent.request(acp.methods.agent.session.prompt, prompt)))
      begun(null)
      agent.reportUsage(answer["usage"])
    } catch (error) {
      const said = errorText(error)
      const quota = quotaNotice(said, this.#presets.get(agent.agent)?.screen.exhausted ?? [], Date.now())
      if (quota !== null && isTold) this.#options.events?.exhausted?.(agent.agent, quota)
      begun(quota === null ? refused("SEND_KEYS_ERROR", said) : outOfQuota(quota))
    } finally {
      clearTimeout(timer)
      agent.busy = false
      this.#options.events?.turn?.(agent.agent, "ended")
    }
  }

  #forget(agent: AcpConnection, code: number | null): void {
    agent.cancelRequests()
    agent.connection.close()
    if (this.#agents.get(agent.agent) === agent) {
      this.#agents.delete(agent.agent)
      this.#presets.delete(agent.agent)
    }
    this.#options.events?.ended?.(agent.agent, code, agent.child.tail("stderr").trim().slice(-500))
  }

  #addressOf({ agent, session, child }: AcpConnection): Address {
    return { channel: "acp", agent, preset: this.#presets.get(agent)?.name ?? "", session, pid: child.pid }
  }
}

/** An agent that ends, or takes too long, answers nothing any more. */
function within<T>({ child, connection }: { child: RunningProcess; connection: ClientConnection }, answer: Promise<T>, signal?: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    answer.then(resolve, reject)
    void child.exited.then(({ code }) => reject(new Error(`it ended with status ${code}`)))
    void connection.closed.then(() => reject(new Error("it closed the connection")))
    signal?.addEventListener("abort", () => reject(new Error("no answer in time")))
  })
}

/** The protocol's errors may tell what it is about in their data alone. */
function errorText(error: unknown): string {
  const data = typeof error === "object" && error !== null && "data" in error ? JSON.stringify(error.data) : undefined
  return `${messageOf(error)}${data === undefined ? "" : `: ${data}`}`.slice(0, TOLD_MAX)
}

function messageOf(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).slice(0, TOLD_MAX)
  return text.trim() === "" ? "it failed without a word" : text
}

function own(address: Address): Address {
  if (address.channel !== "acp") throw new RangeError(`the acp driver was given an address of channel ${address.channel}`)
  return address
}
