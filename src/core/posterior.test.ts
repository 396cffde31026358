import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { blameOf, chanceOf, hasSkill, LEARNED_MEAN, meanOf, observed, type Posterior, prior } from "./posterior.ts"

const outcome = (success: boolean, weight = 1) => ({ success, weight, level: 2, seq: 1 })
const after = (start: Posterior, successes: readonly boolean[]) => successes.reduce((belief, success) => observed(belief, outcome(success)), start)

describe("a belief in one agent and one skill", () => {
  test("begins at 0.8 where the skill is declared, and at 0.25 where it is not", () => {
    expect(meanOf(prior(true))).toBeCloseTo(0.8, 12)
    expect(meanOf(prior(false))).toBe(0.25)
  })

  test("rises with a success and falls with a failure, and stays between 0 and 1", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.array(fc.boolean(), { maxLength: 300, size: "max" }), (declared, history) => {
        const belief = after(prior(declared), history)
        const better = meanOf(observed(belief, outcome(true)))
        const worse = meanOf(observed(belief, outcome(false)))
        expect(worse).toBeLessThan(meanOf(belief))
        expect(better).toBeGreaterThan(meanOf(belief))
        expect(worse).toBeGreaterThan(0)
        expect(better).toBeLessThan(1)
      }),
    )
  })

  test("forgets: what came before weighs 0.998 of what it did", () => {
    const one = observed(prior(true), outcome(false))
    expect([one.good, one.bad]).toEqual([2.4 * 0.998, 0.6 * 0.998 + 1])
    // However long an agent has failed, the weight of it is bounded by 1 / (1 - 0.998).
    const failing = after(
      prior(true),
      Array.from({ length: 5_000 }, () => false),
    )
    expect(failing.bad).toBeLessThan(500)
  })
})

test("the blame for a failure is split whole, in proportion to 1 − mean: most of it falls on the weakest", () => {
  expect(blameOf([0.5, 0.75, 0.75])).toEqual([0.5, 0.25, 0.25])
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.01, max: 0.99, noNaN: true }), { minLength: 1, maxLength: 8 }), (means) => {
      const blame = blameOf(means)
      expect(blame.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
      expect(blame[means.indexOf(Math.min(...means))]).toBeCloseTo(Math.max(...blame), 12)
    }),
  )
})

test("the chance on several skills lies between the weakest and the strongest", () => {
  expect(chanceOf([])).toBe(1)
  expect(chanceOf([0.25, 1])).toBe(0.5)
  expect(chanceOf([0.5, 0.5, 0.5])).toBeCloseTo(0.5, 12)
  expect(chanceOf([0.125, 1, 1])).toBeCloseTo(0.5, 12)
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.01, max: 0.99, noNaN: true }), { minLength: 1, maxLength: 8 }), (means) => {
      expect(chanceOf(means)).toBeGreaterThanOrEqual(Math.min(...means) - 1e-12)
      expect(chanceOf(means)).toBeLessThanOrEqual(Math.max(...means) + 1e-12)
    }),
  )
})

test("a skill is had by declaration at its level, or by what was learned, up to the level that was mastered", () => {
  const learned: Posterior = { ...prior(false), good: 7, bad: 3, level: 2 }
  expect(meanOf(learned)).toBe(LEARNED_MEAN)
  const nothing = () => undefined
  expect(hasSkill({ docs: 3 }, nothing, "docs", 3)).toBe(true)
  expect(hasSkill({ docs: 3 }, nothing, "docs", 4)).toBe(false)
  expect(hasSkill({}, () => learned, "docs", 2)).toBe(true)
  expect(hasSkill({}, () => learned, "docs", 3)).toBe(false)
  expect(hasSkill({}, () => ({ ...learned, good: 6.9 }), "docs", 2)).toBe(false)
  expect(hasSkill({}, nothing, "toString", 1)).toBe(false)
})
