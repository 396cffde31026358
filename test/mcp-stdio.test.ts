import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import type { Client } from "@modelcontextprotocol/client"
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio"
import { afterAll, afterEach, beforeAll, expect, test } from "vitest"
import { clientOf, type Revision, REVISIONS, useTool } from "../src/surface/mcp.contract.ts"
import { json, newRepository, operator, skein, tidyUp, until } from "./cli-driver.ts"

/** `skein mcp` as an agent starts it: the built command, spoken to over its pipes by a real MCP client. */

const open: Client[] = []

/** One repository with a running hub, for tests that do not end it; each has an agent of its own there. */
let shared: string
beforeAll(async () => {
  shared = newRepository()
  await json(shared, ["up"])
})

afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()))
})
afterAll(tidyUp)

async function joinTeam(
  folder: string,
  { revision = "2025-11-25", args = ["--agent", "claude"] }: { revision?: Revision; args?: string[] } = {},
): Promise<Client> {
  const client = clientOf(revision)
  open.push(client)
  const kept = { PATH: process.env["PATH"] ?? "", HOME: folder, NODE_OPTIONS: "--disable-warning=ExperimentalWarning" }
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [resolve("bin/skein.cjs"), "mcp", ...args],
      cwd: folder,
      env: kept,
      stderr: "inherit",
    }),
  )
  return client
}

/** A hub of its own with the agent claude. */
async function team(env: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = newRepository()
  await json(folder, ["up"], env)
  await addAgent(folder, "claude")
  return folder
}

async function addAgent(folder: string, name: string): Promise<void> {
  const director = operator(folder)
  await director.call("agent.add", { name })
  const { credential } = await director.call("credential.issue", { agent: name })
  director.close()
  mkdirSync(join(folder, ".skein", "agents"), { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, ".skein", "agents", `${name}.credential`), credential, { mode: 0o600 })
}

type Session = { id: string; agent: string; status: string; owned: boolean; active: boolean }
const sessions = async (folder: string, agent = "claude"): Promise<Session[]> =>
  (await json<Session>(folder, ["session", "list"])).filter((session) => session.agent === agent)

test.each(REVISIONS)("a client of revision %s works a day over stdio, and its session ends with its pipe", async (revision) => {
  const agent = `claude-${revision}`
  const task = `first-${revision}`
  await addAgent(shared, agent)
  await json(shared, ["task", "add", task, "First"])
  const startedMs = performance.now()
  const client = await joinTeam(shared, { revision, args: ["--agent", agent] })
  console.log(`skein mcp answered a client of ${revision} after ${Math.round(performance.now() - startedMs)} ms`)
  expect(client.getNegotiatedProtocolVersion()).toBe(revision)
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain("claim_task")
  const { data } = await useTool(client, "start_session", { resumeId: "conversation-7" })
  expect(data).toMatchObject({ agent, nextStep: expect.stringContaining("claim_task") })
  expect(await sessions(shared, agent)).toMatchObject([
    { id: data["session"], status: "live", owned: true, active: true, resumeId: "conversation-7", runtime: "mcp" },
  ])
  const claim = await useTool(client, "claim_task")
  const [{ fence }] = claim.data["claims"] as [{ fence: number }]
  expect((await useTool(client, "complete_task", { task, fence, deliverable: { text: "done" } })).isError).toBe(false)
  expect((await client.readResource({ uri: `skein://task/${task}` })).contents[0]).toMatchObject({ text: expect.stringContaining('"status":"completed"') })
  await client.close()
  await until(async () => ((await sessions(shared, agent))[0]?.status === "ended" ? true : undefined), "the session ends")
})

test("without a hub it lists its tools, says in each answer what to do, and works once there is one", async () => {
  const folder = await team()
  await json(folder, ["down"])
  const client = await joinTeam(folder)
  expect((await client.listTools()).tools.length).toBeGreaterThan(5)
  const away = await useTool(client, "claim_task")
  expect(away.isError).toBe(true)
  expect(away.text).toMatch(/^hub_unreachable: no hub is running for .*\nWhat to do: Start it: skein up/)
  await json(folder, ["up"])
  expect((await useTool(client, "start_session")).data).toMatchObject({ agent: "claude" })
})

