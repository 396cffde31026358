import fc from "fast-check"
import { expect, test } from "vitest"
import { anyUnit } from "../../test/any-unit.ts"
import { isPrintable, printable, printableJson, printableLines } from "./printable.ts"

const OBEYED = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/u

test("whatever the text, nothing is left that a terminal would obey", () => {
  fc.assert(
    fc.property(
      fc.string({
        unit: fc.oneof(fc.constantFrom("\u001b", "\u0007", "\u009b", "\u202e", "\ud800", "\n", "\r"), fc.string({ unit: anyUnit, minLength: 1, maxLength: 1 })),
      }),
      (text) => {
        expect(OBEYED.test(printable(text))).toBe(false)
        expect(OBEYED.test(printableLines(text).replace(/[\n\t]/g, ""))).toBe(false)
      },
    ),
    { numRuns: 500 },
  )
})

test("JSON made printable is JSON of the same value", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: fc.oneof(fc.constantFrom("\u009b", "\u202e", "\u{e0041}", "\\"), anyUnit) })), (value) => {
      const json = printableJson(JSON.stringify(value))
      expect(JSON.parse(json)).toEqual(value)
      expect(isPrintable(json)).toBe(true)
    }),
    { numRuns: 500 },
  )
  expect(printableJson('{"a":"\u009b2J\u{e0041}"}')).toBe(String.raw`{"a":"\u009b2J\udb40\udc41"}`)
})

test("what was escaped can be read: its code is shown", () => {
  expect(printable("a\u001b[2Jb\nc\td\u202e\u{e0041}")).toBe("a\\x1b[2Jb\\nc\\td\\u{202e}\\u{e0041}")
  expect(printableLines("a\nb\tc\r")).toBe("a\nb\tc\\r")
})

test("letters of any script, marks and emoji are left as they are", () => {
  for (const text of ["Gänse ziehen", "雁が飛ぶ", "می‌خواهم", "👩‍💻 works", "e\u0301"]) expect([printable(text), isPrintable(text)]).toEqual([text, true])
})
