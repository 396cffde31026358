import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { Chain } from "../core/chain.ts"
import { toHex } from "../core/hash.ts"
import { ENTRY_MAX_BYTES } from "../core/entry.ts"
import { makeCheckpoint, makeEntries } from "../../test/ledger-entries.ts"
import { verify, type OutsideCheckpoint, type Report } from "./audit.ts"
import type { Damage } from "./damage.ts"
import type { Subject } from "./ledger.contract.ts"
import type { Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"

/** What every store lets an audit find of damage done behind its back. */
export function describeDamage(name: string, make: () => Subject): void {
  describe(`damage is named at the exact entry: ${name}`, () => {
    let subject: Subject
    let chain: Chain
    beforeEach(() => {
      subject = make()
      chain = new Chain(sha256)
    })
    afterEach(() => subject.dispose())

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
        "a flipped bit in the number of the first entry",
        (rows) => rows.with(0, { ...at(rows, 1), bytes: at(rows, 1).bytes.replace('"seq":1', '"seq":0') }),
        "altered",
        1,
        /bytes of entry 1/,
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
      [
        "a date that is none, and that no text can be made of",
        (rows) => chained(rows.with(6, { ...at(rows, 7), bytes: at(rows, 7).bytes.replace(/"atMs":\d+/, '"atMs":{"toString":1,"valueOf":1}') })),
        "unreadable",
        7,
        /entry 7 chains, but has no date/,
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
