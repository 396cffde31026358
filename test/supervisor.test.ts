import { spawn, spawnSync } from "node:child_process"
import { appendFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test } from "vitest"
import { httpClient } from "../src/client/http.ts"
import { bornOf } from "../src/runtime/supervisor-folder.ts"
import { hubPid, json, newRepository, type Ran, skein, tidyUp, until } from "./cli-driver.ts"
import { ended, newFarMachine, pidOf, type Rig, rigOf, spawned, tidyRigs, withoutTmux } from "./supervisor-rig.ts"
import { kill, leftRunning } from "./left-running.ts"

if (withoutTmux !== null) console.warn(withoutTmux)

afterAll(async () => {
  await tidyRigs()
  await tidyUp()
})

async function jobs(rig: Rig, target: string): Promise<{ status: string; code: string | null; hop: string; job: string; failed: Record<string, number> }[]> {
  return (await rig.hub.call("trigger.list", { target })).triggers
}

describe.skipIf(withoutTmux !== null)("a supervised agent", { timeout: 90_000, concurrent: true }, () => {
  test("is woken by a message, once, and what shows it is the hub's own: its cursor", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    await rig.hasRead("reader-1", await rig.post("talk-1", "good morning"))
    await until(async () => ((await jobs(rig, "reader-1"))[0]?.status === "delivered" ? true : undefined), "the wake is delivered")
    expect(await jobs(rig, "reader-1")).toHaveLength(1)
    expect(rig.heard("reader-1", "text")).toHaveLength(1)
    expect(rig.heard("reader-1", "text")[0]?.text).toMatch(/^Skein: 1 unread message in thread talk-1\.\nRead it with read_messages/)
    const { sessions } = await rig.hub.call("session.list", { agent: "reader-1", status: "live" })
    await rig.down()
    expect(leftRunning(rig)).toEqual([])
    expect(sessions).toMatchObject([{ runtime: "tmux", owned: true, resumeId: rig.running("reader-1").conversation }])
  })

  test("that is killed is started again with its conversation, without anyone's help, and reads what came meanwhile", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    const before = pidOf(rig, "reader-1")
    const { conversation } = rig.running("reader-1")
    kill(before)
    await rig.hasRead("reader-1", await rig.post("talk-1", "are you there"))
    expect(rig.heard("reader-1", "started")).toMatchObject([
      { how: "new", conversation },
      { how: "resume", conversation },
    ])
    expect(pidOf(rig, "reader-1")).not.toBe(before)
    rig.tmux("kill-server")
    await rig.hasRead("reader-1", await rig.post("talk-1", "and without your terminal"))
    // One that was started for a wake may read before its supervisor has said that it runs.
    await until(async () => {
      const { sessions } = await rig.hub.call("session.list", { agent: "reader-1", status: "live" })
      return sessions.length === 1 ? true : undefined
    }, "it has one session")
  })

  test("that ended by itself stays so until it is woken: then its conversation is resumed", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    rig.tmux("send-keys", "-t", "main:reader-1", "/exit", "Enter")
    await rig.isOver("reader-1", "ended")
    await new Promise((settle) => setTimeout(settle, 1_000))
    expect(rig.heard("reader-1", "started")).toHaveLength(1)
    await rig.hasRead("reader-1", await rig.post("talk-1", "come back"))
    expect(rig.heard("reader-1", "started").at(-1)).toMatchObject({ how: "resume" })
    await until(async () => ((await jobs(rig, "reader-1"))[0]?.status === "delivered" ? true : undefined), "it is delivered")
    expect(await jobs(rig, "reader-1")).toMatchObject([{ hop: "resume", failed: { live: 0, resume: 0, spawn: 0 } }])
  })

  test("whose conversation is lost is spawned with the thread's summary", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    await rig.hub.call("message.post", { thread: "talk-1", body: "We take the northern route.", metadata: { eventType: "decision" } })
    await until(() => rig.heard("reader-1", "done")[0], "the decision is read")
    rig.tmux("send-keys", "-t", "main:reader-1", "/exit", "Enter")
    await rig.isOver("reader-1", "ended")
    rmSync(join(rig.heardIn, `${rig.running("reader-1").conversation}.conversation`))
    await rig.hasRead("reader-1", await rig.post("talk-1", "which route was it?"))
    expect(rig.heard("reader-1").filter(({ event }) => event === "unknown")).not.toEqual([])
    expect(rig.heard("reader-1", "started").at(-1)).toMatchObject({ how: "new" })
    expect(rig.heard("reader-1", "text").at(-1)?.text).toMatch(/started anew by Skein[\s\S]*We take the northern route\./)
    const [job] = await jobs(rig, "reader-1")
    const { hops } = await rig.hub.call("trigger.why", { job: job?.job ?? "" })
    expect(hops.flatMap(({ type, code }) => (type === "trigger.failed" ? [code] : []))).toEqual(["RESUME_FAILED", "RESUME_FAILED"])
    expect(job).toMatchObject({ status: "delivered", hop: "spawn" })
  })

  test("that cannot be started any more is a dead letter that the operator sees and can send again", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    writeFileSync(join(rig.heardIn, "reader-1.broken"), "")
    rig.tmux("send-keys", "-t", "main:reader-1", "/exit", "Enter")
    await rig.isOver("reader-1", "ended")
    await rig.post("talk-1", "hello?")
    const dead = await until(async () => (await jobs(rig, "reader-1")).find(({ status }) => status === "dead"), "it is dead")
    expect(dead).toMatchObject({ code: "SPAWN_FAILED", hop: "spawn" })
    rmSync(join(rig.heardIn, "reader-1.broken"))
    await rig.hub.call("trigger.retry", { job: dead.job, reason: "it is mended" })
    await rig.hasRead("reader-1", "hello?")
  })

  test("is found again by the next supervisor when one was killed: the same process, the same session, nothing said twice", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig, 2)
    const pids = ["reader-1", "reader-2"].map((agent) => pidOf(rig, agent))
    const { session } = rig.running("reader-1")
    const pid = rig.supervisorPid()
    kill(pid)
    await ended(pid)
    // One of them dies while nobody looks.
    kill(pids[1] as number)
    await rig.post("talk-1", "is anybody there")
    await rig.post("talk-2", "you too")
    await rig.skein("up", "--supervise")
    await rig.hasRead("reader-1", "is anybody there")
    await rig.hasRead("reader-2", "you too")
    expect(pidOf(rig, "reader-1")).toBe(pids[0])
    expect(rig.running("reader-1").session).toBe(session)
    expect(rig.heard("reader-1", "started")).toHaveLength(1)
    expect(rig.heard("reader-1", "text")).toHaveLength(1)
    expect(rig.heard("reader-2", "started")).toHaveLength(2)
  })

  test("that was begun by a supervisor which died before it could note where is adopted, not begun twice", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    const before = pidOf(rig, "reader-1")
    const pid = rig.supervisorPid()
    kill(pid)
    await ended(pid)
    rig.registry.record({ ...rig.running("reader-1"), state: "starting", address: null })
    await rig.skein("up", "--supervise")
    await rig.hasRead("reader-1", await rig.post("talk-1", "still you"))
    expect(pidOf(rig, "reader-1")).toBe(before)
    expect(rig.heard("reader-1", "started")).toHaveLength(1)
  })

  test("outlives its hub: what was posted before and after a crash is read", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    const before = pidOf(rig, "reader-1")
    await rig.post("talk-1", "just before")
    kill(hubPid(rig.folder) as number)
    await rig.skein("up")
    await rig.hasRead("reader-1", "just before")
    await rig.hasRead("reader-1", await rig.post("talk-1", "just after"))
    expect(pidOf(rig, "reader-1")).toBe(before)
  })

  test("that dies again and again is given up, and told so; a person's word tries it anew", async (context) => {
    const rig = await rigOf(context, { wake: { restarts: 2 } })
    await spawned(rig)
    for (let times = 0; times < 3; times += 1) {
      const pid = await until(() => pidOf(rig, "reader-1") || undefined, "it runs")
      kill(pid)
      await until(() => (pidOf(rig, "reader-1") === pid ? undefined : true), "its death is noticed")
    }
    await rig.isOver("reader-1", "given_up")
    const [resumed] = await rig.skein("agent", "resume", "reader-1")
    expect(resumed).toMatchObject({ state: "running" })
    await rig.hasRead("reader-1", await rig.post("talk-1", "again"))
  })
})

