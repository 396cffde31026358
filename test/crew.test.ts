import { execFileSync } from "node:child_process"
import { generateKeyPairSync } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { pino } from "pino"
import { afterEach, expect, test } from "vitest"
import { type Client, connect } from "../src/client/client.ts"
import { SkeinError } from "../src/contract/errors.ts"
import type { AddPlan } from "../src/core/plan.ts"
import { systemClock } from "../src/hub/clock.ts"
import { openHub } from "../src/hub/hub.ts"
import { memorySnapshots } from "../src/hub/snapshots.ts"
import { MemoryStore } from "../src/ledger/memory.ts"
import { sha256 } from "../src/ledger/sha256.ts"
import { ensureInstanceDir, findRepository } from "../src/repo/instance.ts"
import { Crew, type CrewEvent } from "../src/runtime/crew.ts"
import { type AgentPort, runScriptAgent } from "../src/runtime/script-agent.ts"
import { Auth, hashCredential, makeOperatorCredential } from "../src/surface/auth.ts"
import { serve } from "../src/surface/http.ts"

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function startTeam(
  plan: Pick<AddPlan, "tasks" | "agents"> & { worktrees: boolean },
  speed = 1,
  before: (client: Client, operation: string) => Promise<void> = () => Promise.resolve(),
): Promise<{ client: Client; url: string; crew: Crew; events: CrewEvent[]; id: string; directory: string }> {
  const directory = mkdtempSync(join(tmpdir(), "skein-crew-"))
  const git = (...args: string[]): string =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@t", ...args], { cwd: directory, encoding: "utf8" }).trim()
  git("init", "-q")
  writeFileSync(join(directory, "a.txt"), "hello\n")
  git("add", ".")
  git("commit", "-qm", "first")
  const log = pino({ level: "silent" })
  const store = new MemoryStore()
  const hub = await openHub({
    clock: systemClock,
    sha256,
    openLedger: () => Promise.resolve(store.open()),
    snapshots: memorySnapshots(),
    log,
    sign: () => Promise.resolve(""),
    fatal: (error) => {
      throw error
    },
  })
  const { credential } = makeOperatorCredential()
  const auth = new Auth({ hub, key: generateKeyPairSync("ed25519").privateKey, operatorHash: hashCredential(credential), wallMs: () => Date.now() })
  const served = await serve({ hub, auth, log, version: "0", host: "127.0.0.1", port: 0, allowedHosts: [] })
  const client = await connect({ url: served.url, credential })
  closing.push(
    () => hub.close(),
    () => served.close(),
    () => client.close(),
  )
  const repository = await findRepository(directory)
  await ensureInstanceDir(repository)
  const { plan: id } = await client.plan.add({ name: "team", title: "A team", digest: "0".repeat(64), commit: git("rev-parse", "HEAD"), ...plan })
  const events: CrewEvent[] = []
  const crew = new Crew({
    port: {
      call: async (name, input) => {
        await before(client, name)
        return client.call(name, input)
      },
    },
    url: served.url,
    workspace: "main",
    plan: id,
    repository,
    worktreesAt: plan.worktrees ? git("rev-parse", "HEAD") : null,
    goesOn: false,
    planDirectory: directory,
    agentsDirectory: join(repository.instanceDir, "agents"),
    runsDirectory: join(repository.instanceDir, "runs", id),
    speed,
    onEvent: (event) => events.push(event),
  })
  closing.push(() => crew.stop())
  return { client, url: served.url, crew, events, id, directory }
}

test("two script agents take a plan to its end in worktrees of their own, and what a task delivered reaches the next", async () => {
  const { client, crew, id } = await startTeam({
    worktrees: true,
    agents: [
      { name: "ann", start: true },
      { name: "ben", start: true },
    ],
    tasks: [
      { id: "one", title: "One", run: { command: 'cat a.txt; test -n "$SKEIN_EXAMPLES" && pwd' } },
      { id: "two", title: "Two", run: { command: "echo two" } },
      { id: "both", title: "Both", dependsOn: ["one", "two"], run: { command: "cat $SKEIN_INPUTS" } },
      { id: "spare", title: "Filler", filler: true, run: { standIn: { ms: 60_000, costMicroUsd: 0 } } },
    ],
  })
  await crew.start(["ann", "ben"])
  await crew.finished()
  const { plan } = await client.plan.show({ plan: id })
  expect([plan.finished, plan.counts.completed]).toEqual([true, 3])
  const both = await client.task.show({ task: `${id}/both` })
  expect(JSON.parse(both.task.deliverable?.text ?? "{}")).toMatchObject({
    one: { title: "One", text: expect.stringContaining("hello") as string },
    two: { text: "two\n" },
  })
  const one = await client.task.show({ task: `${id}/one` })
  expect(one.task.deliverable?.text).toContain(".skein/worktrees/")
})

