import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import type { TestContext } from "vitest"
import { type HttpClient, httpClient } from "../src/client/http.ts"
import type { Running } from "../src/runtime/supervised.ts"
import { bornOf, SupervisorFolder } from "../src/runtime/supervisor-folder.ts"
import { socketName } from "../src/runtime/tmux/server.ts"
import { json, newRepository, skein, startSkein, tidyFolder, until } from "./cli-driver.ts"
import { kill, leftRunning } from "./left-running.ts"

/** Null where tmux is, else what a run without it has to say. */
export const withoutTmux: string | null =
  spawnSync("tmux", ["-V"]).status === 0 ? null : "SKIPPED: no agent is run in a terminal, since there is no tmux: apt-get install tmux"

export type Heard = {
  atMs: number
  pid: number
  event: string
  how?: string
  text?: string
  nonce?: string | null
  thread?: string
  message?: number
  body?: string
  conversation?: string
}

/** Fast enough for a test, slow enough for two busy processors. */
const WAKE = {
  reconcileMs: 400,
  restartMs: 100,
  restartMaxMs: 500,
  restarts: 1_000,
  stopMs: 1_500,
  ackMs: 3_000,
  startAckMs: 10_000,
  retryMs: 300,
  quietMs: 500,
  pollMs: 500,
  claimMs: 6_000,
  recheckMs: 300,
}

export type Rig = {
  folder: string
  /** Where the agents write what happens to them. */
  heardIn: string
  hub: HttpClient
  registry: SupervisorFolder
  socket: string
  skein(...args: string[]): Promise<Record<string, unknown>[]>
  tmux(...args: string[]): string
  heard(agent: string, event?: string): Heard[]
  running(agent: string): Running
  /** Settles when it is recorded as over in this way, its place is cleared, and the hub has heard of its session's end: that comes last. */
  isOver(agent: string, as: "ended" | "given_up" | "stopped"): Promise<true>
  /** Posts a message in a thread of the agents, and gives its body. */
  post(thread: string, body: string): Promise<string>
  /** Settles when the agent has read it. */
  hasRead(agent: string, body: string, ms?: number): Promise<Heard>
  supervisorPid(): number
  down(): Promise<void>
}

const rigs: { folder: string; socket: string; hub: HttpClient }[] = []

type RigOptions = {
  wake?: Partial<Record<string, number>>
  supervise?: boolean
  /** Further settings of the instance; its presets stand beside `reader`. */
  settings?(heardIn: string): { presets?: object; [name: string]: unknown }
}

/** A rig that ends with its test, and not with the tests that run beside it. */
export async function rigOf({ onTestFinished }: Pick<TestContext, "onTestFinished">, options: RigOptions = {}): Promise<Rig> {
  const rig = await newRig(options)
  onTestFinished(async () => {
    await tidyRig(rig.folder)
    await tidyFolder(rig.folder)
  })
  return rig
}

/** A repository with a hub and a supervisor whose agents are scripted, in real terminals. */
export async function newRig({ wake = {}, supervise = true, settings = () => ({}) }: RigOptions = {}): Promise<Rig> {
  const folder = newRepository()
  const heardIn = join(folder, "heard")
  mkdirSync(join(folder, ".skein"), { recursive: true, mode: 0o700 })
  mkdirSync(heardIn)
  const script = [process.execPath, "--disable-warning=ExperimentalWarning", resolve("test/terminal/reading-agent.ts"), heardIn]
  const reader = {
    interactive: { start: [...script, "new"], resume: [...script, "resume", "{session}"], chooseSession: ["{session}"] },
    screen: {
      ready: ["^ready for input"],
      exhausted: ["hit your usage limit"],
      emptyInput: "^> $",
      bracketedPaste: true,
      enterAfterMs: 60,
      readyWithinMs: 10_000,
    },
  }
  const { presets = {}, ...more } = settings(heardIn)
  writeFileSync(join(folder, ".skein", "config.yaml"), JSON.stringify({ ...more, wake: { ...WAKE, ...wake }, presets: { reader, ...presets } }))
  await json(folder, ["up", ...(supervise ? ["--supervise"] : [])])
  const { url } = JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }
  const hub = httpClient({ url, credentialFile: join(folder, ".skein", "operator.credential"), timeoutMs: 10_000 })
  const registry = new SupervisorFolder(join(folder, ".skein", "supervisor"))
  const socket = socketName(join(folder, ".skein"))
  rigs.push({ folder, socket, hub })
  const heard = (agent: string, event?: string): Heard[] => {
    const file = join(heardIn, `${agent}.jsonl`)
    const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : []
    const all = lines.flatMap((line) => (line.endsWith("}") ? [JSON.parse(line) as Heard] : []))
    return event === undefined ? all : all.filter((one) => one.event === event)
  }
  return {
    folder,
    heardIn,
    hub,
    registry,
    socket,
    skein: (...args) => json(folder, args),
    tmux: (...args) => spawnSync("tmux", ["-L", socket, ...args], { encoding: "utf8", timeout: 10_000 }).stdout,
    heard,
    running: (agent) => registry.runningOf(agent),
    isOver: (agent, as) =>
      until(() => {
        const { state, address } = registry.runningOf(agent)
        return state === as && address === null ? true : undefined
      }, `${agent} is ${as}`),
    post: async (thread, body) => {
      await hub.call("message.post", { thread, body })
      return body
    },
    hasRead: (agent, body, ms = 30_000) =>
      until(
        () => heard(agent, "read").find((one) => one.body === body),
        `${agent} has read ${JSON.stringify(body)}: ${JSON.stringify(heard(agent).slice(-5))}`,
        ms,
      ),
    supervisorPid: () => registry.holder()?.pid ?? 0,
    down: async () => void (await skein(folder, ["down"])),
  }
}