describe.skipIf(withoutTmux !== null)("a person", { timeout: 90_000, concurrent: true }, () => {
  test("pauses, resumes and stops an agent, and reads what it shows", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    expect(await rig.skein("agent", "pause", "reader-1", "--reason", "a look at it")).toMatchObject([{ state: "paused" }])
    await rig.post("talk-1", "not now")
    await new Promise((settle) => setTimeout(settle, 1_500))
    expect(rig.heard("reader-1", "text")).toEqual([])
    expect(await rig.skein("agent", "resume", "reader-1")).toMatchObject([{ state: "running" }])
    await rig.hasRead("reader-1", "not now")
    expect((await rig.skein("agent", "logs", "reader-1"))[0]?.["text"]).toContain("ready for input")
    const pid = pidOf(rig, "reader-1")
    await rig.hub.call("task.add", { id: "only-once", title: "To be tried once", maxAttempts: 1 })
    const { credentialFile } = rig.registry.wantedOf("reader-1") ?? {}
    const session = rig.running("reader-1").session ?? ""
    const { url } = JSON.parse(readFileSync(join(rig.folder, ".skein", "hub.json"), "utf8")) as { url: string }
    const own = httpClient({ url, session, credentialFile: credentialFile ?? "" })
    await own.call("task.claim", { task: "only-once" })
    own.close()
    expect(await rig.skein("agent", "stop", "reader-1")).toMatchObject([{ state: "stopped" }])
    expect(bornOf(pid)).toBeNull()
    // It failed at nothing.
    expect((await rig.hub.call("task.show", { task: "only-once" })).task).toMatchObject({ status: "pending", attempts: 0 })
    const { sessions } = await rig.hub.call("session.list", { agent: "reader-1", status: "live" })
    expect(sessions).toEqual([])
    const missing = await skein(rig.folder, ["agent", "stop", "nobody"])
    expect(missing).toMatchObject({ status: 1 })
    expect(missing.stderr).toContain("skein swarm spawn")
  })

  test("far from its machine, sees an agent's terminal and orders it to pause, to stop and to go on", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    const screen = await until(async () => (await rig.hub.call("terminal.show", { agent: "reader-1" })).screen ?? undefined, "its terminal is seen")
    expect(screen.text).toContain("ready for input")
    const order = (directive: "pause" | "resume" | "stop"): Promise<unknown> =>
      rig.hub.call("event.send", { kind: "directive", directive, to: { agent: "reader-1" }, text: "from afar" })
    const pid = pidOf(rig, "reader-1")
    await order("pause")
    await until(() => (rig.registry.wantedOf("reader-1")?.want === "paused" ? true : undefined), "it is to be paused")
    expect(rig.registry.wantedOf("reader-1")?.reason).toBe("operator: from afar")
    await order("stop")
    await ended(pid)
    await order("resume")
    await until(() => (rig.running("reader-1").state === "running" ? true : undefined), "it runs again")
  })

  test("who types in an agent's terminal is not typed over, and the orchestrator hears of it before the agent is woken", async (context) => {
    const rig = await rigOf(context, { wake: { quietMs: 2_500, recheckMs: 300 } })
    await spawned(rig)
    await rig.hub.call("agent.add", { name: "boss", role: "orchestrator" })
    const person = spawn("script", ["-qfc", `tmux -L ${rig.socket} attach -t main:reader-1`, "/dev/null"], {
      stdio: ["pipe", "ignore", "ignore"],
      env: { ...process.env, TERM: "xterm" },
    })
    try {
      await until(() => (rig.tmux("list-clients", "-F", "#{client_control_mode}").includes("0") ? true : undefined), "the person looks")
      person.stdin.write("by hand\r")
      await until(() => rig.heard("reader-1", "text").find(({ text }) => text === "by hand"), "the person's text is there")
      await rig.post("talk-1", "when you have time")
      const put = await until(async () => (await jobs(rig, "reader-1")).find(({ code }) => code === "OPERATOR_BUSY"), "it is put off")
      await rig.hasRead("reader-1", "when you have time")
      expect((await rig.hub.call("trigger.show", { job: put.job })).trigger.failed).toEqual({ live: 0, resume: 0, spawn: 0 })
      const { messages } = await rig.hub.call("message.read", { thread: "role/orchestrator", sinceSeq: 0 })
      expect(messages).toMatchObject([{ sender: "supervisor", body: expect.stringContaining("A person worked in the terminal of reader-1") as string }])
      const { hops } = await rig.hub.call("trigger.why", { job: put.job })
      expect(messages[0]?.seq).toBeLessThan(hops.findLast(({ type }) => type === "trigger.delivering")?.seq ?? 0)
    } finally {
      kill(person.pid as number)
      rig.tmux("detach-client", "-a")
    }
  })
})