test("what another run of the plan has voided in the same moment is void, and keeps nobody from starting", async () => {
  const voided: string[] = []
  const { client, crew, id } = await startTeam(
    { worktrees: false, agents: [{ name: "ann", start: true }], tasks: [{ id: "one", title: "One", run: { command: "echo one" } }] },
    1,
    async (other, operation) => {
      if (operation !== "credential.revoke" || voided.length > 0) return
      const { agent } = await other.agent.show({ name: "ann" })
      voided.push(agent.credentials[0] as string)
      await other.credential.revoke({ agent: "ann", id: agent.credentials[0] as string, reason: "the other was faster" })
    },
  )
  await client.credential.issue({ agent: "ann" })
  await crew.start(["ann"])
  await crew.finished()
  expect([voided.length, (await client.plan.show({ plan: id })).plan.finished]).toEqual([1, true])
})

test("an agent that is killed loses its lease at once, and a fresh process of it finishes the task", async () => {
  const { client, crew, events, id, directory } = await startTeam({
    worktrees: false,
    agents: [{ name: "solo", start: true }],
    tasks: [{ id: "slow", title: "Slow once", run: { command: "if [ -e tried ]; then echo done; else touch tried; sleep 60; fi" } }],
  })
  await crew.start(["solo"])
  for (let tries = 0; tries < 1_000 && !events.some((event) => event.kind === "said" && event.line.includes("slow under fence")); tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 25))
  for (let tries = 0; tries < 1_000; tries += 1) {
    try {
      readFileSync(join(directory, "tried"))
      break
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
  await crew.kill("solo")
  await crew.finished()
  const { task } = await client.task.show({ task: `${id}/slow` })
  expect([task.status, task.attempts]).toEqual(["completed", 1])
  expect(events.filter((event) => event.kind === "ended").map((event) => event.how)).toEqual(["killed", "finished"])
  const ended = []
  for await (const entry of client.events({ from: 1 })) {
    if (entry.type === "lease.ended") ended.push((entry.data as { reason: string }).reason)
    if (entry.type === "task.completed") break
  }
  expect(ended).toEqual(["session_ended"])
})

test("an agent that is killed goes on in its own worktree, with what it left there", async () => {
  const { client, crew, events, id } = await startTeam({
    worktrees: true,
    agents: [{ name: "solo", start: true }],
    tasks: [{ id: "slow", title: "Slow once", run: { command: "if [ -e draft ]; then cat draft; else echo unsaved > draft; sleep 60; fi" } }],
  })
  await crew.start(["solo"])
  const cwd = events.flatMap((event) => (event.kind === "started" ? [event.cwd] : []))[0] as string
  for (let tries = 0; tries < 1_000 && !existsSync(join(cwd, "draft")); tries += 1) await new Promise((resolve) => setTimeout(resolve, 25))
  await crew.kill("solo")
  await crew.finished()
  const { task } = await client.task.show({ task: `${id}/slow` })
  expect([task.status, task.deliverable?.text]).toEqual(["completed", "unsaved\n"])
})

test("a crew that is stopped gives back what it holds, and no attempt is counted", async () => {
  const { client, crew, events, id } = await startTeam({
    worktrees: false,
    agents: [{ name: "solo", start: true }],
    tasks: [{ id: "long", title: "Long", run: { command: "sleep 60" } }],
  })
  await crew.start(["solo"])
  for (let tries = 0; tries < 1_000 && (await client.task.show({ task: `${id}/long` })).task.status !== "in_progress"; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 25))
  await crew.stop()
  const { task } = await client.task.show({ task: `${id}/long` })
  expect([task.status, task.attempts, events.at(-1)]).toEqual(["pending", 0, expect.objectContaining({ how: "stopped" })])
})

/** Agent `solo` of a team as it goes on after a run that was stopped, whose process was 1. */
async function leftBehind() {
  const team = await startTeam({
    worktrees: false,
    agents: [{ name: "solo", start: true }],
    tasks: [{ id: "long", title: "Long", run: { command: "sleep 60" } }],
  })
  const { client, url, id, directory } = team
  const note = join(directory, ".skein", "agents", "solo.stopped")
  mkdirSync(dirname(note), { recursive: true })
  writeFileSync(note, "process 1")
  return {
    ...team,
    note,
    /** A session of its, of another process. */
    async besides(runtime: string): Promise<string> {
      const own = await connect({ url, credential: (await client.credential.issue({ agent: "solo" })).credential })
      closing.push(() => own.close())
      return (await own.session({ runtime })).id
    },
    async isLive(session: string): Promise<boolean> {
      const { sessions } = await client.session.list({ agent: "solo", status: "live" })
      return sessions.some((one) => one.id === session)
    },
    async atWork(): Promise<void> {
      for (let tries = 0; tries < 1_000 && (await client.task.show({ task: `${id}/long` })).task.status !== "in_progress"; tries += 1)
        await new Promise((resolve) => setTimeout(resolve, 25))
    },
  }
}

