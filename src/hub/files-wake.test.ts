import { expect, test } from "vitest"
import { CLAIM_ANY, DONE, OPERATOR, openRig } from "../../test/simulation/rig.ts"

const wish = { mode: "exclusive" as const, ttlMs: 60_000, reason: "work", task: null, fence: null }

async function parkedBehind(hold: "lease" | "task") {
  const rig = await openRig()
  const [ann, bob] = await rig.agents("ann", "bob")
  await rig.execute("task.add", OPERATOR, { id: "t", title: "t", touches: ["src/**"] })
  if (hold === "task") await rig.execute("task.add", OPERATOR, { id: "u", title: "u", touches: ["src/a"], priority: "critical" })
  const { lease } = hold === "lease" ? await rig.execute("files.reserve", ann!, { globs: ["src/a"], ...wish }) : { lease: "" }
  const { fence } = hold === "task" ? await rig.execute("task.claim", ann!, { task: "u" }) : { fence: 0 }
  const startMs = rig.clock.monotonicMs()
  const parked = rig.loop.execute("task.claimNext", bob!, CLAIM_ANY, { waitMs: 120_000 })
  const claimed = async (): Promise<[string[], number]> => {
    const { claims } = await rig.run(parked)
    return [claims.map(({ task }) => task.id), rig.clock.monotonicMs() - startMs]
  }
  await rig.clock.advance(1_000)
  expect(rig.loop.stats()).toMatchObject({ parked: 1 })
  return { rig, ann: ann!, lease, fence, claimed }
}

test("a parked claim is woken the moment the lease in its way is released", async () => {
  const { rig, ann, lease, claimed } = await parkedBehind("lease")
  await rig.execute("files.release", ann, { lease, globs: null, reason: "done" })
  const [ids, afterMs] = await claimed()
  expect(ids).toEqual(["t"])
  expect(afterMs).toBeLessThan(1_100)
})

test("a parked claim is woken when that lease runs out, by the hub's own sweep", async () => {
  const { claimed } = await parkedBehind("lease")
  const [ids, afterMs] = await claimed()
  expect(ids).toEqual(["t"])
  expect(afterMs).toBeGreaterThanOrEqual(59_000)
  expect(afterMs).toBeLessThan(61_500)
})

test("a parked claim is woken when the task whose files are in its way completes", async () => {
  const { rig, ann, fence, claimed } = await parkedBehind("task")
  await rig.execute("task.complete", ann, { task: "u", fence, ...DONE })
  const [ids, afterMs] = await claimed()
  expect(ids).toEqual(["t"])
  expect(afterMs).toBeLessThan(1_100)
})
