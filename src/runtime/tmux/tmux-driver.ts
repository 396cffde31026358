import { randomUUID } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import {
  type Address,
  type Alive,
  type Delivered,
  type Delivery,
  type Driver,
  type DriverEvents,
  type Launch,
  type Refused,
  lacking,
  refused,
  type Started,
} from "../driver.ts"
import { childEnvironment, findExecutable, unusableDirectory } from "../environment.ts"
import { type AgentPreset, commandLine } from "../presets/preset.ts"
import { processRow } from "../process-table.ts"
import { membersOf, type Pane, PANE_FORMAT, readPane, reap, UNTOLD } from "./pane.ts"
import { CLIENT_FORMAT, People } from "./people.ts"
import { sightOf } from "./screen.ts"
import { TmuxServer } from "./server.ts"
import { literal, type Reply } from "./tmux-command.ts"
import { Typing } from "./typing.ts"

type PaneAddress = Extract<Address, { channel: "tmux" }>

export type TmuxOptions = {
  /** The server's name: `socketName(instance directory)`. */
  socket: string
  /** The session that agents get their windows in: letters, digits, `_` and `-`. */
  workspace: string
  /** The preset of an address, by its name; null where there is none any more. */
  preset(name: string): AgentPreset | null
  /** Default: control mode, with processes while that is not up. */
  controlMode?: boolean
  events?: DriverEvents
  nowMs?: () => number
}

const POLL_MS = 1_000
const GRACE_MS = 5_000
const LOOK_MS = 100
const KILLED_WITHIN_MS = 2_000
/** Its terminal is closed, and a process may still be ending for so long: on a machine without time for it each of its threads waits for a turn. */
const ENDING_MS = 5_000
/** How often a process that has ended is looked for in the system's table. */
const REAPS = 25
const REAP_MS = 20
/** An agent that was found running may have been started a moment ago; it may also be at work, and show no prompt. */
const FOUND_READY_WITHIN_MS = 2_000

/**
 * Agents in terminals: a session for each workspace, a window for each agent, on a server of the instance's own, so that people can attach and watch
 * (`tmux -L SOCKET attach -t WORKSPACE`). Agents outlive the supervisor; a pane is known by its id and its process together.
 */
export class TmuxDriver implements Driver {
  readonly channel = "tmux"
  readonly server: TmuxServer
  readonly #options: TmuxOptions
  readonly #people = new People()
  readonly #typing: Typing
  readonly #queues = new Map<string, Promise<unknown>>()
  /** Panes that have been seen alive, and whether they have already shown that they take input. */
  readonly #known = new Map<string, { agent: string; pid: number; ready: boolean; waitUntilMs: number }>()
  #poll: NodeJS.Timeout | null = null
  #polling = false

  constructor(options: TmuxOptions) {
    if (!/^[\w-]{1,64}$/.test(options.workspace)) throw new RangeError(`workspace ${JSON.stringify(options.workspace)}: letters, digits, _ and -, at most 64`)
    this.#options = options
    this.server = new TmuxServer({ socket: options.socket, ...(options.controlMode === undefined ? {} : { controlMode: options.controlMode }) })
    this.#typing = new Typing(this.server, this.#people, options.nowMs ?? Date.now)
  }

