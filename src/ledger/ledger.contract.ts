import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Chain, GENESIS, toHex } from "../core/chain.ts"
import { ENTRY_MAX_BYTES } from "../core/entry.ts"
import { makeCheckpoint, makeEntries, plain } from "../../test/ledger-entries.ts"
import { verify, type OutsideCheckpoint, type Report } from "./audit.ts"
import type { Damage } from "./damage.ts"
import { LedgerFailure, type Ledger, type Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"

/** A store under test; a fresh one for each test. */
export type Subject = {
  /** What the handles that it opens declare. */
  supports: Ledger["supports"]
  /** Opens a handle: the first, one more, or again after `close` or `crash`. Throws as the store does. */
  open(): Ledger
  /** Opens a store that was damaged, for reading; `open` where the store does not look at its end when it is opened. */
  openDamaged?(): Ledger
  /** Power is cut, whoever has it open: what was not synced is lost. */
  crash(): void
  /** Changes the stored rows behind the store's back, while no handle is open. A row's place is where it stands in the list. */
  damage(change: (rows: Stored[]) => Stored[]): void
  /** A path for a backup and how to open it, for stores with files. */
  backup: { path: string; open(): Ledger } | null
  dispose(): void
}

/** The rules that every store keeps, and for each thing it may support, the rule for those that do and for those that do not. */
export function describeLedger(name: string, make: () => Subject): void {
  describe(`the ledger's contract: ${name}`, () => {
    let subject: Subject
    let chain: Chain
    beforeEach(() => {
      subject = make()
      chain = new Chain(sha256)
    })
    afterEach(() => subject.dispose())

    it("an empty ledger ends at 0, with 32 zero bytes", async () => {
      const ledger = subject.open()
      expect(ledger.supports).toEqual(subject.supports)
      expect(await ledger.head()).toEqual({ seq: 0, hash: GENESIS })
      expect(await ledger.read(1, 10)).toEqual([])
      await ledger.close()
    })

    it("gives back the very bytes and hashes, whatever the text", async () => {
      const ledger = subject.open()
      const texts = ["", "ünï\u{1F9E6}", "\uFFFD honest", "\u0000\u001b[31m", "\uD800 alone", "\"'\\ \r\n\t", "x".repeat(ENTRY_MAX_BYTES - 250)]
      const batch = makeEntries(chain, texts.length, (seq) => texts[seq - 1]!)
      const appended = await ledger.append(0, batch)
      expect(appended).toEqual({ ok: true, head: { seq: texts.length, hash: chain.hash } })
      expect(plain(await ledger.read(1, 100))).toEqual(plain(batch))
      expect(plain([{ ...(await ledger.head()), bytes: "" }])).toEqual(plain([{ seq: texts.length, hash: chain.hash, bytes: "" }]))
      await ledger.close()
    })

    it("reads from any entry on, as many as asked for, fewer only at the end", async () => {
      const ledger = subject.open()
      const batch = makeEntries(chain, 10)
      await ledger.append(0, batch)
      expect((await ledger.read(4, 3)).map(({ seq }) => seq)).toEqual([4, 5, 6])
      expect((await ledger.read(9, 3)).map(({ seq }) => seq)).toEqual([9, 10])
      expect(await ledger.read(11, 3)).toEqual([])
      await ledger.close()
    })

    it("an append against another head than the last answers where the ledger ends, and writes nothing", async () => {
      const ledger = subject.open()
      await ledger.append(0, makeEntries(chain, 3))
      const head = { seq: 3, hash: chain.hash }
      const stale = makeEntries(new Chain(sha256), 2)
      for (const expected of [0, 2, 4]) {
        const moved = await ledger.append(expected, stale)
        expect(moved).toEqual({ ok: false, moved: head })
      }
      expect(await ledger.read(1, 10)).toHaveLength(3)
      expect((await ledger.append(3, makeEntries(chain, 1))).ok).toBe(true)
      await ledger.close()
    })

    it("a batch with a wrong place in it is a bug, and none of it is written", async () => {
      const ledger = subject.open()
      const [one, two, three] = makeEntries(chain, 3)
      await expect(ledger.append(0, [one!, three!])).rejects.toThrow("bug")
      await expect(ledger.append(0, [one!, two!, two!])).rejects.toThrow("bug")
      expect((await ledger.head()).seq).toBe(0)
      expect((await ledger.append(0, [one!, two!, three!])).ok).toBe(true)
      await ledger.close()
    })

    it("after closing and opening again everything is there, and the chain goes on", async () => {
      const first = subject.open()
      const batch = makeEntries(chain, 100)
      await first.append(0, batch)
      await first.idle()
      await first.append(100, makeEntries(chain, 1))
      await first.close()
      const again = subject.open()
      expect(await again.head()).toEqual({ seq: 101, hash: chain.hash })
      expect(plain(await again.read(1, 100))).toEqual(plain(batch))
      expect((await again.append(101, makeEntries(chain, 1))).ok).toBe(true)
      await again.close()
    })

    it("a durable store keeps what it answered through a crash; another only what was synced when idle", async () => {
      const ledger = subject.open()
      await ledger.append(0, makeEntries(chain, 5))
      await ledger.idle()
      await ledger.append(5, makeEntries(chain, 2))
      subject.crash()
      const again = subject.open()
      expect((await again.head()).seq).toBe(subject.supports.durable ? 7 : 5)
      await again.close()
    })

    it("with one writer a second is refused until the first has closed; `moved` ends only with its signal", async () => {
      if (subject.supports.manyWriters) return expectTwoWriters(subject)
      const ledger = subject.open()
      const refused = failureOf(() => subject.open())
      expect(refused?.code).toBe("locked")
      expect(refused?.remedy).toContain("stop it")
      const abort = new AbortController()
      let ended: unknown = null
      const moved = ledger.moved(0, abort.signal).then(
        () => (ended = "moved"),
        (reason: unknown) => (ended = reason),
      )
      await ledger.append(0, makeEntries(chain, 1))
      await new Promise((resolve) => setImmediate(resolve))
      expect(ended).toBe(null)
      abort.abort(new Error("enough"))
      await moved
      expect(ended).toEqual(new Error("enough"))
      await ledger.close()
      await subject.open().close()
    })

    it("of two writers who append at one head exactly one wins, and the other learns the new head", async () => {
      if (!subject.supports.manyWriters) return expectOneWriter(subject)
      const [one, other] = [subject.open(), subject.open()]
      let heads = 0
      for (let round = 0; round < 50; round++) {
        const ones = new Chain(sha256, chain.record())
        const others = new Chain(sha256, chain.record())
        const races = await Promise.all([
          one.append(
            heads,
            makeEntries(ones, 1 + (round % 3), () => "one"),
          ),
          other.append(
            heads,
            makeEntries(others, 1 + (round % 2), () => "other"),
          ),
        ])
        expect(races.filter(({ ok }) => ok)).toHaveLength(1)
        const winner = races[0].ok ? ones : others
        winner.commit()
        expect(races.find(({ ok }) => !ok)).toEqual({ ok: false, moved: { seq: winner.seq, hash: winner.hash } })
        chain = winner
        heads = winner.seq
      }
      expect((await other.head()).seq).toBe(heads)
      await Promise.all([one.close(), other.close()])
    })

    it("a backup taken while it is in use is a ledger of its own, for stores with files", async () => {
      const ledger = subject.open()
      const batch = makeEntries(chain, 300)
      await ledger.append(0, batch)
      if (!subject.backup) {
        await expect(ledger.backup("/nowhere")).rejects.toMatchObject({ code: "unsupported" })
      } else {
        const copying = ledger.backup(subject.backup.path)
        const more = makeEntries(chain, 10)
        expect((await ledger.append(300, more)).ok).toBe(true)
        await copying
        await expect(ledger.backup(subject.backup.path)).rejects.toMatchObject({ code: "rolled_back" })
        const copy = subject.backup.open()
        expect(plain(await copy.read(1, 300))).toEqual(plain(batch))
        await copy.close()
      }
      await ledger.close()
    })

    describe("damage is named at the exact entry", () => {
      const LAST = 12
      const CHECKPOINT = 6
      /** A ledger of twelve entries, the sixth of which is a checkpoint over the first five; closed. */
      async function write(): Promise<OutsideCheckpoint> {
        const ledger = subject.open()
        await ledger.append(0, makeEntries(chain, CHECKPOINT - 1))
        await ledger.append(chain.seq, [makeCheckpoint(chain)])
        await ledger.append(chain.seq, makeEntries(chain, LAST - CHECKPOINT))
        await ledger.idle()
        await ledger.close()
        return { size: LAST, root: chain.root(), source: "the file .skein/checkpoint" }
      }
      async function audit(outside: OutsideCheckpoint[] = []): Promise<Report> {
        const ledger = subject.openDamaged?.() ?? subject.open()
        const report = await verify(ledger, outside)
        await ledger.close()
        return report
      }

      it("a sound ledger has none, and an outside checkpoint covers it", async () => {
        const outside = await write()
        expect(await audit([outside])).toEqual({
          ok: true,
          entries: LAST,
          head: { seq: LAST, hash: toHex(chain.hash), root: toHex(chain.root()) },
          checkpoints: 1,
          coveredTo: LAST,
          finding: null,
        })
      })

      const at = (rows: Stored[], seq: number): Stored => rows[seq - 1]!
      const places = (rows: Stored[]): Stored[] => rows.map((row, i) => ({ ...row, seq: i + 1 }))
      const flip = (hash: Uint8Array): Uint8Array => Uint8Array.from(hash, (byte, i) => (i === 11 ? byte ^ 4 : byte))
      const cases: [string, (rows: Stored[]) => Stored[], Damage, number, RegExp][] = [
        [
          "a flipped bit in the text",
          (rows) => rows.with(4, { ...at(rows, 5), bytes: at(rows, 5).bytes.replace("entry 5", "entry 7") }),
          "altered",
          5,
          /bytes of entry 5/,
        ],
        [
          "a flipped bit in the first text",
          (rows) => rows.with(0, { ...at(rows, 1), bytes: at(rows, 1).bytes.replace("entry 1", "entry 3") }),
          "altered",
          1,
          /bytes of entry 1/,
        ],
        [
          "a flipped bit in the last text",
          (rows) => rows.with(11, { ...at(rows, 12), bytes: at(rows, 12).bytes.replace("entry 12", "entry 13") }),
          "altered",
          12,
          /bytes and the hash/,
        ],
        [
          "a flipped bit in the number of an entry",
          (rows) => rows.with(4, { ...at(rows, 5), bytes: at(rows, 5).bytes.replace('"seq":5', '"seq":7') }),
          "altered",
          5,
          /bytes of entry 5/,
        ],
        [
          "a flipped bit in the number of the last entry",
          (rows) => rows.with(11, { ...at(rows, 12), bytes: at(rows, 12).bytes.replace('"seq":12', '"seq":13') }),
          "altered",
          12,
          /entry 12/,
        ],
        [
          "a flipped bit that breaks the JSON",
          (rows) => rows.with(4, { ...at(rows, 5), bytes: at(rows, 5).bytes.replace('"type"', '"type ') }),
          "altered",
          5,
          /bytes of entry 5/,
        ],
        ["a flipped bit in a stored hash", (rows) => rows.with(4, { ...at(rows, 5), hash: flip(at(rows, 5).hash) }), "altered", 5, /stored hash of entry 5/],
        ["a stored hash cut short", (rows) => rows.with(4, { ...at(rows, 5), hash: at(rows, 5).hash.slice(0, 20) }), "altered", 5, /stored hash of entry 5/],
        ["a text far too long", (rows) => rows.with(4, { ...at(rows, 5), bytes: "ü".repeat(ENTRY_MAX_BYTES) }), "altered", 5, /entry 5/],
        ["a deletion", (rows) => rows.toSpliced(4, 1), "missing", 5, /entry 5 is missing/],
        ["a deletion of several", (rows) => rows.toSpliced(4, 3), "missing", 5, /entries 5 to 7/],
        ["a deletion of the first", (rows) => rows.toSpliced(0, 1), "missing", 1, /entry 1 is missing/],
        ["a deletion with the rest moved up", (rows) => places(rows.toSpliced(4, 1)), "missing", 5, /entry 5 is missing/],
        ["a deletion of several with the rest moved up", (rows) => places(rows.toSpliced(2, 3)), "missing", 3, /entries 3 to 5/],
        ["a deletion of the last but one with the last moved up", (rows) => places(rows.toSpliced(10, 1)), "missing", 11, /entry 11 is missing/],
        ["two neighbours swapped", (rows) => places(rows.with(3, at(rows, 5)).with(4, at(rows, 4))), "reordered", 4, /entry 5 stands where entry 4/],
        ["two far entries swapped", (rows) => places(rows.with(1, at(rows, 10)).with(9, at(rows, 2))), "reordered", 2, /entry 10 stands where entry 2/],
        ["the last two swapped", (rows) => places(rows.with(10, at(rows, 12)).with(11, at(rows, 11))), "reordered", 11, /entry 12 stands where entry 11/],
        ["an entry written over a later one", (rows) => places(rows.with(7, at(rows, 3))), "duplicated", 8, /entry 3 stands again where entry 8/],
        ["an entry put in twice, the rest moved down", (rows) => places(rows.toSpliced(4, 0, at(rows, 4))), "duplicated", 5, /entry 4 stands again/],
        ["a torn last entry", (rows) => rows.with(11, { ...at(rows, 12), bytes: at(rows, 12).bytes.slice(0, 60) }), "torn", 12, /entry 12, the last/],
        ["an empty last entry", (rows) => rows.with(11, { ...at(rows, 12), bytes: "" }), "torn", 12, /entry 12, the last/],
        [
          "history rewritten and chained anew",
          (rows) => chained(rows.with(1, { ...at(rows, 2), bytes: at(rows, 2).bytes.replace("entry 2", "entry 0") })),
          "checkpoint",
          6,
          /checkpoint in entry 6 records/,
        ],
        [
          "a checkpoint over another size",
          (rows) => chained(rows.with(5, { ...at(rows, 6), bytes: at(rows, 6).bytes.replace('"size":5', '"size":4') })),
          "checkpoint",
          6,
          /over 4 entries/,
        ],
        [
          "a time before the one before",
          (rows) => chained(rows.with(6, { ...at(rows, 7), bytes: at(rows, 7).bytes.replace(/"atMs":\d+/, '"atMs":1') })),
          "backwards",
          7,
          /entry 7 is dated 1,/,
        ],
        ["a chained text that is no entry", (rows) => chained(rows.with(6, { ...at(rows, 7), bytes: "not JSON" })), "unreadable", 7, /entry 7 chains/],
        ["a chained deletion that left the numbers", (rows) => chained(places(rows.toSpliced(7, 1))), "missing", 8, /entry 8 is missing/],
      ]
      it.each(cases)("%s", async (_, change, damage, seq, message) => {
        await write()
        subject.damage(change)
        const report = await audit()
        expect(report).toMatchObject({ ok: false, entries: seq - 1, finding: { damage, seq } })
        expect(report.finding?.message).toMatch(message)
        expect(report.finding?.remedy).not.toBe("")
      })

      it("a cut between two entries is found against a checkpoint kept outside, and not without one", async () => {
        const outside = await write()
        subject.damage((rows) => rows.slice(0, 9))
        expect(await audit()).toMatchObject({ ok: true, entries: 9, coveredTo: 0 })
        expect(await audit([outside])).toMatchObject({ ok: false, entries: 9, finding: { damage: "truncated", seq: 10 } })
        const older = { ...outside, size: 4, root: rootOf(chain, 4) }
        expect(await audit([outside, older])).toMatchObject({ ok: false, coveredTo: 4, finding: { damage: "truncated", seq: 10 } })
        expect(await audit([older])).toMatchObject({ ok: true, coveredTo: 4 })
      })

      it("a ledger emptied altogether is found against a checkpoint kept outside", async () => {
        const outside = await write()
        subject.damage(() => [])
        expect(await audit([outside])).toMatchObject({ ok: false, finding: { damage: "truncated", seq: 1 } })
      })

      it("history rewritten with all its hashes and checkpoints is found against a checkpoint kept outside", async () => {
        const outside = await write()
        const older = { ...outside, size: 3, root: rootOf(chain, 3), source: "a witness" }
        subject.damage((rows) => chained(rows.with(7, { ...at(rows, 8), bytes: at(rows, 8).bytes.replace("entry 8", "entry 9") })))
        expect(await audit()).toMatchObject({ ok: true })
        expect(await audit([outside, older])).toMatchObject({ ok: false, coveredTo: 3, finding: { damage: "rewritten", seq: 4 } })
      })

      it("any changed character of any entry", async () => {
        await write()
        await fc.assert(
          fc.asyncProperty(fc.integer({ min: 1, max: LAST }), fc.nat(), fc.integer({ min: 0, max: 6 }), async (seq, place, bit) => {
            let original: Stored[] = []
            subject.damage((rows) => {
              original = rows
              const { bytes } = at(rows, seq)
              const i = place % bytes.length
              const changed = bytes.slice(0, i) + String.fromCharCode(bytes.charCodeAt(i) ^ (1 << bit)) + bytes.slice(i + 1)
              return rows.with(seq - 1, { ...at(rows, seq), bytes: changed })
            })
            const { finding } = await audit()
            subject.damage(() => original)
            expect(finding).toMatchObject({ seq, damage: expect.stringMatching(seq === LAST ? /altered|torn/ : /altered/) as string })
          }),
          { numRuns: 60 },
        )
      })
    })

    it("keeps what an honest list would keep, whatever the order of appends, lost races, idling, crashes and restarts", async () => {
      const step = fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 20 }).map((count) => ({ do: "append" as const, count })) },
        { weight: 2, arbitrary: fc.integer({ min: 1, max: 3 }).map((behind) => ({ do: "stale" as const, behind })) },
        { weight: 2, arbitrary: fc.constantFrom({ do: "idle" as const }, { do: "reopen" as const }, { do: "crash" as const }) },
      )
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
          const fresh = make()
          const grown = new Chain(sha256)
          const list: Stored[] = []
          let ledger = fresh.open()
          for (const taken of steps) {
            if (taken.do === "append") {
              const batch = makeEntries(grown, taken.count)
              grown.commit()
              expect(await ledger.append(list.length, batch)).toEqual({ ok: true, head: { seq: grown.seq, hash: grown.hash } })
              list.push(...batch)
            } else if (taken.do === "stale") {
              const stale = await ledger.append(list.length + taken.behind, makeEntries(new Chain(sha256), 1))
              expect(stale).toMatchObject({ ok: false, moved: { seq: list.length } })
            } else if (taken.do === "idle") await ledger.idle()
            else {
              if (!fresh.supports.durable) await ledger.idle()
              if (taken.do === "crash") fresh.crash()
              else await ledger.close()
              ledger = fresh.open()
            }
            expect((await ledger.head()).seq).toBe(list.length)
          }
          expect(plain(await ledger.read(1, 1000))).toEqual(plain(list))
          await ledger.close()
          fresh.dispose()
        }),
        { numRuns: 25 },
      )
    })
  })
}

