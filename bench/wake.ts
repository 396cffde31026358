import { spawn, spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { httpClient, type HttpClient } from "../src/client/http.ts"
import type { AgentPreset } from "../src/runtime/presets/preset.ts"
import { processTable } from "../src/runtime/process-table.ts"
import { SupervisorFolder } from "../src/runtime/supervisor-folder.ts"
import { socketName } from "../src/runtime/tmux/server.ts"
import { TmuxDriver } from "../src/runtime/tmux/tmux-driver.ts"
import { endLater } from "./child.ts"
import { percentile, round, show, table } from "./figure.ts"
import { removeLast, sleep } from "./scratch.ts"

type Spread = { count: number; p50Ms: number; p95Ms: number; maxMs: number }

export type WakeOptions = { directory: string; rounds: number; panes: number; cpuMs: number }
export const WAKE: Omit<WakeOptions, "directory"> = { rounds: 40, panes: 100, cpuMs: 20_000 }

export type WakeReport = {
  /** From the call of the driver until the terminal program has taken the text, the pause before Enter (`enterAfterMs`) among it. */
  pane: { enterAfterMs: number; control: Spread; forking: Spread }
  /** From the call of `message.post` until the agent has the text that wakes it; `poll`: until a client that asks every 5 s knows. */
  turn: { native: Spread; tmux: Spread; poll: Spread }
  /** Of one processor, with so many idle agents in terminals: the supervisor with its tmux client, and the tmux server. */
  supervisor: { panes: number; cpuPercent: number; tmuxPercent: number }
}

function spread(takenMs: readonly number[]): Spread {
  const at = (share: number): number => round(percentile(takenMs, share))
  return { count: takenMs.length, p50Ms: at(0.5), p95Ms: at(0.95), maxMs: at(1) }
}

const LAUNCHER = resolve("bin/skein.cjs")
const POLL_MS = 5_000
const ENTER_AFTER_MS = 60
const NODE = [process.execPath, "--disable-warning=ExperimentalWarning"]

/** Needs tmux, and what `npm run build` made. */
export async function benchWake({ directory, rounds, panes, cpuMs }: WakeOptions): Promise<WakeReport> {
  const pane = { enterAfterMs: ENTER_AFTER_MS, control: await typing(directory, rounds, true), forking: await typing(directory, rounds, false) }
  const folder = join(directory, "repository")
  const socket = socketName(join(folder, ".skein"))
  const end = atExit(() => {
    spawnSync(process.execPath, [LAUNCHER, "down"], { cwd: folder })
    killServer(socket)
  })
  const place = await instance(directory, folder, Math.max(1, panes))
  try {
    const tmux = await woken(place, rounds)
    const native = await rewoken(place, Math.min(rounds, 15))
    const poll = await polled(place)
    return { pane, turn: { native, tmux, poll }, supervisor: { panes, ...(await idleCpu(place.registry, socket, panes, cpuMs)) } }
  } finally {
    end()
  }
}

/** What ends what runs in sessions of its own, where no signal of ours comes: once, when it is called, or else with the process. */
function atExit(end: () => void): () => void {
  process.once("exit", end)
  removeLast()
  return () => {
    process.off("exit", end)
    end()
  }
}

function killServer(socket: string): void {
  spawnSync("tmux", ["-L", socket, "kill-server"])
}

function readerIn(folder: string): AgentPreset["screen"] {
  mkdirSync(folder, { recursive: true })
  return {
    ready: ["^ready for input"],
    menus: [],
    exhausted: [],
    emptyInput: "^> $",
    bracketedPaste: true,
    enterAfterMs: ENTER_AFTER_MS,
    readyWithinMs: 20_000,
  }
}

async function typing(directory: string, rounds: number, controlMode: boolean): Promise<Spread> {
  const folder = join(directory, controlMode ? "control" : "forking")
  const preset: AgentPreset = {
    name: "reader",
    interactive: {
      start: [...NODE, resolve("test/terminal/reading-agent.ts"), folder, "new"] as unknown as [string, ...string[]],
      resume: null,
      chooseSession: null,
    },
    screen: readerIn(folder),
    headless: null,
    acp: null,
    native: null,
  }
  const socket = `skein-bench-${process.pid}`
  const end = atExit(() => killServer(socket))
  const driver = new TmuxDriver({ socket, workspace: "main", preset: () => preset, controlMode })
  try {
    const started = await driver.start({
      agent: "reader",
      preset,
      cwd: folder,
      env: { SKEIN_AGENT: "reader", SKEIN_URL: "http://127.0.0.1:9", SKEIN_TOKEN_FILE: "/none" },
      resumeId: null,
      prompt: "hello",
    })
    if (!started.ok) throw new Error(`${started.code}: ${started.detail}`)
    const taken: number[] = []
    for (let at = 0; at < rounds; at += 1) {
      const text = `wake number ${at}`
      const fromMs = Date.now()
      const delivered = await driver.deliver(started.address, { text, nonce: null, form: "nudge", quietMs: 0, acknowledged: () => false })
      if (!delivered.ok) throw new Error(`${delivered.code}: ${delivered.detail}`)
      taken.push((await heard(folder, "reader", (one) => one.text === text)).atMs - fromMs)
    }
    await driver.stop(started.address)
    return spread(taken)
  } finally {
    await driver.close()
    end()
  }
}

type Place = { folder: string; heardIn: string; hub: HttpClient; registry: SupervisorFolder }

async function instance(directory: string, folder: string, panes: number): Promise<Place> {
  const heardIn = join(directory, "heard")
  mkdirSync(join(folder, ".skein"), { recursive: true, mode: 0o700 })
  spawnSync("git", ["init", "-q", folder])
  const script = [...NODE, resolve("test/terminal/reading-agent.ts"), heardIn]
  const presets = {
    reader: { interactive: { start: [...script, "new"] }, screen: readerIn(heardIn) },
    idle: { interactive: { start: ["cat"] } },
  }
  writeFileSync(join(folder, ".skein", "config.yaml"), JSON.stringify({ presets, wake: { ratePerMinute: 100 } }))
  cli(folder, "up", "--supervise")
  cli(folder, "swarm", "spawn", "--agent", "reader")
  const { url } = JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }
  const hub = httpClient({ url, credentialFile: join(folder, ".skein", "operator.credential") })
  await hub.call("thread.create", { thread: "talk", title: "Talk", participants: ["reader-1"] })
  for (let left = panes; left > 0; left -= 50) cli(folder, "swarm", "spawn", "--agent", "idle", "--name", `idle${left}`, "--count", String(Math.min(50, left)))
  return { folder, heardIn, hub, registry: new SupervisorFolder(join(folder, ".skein", "supervisor")) }
}

