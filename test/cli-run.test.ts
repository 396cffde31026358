import { once } from "node:events"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { WebSocket, WebSocketServer } from "ws"
import { hubPid, json, newRepository, operator, parseLines, skein, startSkein, tidyUp, until } from "./cli-driver.ts"

/** One repository with a running hub, for plans whose runs need not begin or end it; each has a name of its own. */
let shared: string
beforeAll(async () => {
  shared = newRepository()
  await json(shared, ["up"])
})
afterAll(tidyUp)

type Entry = { seq: number; type: string; actor: { agent: string }; data: { id?: string; reason?: string } }
type Report = {
  kind: string
  finished: boolean
  counts: Record<string, number>
  attempts: { delivered: number; lost: number; leasesEnded: number }
  chaos: { agent: string; task: string; leaseEndedAfterMs: number; reclaimedBy: string; completedBy: string } | null
  ledger: { ok: boolean }
}

const HELLO = resolve("examples/hello.yaml")

/** A plan of `sleep`s in a file of its name. */
function writePlan(folder: string, plan: { plan: string; [field: string]: unknown }): string {
  const path = join(folder, `${plan.plan}.json`)
  writeFileSync(path, JSON.stringify(plan))
  return path
}

function nap(id: string, seconds: number, rest: object = {}): object {
  return { id, title: `Nap ${id}`, run: `sleep ${seconds}; echo rested`, ...rest }
}

const entriesOf = (folder: string): Promise<Entry[]> => json<Entry>(folder, ["ledger", "tail", "--from", "1"])

/** What the hub tells one connection through `lateHub`: `isRun` of the run itself and not of an agent, `calledOff` when that end has called something off. */
type Told = { text: string; isRun: boolean; calledOff: Promise<unknown> }