test("what a run that was stopped has left of an agent is over as the next begins, also where its credential is void by then", async () => {
  const { crew, note, besides, isLive } = await leftBehind()
  const left = await besides("process 1")
  await crew.start(["solo"])
  expect([await isLive(left), existsSync(note)]).toEqual([false, false])
})

test("who else goes by an agent's name, as another run of the plan has it, keeps its session when a crew begins and when it stops", async () => {
  const { client, directory, crew, besides, isLive, atWork } = await leftBehind()
  const { credential } = await client.credential.issue({ agent: "solo" })
  writeFileSync(join(directory, ".skein", "agents", "solo.credential"), credential)
  const before = await besides("process 2")
  await crew.start(["solo"])
  const after = await besides("process 3")
  await atWork()
  expect(await isLive(before)).toBe(true)
  await crew.stop()
  expect(await isLive(after)).toBe(true)
})

/** One script agent in this process, its calls made through `through`. */
async function alone({ client, url, id, directory }: Awaited<ReturnType<typeof startTeam>>, through: (own: AgentPort["call"]) => AgentPort["call"]) {
  const own = await connect({ url, credential: (await client.credential.issue({ agent: "solo" })).credential })
  closing.push(() => own.close())
  const session = await own.session({ runtime: "process" })
  const stopped = new AbortController()
  const ran = runScriptAgent(
    { call: through((name, input, options) => own.call(name, input, options)), events: (options) => own.events(options) },
    {
      agent: "solo",
      session: session.id,
      plan: id,
      cwd: directory,
      workDir: mkdtempSync(join(tmpdir(), "skein-crew-work-")),
      hub: { url, tokenFile: "" },
      speed: 1,
      env: {},
      signal: stopped.signal,
      say: () => undefined,
    },
  )
  /** The task's status, once it is that one or does not become so. */
  const until = async (task: string, status: string): Promise<string> => {
    for (let tries = 0; ; tries += 1) {
      const is = (await client.task.show({ task: `${id}/${task}` })).task.status
      if (is === status || tries === 600) return is
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  }
  return { ran, stopped, until }
}

test("real work whose claim is called off with the filler, its answer on the way, is carried out all the same", async () => {
  const team = await startTeam({
    worktrees: false,
    agents: [{ name: "solo", start: true, maxActive: 2 }],
    tasks: [
      { id: "later", title: "Later", requires: { patience: 1 }, run: { command: "echo later" } },
      { id: "spare", title: "Filler", filler: true, run: { standIn: { ms: 600_000, costMicroUsd: 0 } } },
    ],
  })
  // The hub tells everybody of a claim before it answers: here the agent has heard that its filler is over, and ended it, when the answer comes.
  const { ran, stopped, until } = await alone(team, (call) => async (name, input, options = {}) => {
    if (name !== "task.claimNext" || (input as { filler?: boolean | null }).filler !== false) return call(name, input, options)
    const { signal, ...rest } = options
    await call(name, input, rest)
    await new Promise((resolve) => signal?.addEventListener("abort", resolve))
    throw new SkeinError("timed_out", "the call was given up", "")
  })
  await until("spare", "in_progress")
  await team.client.task.edit({ task: `${team.id}/later`, reason: "anybody can", changes: { requires: {} } })
  expect(await until("later", "completed")).toBe("completed")
  stopped.abort()
  expect(await ran).toBe(1)
})

test("a task whose claim was granted, and no answer came in time, is carried out, also by an agent that may hold more", async () => {
  const team = await startTeam({
    worktrees: false,
    agents: [{ name: "solo", start: true, maxActive: 2 }],
    tasks: [{ id: "lost", title: "Lost", run: { command: "echo found" } }],
  })
  let isLost = false
  const { ran, stopped, until } = await alone(team, (call) => async (name, input, options) => {
    if (name !== "task.claimNext" || isLost) return call(name, input, options)
    isLost = true
    await call(name, input, options)
    throw new SkeinError("timed_out", "no answer within 70000 ms", "")
  })
  expect(await until("lost", "completed")).toBe("completed")
  stopped.abort()
  expect(await ran).toBe(1)
})
