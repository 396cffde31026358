import { expect, test } from "vitest"
import { untilWrite } from "./export.ts"

test("an entry after a quiet spell is written at once, those of a burst together 50 ms after the write before", () => {
  expect([1_049, 1_050, 60_000].map((nowMs) => untilWrite(1_000, nowMs))).toEqual([1, 0, 0])
  expect(untilWrite(1_000, 1_000)).toBe(50)
})