/** Stands before a hub, and passes on what it tells once `when` says so. */
async function lateHub(hub: string, when: (told: Told) => Promise<unknown> | null): Promise<{ url: string; close(): void }> {
  const server = createServer((asked, answered) => {
    const { host: _, ...headers } = asked.headers
    const passed = request(`${hub}${asked.url}`, { method: asked.method ?? "GET", headers }, (answer) => {
      answered.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(answered)
    })
    passed.on("error", () => answered.destroy())
    asked.pipe(passed)
  })
  new WebSocketServer({ server }).on("connection", (near, { url = "" }) => {
    const far = new WebSocket(`${hub.replace("http", "ws")}${url}`)
    const isOpen = once(far, "open")
    let callOff = (): void => {}
    const calledOff = new Promise<void>((resolve) => (callOff = resolve))
    near.on("message", (data: Buffer) => {
      if (data.toString().includes('"cancel":')) callOff()
      void isOpen.then(() => far.send(data.toString()))
    })
    let isRun = false
    far.on("message", (data: Buffer) => {
      const text = data.toString()
      isRun ||= text.startsWith('{"welcome"') && text.includes('"role":"operator"')
      const comes = when({ text, isRun, calledOff })
      if (comes === null) near.send(text)
      else void comes.then(() => near.send(text))
    })
    near.on("close", () => far.terminate())
    far.on("close", () => near.terminate())
  })
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
  const close = (): void => {
    server.closeAllConnections()
    server.close()
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

/** Whoever comes to the hub of this repository from now on comes through what stands before it. */
async function before(folder: string, when: (told: Told) => Promise<unknown> | null): Promise<{ close(): void }> {
  const file = join(folder, ".skein", "hub.json")
  const hub = JSON.parse(readFileSync(file, "utf8")) as { url: string }
  const late = await lateHub(hub.url, when)
  writeFileSync(file, JSON.stringify({ ...hub, url: late.url }))
  return late
}

const lastReport = (stdout: string): Report => parseLines<Report>(stdout).findLast(({ kind }) => kind === "report") as Report

// Most of the time they wait for plans that sleep.
describe.concurrent("run", { timeout: 60_000 }, () => {
  test("hello is run to its end, and run again it says that there is nothing to do", async () => {
    const folder = newRepository()
    const first = await skein(folder, ["run", HELLO])
    expect({ status: first.status, stdout: first.stdout }).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("finished, 3 tasks completed") as string,
    })
    expect(first.stdout).toMatch(/makespan .*\n.*critical path/)
    expect(first.stdout).toMatch(/ledger +ok: head \d+ [0-9a-f]{16}, \d+ entries .* verified/)
    // What the run brought up it takes down again.
    expect(hubPid(folder)).toBeNull()
    const before = await entriesOf(folder)
    const again = await skein(folder, ["run", HELLO])
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining("nothing to do") as string })
    const added = (await entriesOf(folder)).slice(before.length).map(({ type }) => type)
    expect(added.filter((type) => type.startsWith("task.") || type.startsWith("plan."))).toEqual([])
    expect(existsSync(join(folder, ".skein", "runs", "hello.1", "run.json"))).toBe(true)
  })

  test("two that run one plan in one moment both take it to its end, each task once", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    const plan = writePlan(folder, { plan: "shared", agents: ["ann", "bob", "cid"].map((name) => ({ name })), tasks: [nap("a", 1), nap("b", 1)] })
    const ran = await Promise.all([skein(folder, ["run", plan]), skein(folder, ["run", plan])])
    expect(ran.map(({ status, stderr }) => ({ status, stderr }))).toEqual(ran.map(() => ({ status: 0, stderr: "" })))
    const completed = (await entriesOf(folder)).flatMap(({ type, data }) => (type === "task.completed" ? [data.id] : []))
    expect(completed).toHaveLength(2)
    expect(new Set(completed)).toEqual(new Set(["shared.1/a", "shared.1/b"]))
  })

  test("a plan that is finished says how it is run anew; cancelled for that, what it came to stands", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await json(folder, ["run", HELLO])
    const cancel = ["plan", "cancel", "hello", "--reason", "once more"]
    expect((await skein(folder, ["run", HELLO])).stdout).toContain("For a new run: skein plan cancel hello.1 --reason TEXT, then this command")
    expect((await skein(folder, cancel)).stdout).toMatch(/^hello\.1 was finished, and its file now makes a new run \(entry \d+\)\n$/)
    expect((await skein(folder, ["plan", "list"])).stdout).toMatch(/hello\.1 .* finished/)
    expect((await skein(folder, ["plan", "show", "hello"])).stdout).toContain("finished, then cancelled: once more")
    expect((await skein(folder, ["plan", "add", HELLO])).stdout).toMatch(/^added hello\.2/)
    expect((await skein(folder, cancel)).stdout).toMatch(/^hello\.2 is cancelled \(entry \d+\)\n$/)
    expect((await skein(folder, ["plan", "list"])).stdout).toMatch(/hello\.2 .* cancelled/)
  })

  test("a hub that was up before stays up, and sees the plan", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    const { status, stdout } = await skein(folder, ["run", HELLO, "--json"])
    expect({ status, report: lastReport(stdout) }).toMatchObject({
      status: 0,
      report: { finished: true, counts: { completed: 3 }, ledger: { ok: true } },
    })
    const [shown] = await json(folder, ["plan", "show", "hello"])
    expect(shown).toMatchObject({ plan: { id: "hello.1", finished: true } })
    expect(await json(folder, ["task", "show", "hello.1/greet"])).toMatchObject([{ task: { deliverable: { text: "Hello, skein!\n" } } }])
  })

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s in the middle stops everything cleanly with %i, and the same command goes on where it stopped", async (signal, status) => {
    const folder = newRepository()
    // Longer than the test takes to see that it is at work; the second time it is over at once.
    const long = { id: "b", title: "Nap b", run: `[ -e '${folder}/again' ] || sleep 60` }
    const plan = writePlan(folder, { plan: "naps", tasks: [nap("a", 0), long, nap("c", 0)] })
    const run = startSkein(folder, ["run", plan])
    await until(() => (/claimed b/.test(run.output()) ? true : undefined), "the second task is at work")
    run.child.kill(signal)
    const stopped = await run.ended
    expect({ status: stopped.status, stdout: stopped.stdout }).toMatchObject({
      status,
      stdout: expect.stringContaining("the same command goes on") as string,
    })
    expect(hubPid(folder)).toBeNull()
    const entries = await entriesOf(folder)
    const lastOfTask = entries.findLast(({ type }) => type.startsWith("task."))
    expect(lastOfTask, JSON.stringify(entries.slice(-8))).toMatchObject({ type: "task.released", data: { id: "naps.1/b" } })
    writeFileSync(join(folder, "again"), "")
    const second = await skein(folder, ["run", plan])
    expect(second).toMatchObject({ status: 0, stdout: expect.stringContaining("goes on: naps.1") as string })
    const completed = (await entriesOf(folder)).filter(({ type }) => type === "task.completed").map(({ data }) => data.id)
    expect(completed).toEqual(["naps.1/a", "naps.1/b", "naps.1/c"])
  })

  test("a run that is stopped before its agent has heard of its claim gives the task back, and no attempt is counted", async ({ onTestFinished }) => {
    const folder = newRepository()
    await json(folder, ["up"])
    const late = await before(folder, ({ text, isRun, calledOff }) => (!isRun && text.includes('"claims":[{') ? calledOff : null))
    onTestFinished(late.close)
    // Its only attempt: with the end of a session it would have failed.
    const run = startSkein(folder, ["run", writePlan(folder, { plan: "once", tasks: [nap("a", 0, { maxAttempts: 1 })] })])
    await until(() => (/claimed a/.test(run.output()) ? true : undefined), "the claim is granted")
    run.child.kill("SIGINT")
    expect((await run.ended).status).toBe(130)
    const shown = await json(folder, ["task", "show", "once.1/a"])
    expect(shown).toMatchObject([{ task: { state: "ready", attempts: 0 } }])
  })

  type Stop = (run: ReturnType<typeof startSkein>, folder: string) => Promise<unknown>
  test.each<[string, Stop]>([
    ["while a program does not end", (run) => Promise.resolve(run.child.kill("SIGINT"))],
    [
      "after its hub",
      async (run, folder) => {
        process.kill(hubPid(folder) as number, "SIGTERM")
        await until(() => (hubPid(folder) === null ? true : undefined), "the hub is down")
        run.child.kill("SIGTERM")
      },
    ],
    [
      "and ended at once by a second signal",
      async (run) => {
        run.child.kill("SIGINT")
        await until(() => (run.output().includes("stopping") ? true : undefined), "it stops")
        run.child.kill("SIGINT")
      },
    ],
  ])("a run that is stopped %s has failed nobody's task: it goes on with that, and no attempt is counted", async (how, stop) => {
    const folder = newRepository()
    const hasOwnHub = how === "after its hub"
    if (!hasOwnHub) await json(folder, ["up"])
    const long = `[ -e '${folder}/again' ] || { trap '' TERM; touch '${folder}/begun'; sleep 60; }`
    // Its only attempt: with the end of a session it would have failed.
    const plan = writePlan(folder, { plan: "once", tasks: [{ id: "a", title: "A", run: long, maxAttempts: 1 }] })
    const run = startSkein(folder, ["run", plan])
    await until(() => (existsSync(join(folder, "begun")) ? true : undefined), "it is at work")
    await stop(run, folder)
    expect(await run.ended).toMatchObject({ status: hasOwnHub ? 143 : 130 })
    writeFileSync(join(folder, "again"), "")
    expect(await skein(folder, ["run", plan])).toMatchObject({ status: 0, stdout: expect.stringContaining("finished, 1 task completed") as string })
    const shown = await entriesOf(folder)
    expect(shown.flatMap(({ type }) => (/^lease\.ended|^task\.(failed|released)/.test(type) ? [type] : []))).toEqual(["task.released"])
    expect(existsSync(join(folder, ".skein", "agents", "once-agent.stopped"))).toBe(false)
  })

  test("a run that is interrupted once its plan is finished ends as one that is not, and stops the hub that it started", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    // It asks in each of them whether others are at work.
    for (let at = 0; at < 20; at += 1) await operator(folder).call("workspace.create", { name: `other-${at}` })
    await json(folder, ["down"])
    const run = startSkein(folder, ["run", writePlan(folder, { plan: "over", tasks: [nap("a", 0)] })])
    await until(() => (/replayed to state/.test(run.output()) ? true : undefined), "the report is there")
    run.child.kill("SIGINT")
    expect(await run.ended).toMatchObject({ status: 0, stderr: expect.stringContaining("is down again") as string })
    expect(hubPid(folder)).toBeNull()
  })

  test("a run whose reader has seen enough stops as when its terminal goes, with 129: no hub and no claim is left behind", async () => {
    const folder = newRepository()
    const unread = join(folder, "unread")
    const first = { id: "a", title: "A", run: `until [ -e '${unread}' ]; do sleep 0.05; done` }
    const plan = writePlan(folder, { plan: "naps", tasks: [first, nap("b", 60)] })
    const run = startSkein(folder, ["run", plan])
    await until(() => (/claimed a/.test(run.output()) ? true : undefined), "it tells")
    // As `| head` does: from here on nobody reads, and what it tells of the first task's end finds that.
    run.child.stdout?.destroy()
    writeFileSync(unread, "")
    expect((await run.ended).status).toBe(129)
    expect(hubPid(folder)).toBeNull()
    // It found out by what it told of the first task; whether the second was claimed meanwhile is open.
    const last = (await entriesOf(folder)).findLast(({ type }) => /^(task|lease)\./.test(type))
    expect(last?.type).toMatch(/^(task\.completed|task\.released|lease\.ended)$/)
  })

  test("a run that hears late of what its agents did does not take the plan that they finished for stuck", async ({ onTestFinished }) => {
    const folder = newRepository()
    await json(folder, ["up"])
    const late = await before(folder, ({ text, isRun }) => (isRun && text.includes('"events"') ? new Promise((settle) => setTimeout(settle, 1_000)) : null))
    onTestFinished(late.close)
    const { status, stdout, stderr } = await skein(folder, ["run", writePlan(folder, { plan: "late", tasks: [nap("a", 0)] })])
    expect({ status, stdout, stderr }).toMatchObject({ status: 0, stderr: "", stdout: expect.stringContaining("finished, 1 task completed") as string })
  })

  test("a hub that is killed in the middle is started again, and the run goes on to its end", async () => {
    const folder = newRepository()
    const plan = writePlan(folder, { plan: "lasting", title: "Lasting", tasks: [nap("a", 2), nap("b", 1, { dependsOn: ["a"] })] })
    const run = startSkein(folder, ["run", plan])
    await until(() => (run.output().includes("claimed a") ? true : undefined), "the first claim")
    const killed = hubPid(folder) as number
    process.kill(killed, "SIGKILL")
    const { status, stdout, stderr } = await run.ended
    expect({ status, stdout, stderr }).toMatchObject({ status: 0, stdout: expect.stringContaining("finished, 2 tasks completed") as string })
    expect(stderr).toContain(`the hub (process ${killed}) died: starting another`)
    expect(stderr).not.toContain("    at ")
    expect(hubPid(folder)).toBeNull()
  })

  test("a run that is killed together with its hub is gone on with at once: leases of agents that are gone hold nobody up", async () => {
    const folder = newRepository()
    const plan = writePlan(folder, { plan: "lasting", title: "Lasting", tasks: [nap("a", 1), nap("b", 1, { dependsOn: ["a"] })] })
    const run = startSkein(folder, ["run", plan])
    await until(() => (run.output().includes("claimed a") ? true : undefined), "the first claim")
    process.kill(hubPid(folder) as number, "SIGKILL")
    run.child.kill("SIGKILL")
    await run.ended
    // The agents end with the run that started them.
    await new Promise((settle) => setTimeout(settle, 1_500))
    const again = await skein(folder, ["run", plan])
    expect(again).toMatchObject({ status: 0, stdout: expect.stringContaining("finished, 2 tasks completed") as string })
    // Not by missed heartbeats, which would be "lost", nor by the end of its time.
    const ended = (await entriesOf(folder)).filter(({ type }) => type === "lease.ended")
    expect(ended.map(({ data }) => data)).toMatchObject([{ id: "lasting.1/a", reason: "session_ended" }])
  })

  test("--chaos kills an agent in the middle of a task; its lease ends at once, another finishes it, nothing is lost or done twice", async () => {
    const folder = newRepository()
    const agents = [{ name: "heron" }, { name: "swan" }]
    const plan = writePlan(folder, { plan: "storm", worktrees: true, agents, tasks: ["a", "b", "c", "d"].map((id) => nap(id, 2)) })
    const { status, stdout } = await skein(folder, ["run", plan, "--chaos", "--json"])
    const report = lastReport(stdout)
    expect({ status, report }).toMatchObject({
      status: 0,
      report: { finished: true, counts: { completed: 4, failed: 0 }, attempts: { delivered: 4, lost: 1, leasesEnded: 1 }, ledger: { ok: true } },
    })
    expect(report.chaos?.completedBy).toBeTruthy()
    // Told by whoever saw it die: by missed heartbeats it would be lost, by its lease's end expired.
    const entries = await entriesOf(folder)
    expect(entries.filter(({ type }) => type === "lease.ended").map(({ data }) => data)).toMatchObject([{ id: report.chaos?.task, reason: "session_ended" }])
    expect(
      entries
        .filter(({ type }) => type === "task.completed")
        .map(({ data }) => data.id ?? "")
        .toSorted((a, b) => (a < b ? -1 : 1)),
    ).toEqual(["storm.1/a", "storm.1/b", "storm.1/c", "storm.1/d"])
  })

  test("a task that fails for good ends the run with 1, names the reason, and what waited for it is out of reach", async () => {
    const plan = writePlan(shared, {
      plan: "sour",
      tasks: [{ id: "bad", title: "Bad", run: "echo so sorry >&2; exit 3", maxAttempts: 2 }, nap("after", 0.1, { dependsOn: ["bad"] })],
    })
    const { status, stdout } = await skein(shared, ["run", plan])
    expect(status).toBe(1)
    expect(stdout).toMatch(/1 failed, 1 out of reach/)
    expect(stdout).toMatch(/failed +bad: it exited with 3: so sorry/)
  })

  test("another file under the same name, or another commit, is another instance", async () => {
    await skein(shared, ["run", writePlan(shared, { plan: "one", tasks: [nap("a", 0)] })])
    const { stdout } = await skein(shared, ["run", writePlan(shared, { plan: "one", tasks: [nap("a", 0), nap("b", 0)] })])
    expect(stdout).toContain("begins: one.2")
  })

  test("the task that a plan names as its report is printed and saved; --add brings one agent more", async () => {
    const report = { id: "sum", title: "Sum", run: 'printf "# Sum\\n\\nAll \\033[31mwell\\n" > "$SKEIN_OUT/deliverable.md"' }
    const plan = writePlan(shared, {
      plan: "told",
      report: "sum",
      agents: [{ name: "owl" }],
      tasks: [nap("a", 0.2), nap("b", 0.2), { ...report, dependsOn: ["a", "b"] }],
    })
    const { status, stdout } = await skein(shared, ["run", plan, "--add", "owl"])
    expect({ status, raw: stdout.includes("\u001b") }).toEqual({ status: 0, raw: false })
    expect(stdout).toContain("# Sum\n\nAll")
    expect(stdout).toMatch(/owl-2 claimed/)
    expect(readFileSync(join(shared, ".skein", "runs", "told.1", "report.md"), "utf8")).toContain("# Sum")
  })

  test("--speed leaves commands as they are, and so their times in the report", async () => {
    const tasks = [nap("a", 0.2), { id: "b", title: "B", run: { standIn: "1m", costUsd: 0 } }]
    const { stdout } = await skein(shared, ["run", writePlan(shared, { plan: "mixed", tasks }), "--speed", "1000"])
    expect(stdout).toMatch(/makespan +[\d.]+ m?s;.* only stand-in work goes at speed 1000/)
    const record = JSON.parse(readFileSync(join(shared, ".skein", "runs", "mixed.1", "run.json"), "utf8")) as object
    expect(record).toMatchObject({ speed: 1_000, planned: null })
  })

  test("a plan with faults is told whole and starts nothing", async () => {
    const folder = newRepository()
    const plan = join(folder, "bad.yaml")
    writeFileSync(plan, "plan: p\ntasks:\n  - { id: a, title: A, dependsOn: [b] }\n  - { id: a, title: 12 }\n")
    const { status, stderr } = await skein(folder, ["run", plan, "--json"])
    expect({ status, error: JSON.parse(stderr) as unknown }).toMatchObject({
      status: 2,
      error: { error: { code: "invalid_input", details: { faults: [{ line: 3 }, { line: 4 }, { line: 4 }] } } },
    })
    expect(existsSync(join(folder, ".skein"))).toBe(false)
    const shown = await skein(folder, ["plan", "check", plan])
    expect(shown.stderr).toMatch(/bad\.yaml:3:\d+: .*\n.*\n.*bad\.yaml:4:/)
  })

  test("agents that are not of the plan are refused before anything starts", async () => {
    const folder = newRepository()
    const { status, stderr } = await skein(folder, ["run", HELLO, "--agents", "nobody"])
    expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining("hello-agent") as string })
    expect(existsSync(join(folder, ".skein"))).toBe(false)
  })
})

// That nobody idles, and how long it takes, is judged on a virtual clock (simulation/phase-zero.test.ts): at this speed it is the machine's doing.
test.concurrent("phase zero at speed 4000: each task once, and the cost as planned", { timeout: 300_000 }, async () => {
  const { status, stdout } = await skein(newRepository(), ["run", resolve("examples/phase-zero.yaml"), "--speed", "4000", "--json"])
  const report = lastReport(stdout) as Report & { costMicroUsd: number; agents: { fillers: number }[] }
  expect({ status, report }).toMatchObject({
    status: 0,
    report: { counts: { failed: 0 }, attempts: { delivered: 26, lost: 0 }, costMicroUsd: 555_000_000 },
  })
  expect(report.agents.reduce((sum, { fillers }) => sum + fillers, 0)).toBeGreaterThan(5)
})