function cli(folder: string, ...args: string[]): void {
  const ran = spawnSync(process.execPath, [LAUNCHER, ...args], { cwd: folder, encoding: "utf8", timeout: 180_000 })
  if (ran.status !== 0) throw new Error(`skein ${args.join(" ")}: ${ran.stdout}${ran.stderr}`)
}

type Heard = { atMs: number; event: string; text?: string; nonce?: string | null }

async function heard(folder: string, agent: string, is: (one: Heard) => boolean): Promise<Heard> {
  const file = join(folder, `${agent}.jsonl`)
  for (const deadline = performance.now() + 30_000; performance.now() < deadline; await sleep(3)) {
    const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : []
    const found = lines.flatMap((line) => (line.endsWith("}") ? [JSON.parse(line) as Heard] : [])).find(is)
    if (found !== undefined) return found
  }
  throw new Error(`${agent} did not get its text`)
}

async function woken({ hub, heardIn }: Place, rounds: number): Promise<Spread> {
  const taken: number[] = []
  let last: string | null | undefined
  for (let at = 0; at < rounds; at += 1) {
    const body = `number ${at}`
    const fromMs = Date.now()
    await hub.call("message.post", { thread: "talk", body })
    const text = await heard(heardIn, "reader-1", (one) => one.event === "text" && one.atMs >= fromMs && one.nonce !== last)
    taken.push(text.atMs - fromMs)
    last = text.nonce
    await heard(heardIn, "reader-1", (one) => one.event === "done" && one.nonce === last)
    // What comes while it is still at its turn wakes nobody: it reads it by itself.
    await sleep(100)
  }
  return spread(taken)
}

