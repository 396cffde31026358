import { describe, expect, test } from "vitest"
import { PLAN } from "../../test/scenario.ts"
import { CLAIM_ANY, actor, DONE, NOTHING_USED, OPERATOR, openRig } from "../../test/simulation/rig.ts"
import { commands } from "../core/command.ts"
import type { Claimed } from "../core/command.ts"
import { SkeinError } from "../contract/errors.ts"

const key = (id: string, hash = "00"): { key: { id: string; hash: string } } => ({ key: { id, hash: hash.padEnd(32, "0") } })

async function settled(promises: readonly Promise<unknown>[]): Promise<(string | null)[]> {
  const outcomes = await Promise.allSettled(promises)
  return outcomes.map((outcome) => (outcome.status === "fulfilled" ? null : (outcome.reason as SkeinError).code))
}

describe("a batch", () => {
  test("of any number of claims on one task in one batch exactly one wins, and it is the first", async () => {
    const rig = await openRig()
    const agents = await rig.agents("a", "b", "c", "d")
    await rig.tasks("t")
    const before = rig.disk.batches.length
    const claims = agents.map((agent) => rig.loop.execute("task.claim", agent, { task: "t" }))
    expect(await rig.run(settled(claims))).toEqual([null, "claim_denied", "claim_denied", "claim_denied"])
    expect(rig.disk.batches.length - before).toBe(1)
    expect(
      rig
        .entries()
        .filter(({ type }) => type === "task.claimed")
        .map((entry) => entry.actor.agent),
    ).toEqual(["a"])
  })

  test("what arrives together is one append; what arrives while it is in flight is the next", async () => {
    const rig = await openRig()
    rig.disk.held = true
    const before = rig.disk.batches.length
    const add = (id: string): Promise<unknown> => rig.loop.execute("task.add", OPERATOR, { id, title: id })
    const first = [add("a1"), add("a2"), add("a3")]
    await rig.clock.advance(1)
    const second = [add("b1"), add("b2")]
    await rig.clock.advance(1)
    rig.disk.release()
    await rig.run(Promise.all([...first, ...second]))
    expect(rig.disk.batches.slice(before)).toEqual([3, 2])
  })

  test("a batch takes no more commands than its limit, and the rest is the next", async () => {
    const rig = await openRig({ limits: { batchMax: 4 } })
    const before = rig.disk.batches.length
    const adds = Array.from({ length: 10 }, (_, at) => rig.loop.execute("task.add", OPERATOR, { id: `t${at}`, title: "t" }))
    await rig.run(Promise.all(adds))
    expect(rig.disk.batches.slice(before)).toEqual([4, 4, 2])
  })

  test("nothing is answered, read, published or counted as the head before the ledger holds it", async () => {
    const rig = await openRig()
    await rig.clock.advance(5_000)
    const heard: number[] = []
    rig.loop.subscribe(1, { deliver: ({ to }) => heard.push(to), writable: () => true, resync: () => undefined, end: () => undefined })
    await rig.clock.advance(10)
    const { seq } = rig.loop.head
    rig.disk.held = true
    let answered = false
    let read: boolean | null = null
    const added = rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" }).then(() => (answered = true))
    await rig.clock.advance(1)
    void rig.loop.read((state) => state.tasks.has("t")).then((found) => (read = found))
    await rig.clock.advance(10)
    expect([answered, read, heard.at(-1), rig.loop.head.seq]).toEqual([false, null, seq, seq])
    rig.disk.release()
    await rig.run(added)
    expect([answered, read, heard.at(-1), rig.loop.head.seq]).toEqual([true, true, seq + 1, seq + 1])
  })

  test("a refusal says what to do and leaves no entry", async () => {
    const rig = await openRig()
    const [agent] = await rig.agents("a")
    const { seq } = rig.loop.head
    const refused = await rig.run(rig.loop.execute("task.claim", agent!, { task: "nowhere" }).catch((error: unknown) => error))
    expect(refused).toMatchObject({ name: "SkeinError", code: "not_found", details: { task: "nowhere" } })
    expect((refused as SkeinError).remedy.length).toBeGreaterThan(10)
    expect(rig.loop.head.seq).toBe(seq)
  })

  test("an entry that would be too long is refused, and nothing of its command is written", async () => {
    const rig = await openRig()
    const { seq } = rig.loop.head
    const tasks = [
      { id: "short", title: "short" },
      { id: "long", title: "long", body: "é".repeat(33_000) },
    ]
    const [one, other] = [rig.loop.execute("plan.add", OPERATOR, { ...PLAN, tasks }), rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" })]
    expect(await rig.run(settled([one, other]))).toEqual(["too_large", null])
    expect(rig.loop.head.seq).toBe(seq + 1)
    expect(await rig.run(rig.loop.read((state) => [state.plans.size, state.tasks.size]))).toEqual([0, 1])
    await rig.clock.advance(2_000)
    expect(rig.logged).toEqual([])
  })

  test("a decider that throws is one caller's fault and nobody else's", async () => {
    const rig = await openRig()
    const sound = commands["task.add"]
    commands["task.add"] = {
      ...sound,
      decide: (state, by, input, nowMs) => {
        if (input.id === "bad") throw new Error("planted")
        return sound.decide(state, by, input, nowMs)
      },
    }
    try {
      const adds = ["a", "bad", "b"].map((id) => rig.loop.execute("task.add", OPERATOR, { id, title: id }))
      expect(await rig.run(settled(adds))).toEqual([null, "internal", null])
      expect(await rig.run(rig.loop.read((state) => [...state.tasks.keys()]))).toEqual(["a", "b"])
    } finally {
      commands["task.add"] = sound
    }
  })

  test("where the answer cannot be built the caller hears that it was done", async () => {
    const rig = await openRig()
    const sound = commands["task.add"]
    commands["task.add"] = {
      ...sound,
      answer: () => {
        throw new Error("planted")
      },
    }
    try {
      const failed = await rig.run(rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" }).catch((error: unknown) => error))
      expect(failed).toMatchObject({ code: "internal", message: expect.stringContaining("it was done") })
      expect(await rig.run(rig.loop.read((state) => state.tasks.has("t")))).toBe(true)
    } finally {
      commands["task.add"] = sound
    }
  })

  test("a caller who is gone before its command is decided has done nothing", async () => {
    const rig = await openRig()
    const gone = new AbortController()
    const added = rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" }, { signal: gone.signal })
    gone.abort()
    expect(await rig.refused(added)).toBe("timed_out")
    expect(await rig.run(rig.loop.read((state) => state.tasks.size))).toBe(0)
  })
})

describe("backpressure", () => {
  test("a full queue answers overloaded with a time to come again, and nothing is done", async () => {
    const rig = await openRig({ limits: { queueMax: 3 } })
    rig.disk.held = true
    const add = (id: string): Promise<unknown> => rig.loop.execute("task.add", OPERATOR, { id, title: id })
    const flying = add("flying")
    await rig.clock.advance(1)
    const queued = ["a", "b", "c"].map(add)
    const refused = await rig.run(add("d").catch((error: unknown) => error as SkeinError))
    expect(refused).toMatchObject({ code: "overloaded" })
    expect((refused as SkeinError).retryAfterMs).toBeGreaterThan(0)
    rig.disk.release()
    await rig.run(Promise.all([flying, ...queued]))
    expect(await rig.run(rig.loop.read((state) => [...state.tasks.keys()]))).toEqual(["flying", "a", "b", "c"])
    await rig.run(add("d"))
  })

  test("a load that stays may fill no more than the next batch, each agent its share; a bystander is in that batch; with the load it is over", async () => {
    const rig = await openRig({ limits: { batchMax: 12 } })
    const flooders = ["flood1", "flood2", "flood3"]
    const refused: SkeinError[] = []
    let accepted = 0
    let tasks = 0
    const add = (agent: string): Promise<unknown> => {
      const id = `t${(tasks += 1)}`
      return rig.loop.execute("task.add", actor(agent, null, "operator"), { id, title: id })
    }
    const flood = (each: number): void => {
      for (let at = 0; at < each; at += 1)
        for (const agent of flooders)
          add(agent).then(
            () => (accepted += 1),
            (error: unknown) => refused.push(error as SkeinError),
          )
    }
    /** One batch's sync, 10 ms long, and the next one begins. */
    const batch = async (): Promise<void> => {
      await rig.clock.advance(10)
      rig.disk.release()
      rig.disk.held = true
      await rig.clock.advance(1)
    }
    rig.disk.held = true
    flood(8)
    // A burst is taken whole, while batches have not been full for long.
    expect(rig.loop.stats()).toMatchObject({ queue: 24, overloaded: 0 })
    for (let at = 0; at < 30; at += 1) {
      await batch()
      flood(8)
    }
    await rig.clock.advance(0)
    expect(refused.length).toBeGreaterThan(200)
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(["overloaded"]))
    expect(refused.every(({ retryAfterMs }) => (retryAfterMs as number) >= 20)).toBe(true)
    expect(rig.loop.stats()["queue"]).toBeLessThanOrEqual(12 + flooders.length)
    let served = false
    const bystander = add("bystander").then(() => (served = true))
    flood(8)
    await batch()
    expect(served).toBe(false)
    await batch()
    expect(served).toBe(true)
    await bystander
    // The load falls: what was accepted is done, and the next burst is taken whole again.
    for (let at = 0; at < 4; at += 1) await batch()
    expect(rig.loop.stats()["queue"]).toBe(0)
    await rig.clock.advance(1_000)
    const before = refused.length
    const [was, offered] = [accepted, 24]
    flood(8)
    for (let at = 0; at < 4; at += 1) await batch()
    expect([refused.length - before, accepted - was]).toEqual([0, offered])
    rig.disk.release()
    await rig.close()
  })

  test("claims park up to the queue's limit; beyond it they hear at once that nothing is ready", async () => {
    const rig = await openRig({ limits: { queueMax: 2 } })
    const agents = await rig.agents("a", "b", "c")
    const parked: Promise<unknown>[] = []
    for (const agent of agents.slice(0, 2)) {
      parked.push(rig.loop.execute("task.claimNext", agent, CLAIM_ANY, { waitMs: 5_000 }))
      await rig.clock.advance(5)
    }
    expect(rig.loop.stats()).toMatchObject({ parked: 2 })
    expect(await rig.refused(rig.loop.execute("task.claimNext", agents[2]!, CLAIM_ANY, { waitMs: 5_000 }))).toBe("nothing_ready")
    expect(await rig.run(settled(parked))).toEqual(["nothing_ready", "nothing_ready"])
  })
})

describe("an idempotency key", () => {
  test("that comes twice in one batch is done once and answered twice alike", async () => {
    const rig = await openRig()
    const [agent] = await rig.agents("a")
    await rig.tasks("t")
    const twice = [1, 2].map(() => rig.loop.execute("task.claim", agent!, { task: "t" }, key("k")))
    const [one, other] = await rig.run(Promise.all(twice))
    expect(other).toEqual(one)
    expect(rig.types().filter((type) => type === "task.claimed")).toHaveLength(1)
  })

  test("finds its answer in a later batch, after a restart, and after a restart from a snapshot", async () => {
    const limits = { snapshotEntries: 20, checkpointMs: 1_000_000 }
    let rig = await openRig({ limits })
    const [agent] = await rig.agents("a")
    await rig.tasks("t", "u", "v")
    const claim = (): Promise<unknown> => rig.execute("task.claim", agent!, { task: "t" }, key("claim"))
    const session = (): Promise<unknown> =>
      rig.execute("session.start", OPERATOR, { id: `s_${rig.loop.head.seq}`, agent: "a", runtime: "x", resumeId: null, owned: true }, key("session"))
    const plan = {
      ...PLAN,
      agents: [{ name: "z", start: true }],
      tasks: [
        { id: "one", title: "one" },
        { id: "two", title: "two", dependsOn: ["one"] },
      ],
    }
    const ask = async (): Promise<unknown[]> => [await claim(), await session(), await rig.execute("plan.add", OPERATOR, plan, key("plan"))]
    const first = await ask()
    const seqAfter = rig.loop.head.seq
    expect(await ask()).toEqual(first)
    expect(rig.loop.head.seq).toBe(seqAfter)
    await rig.close()
    rig = await openRig({ limits, store: rig.store, clock: rig.clock })
    const restarted = (await ask()) as [Claimed, ...unknown[]]
    // The lease was prolonged by the restart's grace; all else is word for word the same.
    expect({ ...restarted[0], task: null }).toEqual({ ...(first[0] as Claimed), task: null })
    expect(restarted.slice(1)).toEqual(first.slice(1))
    await rig.tasks(...Array.from({ length: 25 }, (_, at) => `more${at}`))
    await rig.clock.advance(10)
    expect(await rig.run(rig.loop.snapshots())).not.toEqual([])
    await rig.close()
    const { snapshots, store, clock } = rig
    rig = await openRig({ limits, store, clock, snapshots })
    const restored = (await ask()) as [Claimed, ...unknown[]]
    expect({ ...restored[0], task: null }).toEqual({ ...(first[0] as Claimed), task: null })
    expect(restored.slice(1)).toEqual(first.slice(1))
    expect(rig.types().filter((type) => type === "task.claimed" || type === "plan.added")).toHaveLength(2)
  })

  test("with another payload is refused, and a refusal itself is not remembered", async () => {
    const rig = await openRig()
    const [agent] = await rig.agents("a")
    await rig.tasks("t")
    expect(await rig.refused(rig.loop.execute("task.claim", agent!, { task: "later" }, key("k", "01")))).toBe("not_found")
    await rig.tasks("later")
    await rig.execute("task.claim", agent!, { task: "later" }, key("k", "01"))
    expect(await rig.refused(rig.loop.execute("task.claim", agent!, { task: "t" }, key("k", "02")))).toBe("idempotency_conflict")
  })

  test("belongs to its agent: another's key of the same name is another key", async () => {
    const rig = await openRig()
    const [a, b] = await rig.agents("a", "b")
    await rig.tasks("t", "u")
    const one = await rig.execute("task.claim", a!, { task: "t" }, key("k"))
    const other = await rig.execute("task.claim", b!, { task: "u" }, key("k"))
    expect(other.fence).not.toBe(one.fence)
  })
})

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

  test("wakes when its agent has room again", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    const other = actor("a", (await rig.execute("session.start", OPERATOR, { id: "s_2", agent: "a", runtime: "x", resumeId: null, owned: true })).session)
    await rig.tasks("t", "u")
    const { fence } = await rig.execute("task.claim", a!, { task: "t" })
    const parked = rig.loop.execute("task.claimNext", other, CLAIM_ANY, { waitMs: 60_000 })
    await rig.clock.advance(10)
    await rig.execute("task.complete", a!, { task: "t", fence, ...DONE })
    expect((await rig.run(parked)).claims.map(({ task }) => task.id)).toEqual(["u"])
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
    expect((await rig.run(parked)).claims.map(({ task }) => task.id)).toEqual(["u"])
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
    expect(await rig.run(settled([added, claim]))).toEqual([null, "timed_out"])
    expect(rig.loop.stats()).toMatchObject({ parked: 0 })
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

describe("checkpoints", () => {
  test("one is recorded after so many entries, though nothing follows", async () => {
    const rig = await openRig({ limits: { checkpointEntries: 10, checkpointMs: 1_000_000 } })
    await rig.tasks(...Array.from({ length: 8 }, (_, at) => `t${at}`))
    await rig.clock.advance(10)
    expect(rig.types().filter((type) => type === "checkpoint.recorded")).toHaveLength(1)
  })

  test("one is recorded after a while, covers all before it, and calls for no other", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000 } })
    await rig.tasks("t")
    await rig.clock.advance(1_100)
    const last = rig.entries().at(-1)!
    expect(last).toMatchObject({ type: "checkpoint.recorded", data: { size: last.seq - 1 } })
    await rig.clock.advance(3_600_000)
    expect(rig.entries()).toHaveLength(last.seq)
    expect(rig.loop.note()).toBe(`note of ${last.seq - 1}`)
  })

  test("a checkpoint that is asked for while a batch is in flight covers that batch", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000_000 } })
    await rig.run(rig.loop.checkpoint())
    rig.disk.held = true
    const added = rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" })
    await rig.clock.advance(1)
    const made = rig.loop.checkpoint()
    await rig.clock.advance(1)
    rig.disk.release()
    const { seq } = await rig.run(added)
    expect((await rig.clock.until(made, 1_000)).size).toBe(seq)
  })

  test("asking again for what is covered already records and signs nothing", async () => {
    const rig = await openRig()
    await rig.tasks("t")
    const one = await rig.run(rig.loop.checkpoint())
    const { length } = rig.entries()
    expect(await rig.run(rig.loop.checkpoint())).toEqual(one)
    expect(rig.entries()).toHaveLength(length)
    expect(rig.signed.map(({ size }) => size)).toEqual([...new Set(rig.signed.map(({ size }) => size))])
  })

  test("notes are kept in the order of their checkpoints, however long each takes to sign", async () => {
    const kept: number[] = []
    const rig = await openRig({
      limits: { checkpointMs: 100 },
      sign: (_, { size }) => new Promise((resolve) => rig.clock.after(size % 2 === 0 ? 5_000 : 1, () => (kept.push(size), resolve(`${size}`)))),
    })
    for (const id of ["a", "b", "c", "d"]) {
      await rig.tasks(id)
      await rig.clock.advance(200)
    }
    await rig.clock.advance(60_000)
    expect(kept.length).toBeGreaterThan(2)
    expect(kept).toEqual([...kept].sort((x, y) => x - y))
  })
})

