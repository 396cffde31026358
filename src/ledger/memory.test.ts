import { describe, expect, it } from "vitest"
import { Chain } from "../core/chain.ts"
import { makeEntries } from "../../test/ledger-entries.ts"
import { describeLedger, type Subject } from "./ledger.contract.ts"
import { MemoryStore, type MemoryOptions, type Synced } from "./memory.ts"
import { sha256 } from "./sha256.ts"

function subjectWith(options: MemoryOptions): Subject {
  const store = new MemoryStore(options)
  return {
    supports: store.supports,
    open: () => store.open(),
    crash: () => store.crash(),
    damage: (change) => (store.entries = change(store.entries.map((entry) => ({ ...entry })))),
    backup: null,
    dispose: () => undefined,
  }
}

describeLedger("memory, one writer", () => subjectWith({}))
describeLedger("memory, many writers", () => subjectWith({ manyWriters: true }))
describeLedger("memory, not durable", () => subjectWith({ durable: false }))

/** A disk whose syncs end when the test says so, and how. */
function heldDisk(): { syncs: ((synced: Synced) => void)[]; disk: { sync: () => Promise<Synced> } } {
  const syncs: ((synced: Synced) => void)[] = []
  return { syncs, disk: { sync: () => new Promise((resolve) => syncs.push(resolve)) } }
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe("a memory ledger on a faulty disk", () => {
  it("shows nobody what is not synced", async () => {
    const { syncs, disk } = heldDisk()
    const store = new MemoryStore({ disk, manyWriters: true })
    const [one, other] = [store.open("one"), store.open("other")]
    const appended = one.append(0, makeEntries(new Chain(sha256), 2))
    await settled()
    expect((await other.head()).seq).toBe(0)
    syncs[0]!("done")
    expect((await appended).ok).toBe(true)
    expect((await other.head()).seq).toBe(2)
  })

  it("a refused batch is rolled back, and the next append goes on", async () => {
    const { syncs, disk } = heldDisk()
    const ledger = new MemoryStore({ disk }).open()
    const chain = new Chain(sha256)
    const batch = makeEntries(chain, 2)
    const refused = ledger.append(0, batch)
    await settled()
    syncs[0]!("refused")
    await expect(refused).rejects.toMatchObject({ code: "rolled_back" })
    const again = ledger.append(0, batch)
    await settled()
    syncs[1]!("done")
    expect((await again).ok).toBe(true)
  })

  it.each(["written", "not_written"] as const)("a lost answer says nothing of a batch that was %s; the handle writes no more", async (lost) => {
    const { syncs, disk } = heldDisk()
    const store = new MemoryStore({ disk })
    const ledger = store.open()
    const failed = ledger.append(0, makeEntries(new Chain(sha256), 2))
    await settled()
    syncs[0]!({ lost })
    await expect(failed).rejects.toMatchObject({ code: "unknown_outcome" })
    await expect(ledger.append(0, [])).rejects.toMatchObject({ code: "unknown_outcome" })
    await ledger.close()
    expect((await store.open().head()).seq).toBe(lost === "written" ? 2 : 0)
  })

  it("a second crash before anybody opened it changes nothing: a torn batch does not become a committed one", async () => {
    for (const again of [
      { whole: 0, torn: 0 },
      { whole: 3, torn: 0 },
    ]) {
      const { syncs, disk } = heldDisk()
      const store = new MemoryStore({ disk })
      const chain = new Chain(sha256)
      const ledger = store.open()
      const first = ledger.append(0, makeEntries(chain, 2))
      await settled()
      syncs[0]!("done")
      await first
      const torn = ledger.append(2, makeEntries(chain, 3)).catch((error: unknown) => error)
      await settled()
      store.crash({ whole: 2, torn: 5 })
      store.crash(again)
      const reopened = store.open()
      expect((await reopened.read(1, 100)).map(({ seq }) => seq)).toEqual([1, 2])
      expect(reopened.cut).toEqual({ from: 3, entries: 3 })
      syncs[1]!("done")
      expect(await torn).toMatchObject({ code: "unknown_outcome" })
    }
  })

  it("a crash keeps the batch in flight whole or not at all, wherever it tears; what was acknowledged stays", async () => {
    for (let whole = 0; whole <= 3; whole++) {
      for (const torn of [0, 1, 40]) {
        const { syncs, disk } = heldDisk()
        const store = new MemoryStore({ disk })
        const ledger = store.open()
        const chain = new Chain(sha256)
        const acknowledged = ledger.append(0, makeEntries(chain, 4))
        await settled()
        syncs[0]!("done")
        await acknowledged
        const inFlight = ledger.append(4, makeEntries(chain, 3))
        await settled()
        store.crash({ whole, torn })
        syncs[1]!("done")
        await expect(inFlight).rejects.toMatchObject({ code: "unknown_outcome" })
        const again = store.open()
        expect((await again.head()).seq).toBe(whole === 3 ? 7 : 4)
        const left = whole + (torn > 0 && whole < 3 ? 1 : 0)
        expect(again.cut).toEqual(whole === 3 || left === 0 ? null : { from: 5, entries: left })
        await expect(ledger.head()).rejects.toMatchObject({ code: "unknown_outcome" })
      }
    }
  })

  it("a crash decides too what becomes of the batch of one that has closed meanwhile, as a process that was killed", async () => {
    const { syncs, disk } = heldDisk()
    const store = new MemoryStore({ manyWriters: true, disk })
    const killed = store.open("killed")
    const inFlight = killed.append(0, makeEntries(new Chain(sha256), 2))
    await settled()
    await killed.close()
    store.crash({ whole: 2, torn: 0 })
    syncs[0]!("done")
    await expect(inFlight).rejects.toMatchObject({ code: "unknown_outcome" })
    const again = await store.open("again").read(1, 9)
    expect(again.map(({ seq }) => seq)).toEqual([1, 2])
  })

  it("a writer delayed on its way loses to one that arrives first", async () => {
    const ways: (() => void)[] = []
    const store = new MemoryStore({ manyWriters: true, disk: { reach: () => new Promise((resolve) => ways.push(resolve)) } })
    const [slow, fast] = [store.open("slow"), store.open("fast")]
    const late = slow.append(
      0,
      makeEntries(new Chain(sha256), 1, () => "slow"),
    )
    const early = fast.append(
      0,
      makeEntries(new Chain(sha256), 1, () => "fast"),
    )
    ways[1]!()
    expect((await early).ok).toBe(true)
    ways[0]!()
    expect((await late).ok).toBe(false)
  })

  it("a batch that never reached the store has an unknown outcome and was not written", async () => {
    const store = new MemoryStore({ disk: { reach: () => Promise.reject(new Error("no route")) } })
    const ledger = store.open()
    await expect(ledger.append(0, makeEntries(new Chain(sha256), 1))).rejects.toMatchObject({ code: "unknown_outcome" })
    expect(store.head().seq).toBe(0)
  })
})
