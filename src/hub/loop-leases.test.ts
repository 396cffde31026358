import { describe, expect, test } from "vitest"
import type { Actor } from "../core/entry.ts"
import { CLAIM_ANY, actor, DONE, NOTHING_USED, OPERATOR, openRig, type Rig } from "../../test/simulation/rig.ts"
import { settled } from "../../test/simulation/outcome.ts"

describe("a parked claim", () => {
  test("wakes the moment something fits, first come first served", async () => {
    const rig = await openRig()
    const [a, b] = await rig.agents("a", "b")
    const first = rig.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 60_000 })
    await rig.clock.advance(10)
    const second = rig.loop.execute("task.claimNext", b!, CLAIM_ANY, { waitMs: 60_000 })
    await rig.clock.advance(10)
    const startMs = rig.clock.monotonicMs()
    await rig.tasks("t1")
    expect((await rig.run(first)).claims.map(({ task }) => task.id)).toEqual(["t1"])
    await rig.tasks("t2")
    expect((await rig.run(second)).claims.map(({ task }) => task.id)).toEqual(["t2"])
    expect(rig.clock.monotonicMs() - startMs).toBeLessThan(5)
  })

  test("comes before a claim that arrives with the very command that makes the task ready", async () => {
    const rig = await openRig()
    const [early, late] = await rig.agents("early", "late")
    const parked = rig.loop.execute("task.claimNext", early!, CLAIM_ANY, { waitMs: 60_000 })
    await rig.clock.advance(10)
    const added = rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" })
    const barging = rig.loop.execute("task.claimNext", late!, CLAIM_ANY)
    expect(await rig.run(settled([added, parked, barging]))).toEqual([null, null, "nothing_ready"])
  })

  test("is given what the command right behind it in its own batch makes ready", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    const parked = rig.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 60_000 })
    const added = rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" })
    await rig.clock.advance(10)
    expect(rig.loop.stats()).toMatchObject({ parked: 0 })
    expect(await rig.run(settled([parked, added]))).toEqual([null, null])
  })

  const MAKES_READY: Record<string, (rig: Rig, holder: Actor, fence: number) => Promise<unknown>> = {
    "a release": (rig, holder, fence) => rig.execute("task.release", holder, { task: "t", fence, reason: "r" }),
    "a failure that may be tried again": (rig, holder, fence) =>
      rig.execute("task.fail", holder, { task: "t", fence, reason: "r", retry: true, usage: NOTHING_USED }),
    "a lease that is ended by hand": (rig) => rig.execute("lease.end", OPERATOR, { task: "t", reason: "r" }),
    "a session that ends": (rig) => rig.execute("session.end", OPERATOR, { session: "s_holder", reason: "r" }),
    "a holder that retires": (rig) => rig.execute("agent.retire", OPERATOR, { name: "holder", reason: "r" }),
    "a reset": async (rig) => {
      await rig.execute("task.cancel", OPERATOR, { task: "t", reason: "r" })
      return rig.execute("task.reset", OPERATOR, { task: "t", reason: "r" })
    },
    "an edit of what a task waits for": async (rig) => {
      await rig.execute("task.add", OPERATOR, { id: "u", title: "u", dependsOn: ["t"] })
      return rig.execute("task.edit", OPERATOR, { task: "u", reason: "r", changes: { dependsOn: [] } })
    },
  }
  test.each(Object.keys(MAKES_READY))("wakes by %s", async (name) => {
    const rig = await openRig()
    const [holder, waiter] = await rig.agents("holder", "waiter")
    await rig.tasks("t")
    const { fence } = await rig.execute("task.claim", holder!, { task: "t" })
    const parked = rig.loop.execute("task.claimNext", waiter!, CLAIM_ANY, { waitMs: 60_000 })
    await rig.clock.advance(10)
    await MAKES_READY[name]!(rig, holder!, fence)
    const startMs = rig.clock.monotonicMs()
    expect((await rig.run(parked)).claims).toHaveLength(1)
    expect(rig.clock.monotonicMs()).toBe(startMs)
  })

  const MAKES_ROOM: Record<string, (rig: Rig, holder: Actor, fence: number) => Promise<unknown>> = {
    completes: (rig, holder, fence) => rig.execute("task.complete", holder, { task: "t", fence, ...DONE }),
    "waits for its review": async (rig, holder, fence) => {
      await rig.execute("task.edit", OPERATOR, { task: "t", reason: "r", changes: { review: true } })
      return rig.execute("task.complete", holder, { task: "t", fence, ...DONE })
    },
    "is blocked": (rig, holder, fence) => rig.execute("task.block", holder, { task: "t", fence, on: { kind: "external", ref: "x" }, reason: "r" }),
    "is cancelled": (rig) => rig.execute("task.cancel", OPERATOR, { task: "t", reason: "r" }),
    "has failed": (rig, holder, fence) => rig.execute("task.fail", holder, { task: "t", fence, reason: "r", retry: false, usage: NOTHING_USED }),
    "is not all that it may": (rig) => rig.execute("agent.edit", OPERATOR, { name: "a", reason: "r", maxActive: 2 }),
  }
  test.each(Object.keys(MAKES_ROOM))("wakes when its agent has room again, since what it works on %s", async (name) => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    const other = actor("a", (await rig.execute("session.start", OPERATOR, { id: "s_2", agent: "a", runtime: "x", resumeId: null, owned: true })).session)
    await rig.tasks("t", "u")
    const { fence } = await rig.execute("task.claim", a!, { task: "t" })
    const parked = rig.loop.execute("task.claimNext", other, CLAIM_ANY, { waitMs: 60_000 })
    await rig.clock.advance(10)
    await MAKES_ROOM[name]!(rig, a!, fence)
    const startMs = rig.clock.monotonicMs()
    expect((await rig.run(parked)).claims.map(({ task }) => task.id)).toEqual(["u"])
    expect(rig.clock.monotonicMs()).toBe(startMs)
  })

  test("is not decided again by entries that make nothing ready", async () => {
    const rig = await openRig()
    const [able, unable] = await rig.agents("able", "unable")
    await rig.execute("agent.edit", OPERATOR, { name: "able", reason: "skill", capabilities: { rust: 5 }, maxActive: 10 })
    for (const id of ["t", "u"]) await rig.execute("task.add", OPERATOR, { id, title: id, requires: { rust: 1 } })
    const parked = rig.loop.execute("task.claimNext", unable!, CLAIM_ANY, { waitMs: 60_000 })
    await rig.clock.advance(10)
    const { fence } = await rig.execute("task.claim", able!, { task: "t" })
    const { commands: before } = rig.loop.stats()
    for (let at = 0; at < 5; at += 1) await rig.execute("task.update", able!, { task: "t", fence, progress: null, note: `${at}` })
    expect(rig.loop.stats()["commands"]! - before!).toBe(5)
    await rig.execute("agent.edit", OPERATOR, { name: "unable", reason: "learnt", capabilities: { rust: 1 } })
    const startMs = rig.clock.monotonicMs()
    expect((await rig.run(parked)).claims.map(({ task }) => task.id)).toEqual(["u"])
    expect(rig.clock.monotonicMs()).toBe(startMs)
  })

  test("is refused when its time is over", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    const startMs = rig.clock.monotonicMs()
    expect(await rig.refused(rig.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 700 }))).toBe("nothing_ready")
    expect(rig.clock.monotonicMs() - startMs).toBe(700)
    expect(rig.loop.stats()).toMatchObject({ parked: 0 })
  })

  test("is answered at its time though the timer rings a moment early", async () => {
    const rig = await openRig()
    const { clock } = rig
    const after = clock.after.bind(clock)
    clock.after = (ms, call) => after(ms === 700 ? 698.5 : ms, call)
    const [a] = await rig.agents("a")
    const parked = rig.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 700 })
    expect(await rig.refused(parked)).toBe("nothing_ready")
    expect(rig.loop.stats()).toMatchObject({ parked: 0 })
  })

  test("dies with its connection and takes nothing", async () => {
    const rig = await openRig()
    const [a, b] = await rig.agents("a", "b")
    const connection = new AbortController()
    const parked = rig.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 60_000, signal: connection.signal })
    await rig.clock.advance(10)
    connection.abort()
    expect(await rig.refused(parked)).toBe("timed_out")
    await rig.tasks("t")
    expect((await rig.execute("task.claimNext", b!, CLAIM_ANY)).claims).toHaveLength(1)
  })

  test("whose connection went while it was decided is not kept", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    await rig.clock.advance(5_000)
    const connection = new AbortController()
    rig.disk.held = true
    const added = rig.loop.execute("agent.add", OPERATOR, { name: "x" })
    const claim = rig.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 60_000, signal: connection.signal })
    await rig.clock.advance(1)
    connection.abort()
    rig.disk.release()
    const answers = settled([added, claim])
    await rig.clock.advance(1)
    expect(rig.loop.stats()).toMatchObject({ parked: 0 })
    expect(await rig.run(answers)).toEqual([null, "timed_out"])
  })
})

