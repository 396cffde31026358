import { spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, type TestContext, test } from "vitest"
import { type HttpClient, httpClient } from "../../src/client/http.ts"
import { agentKind, type AgentKind } from "../../src/repo/agent-kinds.ts"
import { presetNamed } from "../../src/runtime/presets/presets.ts"
import { bornOf, SupervisorFolder } from "../../src/runtime/supervisor-folder.ts"
import { socketName } from "../../src/runtime/tmux/server.ts"
import { json, newRepository, skein, tidyFolder, tidyUp } from "../cli-driver.ts"
import { kill, leftRunning } from "../left-running.ts"
import { until, withoutTmux } from "../terminal/terminals.ts"
import { environmentFor } from "./driven.ts"
import { handsOf } from "./hands.ts"
import { installed, WANTED } from "./installed.ts"
import { LoopbackModel } from "./loopback-model.ts"
import type { Script, ToolCall } from "./turn.ts"

/** The real agents, kept and woken by a real supervisor, against a model of our own: what counts is what reached that model, and what the hub recorded. */

const STEP_MS = 120_000
/** A key that an agent has not minded by then is pressed again. */
const AGAIN_MS = 15_000
/** Words that make each one start without asking its user something first; the hooks that `skein init` wrote are trusted, as their user would do once. */
const WORDS: Readonly<Record<AgentKind, readonly string[]>> = {
  claude: [],
  codex: ["--dangerously-bypass-hook-trust", "-c", 'notice.model_migrations={"gpt-5.5"="gpt-6-sol"}'],
  gemini: ["-m", "gemini-2.5-flash"],
  opencode: ["--port", "{port}"],
}

/** Words, and for one of them a setting, with which each asks before it runs a command. */
const ASKING: Readonly<Record<AgentKind, readonly string[]>> = {
  claude: ["--permission-mode", "default"],
  codex: ["-c", 'approval_policy="on-request"', "-c", 'sandbox_mode="read-only"'],
  gemini: ["--approval-mode", "default"],
  opencode: [],
}
const ASKS = { OPENCODE_PERMISSION: JSON.stringify({ bash: "ask" }) }
/** How its person ends it. */
const QUIT: Readonly<Record<AgentKind, string>> = { claude: "/exit", codex: "/quit", gemini: "/quit", opencode: "/exit" }
/** Where it keeps its conversations, in its home. */
const CONVERSATIONS: Readonly<Record<AgentKind, string>> = {
  claude: "projects",
  codex: "sessions",
  gemini: ".gemini/tmp",
  opencode: ".local/share/opencode",
}
/** A title that an agent asks for behind its turn is noted by no hook. */
const NOTED_WITHIN_MS = 8_000
/** A hook that is at work; the one that waits for messages beside an idle agent is none. */
const HOOK = / hook \w+\b(?! rewake)/
const understood: Script = () => ({ text: "Understood." })

type Job = { job: string; status: string; code: string | null; hop: string; channel: string | null; origin: string; evidence: string | null }
type Scene = {
  kind: AgentKind
  agent: string
  folder: string
  home: string
  hub: HttpClient
  /** How often a text stands in what the model was asked at once: the most of all times. Agents also ask for titles and the like. */
  times(text: string): number
  /** Whether the model was asked something in which all of these texts stand, and none of those. */
  told(texts: readonly string[], without?: readonly string[]): boolean
  /** The agent's hooks have seen the end of its turn: they have noted something since the model was last asked, and none is at work. */
  turnOver(): boolean
  tmux(...args: string[]): string
  screen(): string
  pid(): number
  /** It has ended by itself, and the hub has heard so. */
  hasEnded(): boolean
  post(body: string): Promise<void>
  jobs(): Promise<Job[]>
  /** Settles when it is so; what the agent shows, and the supervisor's log, are told where it never is. */
  when<T>(what: string, look: () => T | Promise<T>): Promise<void>
}

/** Nobody waits longer than he must: the ways are the same. */
const WAKE = { reconcileMs: 500, restartMs: 200, retryMs: 300, pollMs: 1_000, recheckMs: 1_000 }

type Place = { folder: string; home: string; socket: string; hub: HttpClient; model: LoopbackModel }

afterAll(() => tidyUp())

