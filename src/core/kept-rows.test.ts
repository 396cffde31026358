import fc from "fast-check"
import { expect, test } from "vitest"
import { lineOf, type Row, rowsOf } from "./kept-rows.ts"

/** As they are after they were kept: their text counts, since the digest of a record is made of that. */
const kept = (table: string, rows: readonly Row[]): string => JSON.stringify(rowsOf(JSON.parse(JSON.stringify(lineOf(table, rows)))))

const value = fc.oneof(fc.constantFrom(null, 0, 1, "", "a", true), fc.jsonValue({ maxDepth: 2 }))
const fields = fc.uniqueArray(fc.constantFrom("id", "note", "usage", "__proto__", "2", "1"), { maxLength: 4 })
const record = fields.chain((names) => fc.tuple(...names.map(() => value)).map((values) => Object.fromEntries(names.map((name, at) => [name, values[at]]))))
const row = fc.tuple(fc.string(), fc.oneof({ weight: 4, arbitrary: record }, value))

test("rows are after they were kept as they were before, field by field and in the same order", () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.array(row as fc.Arbitrary<Row>, { maxLength: 12, size: "max" }),
      (table, rows) => kept(table, rows) === JSON.stringify({ table, rows }),
    ),
  )
})

test("a field that JSON leaves out is not taken from another record", () => {
  const rows: Row[] = [
    ["a", { id: "a", breakers: true }],
    ["b", { id: "b", breakers: undefined }],
  ]
  expect(kept("meta", rows)).toBe(JSON.stringify({ table: "meta", rows }))
})

test("records that are alike are kept by what differs", () => {
  const task = { status: "completed", owner: "ada", note: null, usage: { costMicroUsd: 1_200 } }
  const rows: Row[] = Array.from({ length: 3 }, (_, at) => [`t${at}`, { ...task, usage: { ...task.usage }, owner: at === 2 ? "bob" : "ada" }])
  expect(lineOf("tasks", rows)).toEqual({
    table: "tasks",
    like: task,
    rows: [
      ["t0", {}],
      ["t1", {}],
      ["t2", { owner: "bob" }],
    ],
  })
})
