import { expect, test } from "vitest"
import { OPERATOR, openRig } from "../../test/simulation/rig.ts"

test.each([
  ["as many turns as somebody connects in", 40, 41],
  ["not for ever", 10_000, 65],
  ["nobody where nobody connects", 0, 1],
])("a batch waits for those who are just connecting: %s", async (_, arriving, begun) => {
  const rig = await openRig()
  const before = rig.disk.batches.length
  const soon = rig.clock.soon.bind(rig.clock)
  let turn = 0
  rig.clock.soon = (call) =>
    soon(() => {
      turn += 1
      if (turn <= arriving) rig.loop.arriving()
      call()
    })
  // One asks in each turn, as its connection is taken up: all of them share a sync.
  const asked = [rig.loop.execute("task.add", OPERATOR, { id: "first", title: "t" })]
  for (let at = 0; at < Math.min(arriving, 30); at += 1) soon(() => asked.push(rig.loop.execute("task.add", OPERATOR, { id: `t${at}`, title: "t" })))
  await rig.run(asked[0] as Promise<unknown>)
  expect(turn).toBe(begun)
  await rig.run(Promise.all(asked))
  expect(rig.disk.batches.slice(before)).toEqual([asked.length])
  await rig.close()
})