describe("leases", () => {
  test("a lease that nobody renews is ended by the sweep at its end, and the task is ready again", async () => {
    const rig = await openRig()
    const [a, b] = await rig.agents("a", "b")
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 5_000 })
    const { leaseEndsAtMs, fence } = await rig.execute("task.claim", a!, { task: "t" })
    await rig.clock.advance(leaseEndsAtMs - rig.loop.nowMs() - 1)
    expect(rig.types()).not.toContain("lease.ended")
    await rig.clock.advance(2)
    expect(rig.entries().find(({ type }) => type === "lease.ended")).toMatchObject({ data: { id: "t", fence, reason: "expired", by: "hub" } })
    expect((await rig.execute("task.claimNext", b!, CLAIM_ANY)).claims[0]!.fence).toBeGreaterThan(fence)
    expect(await rig.refused(rig.loop.execute("task.update", a!, { task: "t", fence, progress: 1, note: null }))).toBe("stale_fence")
  })

  test("beats renew a lease for as long as they come, in few entries", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 10_000 })
    const { fence } = await rig.execute("task.claim", a!, { task: "t" })
    for (let at = 0; at < 100; at += 1) {
      rig.loop.beat("s_a")
      await rig.clock.advance(1_000)
    }
    expect(rig.types()).not.toContain("lease.ended")
    expect(rig.types().filter((type) => type === "leases.renewed").length).toBeLessThanOrEqual(35)
    await rig.execute("task.complete", a!, { task: "t", fence, ...DONE })
  })

  test("a beat counts before the claim of another that arrives with it after the lease's end", async () => {
    const rig = await openRig()
    const [a, b] = await rig.agents("a", "b")
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 2_000 })
    const { leaseEndsAtMs, fence } = await rig.execute("task.claim", a!, { task: "t" })
    await rig.clock.advance(leaseEndsAtMs - rig.loop.nowMs() - 20)
    // The disk stalls past the lease's end; the beat came in time.
    rig.disk.held = true
    const stalled = rig.loop.execute("agent.add", OPERATOR, { name: "x" })
    await rig.clock.advance(1)
    rig.loop.beat("s_a")
    await rig.clock.advance(500)
    const claim = rig.loop.execute("task.claim", b!, { task: "t" })
    rig.disk.release()
    expect(await rig.run(settled([stalled, claim]))).toEqual([null, "claim_denied"])
    await rig.execute("task.update", a!, { task: "t", fence, progress: 0.5, note: null })
  })

  test("a beat counts before that claim also where the loop stood still, and no timer has rung yet", async () => {
    const rig = await openRig()
    const { clock } = rig
    const [a, b] = await rig.agents("a", "b")
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 2_000 })
    const after = clock.after.bind(clock)
    clock.after = (ms, call) => after(ms + 10_000, call)
    const { leaseEndsAtMs } = await rig.execute("task.claim", a!, { task: "t" })
    clock.after = after
    rig.loop.beat("s_a")
    await clock.advance(leaseEndsAtMs - rig.loop.nowMs() - 700)
    rig.loop.beat("s_a")
    await clock.advance(800)
    expect(await rig.refused(rig.loop.execute("task.claim", b!, { task: "t" }))).toBe("claim_denied")
  })

  test("a session that beat and fell silent for three heartbeats is lost, its leases end, and a beat brings it back", async () => {
    const rig = await openRig()
    await rig.execute("agent.add", OPERATOR, { name: "a", heartbeatMs: 1_000 })
    await rig.execute("session.start", OPERATOR, { id: "s_a", agent: "a", runtime: "x", resumeId: null, owned: true })
    await rig.tasks("t")
    rig.loop.attach("s_a")
    await rig.execute("task.claim", actor("a", "s_a"), { task: "t" })
    await rig.clock.advance(2_900)
    expect(rig.types()).not.toContain("session.lost")
    await rig.clock.advance(200)
    expect(rig.types()).toEqual(expect.arrayContaining(["session.lost", "lease.ended"]))
    await rig.clock.advance(10_000)
    rig.loop.attach("s_a")
    await rig.clock.advance(10)
    expect(rig.types().filter((type) => type.startsWith("session."))).toEqual(["session.started", "session.lost", "session.returned"])
  })

  test("who is there is told by its connections, and a session that has ended is forgotten", async () => {
    const rig = await openRig()
    await rig.execute("agent.add", OPERATOR, { name: "a", heartbeatMs: 1_000 })
    await rig.execute("session.start", OPERATOR, { id: "s_a", agent: "a", runtime: "x", resumeId: null, owned: true })
    for (let at = 0; at < 2; at += 1) rig.loop.attach("s_a")
    rig.loop.detach("s_a")
    expect(rig.loop.presence("s_a")).toMatchObject({ connections: 1 })
    rig.loop.detach("s_a")
    expect(rig.loop.presence("s_a")).toMatchObject({ connections: 0 })
    await rig.execute("session.end", OPERATOR, { session: "s_a", reason: "r" })
    await rig.clock.advance(70_000)
    expect(rig.loop.presence("s_a")).toBeNull()
    expect(rig.types()).not.toContain("session.lost")
  })

  test("a session without an owner is never lost, and its lease is the long one", async () => {
    const rig = await openRig()
    await rig.execute("agent.add", OPERATOR, { name: "a", heartbeatMs: 1_000 })
    await rig.execute("session.start", OPERATOR, { id: "s_a", agent: "a", runtime: "cli", resumeId: null, owned: false })
    await rig.tasks("t")
    expect(rig.loop.beat("s_a")).toBe(false)
    const { leaseMs } = await rig.execute("task.claim", actor("a", "s_a"), { task: "t" })
    expect(leaseMs).toBe(900_000)
    await rig.clock.advance(leaseMs - 1_000)
    expect(rig.types()).not.toContain("lease.ended")
    await rig.clock.advance(2_000)
    expect(rig.types()).toContain("lease.ended")
    expect(rig.types()).not.toContain("session.lost")
  })

  test("after a restart whoever held a lease has the grace to come back, though it ran out meanwhile", async () => {
    const limits = { graceMs: 15_000 }
    let rig = await openRig({ limits })
    const [a, b] = await rig.agents("a", "b")
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 2_000 })
    const { fence } = await rig.execute("task.claim", a!, { task: "t" })
    await rig.close()
    await rig.clock.advance(60_000)
    rig = await openRig({ limits, store: rig.store, clock: rig.clock })
    expect(await rig.refused(rig.loop.execute("task.claim", b!, { task: "t" }))).toBe("claim_denied")
    await rig.execute("task.update", a!, { task: "t", fence, progress: 0.5, note: null })
  })

  test("a wall clock that is set back does no harm, running or over a restart", async () => {
    let rig = await openRig()
    await rig.tasks("t")
    rig.clock.jumpWall(-3_600_000)
    await rig.tasks("u")
    await rig.close()
    rig = await openRig({ store: rig.store, clock: rig.clock })
    await rig.tasks("v")
    const times = rig.entries().map(({ atMs }) => atMs)
    expect(times).toEqual([...times].sort((x, y) => x - y))
  })

  test("a task in review has no lease, whatever else its session holds and beats for", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    await rig.execute("task.add", OPERATOR, { id: "r", title: "r", review: true, leaseMs: 3_000 })
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 3_000 })
    const { fence } = await rig.execute("task.claim", a!, { task: "r" })
    await rig.execute("task.complete", a!, { task: "r", fence, ...DONE })
    await rig.execute("task.claim", a!, { task: "t" })
    for (let at = 0; at < 10; at += 1) {
      rig.loop.beat("s_a")
      await rig.clock.advance(500)
    }
    await rig.clock.advance(60_000)
    expect(await rig.run(rig.loop.read((state) => [state.tasks.get("r")!.status, state.tasks.get("r")!.leaseEndsAtMs]))).toEqual(["review", null])
  })
})
