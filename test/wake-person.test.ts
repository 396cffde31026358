import { type ChildProcess, spawn } from "node:child_process"
import { afterEach, describe, expect, test } from "vitest"
import { tidyUp, until } from "./cli-driver.ts"
import { kill, newRig, type Rig, tidyRigs, withoutTmux } from "./supervisor-rig.ts"

if (withoutTmux !== null) console.warn(withoutTmux)

const people: ChildProcess[] = []
afterEach(async () => {
  for (const { pid } of people.splice(0)) kill(pid as number)
  await tidyRigs()
  await tidyUp()
})

/** An agent, and a person who has just typed in its terminal; nothing is typed there for ten minutes. */
async function interrupted(): Promise<Rig & { job: string }> {
  const rig = await newRig({ wake: { quietMs: 600_000, recheckMs: 300 } })
  await rig.skein("swarm", "spawn", "--agent", "reader")
  await rig.hub.call("thread.create", { thread: "talk", title: "Talk", participants: ["reader-1"] })
  await until(() => (rig.tmux("capture-pane", "-p", "-t", "main:reader-1").includes("ready for input") ? true : undefined), "it takes input")
  const person = spawn("script", ["-qfc", `tmux -L ${rig.socket} attach -t main:reader-1`, "/dev/null"], {
    stdio: ["pipe", "ignore", "ignore"],
    env: { ...process.env, TERM: "xterm" },
  })
  people.push(person)
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

describe.skipIf(withoutTmux !== null)("a wake that a person's typing holds up", { timeout: 60_000 }, () => {
  test("is typed when an operator forces it, and who did so, and why, stays on the ledger", async () => {
    const { job, hasRead, hub, skein } = await interrupted()
    await skein("trigger", "retry", job, "--force", "--reason", "the release is broken")
    await hasRead("reader-1", "please")
    const { trigger, hops } = await hub.call("trigger.why", { job })
    expect(trigger).toMatchObject({ forced: { by: "operator", reason: "the release is broken" } })
    expect(hops.find(({ type }) => type === "trigger.retried")?.text).toBe("operator has it tried again, whoever types in the pane: the release is broken")
  })

  test("is typed as soon as an operator shortens the quiet time: the supervisor follows what it is set to", async () => {
    const { hasRead, hub } = await interrupted()
    await hub.call("wake.setPolicy", { changes: { quietMs: 100 }, reason: "nobody is there any more" })
    await hasRead("reader-1", "please")
  })
})
