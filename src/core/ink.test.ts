import fc from "fast-check"
import { expect, test } from "vitest"
import { anyUnit } from "../../test/any-unit.ts"
import { Ink } from "./ink.ts"

const text = fc.oneof(fc.string({ unit: anyUnit, maxLength: 200, size: "max" }), fc.string({ maxLength: 200, size: "max" }), fc.constant("\ud800"))
const edges = fc.constantFrom(0, -0, 9, 10, 9_999_999, 10_000_000, 99_999_999_999_999, 9_007_199_249_999_999, 2 ** 53 - 1, 2 ** 53, 0.5, -1, 1e21)
const word = fc.oneof(text, edges, fc.nat(), fc.maxSafeInteger(), fc.double(), fc.constant(null))
const read = (ink: Ink): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(ink.written)

test("what is written is what a template says, in UTF-8, one record after the other", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ text, words: fc.array(word) })), (records) => {
      const ink = new Ink()
      ink.text("what was written before")
      ink.clear()
      for (const record of records) {
        ink.text(record.text)
        for (const each of record.words) ink.word(each)
        ink.byte(0)
      }
      const said = records.map((record) => `${record.text.toWellFormed()}${record.words.map((each) => `${each} `.toWellFormed()).join("")}\0`)
      expect(read(ink)).toBe(said.join(""))
    }),
  )
})

test("a record that is longer than its memory was at first is written whole", () => {
  const ink = new Ink()
  ink.text("before")
  ink.text("é".repeat(100_000))
  ink.word(7)
  expect(read(ink)).toBe(`before${"é".repeat(100_000)}7 `)
})
