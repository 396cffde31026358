import { chmodSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, expect, test, type TestContext } from "vitest"
import { hubPid, startSkein, tidyUp, until } from "./cli-driver.ts"
import { ended, pidOf, type Rig, rigOf, spawned, tidyRigs, withoutTmux } from "./supervisor-rig.ts"
import { bornOf } from "../src/runtime/supervisor-folder.ts"
import { kill } from "./left-running.ts"

if (withoutTmux !== null) console.warn(withoutTmux)

afterAll(async () => {
  await tidyRigs()
  await tidyUp()
})

/**
 * Stands before the real tmux in a supervisor's path, and hands on what it is told. A file beside it names a command, and `done` or `never`: a supervisor that
 * gives that command is killed, once tmux has been told it, or instead. What comes of it that supervisor never hears.
 */
const STRIKER = `#!/bin/bash
order="\${BASH_SOURCE[0]%/*}/order"
PATH=\${PATH#*:}
case " $* " in *" -C "* | *" source-file "*) ;; *) exec tmux "$@" ;; esac
exec tmux "$@" < <(
  while IFS= read -r line; do
    command=
    [[ -e $order ]] && read -r how command < "$order"
    if [[ -z $command || $line != *"$command"* ]]; then printf '%s\\n' "$line"; continue; fi
    [[ $how == done ]] && printf '%s\\n' "$line"
    rm "$order"
    kill -9 "$PPID"
    exit
  done
)
`

type How = "done" | "never"
/** `strikeAt` settles when the supervisor has been killed where it gives that command, after `act` made it do so. */
type Struck = Rig & { strikeAt(how: How, command: string, act: () => unknown): Promise<void> }

/** A rig with `reader-1`, whose supervisor can be killed where it tells tmux something. */
async function struckRig(context: Pick<TestContext, "onTestFinished">): Promise<Struck> {
  const rig = await rigOf(context, { supervise: false })
  const bin = join(rig.folder, "bin")
  mkdirSync(bin)
  writeFileSync(join(bin, "tmux"), STRIKER)
  chmodSync(join(bin, "tmux"), 0o755)
  startSkein(rig.folder, ["supervisor", "--json"], { PATH: `${bin}:${process.env["PATH"]}` }, { withinMs: null })
  const pid = await until(() => rig.registry.holder()?.pid, "it supervises")
  await spawned(rig)
  return {
    ...rig,
    strikeAt: async (how, command, act) => {
      writeFileSync(join(bin, "order"), `${how} ${command}\n`)
      await act()
      await ended(pid)
    },
  }
}

const says = (rig: Rig, text: string): string => rig.tmux("send-keys", "-t", "main:reader-1", text, "Enter")

/** The panes of agents, a line each: whether its process has ended. */
const panes = (rig: Rig): string[] => rig.tmux("list-panes", "-s", "-t", "main", "-F", "#{pane_dead}").split("\n").slice(0, -1)

/** What the next supervisor takes it for, once nothing of it is left. */
async function comesBack(rig: Rig): Promise<string> {
  await rig.skein("up", "--supervise")
  return until(() => {
    const { address, state } = rig.running("reader-1")
    return address === null && state !== "starting" && state !== "idle" ? state : undefined
  }, "its place is cleared")
}

const starts = (rig: Rig): (string | undefined)[] => rig.heard("reader-1", "started").map(({ how }) => how)

async function isOverEverywhere(rig: Rig): Promise<void> {
  expect(panes(rig)).toEqual([])
  expect((await rig.hub.call("session.list", { agent: "reader-1", status: "live" })).sessions).toEqual([])
}

