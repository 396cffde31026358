import { expect, test } from "vitest"
import { CLAIM_ANY, OPERATOR, openRig } from "../../test/simulation/rig.ts"

test("a task that becomes ready goes to whoever does it best of those who wait, and the entry says so", async () => {
  const rig = await openRig()
  const [early, late] = await rig.agents("early", "late")
  const skilled = { reason: "skills", capabilities: { docs: 3 } }
  await rig.execute("agent.edit", OPERATOR, { name: "early", ...skilled })
  await rig.execute("agent.edit", OPERATOR, { name: "late", ...skilled })
  await rig.execute("task.add", OPERATOR, { id: "past", title: "past", requires: { docs: 1 } })
  const { fence } = await rig.execute("task.claim", early!, { task: "past" })
  const usage = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
  await rig.execute("task.fail", early!, { task: "past", fence, reason: "no", retry: false, usage })
  const waits = [early!, late!].map((actor) => rig.loop.execute("task.claimNext", actor, CLAIM_ANY, { waitMs: 60_000 }))
  await rig.clock.advance(1_000)
  expect(rig.loop.stats()).toMatchObject({ parked: 2 })
  await rig.execute("task.add", OPERATOR, { id: "t", title: "t", requires: { docs: 1 } })
  const { claims } = await rig.run(waits[1]!)
  expect(claims.map(({ task }) => [task.id, task.owner])).toEqual([["t", "late"]])
  expect(rig.loop.stats()).toMatchObject({ parked: 1 })
  // Nothing is held back for anybody: whoever is left gets the next, however well it does.
  await rig.execute("task.add", OPERATOR, { id: "u", title: "u", requires: { docs: 1 } })
  expect((await rig.run(waits[0]!)).claims.map(({ task }) => task.id)).toEqual(["u"])
  await rig.close()
})