describe.skipIf(withoutTmux !== null)("a supervisor", { timeout: 90_000, concurrent: true }, () => {
  test("pauses the whole account of an agent that is out of quota, and burns no attempt", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig, 2, "--account", "shared")
    rig.tmux("send-keys", "-t", "main:reader-1", "/out", "Enter")
    await until(() => (rig.tmux("capture-pane", "-p", "-t", "main:reader-1").includes("usage limit") ? true : undefined), "it says so")
    await rig.post("talk-1", "one")
    await until(async () => (await jobs(rig, "reader-1")).find(({ code }) => code === "QUOTA_EXHAUSTED"), "its wake waits")
    await rig.post("talk-2", "two")
    await new Promise((settle) => setTimeout(settle, 1_500))
    expect(rig.heard("reader-2", "text")).toEqual([])
    expect((await jobs(rig, "reader-1"))[0]?.failed).toEqual({ live: 0, resume: 0, spawn: 0 })
    rig.tmux("send-keys", "-t", "main:reader-1", "-R", "C-l")
    rig.tmux("clear-history", "-t", "main:reader-1")
    await rig.hub.call("account.restored", { account: "shared", reason: "paid" })
    await rig.hasRead("reader-2", "two")
  })

  test("is one to a workspace and machine, ends with all that it runs, and leaves no wake to anybody", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    const second = await skein(rig.folder, ["supervisor"])
    expect(second).toMatchObject({ status: 1 })
    expect(second.stderr).toContain("another supervisor runs here")
    const agent = pidOf(rig, "reader-1")
    const pid = rig.supervisorPid()
    process.kill(pid, "SIGTERM")
    await ended(pid)
    expect(bornOf(agent)).toBeNull()
    expect(rig.registry.holder()).toBeNull()
    const { sessions } = await rig.hub.call("session.list", { status: "live" })
    expect(sessions).toEqual([])
    await rig.post("talk-1", "to nobody")
    await new Promise((settle) => setTimeout(settle, 800))
    expect(await jobs(rig, "reader-1")).toEqual([])
  })

  test("shares a hub with those of other machines: each wakes its own agents, and none another's", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    const lab = await newFarMachine(rig, { name: "lab", agents: ["far-1"], like: "reader-1" })
    await lab.start()
    try {
      await rig.hub.call("thread.create", { thread: "both", title: "Both", participants: ["reader-1", "far-1"] })
      await rig.post("both", "all of you")
      await rig.hasRead("reader-1", "all of you")
      await rig.hasRead("far-1", "all of you")
      const { triggers } = await rig.hub.call("trigger.list", {})
      const { sessions } = await rig.hub.call("session.list", {})
      const keeper = (id: string | null): string | undefined => sessions.find((session) => session.id === id)?.agent
      expect(Object.fromEntries(triggers.map(({ target, supervisor }) => [target, keeper(supervisor)]))).toEqual({ "reader-1": "supervisor", "far-1": "lab" })
      expect(rig.heard("far-1", "text")).toHaveLength(1)
      expect(rig.heard("reader-1", "text")).toHaveLength(1)
    } finally {
      await lab.stop()
    }
    expect(leftRunning(lab)).toEqual([])
  })

  test("goes on under another session where somebody ended its own, at that one's pace, and its log begins anew while it runs", async (context) => {
    const rig = await rigOf(context, { supervise: false })
    // So long that nothing would be heard of its agents in a test's time.
    await rig.hub.call("agent.add", { name: "supervisor", role: "supervisor", kind: "supervisor", heartbeatMs: 300_000 })
    await spawned(rig)
    const log = join(rig.folder, ".skein", "logs", "supervisor.log")
    appendFileSync(log, `${"x".repeat(16 * 1024 * 1024)}\n`)
    await rig.hub.call("agent.edit", { name: "supervisor", heartbeatMs: 600, reason: "it was long" })
    const [own] = (await rig.hub.call("session.list", { agent: "supervisor", status: "live" })).sessions
    await rig.hub.call("session.end", { session: own?.id ?? "", reason: "by mistake" })
    await rig.post("talk-1", "look here")
    const beats = new Set<number | null>()
    await until(async () => {
      const [session] = (await rig.hub.call("session.list", { agent: "reader-1", status: "live" })).sessions
      return beats.add(session?.lastBeatMs ?? null).size > 3 ? true : undefined
    }, "it beats for its agent")
    expect(readFileSync(`${log}.1`, "utf8")).toContain('"supervising":true')
    expect(readFileSync(log, "utf8")).toMatch(/^\{.*the supervisor's session is over/)
  })

  test("tells at once that what an agent needs is missing, and tries again where its program fails", async (context) => {
    const presets = { failing: { interactive: { start: ["/bin/sh", "-c", "exit 3"] }, screen: { ready: ["^never"] } } }
    const rig = await rigOf(context, { supervise: false, wake: { restarts: 1, restartMs: 3_000 }, settings: () => ({ presets }) })
    const bare = join(rig.folder, "bare")
    mkdirSync(bare)
    symlinkSync(spawnSync("which", ["git"], { encoding: "utf8" }).stdout.trim(), join(bare, "git"))
    const spawnOf = (kind: string, path: string): Promise<Ran> => skein(rig.folder, ["swarm", "spawn", "--agent", kind, "--prompt", "hello"], { PATH: path })
    const lacking = await spawnOf("reader", bare)
    expect(lacking).toMatchObject({
      status: 1,
      stdout:
        "reader-1 is given up: SPAWN_FAILED: there is no program tmux on the path: install it (apt-get install tmux, brew install tmux); then skein agent resume reader-1\n",
      stderr: "",
    })
    expect(await skein(rig.folder, ["agent", "resume", "reader-1"])).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/is given up: .*no program tmux/) as string,
    })
    process.kill(rig.supervisorPid(), "SIGTERM")
    await until(() => (rig.registry.holder() === null ? true : undefined), "the supervisor has ended")
    const failing = await spawnOf("failing", process.env["PATH"] ?? "")
    expect(failing).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/^failing-1 is given up: .*; then skein agent resume failing-1\n$/) as string,
      stderr: expect.stringMatching(/^failing-1 does not run yet, and is tried again: SPAWN_FAILED: /) as string,
    })
  })

  test("is not asked to run an agent whose record cannot be written: the way out can be typed", async (context) => {
    const rig = await rigOf(context, { supervise: false })
    const record = join(rig.folder, ".skein", "supervisor", "running", "reader-1.json")
    mkdirSync(record, { recursive: true })
    const { status, stderr } = await skein(rig.folder, ["swarm", "spawn", "--agent", "reader"])
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining(`${record} is a folder`) as string })
    expect(spawnSync("/bin/sh", ["-c", /^remedy: Move it away: (.*)$/m.exec(stderr)?.[1] ?? "false"]).status).toBe(0)
    await spawned(rig)
  })

  test("in worktrees of their own, agents are told apart by git too", async (context) => {
    const rig = await rigOf(context)
    await json(rig.folder, ["swarm", "spawn", "--agent", "reader", "--count", "2", "--worktrees", "--name", "tree"])
    const cwds = ["tree-1", "tree-2"].map((agent) => rig.registry.wantedOf(agent)?.cwd)
    expect(cwds).toEqual([join(rig.folder, ".skein/worktrees/tree-1"), join(rig.folder, ".skein/worktrees/tree-2")])
  })
})

test("a supervisor is known to have started also where its log has letters of more than one byte", async () => {
  const folder = newRepository()
  const log = join(folder, ".skein", "logs", "supervisor.log")
  await json(folder, ["up"])
  writeFileSync(log, `${"ü✓".repeat(1_000)}\n`)
  expect(await json(folder, ["up", "--supervise"])).toContainEqual(expect.objectContaining({ supervising: true }))
  await json(folder, ["down"])
})
