import fc from "fast-check"
import { expect, test } from "vitest"
import { expectEqual } from "../../test/quick-expect.ts"
import { KeyTable, type Remembered } from "./key-table.ts"
import { Journal } from "./table.ts"

const record = (seq: number): Remembered => ({ hash: `h${seq}`, first: seq, last: seq, atMs: seq + 0.5 })

/** Keys of which all fall on the same of 4,096 slots, as somebody may choose them. */
function together(count: number): string[] {
  const found: string[] = []
  const fnv = (tag: number, text: string): number => {
    for (let at = 0; at < text.length; at += 1) tag = Math.imul(tag ^ text.charCodeAt(at), 0x01000193)
    return tag
  }
  const begun = fnv(0x811c9dc5, "mallory ")
  for (let at = 0; found.length < count; at += 1) {
    if ((fnv(begun, `${at}`) & 0xfff) === 77) found.push(`mallory ${at}`)
  }
  return found
}

/** Both hold the same: what is there, the oldest first, and each found under its key. */
function expectRows(table: KeyTable, model: ReadonlyMap<string, Remembered>): void {
  const rows = [...model].sort(([, a], [, b]) => a.first - b.first)
  expectEqual([...table.entries()], rows)
  expectEqual(
    [...table.keys()],
    rows.map(([key]) => key),
  )
  expectEqual(
    [...table.values()],
    rows.map(([, row]) => row),
  )
  expect([table.size, table.oldest, table.oldestAtMs]).toEqual([rows.length, rows[0]?.[0], rows[0]?.[1].atMs])
  for (const [key, row] of rows) expectEqual([table.get(key), table.has(key)], [row, true])
}

test("what is remembered is what a plain map would hold, in the order of age, whatever was forgotten, named again, undone and given back", () => {
  const steps = fc.array(
    fc.record({
      do: fc.constantFrom("add", "add", "add", "forget", "again", "later", "middle", "undo", "mark"),
      many: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 3_000 })),
    }),
    { maxLength: 25, size: "max" },
  )
  const crowd = together(60)
  fc.assert(
    fc.property(steps, (given) => {
      const journal = new Journal()
      const table = new KeyTable(journal)
      const model = new Map<string, Remembered>()
      const log: [string, Remembered | undefined][] = []
      let seq = 0
      let marked = 0
      const does = (key: string, after: Remembered | undefined): void => {
        log.push([key, model.get(key)])
        if (after === undefined) table.delete(key)
        else table.replace(key, table.get(key), after)
        if (after === undefined) model.delete(key)
        else model.set(key, after)
      }
      const keyAt = (part: number): string => [...table.keys()][Math.floor(table.size * part)] as string
      for (const { do: what, many } of given) {
        if (what === "mark") marked = log.length
        if (what === "undo") {
          journal.undoTo(marked)
          for (const [key, before] of log.splice(marked).toReversed())
            if (before === undefined) model.delete(key)
            else model.set(key, before)
        }
        for (let at = 0; what === "add" && at < many; at += 1) {
          seq += 1
          const key = crowd[seq % 7 === 0 ? seq / 7 : crowd.length] ?? `agent-${seq % 3} k ${seq}`
          does(key, record(seq))
        }
        for (let at = 0; what === "forget" && at < many && table.oldest !== undefined; at += 1) does(table.oldest, undefined)
        if (table.size === 0) continue
        if (what === "again") does(keyAt(0.9), { ...(table.get(keyAt(0.9)) as Remembered), last: (seq += 1) })
        if (what === "later") does(keyAt(0.5), record((seq += 1)))
        if (what === "middle") does(keyAt(0.5), undefined)
      }
      expectRows(table, model)
    }),
    { numRuns: 60 },
  )
})

