import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import { delivery, until } from "../../test/terminal/terminals.ts"
import type { Launch } from "./driver.ts"
import { HeadlessDriver } from "./headless.ts"
import type { AgentPreset } from "./presets/preset.ts"

/** An agent that keeps its conversations in a folder: says its session, then what it was told, then how often it was told something. */
const AGENT = `
import { appendFileSync, existsSync, readFileSync } from "node:fs"
const [, , folder, given] = process.argv
let prompt = ""
for await (const chunk of process.stdin) prompt += chunk
const session = given ?? "s-" + process.pid
const file = folder + "/" + session
if (given !== undefined && !existsSync(file)) {
  console.log(JSON.stringify({ id: given, is_error: true }))
  console.error("no such conversation: " + given)
  if (given === "s-slow") await new Promise((settle) => setTimeout(settle, 900))
  process.exit(7)
}
console.log(JSON.stringify({ id: session }))
if (prompt === "crash") process.exit(5)
if (prompt === "hang") await new Promise((settle) => setTimeout(settle, 60_000))
await new Promise((settle) => setTimeout(settle, 100))
appendFileSync(file, prompt + "\\n")
console.log(JSON.stringify({ id: session, said: readFileSync(file, "utf8") }))
`

const folders: string[] = []
const drivers: HeadlessDriver[] = []
afterEach(async () => {
  for (const driver of drivers.splice(0)) await driver.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function place(): { driver: HeadlessDriver; launch: Launch; said: string[]; told: string[] } {
  const folder = mkdtempSync(join(tmpdir(), "skein-headless-"))
  folders.push(folder)
  const file = join(folder, "agent.mjs")
  writeFileSync(file, AGENT)
  const said: string[] = []
  const told: string[] = []
  const driver = new HeadlessDriver({
    line: (_agent, { said: text }) => void (typeof text === "string" && said.push(text)),
    events: {
      turn: (agent, state) => told.push(`${agent} ${state}`),
      session: (_agent, session) => told.push(session),
      ended: (_agent, exit) => told.push(`exit ${exit}`),
    },
  })
  drivers.push(driver)
  const argv = [process.execPath, file, folder] as const
  const preset: AgentPreset = {
    name: "talker",
    interactive: { start: argv, resume: null, chooseSession: null },
    screen: { ready: [], menus: [], exhausted: [], emptyInput: null, bracketedPaste: false, enterAfterMs: 0, readyWithinMs: 0 },
    headless: {
      start: argv,
      resume: [...argv, "{session}"],
      chooseSession: null,
      promptBy: "stdin",
      sessionFields: [["nothing"], ["id"]],
      unknownSession: { exit: 7, says: "no such conversation" },
    },
    acp: null,
    native: null,
  }
  return { driver, launch: { agent: "ada", preset, cwd: folder, env: {}, resumeId: null, prompt: null }, said, told }
}

test("each delivery is a turn of the same conversation, one after another", async () => {
  const { driver, launch, said, told } = place()
  const started = await driver.start({ ...launch, prompt: "one" })
  if (!started.ok) throw new Error(started.detail)
  const more = await Promise.all(["two", "three"].map((text) => driver.deliver(started.address, delivery(text))))
  expect(more).toMatchObject([{ ok: true }, { ok: true }])
  await until("all is said", () => said.length === 3)
  expect(said.at(-1)).toBe("one\ntwo\nthree\n")
  expect(told.filter((one) => one.startsWith("s-"))).toHaveLength(1)
  expect(told.filter((one) => !one.startsWith("s-"))).toEqual(
    ["ada started", "ada ended", "ada started", "ada ended", "ada started", "ada ended"].slice(0, told.length - 1),
  )
})

test("a conversation that it does not know fails at once, as such", async () => {
  const { driver, launch } = place()
  expect(await driver.start({ ...launch, resumeId: "s-none", prompt: "go on" })).toMatchObject({ ok: false, code: "RESUME_FAILED" })
  expect(await driver.start({ ...launch, resumeId: "s-slow", prompt: "go on" })).toMatchObject({ ok: false, code: "RESUME_FAILED" })
  const started = await driver.start({ ...launch, resumeId: "s-none" })
  if (!started.ok) throw new Error(started.detail)
  expect(await driver.deliver(started.address, delivery("go on"))).toMatchObject({
    ok: false,
    code: "RESUME_FAILED",
    detail: expect.stringContaining("no such conversation"),
  })
})

test("a turn that fails otherwise is no missing conversation", async () => {
  const { driver, launch, told } = place()
  expect(await driver.start({ ...launch, prompt: "crash" })).toMatchObject({ ok: false, code: "SPAWN_FAILED" })
  expect(told.at(-1)).toBe("exit 5")
  expect(await driver.start({ ...launch, binary: "no-such-agent", prompt: "one" })).toMatchObject({ ok: false, code: "SPAWN_FAILED" })
})

test("stopping ends the turn that is under way, and what waits behind it", async () => {
  const { driver, launch } = place()
  const started = await driver.start({ ...launch, prompt: "hang" })
  if (!started.ok) throw new Error(started.detail)
  expect(await driver.alive(started.address)).toEqual({ alive: true })
  const waiting = driver.deliver(started.address, delivery("later"))
  await driver.stop(started.address, { graceMs: 1_000 })
  expect(await waiting).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })
  expect(await driver.alive(started.address)).toMatchObject({ alive: false })
  expect(() => process.kill(started.address.channel === "process" ? started.address.pid : 0, 0)).toThrow("ESRCH")
})
