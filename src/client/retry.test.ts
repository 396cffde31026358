import { expect, test } from "vitest"
import { fullJitterMs, RetryBudget } from "./retry.ts"

test("a wait is anything from 0 to the base doubled with each attempt, up to the cap", () => {
  expect([0, 1, 2, 3, 50].map((attempt) => fullJitterMs(attempt, 50, 300, () => 1))).toEqual([50, 100, 200, 300, 300])
  expect(fullJitterMs(5, 50, 300, () => 0)).toBe(0)
  expect(fullJitterMs(2, 50, 300, () => 0.25)).toBe(50)
})

test("in the long run a client repeats a tenth of what is answered, no more", () => {
  const budget = new RetryBudget(20)
  let repeats = 0
  while (budget.spend()) repeats += 1
  expect(repeats).toBe(20)
  for (let answered = 0; answered < 1_000; answered += 1) {
    budget.earn()
    if (budget.spend()) repeats += 1
  }
  expect(repeats).toBeGreaterThanOrEqual(118)
  expect(repeats).toBeLessThanOrEqual(120)
})