/** Claude Code's way: its hook waits at the hub, and ends with the messages as its text. */
async function rewoken({ hub, folder }: Place, rounds: number): Promise<Spread> {
  await hub.call("agent.add", { name: "claude", kind: "claude" })
  const file = join(folder, ".skein", "agents", "claude.credential")
  writeFileSync(file, `${(await hub.call("credential.issue", { agent: "claude" })).credential}\n`, { mode: 0o600 })
  const own = httpClient({ url: (JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }).url, credentialFile: file })
  await hub.call("thread.create", { thread: "native", title: "Native", participants: ["claude"] })
  const taken: number[] = []
  for (let at = 0; at < rounds; at += 1) {
    const child = spawn(process.execPath, [LAUNCHER, "hook", "claude", "rewake"], {
      cwd: folder,
      stdio: ["pipe", "ignore", "ignore"],
      env: { ...process.env, SKEIN_TOKEN_FILE: file },
    })
    endLater(child)
    const ended = new Promise<number>((settle) => child.once("exit", () => settle(Date.now())))
    child.stdin.end(JSON.stringify({ session_id: "bench", cwd: folder, hook_event_name: "Stop" }))
    await sleep(1_000)
    const fromMs = Date.now()
    await hub.call("message.post", { thread: "native", body: `number ${at}` })
    taken.push((await ended) - fromMs)
    // As the next call of its hooks does: what a conversation was shown, and has not acknowledged, wakes nobody at once.
    await own.call("message.ack", { thread: "native", lastReadSeq: at + 1 })
  }
  own.close()
  return spread(taken)
}

/** Clients that ask every 5 s, each at a moment of its own, as bridges without waking do. */
async function polled({ hub, folder }: Place): Promise<Spread> {
  await hub.call("agent.add", { name: "poller" })
  const file = join(folder, ".skein", "agents", "poller.credential")
  writeFileSync(file, `${(await hub.call("credential.issue", { agent: "poller" })).credential}\n`, { mode: 0o600 })
  await hub.call("thread.create", { thread: "poll", title: "Poll", participants: ["poller"] })
  const own = httpClient({ url: (JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }).url, credentialFile: file })
  const clients = 20
  let postedMs = Infinity
  const asking = Array.from({ length: clients }, async (_, at) => {
    for (await sleep((POLL_MS * (at + 0.5)) / clients); ; await sleep(POLL_MS)) {
      const { total } = await own.call("message.unread", {})
      if (total > 0) return Date.now() - postedMs
    }
  })
  await sleep(POLL_MS)
  postedMs = Date.now()
  await hub.call("message.post", { thread: "poll", body: "now" })
  const taken = await Promise.all(asking)
  own.close()
  return spread(taken)
}

/** Processor time of the supervisor with its tmux client, and of the tmux server, by the system's count. */
async function idleCpu(registry: SupervisorFolder, socket: string, panes: number, cpuMs: number): Promise<{ cpuPercent: number; tmuxPercent: number }> {
  if (panes === 0) return { cpuPercent: 0, tmuxPercent: 0 }
  const supervisor = registry.holder()?.pid ?? 0
  const clients = (await processTable()).flatMap(({ pid, parent }) => (parent === supervisor ? [pid] : []))
  const server = Number(spawnSync("tmux", ["-L", socket, "display-message", "-p", "#{pid}"], { encoding: "utf8" }).stdout)
  const ticks = (pids: readonly number[]): number => {
    let sum = 0
    for (const pid of pids) {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      // utime and stime, in hundredths of a second.
      sum += Number(fields[11]) + Number(fields[12])
    }
    return sum
  }
  const before = [ticks([supervisor, ...clients]), ticks([server])] as const
  await sleep(cpuMs)
  const percent = (now: number, then: number): number => round(((now - then) * 10 * 100) / cpuMs)
  return { cpuPercent: percent(ticks([supervisor, ...clients]), before[0]), tmuxPercent: percent(ticks([server]), before[1]) }
}

export function describeWake({ pane, turn, supervisor }: WakeReport): string {
  const row = (what: string, { p50Ms, p95Ms, maxMs, count }: Spread): string[] => [what, show(p50Ms), show(p95Ms), show(maxMs), String(count)]
  return [
    table(
      [`ms`, "p50", "p95", "most", "samples"],
      [
        row("text to terminal, control mode", pane.control),
        row("text to terminal, a process a command", pane.forking),
        row("posted to turn, native (Claude's hook)", turn.native),
        row("posted to turn, tmux", turn.tmux),
        row("posted to known, polling every 5 s", turn.poll),
      ],
    ),
    `\nof the first two rows ${pane.enterAfterMs} ms are the pause before Enter; supervisor of ${supervisor.panes} idle agents: ${show(supervisor.cpuPercent)} % of a processor, their tmux server ${show(supervisor.tmuxPercent)} %`,
  ].join("\n")
}
