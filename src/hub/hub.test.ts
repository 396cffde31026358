import { describe, expect, test } from "vitest"
import { CLAIM_ANY, DONE, OPERATOR, openRig, Rig } from "../../test/simulation/rig.ts"
import { ThroughLedger } from "../../test/simulation/through-ledger.ts"
import { VirtualClock } from "./virtual-clock.ts"
import { Chain } from "../core/chain.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import { type Disk, MemoryStore } from "../ledger/memory.ts"
import { sha256 } from "../ledger/sha256.ts"
import { openHub } from "./hub.ts"
import { digestOf } from "./fingerprint.ts"
import { replay } from "./replay.ts"

describe("workspaces", () => {
  test("share nothing: the same names, keys and tasks live in each by themselves", async () => {
    const rig = await openRig({ workspaces: ["main", "other"] })
    const other = rig.hub.workspace("other")!
    await rig.agents("a")
    await rig.run(other.execute("agent.add", OPERATOR, { name: "a" }))
    for (const loop of [rig.loop, other]) await rig.run(loop.execute("task.add", OPERATOR, { id: "t", title: loop.name }, { key: { id: "k", hash: "00" } }))
    await rig.execute("task.claim", { agent: "a", session: "s_a", role: "worker" }, { task: "t" })
    expect(await rig.run(other.read((state) => [state.tasks.get("t")!.status, state.specs.get("t")!.title, state.sessions.size]))).toEqual([
      "pending",
      "other",
      0,
    ])
    expect(rig.hub.names()).toEqual(["main", "other"])
    rig.disk.next = "refused"
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" }))).toBe("storage_refused")
    await rig.run(other.execute("task.add", OPERATOR, { id: "u", title: "u" }))
  })

  test("one that is asked for by two at once is opened once", async () => {
    const rig = await openRig()
    const [one, other] = await rig.run(Promise.all([rig.hub.create("new"), rig.hub.create("new")]))
    expect(one).toBe(other)
    expect(await rig.run(rig.hub.create("new"))).toBe(one)
  })

  test("cannot have a name that is none, nor be opened in a hub that is closed", async () => {
    const rig = await openRig()
    expect(await rig.refused(rig.hub.create("../etc"))).toBe("invalid_input")
    await rig.close()
    expect(await rig.refused(rig.hub.create("late"))).toBe("hub_stopping")
    expect(rig.stores.size).toBe(0)
  })
})

describe("opening", () => {
  test("a ledger that is open elsewhere is refused, and every workspace that was open by then is let go", async () => {
    const rig = new Rig({ workspaces: ["first", "main"] })
    const elsewhere = rig.store.open("elsewhere")
    await expect(rig.open()).rejects.toMatchObject({ code: "locked" })
    expect(() => rig.storeOf("first").open()).not.toThrow()
    await elsewhere.close()
  })

  test("on a disk that refuses fails, and leaves no timer behind that would come back", async () => {
    const rig = new Rig({})
    rig.disk.next = "refused"
    await expect(rig.open()).rejects.toMatchObject({ code: "storage_refused" })
    await rig.clock.advance(60_000)
    expect(rig.fatal).toEqual([])
    rig.disk.next = "done"
    await rig.open()
  })

  test("a ledger whose chain is broken is refused with the entry's seq", async () => {
    const rig = await openRig()
    await rig.tasks("a", "b", "c")
    await rig.close()
    rig.store.entries[3] = { ...rig.store.entries[3]!, bytes: rig.store.entries[3]!.bytes.replace('"b"', '"z"') }
    const { store, clock } = rig
    await expect(openRig({ store, clock })).rejects.toMatchObject({ code: "damaged", seq: 4 })
  })

  test.each([
    ['"requires":{}', '"requires":null'],
    ['"id":"a"', '"id":{"length":3}'],
  ])("a ledger that was forged so that it chains, with %s made %s, is refused", async (sound, forged) => {
    const rig = await openRig()
    await rig.tasks("a")
    await rig.close()
    const chain = new Chain(sha256)
    const { store, clock } = rig
    for (const [at, entry] of store.entries.entries()) {
      const bytes = entry.bytes.replace(sound, forged)
      store.entries[at] = { ...entry, bytes, hash: chain.append(bytes) }
      chain.commit()
    }
    await expect(openRig({ store, clock })).rejects.toMatchObject({ code: "damaged", remedy: expect.stringMatching(/./) as string })
  })

  test("every start is recorded, and the first makes the workspace", async () => {
    let rig = await openRig()
    await rig.close()
    rig = await openRig({ store: rig.store, clock: rig.clock })
    expect(rig.types()).toEqual(["workspace.created", "hub.started", "checkpoint.recorded", "hub.started"])
    expect(rig.entries().at(-1)?.data).toMatchObject({ graceMs: 15_000 })
    expect(await rig.run(rig.loop.read((state) => state.meta.get("workspace")!.hubStarts))).toBe(2)
  })
})

