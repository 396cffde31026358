import { describe, expect, it } from "vitest"
import { Chain } from "../core/chain.ts"
import { EntryHasher } from "../core/hash.ts"
import { Frontier } from "../core/merkle.ts"
import type { Entry } from "../core/entry.ts"
import { epochs, outsideCheckpoint, verify } from "./audit.ts"
import { makeCheckpoint, makeEntries } from "../../test/ledger-entries.ts"
import { MemoryStore } from "./memory.ts"
import { NoteInvalid, formatTreeHead, makeKey, parseSigner, parseVerifier, signNote } from "./note.ts"
import { scan } from "./scan.ts"
import { sha256 } from "./sha256.ts"

/** A ledger of 30 entries whose 11th and 25th are checkpoints, and the chain as it was after each entry. */
async function written(): Promise<{ store: MemoryStore; records: ReturnType<Chain["record"]>[] }> {
  const store = new MemoryStore()
  const ledger = store.open()
  const chain = new Chain(sha256)
  const records = [chain.record()]
  for (let seq = 1; seq <= 30; seq++) {
    await ledger.append(seq - 1, seq === 11 || seq === 25 ? [makeCheckpoint(chain)] : makeEntries(chain, 1))
    chain.commit()
    records.push(chain.record())
  }
  await ledger.close()
  return { store, records }
}

describe("a scan", () => {
  it("hands over every entry once, verified and in order", async () => {
    const { store, records } = await written()
    const seen: number[] = []
    const scanned = await scan(store.open(), ({ seq }) => seen.push(seq))
    expect(seen).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
    expect(scanned).toMatchObject({ entries: 30, checkpoints: 2, head: { seq: 30 } })
    expect(scanned.frontier.record()).toEqual(records[30]!.frontier)
  })

  it("goes on from a snapshot's chain as if it had begun at the first entry, and stops where it is told", async () => {
    const { store, records } = await written()
    const ledger = store.open()
    for (const start of [0, 1, 10, 11, 24, 29, 30]) {
      const seen: number[] = []
      const scanned = await scan(ledger, ({ seq }) => seen.push(seq), { after: records[start]!, to: 29 })
      expect(seen).toEqual(Array.from({ length: Math.max(0, 29 - start) }, (_, i) => start + 1 + i))
      expect(scanned.frontier.record()).toEqual(records[Math.max(start, 29)]!.frontier)
    }
    await expect(scan(ledger, () => undefined, { after: { ...records[5]!, hash: "00".repeat(32) } })).rejects.toMatchObject({ code: "damaged", seq: 6 })
  })

  it("stops at the first damaged entry, and hands over none from there on", async () => {
    const { store } = await written()
    store.entries[16] = { ...store.entries[16]!, bytes: store.entries[16]!.bytes.replace("entry", "entrx") }
    const seen: number[] = []
    await expect(scan(store.open(), ({ seq }) => seen.push(seq))).rejects.toMatchObject({ code: "damaged", seq: 17 })
    expect(seen.at(-1)).toBe(16)
  })

  it("up-casts what it hands over, and hashes what is stored", async () => {
    const { store } = await written()
    const entries: Entry[] = []
    const upcasts = { "task.added": { 1: (data: unknown) => ({ ...(data as object), priority: 5 }) } }
    await scan(
      store.open(),
      (entry, stored) => {
        entries.push(entry)
        expect(stored.bytes).toContain('"v":1')
      },
      { upcasts },
    )
    expect(entries[0]).toMatchObject({ v: 2, data: { text: "entry 1", priority: 5 } })
    expect(entries[10]).toMatchObject({ v: 1, type: "checkpoint.recorded" })
  })
})

describe("epochs", () => {
  it("are the stretches that each checkpoint covers, and the open one after the last", async () => {
    const { store } = await written()
    expect((await epochs(store.open())).map(({ epoch, from, to, recorded }) => [epoch, from, to, recorded?.seq ?? null])).toEqual([
      [1, 1, 10, 11],
      [2, 11, 24, 25],
      [3, 25, 30, null],
    ])
  })

  it("of an empty ledger are none", async () => {
    expect(await epochs(new MemoryStore().open())).toEqual([])
  })
})

describe("a checkpoint kept outside", () => {
  const key = makeKey("log", "skein/main", Buffer.alloc(32, 1))
  const trusted = [parseVerifier(key.vkey)]

  it("counts only with the log's signature and origin", async () => {
    const { store, records } = await written()
    const root = Frontier.from(new EntryHasher(sha256), records[20]!.frontier).root()
    const note = signNote(formatTreeHead({ origin: "skein/main", size: 20, root }), parseSigner(key.skey))
    expect(await verify(store.open(), [outsideCheckpoint(note, trusted, "skein/main", "a file")])).toMatchObject({ ok: true, coveredTo: 20 })
    expect(() => outsideCheckpoint(note, trusted, "skein/other", "a file")).toThrow("not of skein/other")
    expect(() => outsideCheckpoint(note.replace("\n20\n", "\n21\n"), trusted, "skein/main", "a file")).toThrow(NoteInvalid)
  })
})

describe("a report", () => {
  it("counts what holds and names the remedy of what does not", async () => {
    const { store } = await written()
    expect(await verify(store.open())).toMatchObject({ ok: true, entries: 30, checkpoints: 2, coveredTo: 0 })
    store.entries.splice(20, 1)
    await expect(verify({ read: async (from, limit) => store.entries.slice(from - 1, from - 1 + limit) })).resolves.toMatchObject({
      ok: false,
      entries: 20,
      checkpoints: 1,
      finding: { damage: "missing", seq: 21, remedy: expect.stringContaining("backup") as string },
    })
  })
})
