import fc from "fast-check"
import { expect, test } from "vitest"
import { anyUnit } from "../../../test/any-unit.ts"
import { typable } from "./typable.ts"

test("whatever a text holds, only visible characters, blanks and ends of lines are typed", () => {
  const rough = fc.string({
    unit: fc.oneof(fc.constantFrom("\u001b", "\u001b[201~", "\r", "\n", "\t", "\u0003", "\u009b", "\u007f", "\ud800"), fc.string({ unit: anyUnit })),
  })
  fc.assert(
    fc.property(rough, fc.boolean(), (given, lines) => {
      let typed: string
      try {
        typed = typable(given, "body", lines)
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError)
        return
      }
      expect(typed).not.toMatch(lines ? /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/ : /[\u0000-\u001f\u007f-\u009f]/)
      expect(typed.isWellFormed()).toBe(true)
    }),
  )
})

test("a nudge holds 700 characters and 3 lines, a body 16 KiB, and not one more", () => {
  expect(typable("ü".repeat(700), "nudge", true)).toHaveLength(700)
  expect(() => typable("ü".repeat(701), "nudge", true)).toThrow("700 characters")
  expect(typable("a\nb\nc", "nudge", true)).toBe("a\nb\nc")
  expect(() => typable("a\nb\nc\nd", "nudge", true)).toThrow("3 lines")
  expect(typable("x".repeat(16_384), "body", true)).toHaveLength(16_384)
  expect(() => typable(`${"x".repeat(16_383)}ü`, "body", true)).toThrow("16384 bytes")
  expect(() => typable("\u001b\u0007 ", "nudge", true)).toThrow("nothing is left")
})