async function tidied({ folder, home, socket, hub, model }: Place): Promise<void> {
  hub.close()
  const holder = new SupervisorFolder(join(folder, ".skein", "supervisor")).holder()
  if (holder !== null) {
    process.kill(holder.pid, "SIGTERM")
    await until("the supervisor has gone", () => bornOf(holder.pid) === null, 30_000)
  }
  spawnSync("tmux", ["-L", socket, "kill-server"])
  await tidyFolder(folder)
  // Some agents keep a process of their own for later: it is known by its folder.
  await until("nothing of the agent is left", () => {
    const left = leftRunning({ folder: home, socket })
    for (const line of left) kill(Number.parseInt(line, 10))
    return left.length === 0
  })
  await model.close()
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
}

/** A repository that the agent has joined, its hub, its supervisor, and the agent in its terminal, idle after a first text. */
async function scene({ onTestFinished }: TestContext, kind: AgentKind, binary: string, says: Script, { asking = false } = {}): Promise<Scene> {
  const model = new LoopbackModel(says)
  const modelUrl = await model.listen()
  const home = mkdtempSync(join(tmpdir(), "skein-home-"))
  const folder = realpathSync(newRepository())
  const socket = socketName(join(folder, ".skein"))
  const { PWD: _, ...env }: Record<string, string> = { ...environmentFor({ kind, binary, folder, home, modelUrl, prompt: "" }), ...(asking ? ASKS : {}) }
  mkdirSync(join(folder, ".skein"), { mode: 0o700 })
  writeFileSync(join(folder, ".skein", "config.yaml"), JSON.stringify({ wake: WAKE }))
  await json(folder, ["init", "--yes", "--agents", kind])
  const { url } = JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }
  const hub = httpClient({ url, credentialFile: join(folder, ".skein", "operator.credential") })
  onTestFinished(() => tidied({ folder, home, socket, hub, model }), 120_000)
  const agent = `${kind}-1`
  const registry = new SupervisorFolder(join(folder, ".skein", "supervisor"))
  const tmux = (...args: string[]): string => spawnSync("tmux", ["-L", socket, ...args], { encoding: "utf8", timeout: 10_000 }).stdout
  const screen = (): string => tmux("capture-pane", "-p", "-t", `main:${agent}`)
  const variables = Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`])
  const port = kind === "opencode" ? await freePort() : ""
  const words = [...WORDS[kind], ...(asking ? ASKING[kind] : [])].map((word) => word.replace("{port}", port))
  const spawned = await skein(folder, ["swarm", "spawn", "--json", "--agent", kind, "--binary", binary, ...variables, "--", ...words])
  if (spawned.status !== 0) throw new Error(`${spawned.stdout}${spawned.stderr}\n${screen()}`)
  await hub.call("thread.create", { thread: "talk", title: "Talk", participants: [agent] })
  return {
    kind,
    agent,
    folder,
    home,
    hub,
    times: (text) => Math.max(0, ...model.asked.map(({ texts }) => texts.filter((one) => one.includes(text)).length)),
    told: (wanted, without = []) =>
      model.asked.some(({ texts }) => {
        const holds = (text: string): boolean => texts.some((one) => one.includes(text))
        return wanted.every(holds) && !without.some(holds)
      }),
    turnOver: () => {
      const marks = join(folder, ".skein", "hook-marks")
      const notedAtMs = Math.max(0, ...readdirSync(marks).map((name) => statSync(join(marks, name), { throwIfNoEntry: false })?.mtimeMs ?? 0))
      const seen = notedAtMs > model.askedAtMs || Date.now() - model.askedAtMs > NOTED_WITHIN_MS
      return seen && leftRunning({ folder: home, socket: home }).every((line) => !HOOK.test(line))
    },
    tmux,
    screen,
    pid: () => {
      const { address } = registry.runningOf(agent)
      return address !== null && "pid" in address ? address.pid : 0
    },
    hasEnded: () => {
      const { state, address } = registry.runningOf(agent)
      return state === "ended" && address === null
    },
    post: async (body) => void (await hub.call("message.post", { thread: "talk", body })),
    jobs: async () => (await hub.call("trigger.list", { target: agent })).triggers,
    when: (what, look) =>
      until(what, async () => Boolean(await look()), STEP_MS).catch(async (error: unknown) => {
        const log = readFileSync(
          join(folder, ".skein", "logs", readdirSync(join(folder, ".skein", "logs")).find((name) => name.includes("superv")) ?? "hub.log"),
          "utf8",
        )
        const { triggers } = await hub.call("trigger.list", { target: agent })
        throw new Error(`${what}\n${screen()}\n${log.slice(-1_500)}\n${JSON.stringify(triggers)}\n${JSON.stringify(model.asked.at(-1)?.texts)}`, {
          cause: error,
        })
      }),
  }
}

async function delivered(given: Scene, like: Partial<Job>): Promise<Job> {
  let found: Job | undefined
  await given.when(`a wake is delivered: ${JSON.stringify(like)}`, async () => {
    const wanted = Object.entries({ ...like, status: "delivered" })
    found = (await given.jobs()).find((job) => wanted.every(([name, value]) => job[name as keyof Job] === value))
    return found !== undefined
  })
  return found as Job
}

/** Its turn is over, and so are the hub's wakes: what comes now is not read by the way. */
async function settled(given: Scene): Promise<void> {
  await given.when("it is idle", async () => {
    const open = (await given.jobs()).some(({ status }) => status !== "delivered" && status !== "cancelled" && status !== "dead")
    return !open && given.turnOver()
  })
}

for (const kind of WANTED) {
  const found = installed(kind)
  if ("absent" in found || withoutTmux !== null) {
    console.warn(`SKIPPED: ${agentKind(kind).title} is not supervised: ${"absent" in found ? found.absent : withoutTmux}`)
    continue
  }
  const { binary } = found
  const inbox = presetNamed(kind)?.native !== null

  describe.concurrent(`${agentKind(kind).title} under a supervisor`, () => {
    test(
      `is typed to, is woken ${inbox ? "by its own inbox beside" : "after the end of"} a person's draft, is resumed after a kill, and spawned with the thread's summary when that fails`,
      { timeout: 400_000 },
      async (context) => {
        const given = await scene(context, kind, binary, understood)
        const { hub, agent, times, told, when, tmux, screen } = given
        // Asked by somebody, with words of its own: typed.
        const { job } = await hub.call("trigger.participant", { thread: "talk", target: agent, reason: "a question", prompt: "look at word-asked" })
        expect(await delivered(given, { job })).toMatchObject({ hop: "live", channel: "tmux", evidence: "turn" })
        await when("the model was told", () => times("word-asked") === 1)
        await settled(given)

        tmux("send-keys", "-t", `main:${agent}`, "-l", "half a thought")
        await when("the draft is there", () => screen().includes("half a thought"))
        await given.post("the parser waits, word-native")
        if (inbox) {
          const woken = await delivered(given, { origin: "unread" })
          const { hops } = await hub.call("trigger.why", { job: woken.job })
          expect(woken, JSON.stringify({ woken, hops })).toMatchObject({ hop: "live", channel: "native" })
          // Codex looks into its inbox every 10 s: it has that time, and is not handed the text again meanwhile.
          expect(hops.filter(({ code }) => code === "ACK_TIMEOUT")).toEqual([])
          await when("the model was told", () => told([kind === "claude" ? "word-native" : "unread message in thread talk"]))
        } else await when("its wake waits for the draft's end", async () => (await given.jobs()).some(({ code }) => code === "DRAFT_PRESENT"))
        // While an agent draws anew, a look may find half of its screen.
        await when("the draft is there still", () => screen().includes("half a thought"))
        expect(times("half a thought")).toBe(0)
        tmux("send-keys", "-t", `main:${agent}`, "C-u")
        await delivered(given, { origin: "unread", hop: "live" })
        await settled(given)

        const before = given.pid()
        process.kill(before, "SIGKILL")
        await when("it runs again", () => given.pid() !== 0 && given.pid() !== before)
        const again = await hub.call("trigger.participant", { thread: "talk", target: agent, reason: "another question", prompt: "look at word-resumed" })
        await delivered(given, { job: again.job })
        await when("the model was told, in the same conversation", () => told(["word-resumed", "word-asked"]))
        await settled(given)

        // Its conversation is lost, and itself with it: a wake finds both out.
        await hub.call("message.post", { thread: "talk", body: "We take the northern route.", metadata: { eventType: "decision" } })
        await when("it has read that", () => told(["We take the northern route."]))
        await settled(given)
        await left(given)
        expect((await hub.call("session.list", { agent, status: "live" })).sessions).toEqual([])
        forgetConversations(given)
        const last = await hub.call("trigger.participant", { thread: "talk", target: agent, reason: "a last question", prompt: "look at word-spawned" })
        expect(last.mode).toBe("fallback_required")
        expect(await delivered(given, { job: last.job })).toMatchObject({ hop: "spawn" })
        await when("the model was told, with the summary, and knows nothing else", () => told(["word-spawned", "We take the northern route."], ["word-asked"]))
        expect(told(["word-spawned", "word-asked"])).toBe(false)
        const { hops } = await hub.call("trigger.why", { job: last.job })
        expect(hops.flatMap(({ type, code }) => (type === "trigger.failed" ? [code] : []))).toEqual(["RESUME_FAILED", "RESUME_FAILED"])
      },
    )

    test("that asks something on its screen is answered by its person alone, even where an operator forces the wake", { timeout: 240_000 }, async (context) => {
      const asks: Script = ({ texts, calls }) =>
        calls.length === 0 && texts.some((text) => text.includes("word-menu")) ? { calls: [asking(kind, "touch it-was-answered")] } : { text: "Understood." }
      const given = await scene(context, kind, binary, asks, { asking: true })
      const { hub, agent, when, tmux, screen, folder, times, told } = given
      const asksNow = (): boolean => presetNamed(kind)?.screen.menus.some((pattern) => new RegExp(pattern, "mu").test(screen())) === true
      await delivered(given, { job: (await hub.call("trigger.participant", { thread: "talk", target: agent, reason: "work", prompt: "do word-menu" })).job })
      await when("it asks", asksNow)
      const { job } = await hub.call("trigger.participant", { thread: "talk", target: agent, reason: "more work", prompt: "look at word-later" })
      const now = async (): Promise<Job | undefined> => (await given.jobs()).find((one) => one.job === job)
      // What has an inbox of its own may have it there, for later; what is typed is put off.
      await when("the wake waits", async () => ["deferred", "awaiting_ack"].includes((await now())?.status ?? ""))
      if ((await now())?.channel === "tmux") {
        expect(await now()).toMatchObject({ status: "deferred", code: "MENU_OPEN" })
        await hub.call("trigger.retry", { job, reason: "it is urgent", force: true })
        await when("it is put off again", async () => (await hub.call("trigger.why", { job })).hops.filter(({ code }) => code === "MENU_OPEN").length >= 2)
        expect((await hub.call("trigger.why", { job })).hops.map(({ text }) => text).join("\n")).toContain("whoever types in the pane: it is urgent")
      } else await new Promise((settle) => setTimeout(settle, 10_000))
      await when("it asks still", asksNow)
      expect(existsSync(join(folder, "it-was-answered"))).toBe(false)
      expect(times("word-later")).toBe(0)
      await repeated(
        given,
        () => tmux("send-keys", "-t", `main:${agent}`, "Enter"),
        "its person has answered",
        () => {
          if (existsSync(join(folder, "it-was-answered"))) return "so"
          return asksNow() ? "not yet" : "wait"
        },
      )
      await delivered(given, { job })
      await when("the model was told", () => told(["word-later"]))
      expect(times("word-later")).toBe(1)
    })
  })
}

/** A command that it asks for before it runs it. */
function asking(kind: AgentKind, command: string): ToolCall {
  if (kind !== "codex") return handsOf(kind, "").shell(command)
  return { tool: "exec_command", input: { cmd: command, sandbox_permissions: "require_escalated", justification: "a command of a test" } }
}

function forgetConversations({ kind, home }: Scene): void {
  rmSync(join(home, CONVERSATIONS[kind]), { recursive: true, force: true, maxRetries: 5 })
}

/** For an agent that serves its own inbox. */
async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  await new Promise((settle) => server.close(settle))
  return String(port)
}

/** As a person would end it. */
async function left(given: Scene): Promise<void> {
  const { kind, tmux, agent } = given
  const quit = async (): Promise<void> => {
    tmux("send-keys", "-t", `main:${agent}`, "-l", QUIT[kind])
    await new Promise((settle) => setTimeout(settle, 700))
    tmux("send-keys", "-t", `main:${agent}`, "Enter")
  }
  await repeated(given, quit, "it has ended by itself", () => (given.hasEnded() ? "so" : "not yet"))
}

/** Does it as a person would: again, where the agent did not take it. */
async function repeated({ when }: Scene, act: () => unknown, what: string, look: () => "so" | "not yet" | "wait"): Promise<void> {
  let triedAtMs = Number.NEGATIVE_INFINITY
  await when(what, async () => {
    const seen = look()
    if (seen === "not yet" && performance.now() - triedAtMs >= AGAIN_MS) {
      await act()
      triedAtMs = performance.now()
    }
    return seen === "so"
  })
}
