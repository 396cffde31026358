import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, describe, expect, test } from "vitest"
import { hubPid, json, skein, startSkein, tidyUp, until } from "./cli-driver.ts"
import { newRig, tidyRigs, withoutTmux } from "./supervisor-rig.ts"
import { leftRunning } from "./left-running.ts"

afterEach(async () => {
  await tidyRigs()
  await tidyUp()
})

const PLAN = `plan: tour
tasks:
  - id: first
    title: Look around
    requires: { docs: 2 }
  - id: second
    title: Write it down
    dependsOn: [first]
  - id: third
    title: Check it
    dependsOn: [first]
`

describe.skipIf(withoutTmux !== null)("skein run with coding agents", { timeout: 90_000 }, () => {
  test("takes the plan to its end in their terminals, and ends them; again, there is nothing to do", async () => {
    const rig = await newRig({ supervise: false })
    writeFileSync(join(rig.folder, "plan.yaml"), PLAN)
    const rows = await json<{ kind: string }>(rig.folder, ["run", "plan.yaml", "--agents", "reader=2"])
    expect(rows[0]).toMatchObject({ kind: "begun", created: true, agents: ["reader-1", "reader-2"] })
    expect(rows.at(-1)).toMatchObject({ kind: "finished" })
    const done = ["reader-1", "reader-2"].flatMap((agent) => rig.heard(agent, "completed").map(({ text }) => text))
    expect(new Set(done)).toEqual(new Set(["tour.1/first", "tour.1/second", "tour.1/third"]))
    expect(done).toHaveLength(3)
    await Promise.all(["reader-1", "reader-2"].map((agent) => rig.isOver(agent, "stopped")))
    expect(await json(rig.folder, ["run", "plan.yaml", "--agents", "reader=2"])).toMatchObject([
      { kind: "nothing_to_do", plan: "tour.1" },
      { kind: "finished", plan: "tour.1" },
    ])
    const wrong = await skein(rig.folder, ["run", "plan.yaml", "--agents", "reader=0"])
    expect(wrong).toMatchObject({ status: 2 })
    await rig.down()
    expect(leftRunning(rig)).toEqual([])
  })

  test("interrupted twice, the second time while its hub does not answer, it ends its agents all the same", async () => {
    const rig = await newRig({ supervise: false })
    writeFileSync(join(rig.folder, "plan.yaml"), "plan: open\ntasks: [{ id: a, title: Open to the end, review: true }]\n")
    const run = startSkein(rig.folder, ["run", "plan.yaml", "--agents", "reader=1", "--json"])
    await until(() => (run.output().includes('"begun"') && rig.running("reader-1").state === "running" ? true : undefined), "it has begun")
    const hub = hubPid(rig.folder) as number
    process.kill(hub, "SIGSTOP")
    try {
      const again = setInterval(() => run.child.kill("SIGINT"), 200)
      expect(await run.ended.finally(() => clearInterval(again))).toMatchObject({ status: 130 })
    } finally {
      process.kill(hub, "SIGCONT")
    }
    await rig.isOver("reader-1", "stopped")
  })
})
