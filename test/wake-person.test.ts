import { type ChildProcess, spawn } from "node:child_process"
import { resolve } from "node:path"
import { describe, expect, test, type TestContext } from "vitest"
import { until } from "./cli-driver.ts"
import { type Heard, type Rig, rigOf, withoutTmux } from "./supervisor-rig.ts"
import { kill } from "./left-running.ts"

if (withoutTmux !== null) console.warn(withoutTmux)

/** A person at a terminal, who leaves with the test. */
function personOf({ onTestFinished }: Pick<TestContext, "onTestFinished">, ...given: Parameters<typeof spawn>): ChildProcess {
  const person = spawn(...given)
  onTestFinished(() => kill(person.pid as number))
  return person
}

type Settings = (heardIn: string) => { presets?: object }

/** An agent, and a person who has just typed in its terminal; nothing is typed there for ten minutes. */
async function interrupted(
  context: TestContext,
  { wake = {}, kind = "reader", settings }: { wake?: Record<string, number>; kind?: string; settings?: Settings } = {},
): Promise<Rig & { job: string }> {
  const rig = await rigOf(context, { wake: { quietMs: 600_000, recheckMs: 300, ...wake }, ...(settings === undefined ? {} : { settings }) })
  await rig.skein("swarm", "spawn", "--agent", kind, "--name", "reader")
  await rig.hub.call("thread.create", { thread: "talk", title: "Talk", participants: ["reader-1"] })
  await until(() => (rig.tmux("capture-pane", "-p", "-t", "main:reader-1").includes("ready for input") ? true : undefined), "it takes input")
  const person = personOf(context, "script", ["-qfc", `tmux -L ${rig.socket} attach -t main:reader-1`, "/dev/null"], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { ...process.env, TERM: "xterm" },
  })
  await until(() => (rig.tmux("list-clients", "-F", "#{client_control_mode}").includes("0") ? true : undefined), "the person looks")
  person.stdin?.write("by hand\r")
  await until(() => rig.heard("reader-1", "text").find(({ text }) => text === "by hand"), "the person's text is there")
  await rig.post("talk", "please")
  const put = await until(
    async () => (await rig.hub.call("trigger.list", { target: "reader-1" })).triggers.find(({ code }) => code === "OPERATOR_BUSY"),
    "it is put off",
  )
  return { ...rig, job: put.job }
}

