import fc from "fast-check"
import { expect, test } from "vitest"
import { lotOf } from "./lot.ts"

const crowd = Array.from({ length: 1_000 }, (_, at) => `agent-${at}`)

test("at any moment the lots of many agents are spread evenly from 0 to 1", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), fc.double({ min: 0.1, max: 0.9, noNaN: true }), (nowMs, share) => {
      const lots = crowd.map((agent) => lotOf(agent, nowMs))
      expect(lots.every((lot) => lot >= 0 && lot < 1)).toBe(true)
      expect(Math.abs(lots.filter((lot) => lot < share).length / crowd.length - share)).toBeLessThan(0.1)
    }),
    { numRuns: 200, examples: [[9, 0.5]] },
  )
})

test("a lot holds for 20 ms, and agents draw anew one by one, not all at once", () => {
  const changes: number[] = []
  for (let ms = 1; ms <= 20; ms += 1) changes.push(crowd.filter((agent) => lotOf(agent, 5_000 + ms) !== lotOf(agent, 5_000 + ms - 1)).length)
  expect(changes.reduce((sum, one) => sum + one, 0)).toBe(crowd.length)
  expect(Math.max(...changes)).toBeLessThan(100)
})

test("in the long run every agent has each lot as often", () => {
  for (const agent of ["ada", "bob", "agent-1", "agent-2"]) {
    const low = Array.from({ length: 2_000 }, (_, turn) => lotOf(agent, turn * 20)).filter((lot) => lot < 0.25)
    expect(Math.abs(low.length / 2_000 - 0.25)).toBeLessThan(0.05)
  }
})
