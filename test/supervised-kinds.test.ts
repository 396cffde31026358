import { resolve } from "node:path"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, test, type TestContext } from "vitest"
import { decodeEntry } from "../src/core/entry.ts"
import { bornOf } from "../src/runtime/supervisor-folder.ts"
import { until } from "./cli-driver.ts"
import { type Heard, type Rig, rigOf, withoutTmux } from "./supervisor-rig.ts"
import { kill } from "./left-running.ts"

if (withoutTmux !== null) console.warn(withoutTmux)

const SCREEN = { exhausted: ["hit your usage limit"] }

/** A rig whose `talker-1` has no terminal, in a thread with the operator. */
async function talking(
  context: TestContext,
  by: "acp" | "process",
  { wake = {}, permissions = [] }: { wake?: Record<string, number>; permissions?: object[] } = {},
): Promise<Rig> {
  const script = [process.execPath, "--disable-warning=ExperimentalWarning", resolve("test/terminal/talking-agent.ts")]
  const rig = await rigOf(context, {
    wake,
    settings: (heardIn) => ({
      permissions,
      presets: {
        talker: {
          interactive: { start: [...script, "none"] },
          screen: SCREEN,
          acp: { argv: [...script, "acp", heardIn], resumes: true },
          headless: {
            start: [...script, "turn", heardIn],
            resume: [...script, "turn", heardIn, "{session}"],
            sessionFields: [["id"]],
            unknownSession: { exit: 7, says: "no such conversation" },
          },
        },
      },
    }),
  })
  await rig.skein("swarm", "spawn", "--agent", "talker", "--by", by)
  await rig.hub.call("thread.create", { thread: "talk", title: "Talk", participants: ["talker-1"] })
  return rig
}

const job = async (
  rig: Rig,
): Promise<
  { status: string; code: string | null; hop: string; job: string; failed: Record<string, number>; channel: string | null; sentAtMs: number | null } | undefined
> => (await rig.hub.call("trigger.list", { target: "talker-1" })).triggers[0]
const heard = (rig: Rig, event: string, what = ""): Promise<Heard> =>
  until(() => rig.heard("talker-1", event).findLast(({ text, body }) => what === "" || text === what || body === what), `${event} ${what}`)