/** Agents `reader-1` …, each in a thread of its own with the operator, `talk-1` …. */
export async function spawned(rig: Rig, count = 1, ...options: string[]): Promise<void> {
  await rig.skein("swarm", "spawn", "--agent", "reader", "--count", String(count), ...options)
  for (let number = 1; number <= count; number += 1) {
    await rig.hub.call("thread.create", { thread: `talk-${number}`, title: "Talk", participants: [`reader-${number}`] })
    await until(() => (rig.tmux("capture-pane", "-p", "-t", `main:reader-${number}`).includes("ready for input") ? true : undefined), "it takes input")
    // The agent may be faster than the supervisor, which writes down that it runs, and last its session.
    await until(() => (pidOf(rig, `reader-${number}`) > 0 && rig.running(`reader-${number}`).session !== null) || undefined, "it is known to run")
  }
}

export function pidOf(rig: Rig, agent: string): number {
  const { address } = rig.running(agent)
  return address !== null && "pid" in address ? address.pid : 0
}

export const ended = (pid: number): Promise<true> => until(() => (bornOf(pid) === null ? true : undefined), `process ${pid} has ended`)

export type FarMachine = {
  folder: string
  socket: string
  registry: SupervisorFolder
  /** Starts its supervisor, and settles once that is at work. */
  start(): Promise<void>
  /** Ends it as a service manager would. */
  stop(): Promise<void>
}

/** Another machine: a repository with an instance of its own and no hub, whose supervisor keeps agents like one that the rig has. */
export async function newFarMachine(rig: Rig, { name, agents, like }: { name: string; agents: readonly string[]; like: string }): Promise<FarMachine> {
  const folder = newRepository()
  const wanted = join(folder, ".skein", "supervisor", "wanted")
  mkdirSync(wanted, { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, ".skein", "config.yaml"), readFileSync(join(rig.folder, ".skein", "config.yaml"), "utf8"))
  const joined = async (agent: string, role: "supervisor" | "worker"): Promise<string> => {
    await rig.hub.call("agent.add", { name: agent, role, kind: "reader" })
    const file = join(folder, ".skein", `${agent}.credential`)
    writeFileSync(file, `${(await rig.hub.call("credential.issue", { agent })).credential}\n`, { mode: 0o600 })
    return file
  }
  const own = await joined(name, "supervisor")
  const { revision: _, ...model } = rig.registry.wantedOf(like) ?? { revision: 0 }
  for (const agent of agents)
    writeFileSync(join(wanted, `${agent}.json`), JSON.stringify({ ...model, agent, cwd: folder, credentialFile: await joined(agent, "worker"), revision: 1 }))
  const { url } = JSON.parse(readFileSync(join(rig.folder, ".skein", "hub.json"), "utf8")) as { url: string }
  const registry = new SupervisorFolder(join(folder, ".skein", "supervisor"))
  const socket = socketName(join(folder, ".skein"))
  rigs.push({ folder, socket, hub: rig.hub })
  return {
    folder,
    socket,
    registry,
    start: async () => {
      startSkein(folder, ["supervisor", "--name", name, "--url", url, "--json"], { SKEIN_TOKEN_FILE: own }, { withinMs: null })
      await until(() => (registry.holder() === null ? undefined : true), `${name} supervises`)
    },
    stop: async () => {
      const holder = registry.holder()
      if (holder === null) return
      process.kill(holder.pid, "SIGTERM")
      await until(() => (bornOf(holder.pid) === null ? true : undefined), `${name} has ended`)
    },
  }
}

/** Ends all that tests left, whatever state it is in. */
export async function tidyRigs(): Promise<void> {
  for (const { folder } of [...rigs]) await tidyRig(folder)
}

/** Ends what one rig left, or one far machine, for tests that have others beside them. */
async function tidyRig(of: string): Promise<void> {
  const at = rigs.findIndex(({ folder }) => folder === of)
  for (const { folder, socket, hub } of at === -1 ? [] : rigs.splice(at, 1)) {
    hub.close()
    const holder = new SupervisorFolder(join(folder, ".skein", "supervisor")).holder()
    if (holder !== null) kill(holder.pid)
    await until(() => (holder === null || bornOf(holder.pid) === null ? true : undefined), "the supervisor is gone")
    spawnSync("tmux", ["-L", socket, "kill-server"])
    await until(() => (leftRunning({ folder, socket }).filter((line) => line.includes("reading-agent")).length === 0 ? true : undefined), "the agents are gone")
  }
}
