import { randomUUID } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
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
import { commandLine, type HeadlessFacts } from "./presets/preset.ts"
import { quotaNotice } from "./quota-notice.ts"
import { notStarted, ProcessError, type RunningProcess, startProcess } from "./process.ts"

export type HeadlessOptions = {
  /** The output of an agent is appended to this file; null keeps only its end. */
  logFile?: (agent: string) => string | null
  /** A line of JSON that an agent wrote: its text, what it used. */
  line?(agent: string, line: Readonly<Record<string, unknown>>): void
  events?: DriverEvents
}

/** How a turn began: it is under way, or it has failed already. */
type Begun = { ok: true } | Refused

type Agent = {
  launch: Launch
  facts: HeadlessFacts
  session: string | null
  turn: RunningProcess | null
  /** Turns, one after another. */
  queue: Promise<unknown>
  last: Alive
  text: string
  stopped: boolean
}

/** After a sign of life an agent may still say that it does not know the conversation. */
const FAILS_WITHIN_MS = 500
/** Without any sign, a process that has not ended is taken to be at work. */
const SILENT_MS = 60_000
const LINE_MAX = 1024 * 1024

/**
 * Agents without a terminal: a process for each turn (`claude -p`, `codex exec`, …), which goes on with the conversation by its id. A delivery starts a turn;
 * while one is under way it waits for its end. They end with this process.
 */
export class HeadlessDriver implements Driver {
  readonly channel = "process"
  readonly #agents = new Map<string, Agent>()
  readonly #options: HeadlessOptions

  constructor(options: HeadlessOptions = {}) {
    this.#options = options
  }

  async start(launch: Launch): Promise<Started> {
    const facts = launch.preset.headless
    if (facts === null) return lacking(`${launch.preset.name} cannot be run without a terminal`)
    if (launch.resumeId !== null && facts.resume === null) return refused("RESUME_FAILED", `${launch.preset.name} cannot go on with an earlier conversation`)
    const rival = this.#agents.get(launch.agent)
    if (rival !== undefined && !rival.stopped) return refused("SPAWN_FAILED", `${launch.agent} runs already`)
    const agent: Agent = { launch, facts, session: launch.resumeId, turn: null, queue: Promise.resolve(), last: { alive: true }, text: "", stopped: false }
    this.#agents.set(launch.agent, agent)
    if (launch.prompt !== null) {
      const begun = await this.#inTurn(agent, launch.prompt)
      if (!begun.ok) {
        this.#agents.delete(launch.agent)
        return begun
      }
    }
    return { ok: true, address: addressOf(agent) }
  }

  async deliver(address: Address, { text }: Delivery): Promise<Delivered> {
    const agent = this.#agents.get(own(address).agent)
    if (agent === undefined || agent.stopped) return refused("TARGET_NOT_FOUND", `${address.agent} does not run here`)
    const begun = await this.#inTurn(agent, text)
    return begun.ok ? { ok: true, channel: "process", handed: true, detail: `turn of process ${agent.turn?.pid ?? "that has ended"}` } : begun
  }

  /** Between turns it is alive too, unless the last one failed. */
  async alive(address: Address): Promise<Alive> {
    const agent = this.#agents.get(own(address).agent)
    if (agent === undefined || agent.stopped) return { alive: false, detail: "it does not run here", exit: null }
    return agent.turn === null ? agent.last : { alive: true }
  }

  async lastHumanInputAtMs(): Promise<null> {
    return null
  }

  async interrupt(address: Address): Promise<void> {
    this.#agents.get(own(address).agent)?.turn?.interrupt()
  }