describe("an agent by ACP under a supervisor", { timeout: 60_000, concurrent: true }, () => {
  test("is woken, asks leave of the operator, and has its turns, its usage and each step of its request recorded", async (context) => {
    const rig = await talking(context, "acp")
    await rig.post("talk", "ask")
    const [asked] = await until(async () => {
      const { permissions } = await rig.hub.call("permission.list", {})
      return permissions.length > 0 ? permissions : undefined
    }, "it asks")
    expect(asked).toMatchObject({
      agent: "talker-1",
      title: "rm -r build",
      kind: "execute",
      options: [{ id: "yes" }, { id: "no" }],
      session: rig.running("talker-1").session,
    })
    // In its turn: nothing is started beside it, and its time to answer stands still.
    const { alerts } = await rig.hub.call("hub.status", {})
    expect(alerts.find(({ kind }) => kind === "permission_waits")).toMatchObject({ agent: "talker-1" })
    const { messages } = await rig.hub.call("message.read", { thread: "role/operator", sinceSeq: 0 })
    expect(messages.at(-1)?.body).toContain(`skein permission answer ${asked?.id}`)
    expect(await rig.skein("permission", "answer", String(asked?.id), "yes", "--reason", "it is a build folder")).toMatchObject([{ permission: asked?.id }])
    await heard(rig, "answered", "yes")
    await until(async () => ((await rig.hub.call("usage.list", { by: "agent" })).rows[0] !== undefined ? true : undefined), "its usage is told")
    const { rows } = await rig.hub.call("usage.list", { by: "session" })
    expect(rows).toMatchObject([{ key: rig.running("talker-1").session, inputTokens: 12, outputTokens: 34, costMicroUsd: 250_000 }])
    const { permissions } = await rig.hub.call("permission.list", { open: false })
    expect(permissions).toMatchObject([{ status: "answered", option: "yes", by: "operator", reason: "it is a build folder", rule: null }])
    await until(async () => (((await job(rig))?.sentAtMs ?? undefined) !== undefined ? true : undefined), "it is told of as sent")
    expect((await rig.skein("agent", "logs", "talker-1"))[0]?.["text"]).toContain("working on it")
    expect(await job(rig)).toMatchObject({ status: "delivered", channel: "acp", failed: { live: 0, resume: 0, spawn: 0 } })
  })

  test("is refused where nobody answers in time, and where a rule says so, and is given leave by a rule: all of it is recorded", async (context) => {
    const rig = await talking(context, "acp", { wake: { permissionMs: 1_000 } })
    await rig.post("talk", "ask")
    await heard(rig, "answered", "no")
    const { permissions } = await rig.hub.call("permission.list", { open: false })
    expect(permissions).toMatchObject([{ status: "expired", option: null }])
    const ruled = await talking(context, "acp", {
      permissions: [
        { kinds: ["read"], answer: "reject_once" },
        { title: "^rm -r build$", answer: "allow_always" },
      ],
    })
    await ruled.post("talk", "ask")
    await heard(ruled, "answered", "yes")
    expect((await ruled.hub.call("permission.list", { open: false })).permissions).toMatchObject([
      { status: "answered", option: "yes", by: "supervisor", rule: "permissions[1]" },
    ])
  })

  test("that dies is started again with its conversation; one that is out of quota pauses until the time that it names, and no attempt is burnt", async (context) => {
    const rig = await talking(context, "acp")
    await rig.post("talk", "crash")
    await until(() => (rig.heard("talker-1", "started").length === 2 ? true : undefined), "it is started again")
    expect(rig.heard("talker-1", "started").map(({ how }) => how)).toEqual(["new", "resume"])
    await rig.post("talk", "out")
    const paused = await until(async () => {
      const { entries } = await rig.hub.call("ledger.read", { from: 1, limit: 500 })
      return entries.map(({ bytes }) => decodeEntry(bytes)).find(({ type }) => type === "account.exhausted")
    }, "its account is paused")
    const { untilMs, reason } = paused.data as { untilMs: number; reason: string }
    expect(reason).toMatch(/Try again at \d+:\d\d [AP]M$/)
    // To the minute, as it said.
    expect(Math.abs(untilMs - Date.now() - 7_200_000)).toBeLessThan(120_000)
    await until(async () => ((await job(rig))?.code === "QUOTA_EXHAUSTED" ? true : undefined), "its wake waits")
    expect(await job(rig)).toMatchObject({ failed: { live: 0, resume: 0, spawn: 0 } })
    writeFileSync(join(rig.heardIn, "talker-1.paid"), "")
    await rig.hub.call("account.restored", { account: "agent/talker-1", reason: "paid" })
    await heard(rig, "read", "out")
  })

  test("whose turn is ended while it waits for leave has its request withdrawn, and ends with its supervisor", async (context) => {
    const rig = await talking(context, "acp")
    await rig.post("talk", "ask")
    await until(async () => ((await rig.hub.call("permission.list", {})).permissions.length > 0 ? true : undefined), "it asks")
    const { address } = rig.running("talker-1")
    const pid = address !== null && "pid" in address ? address.pid : 0
    await rig.skein("agent", "stop", "talker-1")
    expect((await rig.hub.call("permission.list", { open: false })).permissions).toMatchObject([{ status: "withdrawn" }])
    expect(bornOf(pid)).toBeNull()
  })

  test("which the hub knows as live, while nothing of it runs here, is found to have drifted, and is resumed", async (context) => {
    const rig = await talking(context, "acp", { wake: { restarts: 0 } })
    await rig.post("talk", "crash")
    await rig.isOver("talker-1", "given_up")
    const { session } = await rig.hub.call("session.start", { agent: "talker-1", runtime: "elsewhere" })
    await rig.post("talk", "hello")
    await heard(rig, "read", "hello")
    const { hops } = await rig.hub.call("trigger.why", { job: (await job(rig))?.job ?? "" })
    expect(hops.find(({ type }) => type === "trigger.failed")).toMatchObject({ code: "REGISTRY_DRIFT", text: expect.stringContaining(session) as string })
    // What a wake started says so; what its supervisor started by itself does not.
    const started = await until(async () => {
      const { sessions } = await rig.hub.call("session.list", { agent: "talker-1" })
      const own = sessions.filter(({ runtime }) => runtime === "acp")
      return own.length === 2 ? own : undefined
    }, "it has another session")
    expect(started.map(({ trigger }) => trigger ?? null)).toEqual([hops.length > 0 ? ((await job(rig))?.job ?? "") : "", null])
  })
})

