import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, describe, expect, test } from "vitest"
import { json, skein, tidyUp } from "./cli-driver.ts"
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
})
