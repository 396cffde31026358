import { expect, test } from "vitest"
import { count, duration } from "./figures.ts"

test("a length of time is told in its two largest units, and is never negative", () => {
  const S = 1_000
  expect([0, 999, 59 * S, 60 * S, 200 * S, 3_600 * S, 7_500 * S, 90_000 * S].map(duration)).toEqual([
    "0 s",
    "0 s",
    "59 s",
    "1 min",
    "3 min 20 s",
    "1 h",
    "2 h 5 min",
    "1 d 1 h",
  ])
  expect(duration(-5)).toBe("0 s")
})

test("thousands stand apart", () => {
  expect([0, 999, 1_000, 1_234_567].map(count)).toEqual(["0", "999", "1,000", "1,234,567"])
})
