import { expect, test } from "vitest"
import { actor, openRig, OPERATOR } from "../../test/simulation/rig.ts"

test("a supervisor, and an agent in its keeping, that died while the hub was down is lost after its start; one that nobody keeps is left to its leases", async () => {
  const rig = await openRig()
  const keeper = actor("keeper", null, "supervisor")
  for (const name of ["ann", "bob", "free"]) await rig.execute("agent.add", OPERATOR, { name, heartbeatMs: 1_000 })
  await rig.execute("agent.add", OPERATOR, { name: "keeper", role: "supervisor", heartbeatMs: 1_000 })
  const own = { runtime: "tmux", resumeId: null, owned: true }
  const { session } = await rig.execute("session.start", keeper, { id: "s_keeper", agent: "keeper", ...own })
  for (const name of ["ann", "bob"]) await rig.execute("session.start", { ...keeper, session }, { id: `s_${name}`, agent: name, ...own })
  await rig.execute("session.start", actor("free"), { id: "s_free", agent: "free", ...own })
  await rig.execute("trigger.claim", { ...keeper, session }, { agents: ["ann"], max: 1, busy: [] })
  await rig.close()
  await rig.open()
  // Whoever is there beats again, if late: as long as leases wait.
  await rig.clock.advance(14_000)
  rig.loop.beat("s_ann")
  await rig.clock.advance(2_500)
  const status = await rig.run(rig.loop.read((state) => Object.fromEntries([...state.sessions.values()].map(({ id, status: now }) => [id, now]))))
  expect(status).toEqual({ s_ann: "live", s_bob: "lost", s_free: "live", s_keeper: "lost" })
  expect(rig.types()).not.toContain("session.returned")
  await rig.close()
})