describe("two hubs on one ledger", () => {
  /** Every append takes its way, so that both hubs decide on the same head again and again. */
  async function twoHubs(): Promise<{ one: Rig; other: Rig; clock: VirtualClock; store: MemoryStore }> {
    const clock = new VirtualClock()
    let turn = 0
    const wait = (): Promise<void> => new Promise((resolve) => clock.after(1 + ((turn += 3) % 7), resolve))
    const disk: Disk = { reach: wait }
    const store = new MemoryStore({ manyWriters: true, disk })
    const one = await openRig({ store, clock })
    const other = await openRig({ store, clock })
    return { one, other, clock, store }
  }

  function listen(rig: Rig): Entry[] {
    const heard: Entry[] = []
    rig.loop.subscribe(1, {
      deliver: ({ text }) => heard.push(...(JSON.parse(text) as Entry[])),
      writable: () => true,
      resync: () => undefined,
      end: () => undefined,
    })
    return heard
  }

  test("of two claims at one moment one wins; the loser decides again and hears who has it", async () => {
    const { one, other, clock } = await twoHubs()
    const [a, b] = await one.agents("a", "b")
    await one.tasks("t")
    await clock.advance(100)
    const claims = [one.loop.execute("task.claim", a!, { task: "t" }), other.loop.execute("task.claim", b!, { task: "t" })]
    const outcomes = await clock.until(Promise.allSettled(claims))
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1)
    expect(outcomes.find(({ status }) => status === "rejected")).toMatchObject({ reason: { code: "claim_denied" } })
    expect(one.loop.stats()["lostRaces"]! + other.loop.stats()["lostRaces"]!).toBeGreaterThan(0)
  })

  test("each publishes every entry exactly once and in order, keeps the same state, and answers the other's keys", async () => {
    const { one, other, clock, store } = await twoHubs()
    const heard = [listen(one), listen(other)]
    const agents = await one.agents("a", "b", "c", "d")
    for (let at = 0; at < 24; at += 1) await one.tasks(`t${at}`)
    await clock.advance(100)
    const worker = async (at: number): Promise<void> => {
      const agent = agents[at]!
      for (let round = 0; round < 8; round += 1) {
        const { loop } = (at + round) % 2 === 0 ? one : other
        const { claims } = await loop.execute("task.claimNext", agent, CLAIM_ANY, { waitMs: 10_000, key: { id: `claim ${round}`, hash: "00" } })
        const { task, fence } = claims[0]!
        const next = loop === one.loop ? other.loop : one.loop
        const again = await next.execute("task.claimNext", agent, CLAIM_ANY, { key: { id: `claim ${round}`, hash: "00" } })
        expect(again.claims[0]!.fence).toBe(fence)
        for (const note of ["a", "b"]) await next.execute("task.update", agent, { task: task.id, fence, progress: null, note })
        await loop.execute("task.complete", agent, { task: task.id, fence, ...DONE })
      }
    }
    await clock.until(
      Promise.all([0, 1, 2, 3].map(worker).map(async (work) => work.catch((error: unknown) => expect((error as { code: string }).code).toBe("nothing_ready")))),
    )
    await clock.advance(5_000)
    const entries = store.entries.map(({ bytes }) => decodeEntry(bytes))
    expect(entries.filter(({ type }) => type === "task.completed")).toHaveLength(24)
    for (const entriesHeard of heard) expect(entriesHeard.map(({ seq }) => seq)).toEqual(entries.map(({ seq }) => seq))
    const { digest, compared } = await replay(store.open("auditor"), sha256)
    expect(compared.filter(({ ok }) => !ok)).toEqual([])
    for (const rig of [one, other]) expect(await rig.run(rig.loop.read((state) => digestOf(sha256, state)))).toBe(digest)
    expect(one.loop.stats()["lostRaces"]! + other.loop.stats()["lostRaces"]!).toBeGreaterThan(5)
    expect([...one.fatal, ...other.fatal]).toEqual([])
  })

  test("a claim that is parked at one is woken by what the other does", async () => {
    const { one, other, clock } = await twoHubs()
    const [a] = await one.agents("a")
    await clock.advance(100)
    const parked = other.loop.execute("task.claimNext", a!, CLAIM_ANY, { waitMs: 60_000 })
    await clock.advance(1_000)
    await one.tasks("t")
    const startMs = clock.monotonicMs()
    expect((await clock.until(parked)).claims).toHaveLength(1)
    expect(clock.monotonicMs() - startMs).toBeLessThan(20)
  })

  test("a quiet ledger gets one checkpoint, not one a hub after the other", async () => {
    const { one, clock, store } = await twoHubs()
    await one.tasks("t")
    await clock.advance(10_000)
    const { length } = store.entries
    await clock.advance(600_000)
    expect(store.entries).toHaveLength(length)
  })

  test("one that is closed leaves the other at work, and calls it no failure", async () => {
    const { one, other, clock } = await twoHubs()
    await one.close()
    await clock.advance(5_000)
    await other.tasks("t")
    expect([...one.fatal, ...other.fatal]).toEqual([])
  })

  test("one whose clock is behind dates nothing before what the other wrote", async () => {
    const clock = new VirtualClock()
    const store = new MemoryStore({ manyWriters: true })
    const one = await openRig({ store, clock })
    clock.jumpWall(60_000)
    const other = await openRig({ store, clock })
    await other.tasks("t")
    await clock.advance(100)
    await one.tasks("u")
    const times = store.entries.map(({ bytes }) => decodeEntry(bytes).atMs)
    expect(times).toEqual([...times].sort((a, b) => a - b))
  })

  test("one that can no longer hear of the other's entries stops", async () => {
    let cut: () => void = () => undefined
    const isCut = new Promise<never>((_, reject) => (cut = () => reject(new Error("planted"))))
    class Deaf extends ThroughLedger {
      override moved(): Promise<void> {
        return isCut
      }
    }
    const rig = await openRig({ memory: { manyWriters: true }, wrap: (ledger) => new Deaf(ledger) })
    cut()
    await rig.clock.advance(1)
    expect(rig.fatal).toHaveLength(1)
    expect(await rig.refused(rig.loop.read(() => 0))).toBe("hub_stopping")
  })

  test("a hub whose disk refuses while another writes goes on from the other's entries", async () => {
    const clock = new VirtualClock()
    let refusing = false
    const store = new MemoryStore({ manyWriters: true, disk: { sync: async () => (refusing ? "refused" : "done") } })
    const one = await openRig({ store, clock })
    refusing = true
    expect(await one.refused(one.loop.execute("task.add", OPERATOR, { id: "t", title: "t" }))).toBe("storage_refused")
    refusing = false
    const other = await openRig({ store, clock })
    await other.tasks("t")
    await clock.advance(3_000)
    expect(await one.refused(one.loop.execute("task.add", OPERATOR, { id: "t", title: "t" }))).toBe("already_exists")
  })
})

test("a hub with nothing but its options is opened with the workspace main", async () => {
  const rig = new Rig({})
  const hub = await rig.run(openHub(rig.options))
  expect(hub.names()).toEqual(["main"])
  await rig.run(hub.close())
})
