import { describe, expect, test } from "vitest"
import { OPERATOR, openRig, type Rig } from "../../test/simulation/rig.ts"
import { VirtualClock } from "./virtual-clock.ts"
import { type Disk, MemoryStore } from "../ledger/memory.ts"

const BEAT_MS = 1_000

/** Two hubs on one ledger, and a session that the first one started and hears. */
async function twoHubs(disk: Disk = {}): Promise<{ one: Rig; other: Rig; session: string; pass(ms: number, beat: () => void): Promise<void> }> {
  const clock = new VirtualClock()
  const store = new MemoryStore({ manyWriters: true, disk })
  const one = await openRig({ clock, store })
  const other = await openRig({ clock, store })
  await one.execute("agent.add", OPERATOR, { name: "a", heartbeatMs: BEAT_MS })
  const input = { id: "s_a", agent: "a", runtime: "test", resumeId: null, owned: true }
  const { session } = await one.execute("session.start", { agent: "a", session: null, role: "worker" }, input)
  await one.tasks("t")
  one.loop.attach(session)
  await clock.advance(500)
  const pass = async (ms: number, beat: () => void): Promise<void> => {
    for (let at = 0; at < ms; at += BEAT_MS) {
      beat()
      await clock.advance(BEAT_MS)
    }
  }
  return { one, other, session, pass }
}

const told = (rig: Rig, type: string): number => rig.types().filter((one) => one === type).length

describe("of two hubs on one ledger", () => {
  test("the one that a session moved away from does not declare it lost while it beats at the other", async () => {
    const { one, other, session, pass } = await twoHubs()
    one.loop.detach(session)
    other.loop.attach(session)
    await pass(20 * BEAT_MS, () => other.loop.beat(session))
    expect(told(one, "session.lost")).toBe(0)
    // That it moved is in the ledger once, and not once a beat.
    expect(told(one, "leases.renewed")).toBe(2)
  })

  test("only the one that it moved to declares it lost, three heartbeats after the last that it heard", async () => {
    const { one, other, session, pass } = await twoHubs()
    other.loop.attach(session)
    await pass(5 * BEAT_MS, () => other.loop.beat(session))
    const lastBeatMs = other.loop.nowMs() - BEAT_MS
    await pass(10 * BEAT_MS, () => undefined)
    const lost = one.entries().filter(({ type }) => type === "session.lost")
    expect(lost).toHaveLength(1)
    expect((lost[0]?.atMs ?? 0) - lastBeatMs).toBeGreaterThanOrEqual(3 * BEAT_MS)
    expect(one.loop.presence(session)).toMatchObject({ elsewhere: true })
  })

  test("a session that only acts at the other is left to its lease, until it is heard of here again", async () => {
    const { one, other, session, pass } = await twoHubs()
    await other.execute("task.claim", { agent: "a", session, role: "worker" }, { task: "t" })
    await pass(10 * BEAT_MS, () => undefined)
    expect(told(one, "session.lost")).toBe(0)
    one.loop.beat(session)
    await pass(10 * BEAT_MS, () => undefined)
    expect(told(one, "session.lost")).toBe(1)
  })

  test("the one that it comes back to takes it up again, and the other lets it go", async () => {
    const { one, other, session, pass } = await twoHubs()
    other.loop.attach(session)
    await pass(4 * BEAT_MS, () => other.loop.beat(session))
    other.loop.detach(session)
    one.loop.attach(session)
    await pass(20 * BEAT_MS, () => one.loop.beat(session))
    expect(told(one, "session.lost")).toBe(0)
    expect(one.loop.presence(session)).toMatchObject({ elsewhere: false })
    expect(other.loop.presence(session)).toMatchObject({ elsewhere: true })
  })

  test("one that is about to declare a session lost, and loses its race to the word that it moved, says nothing of it any more", async () => {
    let held: (() => void)[] | null = null
    const reach = (): Promise<void> => new Promise((resolve) => (held === null ? resolve() : held.push(resolve)))
    const { one, other, session } = await twoHubs({ reach })
    one.loop.beat(session)
    await one.clock.advance(2_900)
    held = []
    await one.clock.advance(200)
    const [late, ...more] = held
    expect(more).toEqual([])
    held = null
    other.loop.beat(session)
    await other.clock.advance(10)
    late?.()
    await one.clock.advance(10)
    expect(one.loop.stats()["lostRaces"]).toBe(1)
    expect([told(one, "leases.renewed"), told(one, "session.lost")]).toEqual([2, 0])
  })

  test("each has a policy ready that the other was given, before anybody asks", async () => {
    const { one, other } = await twoHubs()
    const { policy } = one.loop
    const prepare = policy.prepare.bind(policy)
    let prepared = 0
    policy.prepare = () => {
      prepared += policy.isSet ? 1 : 0
      prepare()
    }
    await other.execute("policy.set", OPERATOR, { text: "permit (principal, action, resource);", reason: "r" })
    await one.clock.advance(10)
    expect(prepared).toBe(1)
    await other.tasks("u")
    await one.clock.advance(10)
    expect(prepared).toBe(1)
  })

  test("if the one that it moved to dies, its lease decides", async () => {
    const { one, other, session, pass } = await twoHubs()
    await one.execute("task.claim", { agent: "a", session, role: "worker" }, { task: "t" })
    one.loop.detach(session)
    other.loop.attach(session)
    await pass(2 * BEAT_MS, () => other.loop.beat(session))
    await other.close()
    await pass(130 * BEAT_MS, () => undefined)
    expect(told(one, "session.lost")).toBe(0)
    expect(one.entries().find(({ type }) => type === "lease.ended")?.data).toMatchObject({ reason: "expired" })
  })
})

test("a hub that is alone on its ledger writes nothing of who came", async () => {
  const rig = await openRig()
  const [agent] = await rig.agents("a")
  rig.loop.attach(agent?.session as string)
  await rig.clock.advance(5_000)
  expect(told(rig, "leases.renewed")).toBe(0)
})
