import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest"
import { type HttpClient, httpClient } from "../src/client/http.ts"
import { rewakeWaits } from "../src/runtime/hook-rewake.ts"
import { deliverNatively } from "../src/runtime/native-inbox.ts"
import { presetNamed } from "../src/runtime/presets/presets.ts"
import { json, newRepository, tidyUp } from "./cli-driver.ts"
import { until } from "./terminal/terminals.ts"

/** The waiter that Claude Code keeps beside itself: a process that ends with status 2 and a text when there are messages. */

let folder: string
let goose: HttpClient
let claude: HttpClient
let marks: string

beforeAll(async () => {
  folder = newRepository()
  await json(folder, ["up"])
  for (const name of ["claude", "goose"]) await json(folder, ["agent", "add", name])
  const { url } = JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }
  goose = httpClient({ url, credentialFile: join(folder, ".skein", "agents", "goose.credential") })
  claude = httpClient({ url, credentialFile: join(folder, ".skein", "agents", "claude.credential") })
  marks = join(folder, ".skein", "hook-marks")
})
/** A new conversation is told of all that is unread: here nothing is. */
beforeEach(async () => {
  const { threads } = await claude.call("message.unread", { limit: 20 })
  for (const { thread, headSeq } of threads) await claude.call("message.ack", { thread, lastReadSeq: headSeq })
})
afterAll(async () => {
  goose.close()
  claude.close()
  await tidyUp()
})

type Hook = { ended: Promise<{ status: number | null; stdout: string; stderr: string }>; over(): boolean; signal(name: NodeJS.Signals): void }

function hook(event: string, session: string, env: Readonly<Record<string, string>> = {}): Hook {
  const kept = Object.entries(process.env).filter(([name]) => !/^(SKEIN_|GIT_|CLAUDE|NODE_OPTIONS|VITEST)/.test(name))
  const own = { ...Object.fromEntries(kept), ...env }
  const child = spawn(process.execPath, [resolve("bin/skein.cjs"), "hook", "claude", event], { cwd: folder, env: own })
  let stdout = ""
  let stderr = ""
  let over = false
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
  child.stdin.end(JSON.stringify({ session_id: session, cwd: folder }))
  const ended = new Promise<{ status: number | null; stdout: string; stderr: string }>((settle) =>
    child.on("close", (status) => {
      over = true
      settle({ status, stdout, stderr })
    }),
  )
  return { ended, over: () => over, signal: (name) => void child.kill(name) }
}

const waiter = (session: string, env?: Readonly<Record<string, string>>): Hook => hook("rewake", session, env)

/** What the hook of a session's start puts beside the model, which has no turn for it. Called again where a busy machine lets it give up on the hub. */
async function shownAtStart(session: string): Promise<string> {
  let shown = ""
  await until("it has shown something", async () => (shown = (await hook("SessionStart", session).ended).stdout).includes("additionalContext"), 60_000)
  return shown
}

async function post(thread: string, body: string): Promise<void> {
  await goose.call("message.post", { thread, body, kind: "chat", inReplyTo: null, metadata: {} })
}

test("a message ends the wait with status 2 and its text, once for a conversation", async () => {
  const { thread } = await goose.call("thread.create", { title: "Who takes the parser", participants: ["claude"] })
  const first = waiter("s1")
  await until("it waits", () => rewakeWaits(marks, "claude", "s1"))
  const target = { agent: "claude", preset: presetNamed("claude") ?? never(), session: "s1", cwd: folder, env: {}, marks }
  expect(await deliverNatively(target, { text: "news", form: "nudge" })).toMatchObject({ ok: true, handed: false })
  await post(thread, "please take the parser")
  const { status, stderr } = await first.ended
  expect(status).toBe(2)
  expect(stderr).toContain("| please take the parser")
  expect(rewakeWaits(marks, "claude", "s1")).toBe(false)
  expect(await deliverNatively(target, { text: "news", form: "nudge" })).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })

  // It is still unread to the hub; the next waiter must not wake for it again, but for what comes after.
  const second = waiter("s1")
  await until("it waits", () => rewakeWaits(marks, "claude", "s1"))
  await new Promise((settle) => {
    setTimeout(settle, 1_000)
  })
  expect(second.over()).toBe(false)
  await post(thread, "and the lexer")
  const next = await second.ended
  expect(next.status).toBe(2)
  expect(next.stderr).toContain("| and the lexer")
  expect(next.stderr).not.toContain("please take the parser")
})

test("the later of two waiters of a conversation wakes it; the earlier ends without a word", async () => {
  const { thread } = await goose.call("thread.create", { title: "Two waiters", participants: ["claude"] })
  const first = waiter("s2")
  await until("it waits", () => rewakeWaits(marks, "claude", "s2"))
  const before = readFileSync(join(marks, "claude.s2.waiter"), "utf8")
  const later = waiter("s2")
  await until("the later has taken over", () => readFileSync(join(marks, "claude.s2.waiter"), "utf8") !== before)
  await post(thread, "one wake is enough")
  const [a, b] = await Promise.all([first.ended, later.ended])
  expect([a.status, b.status]).toEqual([0, 2])
  expect(a.stderr).toBe("")
})

test("a waiter that was killed is not waiting", async () => {
  const one = waiter("s3")
  await until("it waits", () => rewakeWaits(marks, "claude", "s3"))
  one.signal("SIGKILL")
  await one.ended
  expect(rewakeWaits(marks, "claude", "s3")).toBe(false)
})

test("a message that came while a waiter waited wakes the agent, though the hook of the session's start was the first to show it", async () => {
  const { thread } = await goose.call("thread.create", { title: "At the start", participants: ["claude"] })
  const one = waiter("s4")
  await until("it waits", () => rewakeWaits(marks, "claude", "s4"))
  // As on a machine that gives it no time.
  one.signal("SIGSTOP")
  await post(thread, "come while it waits")
  expect(await shownAtStart("s4")).toContain("come while it waits")
  one.signal("SIGCONT")
  const { status, stderr } = await one.ended
  expect(status).toBe(2)
  expect(stderr).toContain("| come while it waits")
})

test("what a session was shown at its start, and was there before, does not wake it", async () => {
  const { thread } = await goose.call("thread.create", { title: "Before the start", participants: ["claude"] })
  await post(thread, "old news")
  expect(await shownAtStart("s5")).toContain("old news")
  const one = waiter("s5")
  await until("it waits", () => rewakeWaits(marks, "claude", "s5"))
  await post(thread, "fresh news")
  const { status, stderr } = await one.ended
  expect(status).toBe(2)
  expect(stderr).toContain("| fresh news")
  expect(stderr).not.toContain("old news")
})

function never(): never {
  throw new Error("there is a preset for each kind")
}

test("beside claude -p, which ends with its turn, none waits: it would hold up that end", async () => {
  const { status, stderr } = await waiter("s9", { CLAUDE_CODE_ENTRYPOINT: "sdk-cli" }).ended
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
  expect(rewakeWaits(marks, "claude", "s9")).toBe(false)
})