  async start(launch: Launch): Promise<Started> {
    const { agent, preset, resumeId } = launch
    if (!/^[\w-]{1,64}$/.test(agent)) throw new RangeError(`agent ${JSON.stringify(agent)}: letters, digits, _ and -, at most 64`)
    if (resumeId !== null && preset.interactive.resume === null) return refused("RESUME_FAILED", `${preset.name} cannot go on with an earlier conversation`)
    const { chooseSession } = preset.interactive
    const session = resumeId ?? (chooseSession === null ? null : randomUUID())
    const places = { session: session ?? "", cwd: launch.cwd }
    const [name, ...words] = commandLine((resumeId === null ? null : preset.interactive.resume) ?? preset.interactive.start, places)
    const chosen = resumeId === null && chooseSession !== null ? chooseSession.map((word) => word.replace("{session}", places.session)) : []
    const folder = await unusableDirectory(launch.cwd)
    if (folder !== null) return lacking(`the folder ${folder.path} cannot be used: ${folder.code}`)
    const env = childEnvironment(launch.env)
    const program = await findExecutable(launch.binary ?? name, launch.cwd, env["PATH"] ?? "/usr/bin:/bin")
    if (typeof program !== "string") return lacking(`there is no program ${program.path} that can be run: install it, or name its path (--binary)`)
    const argv = [program, ...words, ...chosen, ...(launch.args ?? [])] as const
    const opened = await this.#inTurn("start", async () => {
      const problem = await this.server.ensure()
      if (problem !== null) return problem
      const rival = (await this.#own()).find((pane) => pane.agent === agent && !pane.dead)
      if (rival !== undefined) return refused("SPAWN_FAILED", `${agent} runs already, in pane ${rival.pane}`)
      return this.#open(launch, argv, env, session)
    })
    return "ok" in opened ? opened : this.#begin(launch, opened)
  }

  deliver(address: Address, delivery: Delivery): Promise<Delivered> {
    const pane = own(address)
    const preset = this.#options.preset(pane.preset)
    if (preset === null) return Promise.resolve(refused("TARGET_NOT_FOUND", `there is no preset ${pane.preset}`))
    return this.#inTurn(pane.pane, async () => {
      const waited = await this.#untilReady(pane, preset)
      return waited ?? this.#typing.type(pane, preset.screen, delivery)
    })
  }

  async alive(address: Address): Promise<Alive> {
    const { pane: id, pid } = own(address)
    const pane = await this.#pane(id)
    if (typeof pane === "string") return { alive: false, detail: pane, exit: null }
    if (pane.pid !== pid) return { alive: false, detail: `pane ${id} holds process ${pane.pid}, not ${pid}`, exit: null }
    return pane.dead ? { alive: false, detail: `the agent has ended`, exit: await this.#exitOf(pane) } : { alive: true, untold: pane.untold }
  }

  async lastHumanInputAtMs(address: Address): Promise<number | null> {
    const clients = await this.server.run({ words: ["list-clients", "-F", CLIENT_FORMAT] })
    if (clients.ok) this.#people.look(clients.lines)
    return this.#people.typedAtMs(own(address).pane)
  }

  /** By Escape, as a person would: Ctrl-C can end an agent. */
  async interrupt(address: Address): Promise<void> {
    const { pane, pid } = own(address)
    await this.server.run({
      words: ["if-shell", "-F", "-t", pane, `#{&&:#{==:#{pane_pid},${pid}},#{==:#{pane_in_mode},0}}`, `send-keys -t ${pane} Escape`],
    })
  }

  async stop(address: Address, { graceMs = GRACE_MS }: { graceMs?: number } = {}): Promise<void> {
    const { pane: id, pid } = own(address)
    const pane = await this.#typing.pane(id)
    // Without the pane nobody says that the number still means the agent: it is not signalled.
    if (pane !== null && pane.pid === pid) {
      this.#known.delete(id)
      await endProcesses(pid, graceMs)
      const words = ["if-shell", "-F", "-t", id, `#{==:#{pane_pid},${pid}}`, `kill-pane -t ${id}`] as const
      await this.server.run({ words })
      await buried(pane)
    }
    this.#people.forget(id)
  }

  async capture(address: Address, { lines = 50 }: { lines?: number } = {}): Promise<string> {
    const shown = await this.#ask(["capture-pane", "-p", "-J", "-S", `-${Math.max(0, Math.trunc(lines))}`, "-t", own(address).pane])
    if (!shown.ok) return ""
    const text = shown.lines.join("\n").trimEnd().split("\n").slice(-lines)
    return text.map((line) => line.replace(/[\u0000-\u001f\u007f-\u009f]/g, "").trimEnd()).join("\n")
  }

  async running(): Promise<Address[]> {
    const found = await this.#own()
    for (const pane of found) if (!pane.dead) this.#know(this.#addressOf(pane), FOUND_READY_WITHIN_MS)
    return found.map((pane) => this.#addressOf(pane))
  }

  /** The panes of agents. */
  async #own(): Promise<Pane[]> {
    return (await this.#panes()).filter(({ agent, session }) => agent !== "" && session === this.#options.workspace)
  }

  async close(): Promise<void> {
    if (this.#poll !== null) clearInterval(this.#poll)
    this.#poll = null
    await Promise.allSettled(this.#queues.values())
    await this.server.close()
  }

  async #open(
    launch: Launch,
    argv: readonly [string, ...string[]],
    env: Readonly<Record<string, string>>,
    session: string | null,
  ): Promise<PaneAddress | Refused> {
    const { workspace } = this.#options
    // Which terminal it has, tmux knows.
    const variables = Object.entries(env).flatMap(([name, value]) => (name === "TERM" ? [] : ["-e", `${name}=${value}`]))
    // tmux gives a single word to a shell; this one only ever sees its own text.
    const program = argv.length === 1 ? ["/bin/sh", "-c", 'exec "$@"', "sh", ...argv] : argv
    const words = ["-n", launch.agent, "-P", "-F", PANE_FORMAT, "-c", literal(launch.cwd), ...variables, "--", ...program]
    // Whose it is, is said in the same step: a pane that says nothing would be nobody's when its supervisor is killed here, and the agent started once more.
    const last = `=${workspace}:{end}`
    const untold = launch.prompt !== null && launch.resumeId === null
    const marks = {
      "@skein_agent": launch.agent,
      "@skein_preset": launch.preset.name,
      ...(session === null ? {} : { "@skein_session": session }),
      ...(untold ? { [UNTOLD]: "1" } : {}),
    }
    const next = Object.entries(marks).map(([name, value]) => ["set-option", "-p", "-t", last, name, value] as const)
    // A session keeps what its first window was given, and would hand it to every other.
    const forgotten = Object.keys(env).map((name) => ["set-environment", "-t", `=${workspace}`, "-u", name] as const)
    const fresh = await this.server.run({ words: ["new-session", "-d", "-s", workspace, "-x", "200", "-y", "50", ...words], next: [...next, ...forgotten] })
    // Asking first would leave a moment in which another supervisor opens the session.
    const there = !fresh.ok && /duplicate session/.test(fresh.error)
    const opened = there ? await this.server.run({ words: ["new-window", "-d", "-a", "-t", last, ...words], next }) : fresh
    if (!opened.ok) return refused("SPAWN_FAILED", opened.error)
    const pane = readPane(opened.lines.at(-1) ?? "")
    if (pane === null) return refused("SPAWN_FAILED", `tmux did not say which pane it opened: ${opened.lines.join(" ")}`)
    const address = this.#addressOf({ ...pane, agent: launch.agent, preset: launch.preset.name, conversation: session })
    this.#know(address, launch.preset.screen.readyWithinMs)
    return address
  }

  /** Gives it its first text. */
  async #begin(launch: Launch, address: PaneAddress): Promise<Started> {
    if (launch.prompt === null) return { ok: true, address }
    const given = await this.deliver(address, { text: launch.prompt, nonce: null, form: "body", quietMs: 0, acknowledged: () => false })
    if (given.ok) return { ok: true, address }
    await this.stop(address, { graceMs: 1_000 })
    if (given.code === "QUOTA_EXHAUSTED") return given
    return refused(
      launch.resumeId === null ? "SPAWN_FAILED" : "RESUME_FAILED",
      `it was started and ended again, since it did not take its first text: ${given.detail}`,
    )
  }

  /** A fresh agent swallows what comes before it is ready; later its prompt may look otherwise. */
  async #untilReady(address: PaneAddress, preset: AgentPreset): Promise<Delivered | null> {
    const known = this.#know(address, Math.min(FOUND_READY_WITHIN_MS, preset.screen.readyWithinMs))
    if (known.ready || preset.screen.ready.length === 0) return null
    for (;;) {
      const alive = await this.alive(address)
      if (!alive.alive)
        return refused(
          "PANE_DEAD",
          alive.exit === null ? alive.detail : `${alive.detail} with status ${alive.exit}: ${await this.capture(address, { lines: 5 })}`,
        )
      const sight = sightOf({ text: await this.capture(address, { lines: 50 }), before: "" }, preset.screen)
      if (sight.menu) return refused("MENU_OPEN", "the agent asks something before it begins")
      if (sight.ready) break
      // It takes longer than it should, or looks otherwise: what stands in the way of typing is looked for all the same.
      if (performance.now() > known.waitUntilMs) break
      await sleep(LOOK_MS)
    }
    known.ready = true
    return null
  }

  #inTurn<T>(pane: string, work: () => Promise<T>): Promise<T> {
    const done = (this.#queues.get(pane) ?? Promise.resolve()).then(work, work)
    this.#queues.set(pane, done)
    void done.finally(() => this.#queues.get(pane) === done && this.#queues.delete(pane)).catch(() => undefined)
    return done
  }

  /** What was asked when control mode broke is asked again: it changes nothing. */
  async #ask(words: readonly [string, ...string[]]): Promise<Reply> {
    const first = await this.server.run({ words })
    return first.ok || !first.lost ? first : this.server.run({ words })
  }

  async #panes(): Promise<Pane[]> {
    const listed = await this.#ask(["list-panes", "-a", "-F", PANE_FORMAT])
    return listed.ok ? listed.lines.flatMap((line) => readPane(line) ?? []) : []
  }

  /** What is in a pane, or why nothing is. */
  async #pane(id: string): Promise<Pane | string> {
    const found = await this.#ask(["display-message", "-p", "-t", id, PANE_FORMAT])
    return found.ok ? (readPane(found.lines[0] ?? "") ?? `there is no pane ${id}`) : found.error
  }

  /** The status of what has ended; null when a signal ended it, or tmux does not say. */
  async #exitOf({ pane: id, pid }: Pane): Promise<number | null> {
    for (const endsAt = performance.now() + ENDING_MS; ; await sleep(REAP_MS)) {
      // Looked at first: of a process that is gone tmux has the status, if ever.
      const gone = (await processRow(pid)) === null
      const pane = await this.#pane(id)
      if (typeof pane === "string" || pane.pid !== pid) return null
      if (pane.exit !== null || pane.signalled) return pane.exit
      if (gone || performance.now() > endsAt) return null
      reap(pane)
    }
  }

  #addressOf(pane: Pane): PaneAddress {
    const { socket } = this.#options
    return { channel: "tmux", agent: pane.agent, preset: pane.preset, session: pane.conversation, socket, pane: pane.pane, pid: pane.pid }
  }

  /** From now on its end is told of. */
  #know({ pane, agent, pid }: PaneAddress, readyWithinMs: number): { ready: boolean; waitUntilMs: number } {
    this.#poll ??= setInterval(() => void this.#look(), POLL_MS).unref()
    const known = this.#known.get(pane)
    if (known?.pid === pid) return known
    const fresh = { agent, pid, ready: false, waitUntilMs: performance.now() + readyWithinMs }
    this.#known.set(pane, fresh)
    return fresh
  }

  async #look(): Promise<void> {
    if (this.#polling) return
    this.#polling = true
    try {
      const panes = new Map((await this.#panes()).map((pane) => [pane.pane, pane]))
      const clients = await this.server.run({ words: ["list-clients", "-F", CLIENT_FORMAT] })
      if (clients.ok) this.#people.look(clients.lines)
      for (const [id, { agent, pid }] of this.#known) {
        const pane = panes.get(id)
        if (pane !== undefined && pane.pid === pid && !pane.dead) continue
        this.#known.delete(id)
        const exit = pane?.pid === pid ? await this.#exitOf(pane) : null
        this.#options.events?.ended?.(agent, exit, pane === undefined ? "its pane has gone" : "the agent has ended")
      }
    } finally {
      this.#polling = false
    }
  }
}

function own(address: Address): PaneAddress {
  if (address.channel !== "tmux") throw new RangeError(`the tmux driver was given an address of channel ${address.channel}`)
  return address
}

async function endProcesses(pid: number, graceMs: number): Promise<void> {
  let members = await membersOf(pid)
  signal(members, "SIGTERM")
  signal(members, "SIGCONT")
  members = await goneWithin(pid, members, graceMs)
  signal(members, "SIGKILL")
  await goneWithin(pid, members, KILLED_WITHIN_MS)
}

/** Its end has been asked for, so that nothing of it is left in the system's table. */
async function buried(pane: Pane): Promise<void> {
  for (let times = 0; times < REAPS && (await processRow(pane.pid))?.zombie === true; times += 1) {
    reap(pane)
    await sleep(REAP_MS)
  }
}

/** Who is left. */
async function goneWithin(pid: number, members: number[], withinMs: number): Promise<number[]> {
  const endsAt = performance.now() + withinMs
  let left = members
  while (left.length > 0 && performance.now() < endsAt) {
    await sleep(LOOK_MS)
    left = await membersOf(pid)
  }
  return left
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name)
    } catch {
      // It has ended meanwhile.
    }
  }
}