describe.skipIf(withoutTmux !== null)("a wake that a person's typing holds up", { timeout: 60_000, concurrent: true }, () => {
  test("is typed when an operator forces it, and who did so, and why, stays on the ledger", async (context) => {
    // Looked at again much later: a wake that is just being tried cannot be forced.
    const { job, hasRead, hub, skein } = await interrupted(context, { wake: { recheckMs: 60_000 } })
    await skein("trigger", "retry", job, "--force", "--reason", "the release is broken")
    await hasRead("reader-1", "please")
    const { trigger, hops } = await hub.call("trigger.why", { job })
    expect(trigger).toMatchObject({ forced: { by: "operator", reason: "the release is broken" } })
    expect(hops.find(({ type }) => type === "trigger.retried")?.text).toBe("operator has it tried again, whoever types in the pane: the release is broken")
  })

  test("is answered by a second process beside it where its kind allows that: the person keeps the terminal, and what is in it", async (context) => {
    const flags = [process.execPath, "--disable-warning=ExperimentalWarning"]
    const settings: Settings = (heardIn) => {
      const reader = [...flags, resolve("test/terminal/reading-agent.ts"), heardIn]
      const talker = [...flags, resolve("test/terminal/talking-agent.ts"), "turn", heardIn]
      return {
        presets: {
          pair: {
            interactive: { start: [...reader, "new"], resume: [...reader, "resume", "{session}"], chooseSession: ["{session}"] },
            screen: { ready: ["^ready for input"], emptyInput: "^> $", bracketedPaste: true },
            headless: { start: talker, resume: [...talker, "{session}"], sessionFields: [["id"]] },
            beside: true,
          },
        },
      }
    }
    const rig = await interrupted(context, { kind: "pair", settings, wake: { deferMs: 500 } })
    const pid = rig.heard("reader-1", "started")[0]?.pid
    const read = await rig.hasRead("reader-1", "please")
    expect(read.pid).not.toBe(pid)
    // A turn that goes on may read the second message too, and then no other comes.
    await until(() => rig.heard("reader-1", "done")[0], "its turn is over")
    const next = await rig.post("talk", "and again")
    expect((await rig.hasRead("reader-1", next)).pid).not.toBe(pid)
    await until(() => rig.heard("reader-1", "done")[1], "the next is over too")
    expect(
      rig
        .heard("reader-1", "done")
        .map(({ conversation }) => conversation)
        .filter((one, at, all) => all.indexOf(one) === at),
    ).toHaveLength(1)
    const { trigger, hops } = await rig.hub.call("trigger.why", { job: rig.job })
    expect(trigger).toMatchObject({ status: "delivered", hop: "spawn", failed: { live: 0, resume: 0, spawn: 0 } })
    expect(hops.map(({ code }) => code)).toContain("DEFER_TIMEOUT")
    expect(rig.heard("reader-1", "text").filter((one) => one.pid === pid)).toMatchObject([{ text: "by hand" }])
    expect(rig.running("reader-1").address).toMatchObject({ pid })
  })

  test("is typed as soon as an operator shortens the quiet time: the supervisor follows what it is set to", async (context) => {
    const { hasRead, hub } = await interrupted(context)
    await hub.call("wake.setPolicy", { changes: { quietMs: 100 }, reason: "nobody is there any more" })
    await hasRead("reader-1", "please")
  })
})

describe.skipIf(withoutTmux !== null)("skein agent attach", { timeout: 60_000, concurrent: true }, () => {
  test("is the agent's terminal for a person: what is typed reaches it and holds up wakes, and ctrl-b d leaves it running", async (context) => {
    const rig = await rigOf(context, { wake: { quietMs: 1_500, recheckMs: 300 } })
    await rig.skein("swarm", "spawn", "--agent", "reader")
    await rig.hub.call("thread.create", { thread: "talk", title: "Talk", participants: ["reader-1"] })
    const command = [process.execPath, resolve("bin/skein.cjs"), "agent", "attach", "reader-1"].map((word) => `'${word}'`).join(" ")
    const person = personOf(context, "script", ["-qefc", command, "/dev/null"], {
      stdio: ["pipe", "pipe", "ignore"],
      cwd: rig.folder,
      env: { ...process.env, TERM: "xterm" },
    })
    let seen = ""
    person.stdout?.setEncoding("utf8").on("data", (text: string) => (seen += text))
    const left = new Promise<number | null>((settle) => person.on("exit", settle))
    await until(() => (seen.includes("ready for input") ? true : undefined), "the person sees its terminal")
    const { pid } = rig.heard("reader-1", "started")[0] as Heard
    person.stdin?.write("by hand\r")
    await until(() => rig.heard("reader-1", "text").find(({ text }) => text === "by hand"), "what is typed reaches the agent")
    await rig.post("talk", "please")
    await until(
      async () => (await rig.hub.call("trigger.list", { target: "reader-1" })).triggers.find(({ code }) => code === "OPERATOR_BUSY"),
      "the wake is put off",
    )
    person.stdin?.write("\x02d")
    expect(await left).toBe(0)
    await rig.hasRead("reader-1", "please")
    expect(rig.heard("reader-1", "started")).toMatchObject([{ pid }])
    // Nothing of the person's own view is left.
    expect(rig.tmux("list-sessions", "-F", "#{session_name}").split("\n")).not.toContainEqual(expect.stringContaining("view-"))
    const { messages } = await rig.hub.call("message.read", { thread: "role/operator", sinceSeq: 0 })
    expect(messages.at(-1)?.body).toContain("A person worked in the terminal of reader-1")
  })
})