  async stop(address: Address, options?: { graceMs?: number }): Promise<void> {
    const agent = this.#agents.get(own(address).agent)
    if (agent === undefined) return
    agent.stopped = true
    await agent.turn?.stop(options)
    await agent.queue
    if (this.#agents.get(address.agent) === agent) this.#agents.delete(address.agent)
  }

  async capture(address: Address, { lines = 50 }: { lines?: number } = {}): Promise<string> {
    const agent = this.#agents.get(own(address).agent)
    const text = agent?.turn?.tail() ?? agent?.text ?? ""
    const shown = text.trimEnd().split("\n").slice(-lines)
    return shown.map((line) => line.replace(/[\u0000-\u001f\u007f-\u009f]/g, "")).join("\n")
  }

  async running(): Promise<Address[]> {
    return [...this.#agents.values()].filter(({ stopped }) => !stopped).map(addressOf)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => this.stop(addressOf(agent), { graceMs: 1_000 })))
  }

  /** Settles when the turn has begun; the next one waits for its end. */
  #inTurn(agent: Agent, prompt: string): Promise<Begun> {
    return new Promise((settle) => {
      agent.queue = agent.queue.then(async () => {
        if (agent.stopped) return settle(refused("TARGET_NOT_FOUND", `${agent.launch.agent} was stopped before this turn`))
        await this.#turn(agent, prompt, settle)
      })
    })
  }

  async #turn(agent: Agent, prompt: string, begun: (begun: Begun) => void): Promise<void> {
    const { launch, facts } = agent
    const resumes = agent.session !== null
    const session = agent.session ?? (facts.chooseSession === null ? null : randomUUID())
    const lines = new JsonLines()
    let told = (): void => {}
    const sign = new Promise<void>((settle) => (told = settle))
    let turn: RunningProcess
    let isTold = false
    const tell = (answer: Begun): void => {
      isTold = true
      begun(answer)
    }
    try {
      turn = await startProcess({
        name: launch.agent,
        argv: argvOf(launch, facts, { prompt, session, resumes }),
        cwd: launch.cwd,
        // Some agents believe PWD, whatever folder they were started in.
        env: { ...launch.env, PWD: launch.cwd },
        ...(facts.promptBy === "stdin" ? { stdin: prompt } : {}),
        ...this.#log(launch.agent),
        onOutput: ({ stream, text }) => {
          if (stream !== "stdout") return
          for (const line of lines.take(text)) {
            this.#options.line?.(launch.agent, line)
            const found = sessionIn(line, facts)
            if (found === null) continue
            told()
            if (line["is_error"] !== true) this.#converses(agent, found)
          }
        },
      })
    } catch (error) {
      if (!(error instanceof ProcessError)) throw error
      agent.last = { alive: false, detail: error.message, exit: null }
      return begun(notStarted(error))
    }
    agent.turn = turn
    this.#options.events?.turn?.(launch.agent, "started")
    const ended = turn.exited.then((exit) => {
      agent.turn = null
      agent.text = turn.tail()
      const detail = exit.code === 0 ? "its turn has ended" : lastWords(turn)
      const quota = exit.code === 0 ? null : quotaNotice(`${turn.tail("stderr")} ${turn.tail("stdout")}`, launch.preset.screen.exhausted, Date.now())
      agent.last = exit.code === 0 || quota !== null ? { alive: true } : { alive: false, detail, exit: exit.code }
      this.#options.events?.turn?.(launch.agent, "ended")
      if (quota !== null && isTold) this.#options.events?.exhausted?.(launch.agent, quota)
      else if (exit.code !== 0 && quota === null) this.#options.events?.ended?.(launch.agent, exit.code, detail)
      return { ...exit, quota }
    })
    const saysUnknown = (): boolean => resumes && new RegExp(facts.unknownSession.says, "iu").test(turn.tail())
    // Whoever has said that it does not know the conversation ends of it, on a busy machine seconds later.
    const failing = async (): Promise<Awaited<typeof ended> | undefined> =>
      (await Promise.race([ended, sleep(FAILS_WITHIN_MS)])) ?? (saysUnknown() ? ended : undefined)
    const early = await Promise.race([ended, sign.then(failing), sleep(SILENT_MS, undefined, { ref: false })])
    if (early === undefined || early.code === 0) {
      if (session !== null) this.#converses(agent, agent.session ?? session)
      tell({ ok: true })
    } else if (early.quota !== null) tell(outOfQuota(early.quota))
    else {
      const unknown = early.code === facts.unknownSession.exit && saysUnknown()
      tell(refused(unknown ? "RESUME_FAILED" : "SPAWN_FAILED", `status ${early.code ?? early.signal}: ${lastWords(turn)}`))
    }
    await ended
  }

  #converses(agent: Agent, session: string): void {
    if (agent.session === session) return
    agent.session = session
    this.#options.events?.session?.(agent.launch.agent, session)
  }

  #log(name: string): { logFile?: string } {
    const file = this.#options.logFile?.(name) ?? null
    return file === null ? {} : { logFile: file }
  }
}

function argvOf(
  launch: Launch,
  facts: HeadlessFacts,
  { prompt, session, resumes }: { prompt: string; session: string | null; resumes: boolean },
): [string, ...string[]] {
  const places = { session: session ?? "", prompt, cwd: launch.cwd }
  const [program, ...words] = commandLine((resumes ? facts.resume : null) ?? facts.start, places)
  const chosen = resumes || facts.chooseSession === null ? [] : facts.chooseSession.map((word) => word.replace("{session}", places.session))
  return [launch.binary ?? program, ...words, ...chosen, ...(launch.args ?? [])]
}

function sessionIn(line: Readonly<Record<string, unknown>>, { sessionFields }: HeadlessFacts): string | null {
  for (const path of sessionFields) {
    let value: unknown = line
    for (const key of path) value = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined
    if (isConversation(value)) return value
  }
  return null
}

/** What it complained of: the end of its standard error, else of its output, on one line. */
function lastWords(turn: RunningProcess): string {
  const words = turn.tail("stderr").trim() || turn.tail("stdout").trim()
  return words
    .replace(/\u001b\[[\d;]*m/g, "")
    .replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ")
    .slice(-500)
}

function own(address: Address): Address {
  if (address.channel !== "process") throw new RangeError(`the process driver was given an address of channel ${address.channel}`)
  return address
}

function addressOf({ launch, session, turn }: Agent): Address {
  return { channel: "process", agent: launch.agent, preset: launch.preset.name, session, pid: turn?.pid ?? 0 }
}

/** Lines of JSON objects out of pieces of text; what is none, or too long, is passed over. */
class JsonLines {
  #rest = ""

  take(text: string): Record<string, unknown>[] {
    const lines = (this.#rest + text).split("\n")
    this.#rest = (lines.pop() ?? "").slice(0, LINE_MAX)
    return lines.flatMap((line) => {
      if (!line.startsWith("{")) return []
      try {
        return [JSON.parse(line) as Record<string, unknown>]
      } catch {
        return []
      }
    })
  }
}