describe.skipIf(withoutTmux !== null)("an agent in a terminal that is served over HTTP", { timeout: 60_000, concurrent: true }, () => {
  test("is given a port and a password of its own, is woken by it over a draft in its terminal, and found again by the next supervisor", async (context) => {
    const script = [process.execPath, "--disable-warning=ExperimentalWarning", resolve("test/terminal/talking-agent.ts")]
    const rig = await rigOf(context, {
      settings: (heardIn) => ({
        presets: {
          talker: {
            interactive: { start: [...script, "served", heardIn], chooseSession: ["{session}"] },
            screen: { ready: ["^ready for input"], emptyInput: "^> $" },
            native: { way: "opencode-http" },
          },
        },
      }),
    })
    await rig.skein("swarm", "spawn", "--agent", "talker")
    await rig.hub.call("thread.create", { thread: "talk", title: "Talk", participants: ["talker-1"] })
    await heard(rig, "started")
    rig.tmux("send-keys", "-t", "main:talker-1", "-l", "half a thought")
    await rig.hasRead("talker-1", await rig.post("talk", "one"))
    expect(await job(rig)).toMatchObject({ channel: "native", failed: { live: 0, resume: 0, spawn: 0 } })
    expect(rig.tmux("capture-pane", "-p", "-t", "main:talker-1")).toContain("half a thought")
    const { server, conversation } = rig.running("talker-1")
    const asked = await fetch(`http://127.0.0.1:${server?.port}/session/${conversation}/prompt_async`, { method: "POST", body: "{}" })
    expect(asked.status).toBe(401)
    const pid = rig.supervisorPid()
    kill(pid)
    await until(() => (bornOf(pid) === null ? true : undefined), "the supervisor is gone")
    await rig.skein("up", "--supervise")
    await rig.hasRead("talker-1", await rig.post("talk", "two"))
    expect(await job(rig)).toMatchObject({ channel: "native" })
    expect(rig.heard("talker-1", "started")).toHaveLength(1)
  })
})

describe("a headless agent under a supervisor", { timeout: 60_000, concurrent: true }, () => {
  test("is a process for each wake, in one conversation, and out of quota in the middle of a turn pauses until the time that it names", async (context) => {
    const rig = await talking(context, "process")
    await rig.hasRead("talker-1", await rig.post("talk", "one"))
    await until(async () => ((await job(rig))?.status === "delivered" ? true : undefined), "it is delivered")
    // A turn that still goes on may read the second message too, and then no other comes.
    await until(() => (rig.heard("talker-1", "done").length === 1 ? true : undefined), "the first turn is over")
    await rig.hasRead("talker-1", await rig.post("talk", "two"))
    await until(() => (rig.heard("talker-1", "done").length === 2 ? true : undefined), "both turns are over")
    const done = rig.heard("talker-1", "done")
    expect(new Set(done.map(({ pid }) => pid)).size).toBe(2)
    expect(new Set(done.map(({ conversation }) => conversation)).size).toBe(1)
    await rig.post("talk", "out")
    await until(async () => ((await job(rig))?.code === "QUOTA_EXHAUSTED" ? true : undefined), "its wake waits")
    expect(await job(rig)).toMatchObject({ failed: { live: 0, resume: 0, spawn: 0 } })
    expect(rig.running("talker-1")).toMatchObject({ state: "running", crashes: [] })
    kill(rig.supervisorPid())
  })
})