describe("the disk", () => {
  test("while it refuses, writes are refused, reads go on, and the first write after it recovers is taken", async () => {
    const rig = await openRig()
    await rig.tasks("t")
    const { seq } = rig.loop.head
    rig.disk.next = "refused"
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" }))).toBe("storage_refused")
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" }))).toBe("storage_refused")
    expect(await rig.run(rig.loop.read((state) => [state.tasks.has("t"), state.tasks.has("u"), state.seq]))).toEqual([true, false, seq])
    await rig.clock.advance(10_000)
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" }))).toBe("storage_refused")
    expect(rig.logged).toEqual(["the ledger refuses writes"])
    rig.disk.next = "done"
    await rig.clock.advance(1_100)
    await rig.tasks("u")
    expect(rig.fatal).toEqual([])
  })

  test("while it refuses, the hub tries about once a second, though leases run out", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 1_000 })
    await rig.execute("task.claim", a!, { task: "t" })
    rig.disk.next = "refused"
    const before = rig.disk.batches.length
    await rig.clock.advance(60_000)
    expect(rig.disk.batches.length - before).toBeGreaterThan(30)
    expect(rig.disk.batches.length - before).toBeLessThan(130)
  })

  test("an owner that went on beating keeps its lease, though the disk refused for longer than the lease", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 20_000 })
    const { fence } = await rig.execute("task.claim", a!, { task: "t" })
    rig.disk.next = "refused"
    for (let at = 0; at < 8; at += 1) {
      rig.loop.beat("s_a")
      await rig.clock.advance(10_000)
    }
    rig.disk.next = "done"
    await rig.clock.advance(3_000)
    expect(rig.types()).not.toContain("lease.ended")
    await rig.execute("task.update", a!, { task: "t", fence, progress: 0.5, note: null })
  })

  test.each(["written", "not_written"] as const)(
    "an unknown outcome (%s) stops the hub: nobody hears ok, nothing unwritten is read, nothing more is written",
    async (lost) => {
      const rig = await openRig()
      const [a] = await rig.agents("a")
      const ended: string[] = []
      rig.loop.subscribe(1, { deliver: () => undefined, writable: () => true, resync: () => undefined, end: () => ended.push("end") })
      const parked = rig.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 60_000 })
      await rig.clock.advance(10)
      rig.disk.next = { lost }
      rig.disk.held = true
      const added = rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" })
      await rig.clock.advance(1)
      const queued = rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" })
      const read = rig.loop.read((state) => state.tasks.size)
      const checkpoint = rig.loop.checkpoint()
      rig.disk.release()
      expect(await rig.run(settled([added, queued, read, checkpoint, parked]))).toEqual([
        "timed_out",
        "hub_stopping",
        "hub_stopping",
        "hub_stopping",
        "hub_stopping",
      ])
      expect(rig.fatal).toHaveLength(1)
      expect(ended).toEqual(["end"])
      const { length } = rig.entries()
      await rig.clock.advance(300_000)
      expect(await rig.refused(rig.loop.read(() => 0))).toBe("hub_stopping")
      expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "v", title: "v" }))).toBe("hub_stopping")
      expect(rig.entries()).toHaveLength(length)
      expect(rig.fatal).toHaveLength(1)
    },
  )

  test("a fold that fails stops the hub before anything of its batch is written", async () => {
    const rig = await openRig()
    const sound = commands["task.add"]
    commands["task.add"] = { ...sound, decide: () => [{ type: "bogus.event", data: {} }] as never }
    try {
      const { length } = rig.entries()
      expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" }))).toBe("timed_out")
      expect(rig.fatal).toHaveLength(1)
      await rig.clock.advance(60_000)
      expect(rig.entries()).toHaveLength(length)
    } finally {
      commands["task.add"] = sound
    }
  })
})

