import { expect, test } from "vitest"
import { expectEqual, expectSame } from "./quick-expect.ts"

test("what does not hold is told as `expect` tells it, and what holds is passed over", () => {
  expectSame(Number.NaN, Number.NaN)
  expectEqual({ a: [1], b: undefined }, { a: [1] })
  expect(() => expectSame(0, -0, "zero")).toThrow("zero: expected +0 to be -0")
  expect(() => expectSame({}, {})).toThrow("to be")
  expect(() => expectEqual({ a: [1] }, { a: [2] }, "one")).toThrow("one: expected { a: [ 1 ] } to deeply equal { a: [ 2 ] }")
})