test("keys come back in their order, however many were forgotten before the undo", () => {
  const journal = new Journal()
  const table = new KeyTable(journal)
  for (let seq = 1; seq <= 6_000; seq += 1) table.put(`a k${seq}`, record(seq))
  journal.drain()
  for (let seq = 1; seq <= 5_000; seq += 1) table.delete(table.oldest as string)
  expect([table.oldest, table.size]).toEqual(["a k5001", 1_000])
  journal.undoTo(0)
  expectRows(table, new Map(Array.from({ length: 6_000 }, (_, at) => [`a k${at + 1}`, record(at + 1)])))
})

test("many keys that fall together are found all the same", () => {
  const table = new KeyTable(new Journal())
  const keys = together(600)
  const model = new Map(keys.map((key, at) => [key, record(at + 1)]))
  for (const [key, row] of model) table.put(key, row)
  expectRows(table, model)
  for (const key of keys.slice(0, 100)) {
    table.delete(key)
    model.delete(key)
  }
  expectRows(table, model)
  expect(keys.slice(0, 100).some((key) => table.has(key))).toBe(false)
  for (let seq = 1_000; seq < 6_000; seq += 1) table.put(`a k${seq}`, record(seq))
  for (const key of keys) table.delete(key)
  expect(keys.some((key) => table.has(key))).toBe(false)
  expect([table.size, table.oldest]).toEqual([5_000, "a k1000"])
})

test.each(["newest", "oldest"])("the %s keys may go while all move to more slots: nothing of them stays behind", (which) => {
  // At some of these the keys are on their way.
  for (let full = 480; full <= 640; full += 8) {
    const journal = new Journal()
    const table = new KeyTable(journal)
    for (let seq = 1; seq <= full; seq += 1) table.put(`a k${seq}`, record(seq))
    if (which === "newest") journal.undoTo(journal.length - 200)
    else for (let many = 0; many < 200; many += 1) table.delete(table.oldest as string)
    const model = new Map([...table.entries()])
    for (let seq = 1_001; seq <= 2_000; seq += 1) {
      table.put(`b k${seq}`, record(seq))
      model.set(`b k${seq}`, record(seq))
    }
    for (const [key] of [...model].slice(0, -100)) {
      table.delete(key)
      model.delete(key)
    }
    expectRows(table, model)
    for (let seq = 1; seq <= 2_000; seq += 1) expectEqual([table.has(`a k${seq}`), table.has(`b k${seq}`)], [false, seq > 1_900])
  }
})

test("more keys than there are places come and go", () => {
  const journal = new Journal()
  const table = new KeyTable(journal)
  for (let seq = 1; seq <= 2_098_000; seq += 1) {
    table.put(`a k${seq}`, record(seq))
    if (seq > 1_500) table.delete(table.oldest as string)
    if (seq % 1_000 === 0) journal.drain()
  }
  expectRows(table, new Map(Array.from({ length: 1_500 }, (_, at) => [`a k${2_096_501 + at}`, record(2_096_501 + at)])))
  expect(table.has("a k2096500")).toBe(false)
})

test("whoever walks the keys may forget each as it is given", () => {
  const table = new KeyTable(new Journal())
  for (let seq = 1; seq <= 9_000; seq += 1) table.put(`a k${seq}`, record(seq))
  let given = 0
  for (const key of table.keys()) {
    table.restore(key, undefined)
    given += 1
  }
  expect([given, table.size]).toEqual([9_000, 0])
})

test("two agents whose names have one number have each their own keys", () => {
  const table = new KeyTable(new Journal())
  table.put("costarring k", record(1))
  expect([table.get("liquid k"), table.has("liquid k")]).toEqual([undefined, false])
  table.put("liquid k", record(2))
  expectRows(
    table,
    new Map([
      ["costarring k", record(1)],
      ["liquid k", record(2)],
    ]),
  )
})

test("a key is an agent's: the same text cut otherwise is the same key, and one that names no agent is none", () => {
  const table = new KeyTable(new Journal())
  table.put(table.keyOf("ann", "1 2"), record(1))
  expect([table.get("ann 1 2"), table.get("ann 1"), table.get("ann 12")]).toEqual([record(1), undefined, undefined])
  expect(() => table.get("ann")).toThrow(SyntaxError)
})
