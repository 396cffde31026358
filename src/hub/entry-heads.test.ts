import fc from "fast-check"
import { expect, test } from "vitest"
import { anyUnit } from "../../test/any-unit.ts"
import { type Actor, decodeEntry, encodeEntry, type Entry } from "../core/entry.ts"
import type { Keyed } from "../core/idempotency.ts"
import { HASH_BYTES } from "../ledger/ledger.ts"
import { EntryPage, HeadReader } from "./entry-heads.ts"

/** The texts as a page of entries from `from` on, taken apart and put together again. */
function throughPage(texts: readonly string[], from: number): { page: EntryPage; maybeCheckpoints: boolean[] } {
  const encoded = texts.map((text) => new TextEncoder().encode(text))
  const bytes = new Uint8Array(encoded.reduce((sum, { length }) => sum + HASH_BYTES + length, 0))
  const heads = new HeadReader(bytes, from, texts.length)
  let end = 0
  const maybeCheckpoints = encoded.map((text, place) => {
    const start = end + HASH_BYTES
    end = start + text.length
    bytes.set(text, start)
    return heads.read(place, start, end)
  })
  const isAscii = encoded.every((text) => text.every((byte) => byte < 0x80))
  return { page: new EntryPage({ from, bytes, isAscii, fields: heads.fields, heads: heads.heads }), maybeCheckpoints }
}

function outcome(make: () => Entry): unknown {
  try {
    return make()
  } catch (error) {
    return (error as Error).name
  }
}

/** Where there is an entry, its key is what `keyAt` gives, and without it the entry is the same. */
function expectKeyBeside(page: EntryPage, place: number): void {
  const whole = outcome(() => page.at(place))
  if (typeof whole === "string") {
    expect(outcome(() => page.at(place, false))).toBe(whole)
    return
  }
  const keyed = ({ seq, atMs, actor, commandId, commandHash }: Keyed): unknown[] => [seq, atMs, actor, commandId, commandHash]
  expect(keyed(page.keyAt(place))).toEqual(keyed(whole as Entry))
  expect(page.at(place, false)).toEqual({ ...(whole as Entry), commandId: null, commandHash: null })
}

const name = fc.oneof(
  fc.stringMatching(/^[a-z0-9-]{1,12}$/),
  fc.string({ maxLength: 12, size: "max", unit: anyUnit }),
  fc.constantFrom('}},"commandId":null', '"', "\\", "__proto__", ""),
)
const whole = fc.oneof(fc.nat(), fc.integer(), fc.constantFrom(0, 2 ** 53 - 1, 1.5, 1e21, -1))
const actor: fc.Arbitrary<Actor> = fc.record({ agent: name, session: fc.option(name), role: fc.constantFrom("worker" as const, "operator" as const) })
const entry: fc.Arbitrary<Entry> = fc.record({
  seq: fc.constant(0),
  atMs: whole,
  type: fc.oneof(name, fc.constantFrom("task.added", "checkpoint.recorded")),
  v: fc.constantFrom(1, 2),
  actor,
  commandId: fc.option(name),
  commandHash: fc.option(name),
  causedBy: fc.option(whole),
  data: fc.dictionary(name, fc.jsonValue()),
})

test("an entry that was taken apart is the one that its text decodes to", () => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 6 }), fc.integer({ min: 1, max: 1_000_000 }), (entries, from) => {
      const texts = entries.map((one, at) => encodeEntry({ ...one, seq: from + at }))
      const { page, maybeCheckpoints } = throughPage(texts, from)
      expect(page.length).toBe(texts.length)
      for (const [at, text] of texts.entries()) {
        expect(outcome(() => page.at(at))).toEqual(outcome(() => decodeEntry(text)))
        expectKeyBeside(page, at)
        if (entries[at]?.type === "checkpoint.recorded") expect(maybeCheckpoints[at]).toBe(true)
      }
    }),
  )
})

test("a text that is spoilt anywhere is taken for what decoding makes of it, or for no entry", () => {
  const pieces = fc.constantFrom('"', "}", "{", ",", "0", "-", "\\", " ", '"seq":9', ',"seq":9', '"commandId":"x"', "null", "é", "")
  fc.assert(
    fc.property(entry, fc.nat(), fc.nat({ max: 3 }), pieces, (one, where, cut, piece) => {
      const text = encodeEntry({ ...one, seq: 7 })
      const at = where % text.length
      const spoilt = (text.slice(0, at) + piece + text.slice(at + cut)).toWellFormed()
      const { page } = throughPage([spoilt], 7)
      const taken = outcome(() => page.at(0))
      if (taken !== "SyntaxError") expect(taken).toEqual(outcome(() => decodeEntry(spoilt)))
      expectKeyBeside(page, 0)
    }),
    { numRuns: 2_000 },
  )
})

const PLAIN = encodeEntry({
  seq: 7,
  atMs: 5,
  type: "task.started",
  v: 1,
  actor: { agent: "a", session: null, role: "worker" },
  commandId: "k1",
  commandHash: "00",
  causedBy: null,
  data: { id: "t1" },
})

test("a text whose data has something of the entry after it is left to whoever reads it whole: its key may be another", () => {
  const forged = `${PLAIN.slice(0, -1)},"commandId":"k2"}`
  expect(decodeEntry(forged).commandId).toBe("k2")
  expect(() => throughPage([forged], 7).page.at(0)).toThrow(SyntaxError)
})

test.each([
  ["fields in another order", (text: string) => text.replace(/"seq":7,("atMs":[^,]+)/, '$1,"seq":7')],
  ["a field that no hub writes", (text: string) => text.replace('"v":1', '"v":1,"w":2')],
  ["numbers as JSON may also have them", (text: string) => text.replace('"atMs":5', '"atMs":5e0')],
  ["a number with a zero before it, which JSON does not have", (text: string) => text.replace('"atMs":5', '"atMs":05')],
  ["another seq than its place", (text: string) => text.replace('"seq":7', '"seq":8')],
])("%s: it is read whole", (_, change) => {
  const changed = change(PLAIN)
  expect(changed).not.toBe(PLAIN)
  expect(outcome(() => throughPage([changed], 7).page.at(0))).toEqual(outcome(() => decodeEntry(changed)))
})
