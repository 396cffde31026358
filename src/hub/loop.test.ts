import { describe, expect, test } from "vitest"
import { PLAN } from "../../test/scenario.ts"
import { CLAIM_ANY, actor, DONE, NOTHING_USED, OPERATOR, openRig } from "../../test/simulation/rig.ts"
import { commands } from "../core/command.ts"
import type { Claimed } from "../core/answer.ts"
import { SkeinError } from "../contract/errors.ts"
import { VirtualClock } from "./virtual-clock.ts"
import { keyed, settled } from "../../test/simulation/outcome.ts"

test("pages of entries come in another turn of the loop, some entries at once; and none once the hub is down", async () => {
  const rig = await openRig()
  let pages = 0
  for (let many = 0; many < 5; many += 1) void rig.loop.entries(1, 512).then(() => (pages += 1))
  expect(await rig.loop.entries(1, 64)).not.toEqual([])
  expect(pages).toBe(0)
  while (await rig.clock.step(rig.clock.monotonicMs()));
  expect(pages).toBe(5)
  await rig.run(rig.loop.close())
  await expect(rig.loop.entries(1, 1)).rejects.toMatchObject({ code: "hub_stopping" })
})

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

  test("commands that take long to decide are shared out among batches, however few they are", async () => {
    let lateMs = 0
    const clock = new (class extends VirtualClock {
      override monotonicMs(): number {
        return super.monotonicMs() + lateMs
      }
    })()
    const rig = await openRig({ clock, limits: { decideMs: 30 } })
    const before = rig.disk.batches.length
    const sound = commands["task.add"]
    commands["task.add"] = {
      ...sound,
      decide: (state, by, input, nowMs) => {
        lateMs += 20
        return sound.decide(state, by, input, nowMs)
      },
    }
    try {
      const adds = ["a", "b", "c", "d", "e"].map((id) => rig.loop.execute("task.add", OPERATOR, { id, title: id }))
      await rig.run(Promise.all(adds))
      expect(rig.disk.batches.slice(before)).toEqual([2, 2, 1])
    } finally {
      commands["task.add"] = sound
    }
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
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { ...tasks[1]!, id: "alone" }))).toBe("too_large")
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

  test("a load that stays may fill no more than three batches; a bystander is in the next one; with the load it is over", async () => {
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
    expect(rig.loop.stats()["queue"]).toBeLessThanOrEqual(3 * 12)
    expect(rig.loop.stats()["queue"]).toBeGreaterThan(0)
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
    const startMs = rig.clock.monotonicMs()
    expect(await rig.refused(rig.loop.execute("task.claimNext", agents[2]!, CLAIM_ANY, { waitMs: 5_000 }))).toBe("nothing_ready")
    expect(rig.clock.monotonicMs()).toBe(startMs)
    expect(await rig.run(settled(parked))).toEqual(["nothing_ready", "nothing_ready"])
  })
})

describe("an idempotency key", () => {
  test("that comes twice in one batch is done once and answered twice alike", async () => {
    const rig = await openRig()
    const [agent] = await rig.agents("a")
    await rig.tasks("t")
    const twice = [1, 2].map(() => rig.loop.execute("task.claim", agent!, { task: "t" }, keyed("k")))
    const [one, other] = await rig.run(Promise.all(twice))
    expect(other).toEqual(one)
    expect(rig.types().filter((type) => type === "task.claimed")).toHaveLength(1)
  })

  test("finds its answer in a later batch, after a restart, and after a restart from a snapshot", async () => {
    const limits = { snapshotEntries: 20, checkpointMs: 1_000_000 }
    let rig = await openRig({ limits })
    const [agent] = await rig.agents("a")
    await rig.tasks("t", "u", "v")
    const claim = (): Promise<unknown> => rig.execute("task.claim", agent!, { task: "t" }, keyed("claim"))
    const session = (): Promise<unknown> =>
      rig.execute("session.start", OPERATOR, { id: `s_${rig.loop.head.seq}`, agent: "a", runtime: "x", resumeId: null, owned: true }, keyed("session"))
    const plan = {
      ...PLAN,
      agents: [{ name: "z", start: true }],
      tasks: [
        { id: "one", title: "one" },
        { id: "two", title: "two", dependsOn: ["one"] },
      ],
    }
    const ask = async (): Promise<unknown[]> => [await claim(), await session(), await rig.execute("plan.add", OPERATOR, plan, keyed("plan"))]
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
    // A snapshot is kept once nobody wants anything.
    await rig.clock.advance(100)
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
    expect(await rig.refused(rig.loop.execute("task.claim", agent!, { task: "later" }, keyed("k", "01")))).toBe("not_found")
    await rig.tasks("later")
    await rig.execute("task.claim", agent!, { task: "later" }, keyed("k", "01"))
    expect(await rig.refused(rig.loop.execute("task.claim", agent!, { task: "t" }, keyed("k", "02")))).toBe("idempotency_conflict")
  })

  test("belongs to its agent: another's key of the same name is another key", async () => {
    const rig = await openRig()
    const [a, b] = await rig.agents("a", "b")
    await rig.tasks("t", "u")
    const one = await rig.execute("task.claim", a!, { task: "t" }, keyed("k"))
    const other = await rig.execute("task.claim", b!, { task: "u" }, keyed("k"))
    expect(other.fence).not.toBe(one.fence)
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