test("a hub that restarts is found again: same session, same claim", async () => {
  const folder = await team()
  await json(folder, ["task", "add", "t1", "First"])
  const client = await joinTeam(folder)
  const { data } = await useTool(client, "start_session")
  const [{ fence }] = (await useTool(client, "claim_task")).data["claims"] as [{ fence: number }]
  await json(folder, ["down"])
  const meanwhile = useTool(client, "update_task", { task: "t1", fence, progress: 0.3 })
  await json(folder, ["up"])
  expect((await meanwhile).text).toMatch(/^Noted/)
  expect(await sessions(folder)).toMatchObject([{ id: data["session"], status: "live", owned: true }])
  expect((await useTool(client, "complete_task", { task: "t1", fence, deliverable: { text: "done" } })).isError).toBe(false)
})

test("a session that somebody else ended is started anew by the next call", async () => {
  await addAgent(shared, "restarted")
  const client = await joinTeam(shared, { args: ["--agent", "restarted"] })
  const { session } = (await useTool(client, "start_session")).data
  await json(shared, ["session", "end", session as string])
  const next = async (): Promise<unknown> => {
    const again = (await useTool(client, "start_session")).data["session"]
    return again === undefined || again === session ? undefined : again
  }
  expect(await until(next, "a new session")).toMatch(/^s_/)
})

test("calls that come at once after somebody ended the session start one, and let go of the other", async () => {
  const folder = await team({ SKEIN_LOG_LEVEL: "debug" })
  const client = await joinTeam(folder)
  const { session } = (await useTool(client, "start_session")).data
  await json(folder, ["session", "end", session as string])
  const started = await Promise.all(Array.from({ length: 5 }, () => useTool(client, "start_session")))
  expect(new Set(started.map(({ data }) => data["session"])).size).toBe(1)
  // It is ended by whoever beat for it: else it would be beaten for as long as the agent runs.
  const ends = /"operation":"session.end".*"agent":"claude"/
  await until(() => (ends.test(readFileSync(join(folder, ".skein", "logs", "hub.log"), "utf8")) ? true : undefined), "the session is let go of")
})

test("without a credential, or outside of any repository, each answer says what to do", async () => {
  const nobody = await useTool(await joinTeam(shared, { args: ["--agent", "nobody"] }), "start_session")
  expect(nobody.text).toMatch(/^unauthenticated: there is no credential of the agent nobody.*\nWhat to do: Have a person run: skein agent add nobody/)
  const elsewhere = mkdtempSync(join(tmpdir(), "skein-nowhere-"))
  mkdirSync(join(elsewhere, "in"))
  const lost = await useTool(await joinTeam(join(elsewhere, "in")), "start_session")
  expect(lost.text).toMatch(/is not inside a git repository\nWhat to do: /)
  rmSync(elsewhere, { recursive: true, force: true })
})

/** A bare `skein mcp` that was initialized, and what it writes on stderr. */
async function bare(folder: string): Promise<{ shim: ChildProcessWithoutNullStreams; say(id: number, method: string, params?: object): void; said(): string }> {
  const shim = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", resolve("bin/skein.cjs"), "mcp", "--agent", "claude"], { cwd: folder })
  let said = ""
  shim.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()))
  const say = (id: number, method: string, params: object = {}): void => void shim.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`)
  say(0, "initialize", { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "bare", version: "1" } })
  await once(shim.stdout, "data")
  return { shim, say, said: () => said }
}

test("a signal ends it while its input is still open, with its session, and without its hub too", async () => {
  const folder = await team()
  for (const hubStays of [true, false]) {
    const { shim, say } = await bare(folder)
    say(1, "tools/call", { name: "start_session", arguments: {} })
    await once(shim.stdout, "data")
    if (!hubStays) await json(folder, ["down"])
    shim.kill("SIGTERM")
    expect(await once(shim, "exit")).toEqual([0, null])
    if (hubStays) expect((await sessions(folder)).map(({ status }) => status)).toEqual(["ended"])
  }
})

test("an agent that asks much and reads late gets all answers, and no word of warning", async () => {
  const { shim, say, said } = await bare(newRepository())
  shim.stdout.pause()
  for (let id = 1; id <= 100; id += 1) say(id, "tools/list")
  await new Promise((settle) => setTimeout(settle, 500))
  let answers = ""
  shim.stdout.on("data", (chunk: Buffer) => (answers += chunk.toString())).resume()
  await until(() => Promise.resolve(answers.split("\n").length > 100 ? true : undefined), "all is answered")
  shim.stdin.end()
  await once(shim, "close")
  expect(said()).toBe("")
})

test("stdout carries the protocol alone, and a wrong option is told on stderr", async () => {
  const { status, stdout, stderr } = await skein(shared, ["mcp", "--agnet", "claude"])
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
  expect(stderr).toContain("--agnet")
})