describe.skipIf(withoutTmux !== null)("a supervisor that is killed", { timeout: 90_000, concurrent: true }, () => {
  test.for<[string, How]>([
    ["once it has buried", "done"],
    ["before it buries", "never"],
  ])("%s an agent that ended by itself leaves it ended: only its next wake starts it again", async ([, how], context) => {
    const rig = await struckRig(context)
    await rig.strikeAt(how, "kill-pane", () => says(rig, "/exit"))
    expect(await comesBack(rig)).toBe("ended")
    await isOverEverywhere(rig)
    expect(starts(rig)).toEqual(["new"])
    await rig.hasRead("reader-1", await rig.post("talk-1", "come back"))
    expect(starts(rig)).toEqual(["new", "resume"])
  })

  test("once it has buried an agent that died leaves one death, and the agent is started once", async (context) => {
    const rig = await struckRig(context)
    await rig.strikeAt("done", "kill-pane", () => says(rig, "/die"))
    await rig.skein("up", "--supervise")
    await until(() => starts(rig)[1], "it is started again")
    await rig.hasRead("reader-1", await rig.post("talk-1", "are you there"))
    expect([starts(rig), rig.running("reader-1").crashes.length]).toEqual([["new", "resume"], 1])
  })

  test("once it has buried an agent that was to be stopped leaves it stopped, and no death", async (context) => {
    const rig = await struckRig(context)
    const wanted = rig.registry.wantedOf("reader-1")
    await rig.strikeAt("done", "kill-pane", () => rig.registry.want({ ...wanted!, want: "stopped", revision: 9 }))
    expect(await comesBack(rig)).toBe("stopped")
    await isOverEverywhere(rig)
    expect([starts(rig), rig.running("reader-1").crashes]).toEqual([["new"], []])
  })

  test("once it has opened a pane leaves the agent to the next one, which starts no other", async (context) => {
    const rig = await struckRig(context)
    says(rig, "/exit")
    await rig.isOver("reader-1", "ended")
    await rig.strikeAt("done", "new-session", () => rig.post("talk-1", "come back"))
    await until(() => starts(rig)[1], "it is started")
    await rig.skein("up", "--supervise")
    await rig.hasRead("reader-1", "come back")
    expect([starts(rig), panes(rig)]).toEqual([["new", "resume"], ["0"]])
  })

  test.for<[string, string, string[]]>([
    ["once it has opened a pane, before it pastes its first text", "new-window", ["new", "new"]],
    ["once it has pasted an agent's first text, before it presses Enter", "paste-buffer", ["new", "new"]],
    ["once it has pressed Enter after an agent's first text", "send-keys", ["new"]],
  ])("%s, has it told that once", async ([, command, how], context) => {
    const rig = await struckRig(context)
    await rig.strikeAt(
      "done",
      command,
      () => void rig.skein("swarm", "spawn", "--agent", "reader", "--name", "told", "--count", "1", "--prompt", "tell me").catch(() => []),
    )
    await rig.skein("up", "--supervise")
    const texts = (): (string | undefined)[] => rig.heard("told-1", "text").map(({ text }) => text)
    await until(() => texts()[0], "it is told")
    await until(() => pidOf(rig, "told-1") > 0 || undefined, "it is known to run")
    await rig.hub.call("thread.create", { thread: "talk-2", title: "Talk", participants: ["told-1"] })
    await rig.hasRead("told-1", await rig.post("talk-2", "are you there"))
    expect([texts()[0], texts().filter((text) => text === "tell me").length]).toEqual(["tell me", 1])
    expect(rig.heard("told-1", "started").map((one) => one.how)).toEqual(how)
  })

  test("before it has noted where it started an agent, which ends by itself meanwhile, leaves it ended", async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    const pid = rig.supervisorPid()
    kill(pid)
    await ended(pid)
    const agent = pidOf(rig, "reader-1")
    rig.registry.record({ ...rig.running("reader-1"), state: "starting", address: null })
    says(rig, "/exit")
    await ended(agent)
    expect(await comesBack(rig)).toBe("ended")
    await isOverEverywhere(rig)
    expect(starts(rig)).toEqual(["new"])
  })
})

test.skipIf(withoutTmux !== null)(
  "a supervisor whose hub is gone goes down with its agent before `skein down` gives it up",
  { timeout: 90_000 },
  async (context) => {
    const rig = await rigOf(context)
    await spawned(rig)
    const [agent, supervisor] = [pidOf(rig, "reader-1"), rig.supervisorPid()]
    kill(hubPid(rig.folder) as number)
    process.kill(supervisor, "SIGTERM")
    await until(() => (bornOf(supervisor) === null ? true : undefined), "it is down", 40_000)
    expect([bornOf(agent), rig.running("reader-1").state]).toEqual([null, "stopped"])
  },
)