describe("a clean shutdown", () => {
  test("answers what waits, parked or queued or in flight, and records a last checkpoint", async () => {
    const rig = await openRig({ limits: { checkpointMs: 1_000_000 } })
    const [a, b] = await rig.agents("a", "b")
    const parked = rig.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 60_000 })
    await rig.clock.advance(10)
    rig.disk.held = true
    const flying = rig.loop.execute("agent.add", OPERATOR, { name: "x" })
    await rig.clock.advance(1)
    const queued = rig.loop.execute("agent.add", OPERATOR, { name: "y" })
    const undecided = rig.loop.execute("task.claimNext", b!, CLAIM_ANY, { waitMs: 60_000 })
    const answers = settled([parked, flying, queued, undecided])
    const closed = rig.loop.close()
    expect(await rig.refused(rig.loop.execute("agent.add", OPERATOR, { name: "z" }))).toBe("hub_stopping")
    rig.disk.release()
    const startMs = rig.clock.monotonicMs()
    await rig.run(closed)
    expect(rig.clock.monotonicMs() - startMs).toBeLessThan(10)
    expect(await rig.run(answers)).toEqual(["hub_stopping", null, null, "nothing_ready"])
    const last = rig.entries().at(-1)!
    expect(last).toMatchObject({ type: "checkpoint.recorded", data: { size: last.seq - 1 } })
    expect(rig.loop.note()).toBe(`note of ${last.seq - 1}`)
  })

  test("leaves no timer that would come back to the closed ledger", async () => {
    const rig = await openRig()
    const [a] = await rig.agents("a")
    await rig.execute("task.add", OPERATOR, { id: "t", title: "t", leaseMs: 1_000 })
    await rig.execute("task.claim", a!, { task: "t" })
    rig.loop.attach("s_a")
    await rig.clock.advance(400)
    const closing = rig.loop.close()
    rig.loop.detach("s_a")
    await rig.run(closing)
    await rig.run(rig.loop.close())
    await rig.clock.advance(3_600_000)
    expect(rig.fatal).toEqual([])
    expect(rig.logged).toEqual([])
  })

  test("goes through though the disk refuses", async () => {
    const rig = await openRig()
    rig.disk.next = "refused"
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" }))).toBe("storage_refused")
    await rig.close()
    await rig.clock.advance(60_000)
    expect(rig.fatal).toEqual([])
  })
})

test("usage and deliverables pass through the loop as they were given", async () => {
  const rig = await openRig()
  const [a] = await rig.agents("a")
  await rig.tasks("t")
  const { fence } = await rig.execute("task.claim", a!, { task: "t" })
  await rig.execute("task.complete", a!, { task: "t", fence, ...DONE, usage: { ...NOTHING_USED, costMicroUsd: 7 } })
  expect(await rig.run(rig.loop.read((state) => state.tasks.get("t")!.usage.costMicroUsd))).toBe(7)
})