/** The rows with all hashes computed anew, as an intruder with this program's source could. */
function chained(rows: Stored[]): Stored[] {
  const chain = new Chain(sha256)
  return rows.map((row) => ({ ...row, hash: chain.append(row.bytes) }))
}

/** The root of the first `size` leaves of a chain that `makeEntries` and `makeCheckpoint` grew. */
function rootOf(chain: Chain, size: number): Uint8Array {
  expect(size).toBeLessThan(Math.min(chain.seq, 6))
  const again = new Chain(sha256)
  makeEntries(again, size)
  return again.root()
}

function failureOf(act: () => unknown): LedgerFailure | null {
  try {
    act()
    return null
  } catch (error) {
    if (error instanceof LedgerFailure) return error
    throw error
  }
}

async function expectTwoWriters(subject: Subject): Promise<void> {
  const [one, other] = [subject.open(), subject.open()]
  const chain = new Chain(sha256)
  let told = 0
  const ends = [
    one.moved(0, new AbortController().signal).then(
      () => told++,
      () => undefined,
    ),
  ]
  const moved = other.moved(0, new AbortController().signal)
  await one.append(0, makeEntries(chain, 1))
  await moved
  expect(told).toBe(0)
  await other.moved(0, new AbortController().signal)
  const abort = new AbortController()
  const waiting = other.moved(1, abort.signal)
  abort.abort(new Error("enough"))
  await expect(waiting).rejects.toThrow("enough")
  await expect(other.moved(1, abort.signal)).rejects.toThrow("enough")
  await Promise.all([one.close(), other.close()])
  await Promise.all(ends)
}

async function expectOneWriter(subject: Subject): Promise<void> {
  const ledger = subject.open()
  expect(failureOf(() => subject.open())?.code).toBe("locked")
  await ledger.close()
}
