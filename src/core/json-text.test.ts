import { execFileSync } from "node:child_process"
import fc from "fast-check"
import { expect, test } from "vitest"
import { anyUnit } from "../../test/any-unit.ts"
import { recordJson, textJson } from "./json-text.ts"

test("a text is quoted as by JSON.stringify, whatever it holds and however long it is", () => {
  fc.assert(
    fc.property(fc.string({ unit: anyUnit, maxLength: 300, size: "max" }), fc.nat(300), (text, plain) => {
      expect(textJson(text)).toBe(JSON.stringify(text))
      expect(textJson("a".repeat(plain) + text)).toBe(JSON.stringify("a".repeat(plain) + text))
    }),
  )
  expect(textJson(null)).toBe("null")
})

test("a record is written as by JSON.stringify, whatever its names and values", () => {
  const value = fc.oneof(fc.jsonValue(), fc.string({ unit: anyUnit }), fc.double(), fc.constant(undefined), fc.constant(-0))
  fc.assert(
    fc.property(
      fc.dictionary(fc.oneof(fc.string({ unit: anyUnit }), fc.constantFrom("id", "7", "__proto__", "leaseMs")), value, { noNullPrototype: true }),
      (record) => {
        expect(recordJson(record)).toBe(JSON.stringify(record))
        expect(recordJson({ in: record, and: [record] })).toBe(JSON.stringify({ in: record, and: [record] }))
      },
    ),
    { numRuns: 1_000 },
  )
})

test("more names than are remembered are written all the same", () => {
  const record = Object.fromEntries(Array.from({ length: 3_000 }, (_, at) => [`a name ${at}`, at]))
  expect(recordJson(record)).toBe(JSON.stringify(record))
  expect(recordJson(record)).toBe(JSON.stringify(record))
})

/** In a process of its own: in this one others have written records before. V8 keeps the shapes of objects, and with them their names, over some collections. */
const HOLDING = `
  import { recordJson } from ${JSON.stringify(new URL("json-text.ts", import.meta.url).href)}
  const heldBytes = () => {
    for (let time = 0; time < 8; time += 1) globalThis.gc()
    return process.memoryUsage().heapUsed
  }
  const before = heldBytes()
  for (let at = 0; at < 900; at += 1) recordJson({ ["n".repeat(20_000) + at]: at })
  await new Promise(setImmediate)
  console.log(heldBytes() - before)
`

test("a caller's names leave nothing behind, however long they are", () => {
  const held = execFileSync(process.execPath, ["--expose-gc", "--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", HOLDING])
  // Of 18 MB of names, and as many of their JSON.
  expect(Number(held)).toBeLessThan(5_000_000)
})
