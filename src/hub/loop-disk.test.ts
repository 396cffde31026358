import { describe, expect, test } from "vitest"
import { CLAIM_ANY, OPERATOR, openRig } from "../../test/simulation/rig.ts"
import { commands } from "../core/command.ts"
import { statusOf } from "../surface/status.ts"
import { settled } from "../../test/simulation/outcome.ts"

describe("checkpoints", () => {
  test("one is recorded after so many entries, though nothing follows", async () => {
    const rig = await openRig({ limits: { checkpointEntries: 10, checkpointMs: 1_000_000 } })
    await rig.tasks(...Array.from({ length: 8 }, (_, at) => `t${at}`))
    await rig.clock.advance(10)
    expect(rig.types().filter((type) => type === "checkpoint.recorded")).toHaveLength(1)
  })

  test("one is recorded after 1,000 entries, or a second, where nothing else is said", async () => {
    const rig = await openRig()
    await rig.clock.advance(1_000)
    const made = (): number => rig.types().filter((type) => type === "checkpoint.recorded").length
    const before = made()
    await rig.tasks("t")
    await rig.clock.advance(999)
    expect(made()).toBe(before)
    await rig.clock.advance(2)
    expect(made()).toBe(before + 1)
    // All in one moment.
    const add = (count: number): Promise<unknown> =>
      rig.run(Promise.all(Array.from({ length: count }, (_, at) => rig.loop.execute("task.add", OPERATOR, { id: `${count}-${at}`, title: "t" }))))
    await add(999)
    await rig.clock.advance(10)
    expect(made()).toBe(before + 1)
    await add(1)
    await rig.clock.advance(10)
    expect(made()).toBe(before + 2)
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

  test("one that could not be signed is signed when it is asked for again", async () => {
    let keyIsThere = false
    const sign = (): Promise<string> => (keyIsThere ? Promise.resolve("note") : Promise.reject(new Error("planted")))
    const rig = await openRig({ limits: { checkpointMs: 1_000_000 }, sign })
    expect(await rig.refused(rig.loop.checkpoint())).toBe("Error: planted")
    const { length } = rig.entries()
    keyIsThere = true
    expect(await rig.run(rig.loop.checkpoint())).toMatchObject({ note: "note" })
    expect(rig.entries()).toHaveLength(length)
  })

  test("notes are kept in the order of their checkpoints, however long each takes to sign", async () => {
    const kept: number[] = []
    let asked = 0
    const rig = await openRig({
      limits: { checkpointMs: 100 },
      sign: (_, { size }) => new Promise((resolve) => rig.clock.after((asked += 1) % 2 === 1 ? 5_000 : 1, () => (kept.push(size), resolve(`${size}`)))),
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
    const { length } = rig.disk.batches
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" }))).toBe("storage_refused")
    expect(rig.disk.batches, "only the hub itself tries the disk").toHaveLength(length)
    expect(await rig.run(rig.loop.read((state) => [state.tasks.has("t"), state.tasks.has("u"), state.seq]))).toEqual([true, false, seq])
    await rig.clock.advance(10_000)
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "u", title: "u" }))).toBe("storage_refused")
    expect(rig.logged).toEqual(["the ledger refuses writes"])
    const alerts = (): Promise<string[]> => rig.run(rig.loop.read((state, nowMs) => statusOf(rig.loop, state, nowMs).alerts.map(({ kind }) => kind)))
    expect(await alerts()).toEqual(["storage_refused"])
    rig.disk.next = "done"
    await rig.clock.advance(1_100)
    expect(await alerts()).toEqual([])
    await rig.tasks("u")
    expect(rig.fatal).toEqual([])
  })

  test("that took no write for want of anything to record is tried all the same: what a checkpoint covers already is no way to be stuck", async () => {
    const rig = await openRig()
    await rig.run(rig.loop.checkpoint())
    rig.disk.next = "refused"
    expect(await rig.refused(rig.loop.execute("task.add", OPERATOR, { id: "t", title: "t" }))).toBe("storage_refused")
    rig.disk.next = "done"
    await rig.clock.advance(1_100)
    await rig.tasks("t")
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
      // It may have come with a key or without.
      await expect(added).rejects.toMatchObject({ remedy: expect.stringMatching(/same key, if .* Else look/) as string })
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
    expect(rig.clock.nextMs).toBeNull()
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
