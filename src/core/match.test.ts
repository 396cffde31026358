import fc from "fast-check"
import { expect, test } from "vitest"
import { isEligible, matchOf } from "./match.ts"
import { meansOf, scoreFor, scoreOf } from "./coordinator.ts"
import { type Posterior, prior } from "./posterior.ts"
import { meets } from "./ready.ts"

const nothing = (): undefined => undefined
const skills = fc.dictionary(fc.constantFrom("a", "b", "c", "d", "e"), fc.integer({ min: 1, max: 5 }))

test("a match is the share of the required skills that are had at their levels; 1 where nothing is required", () => {
  expect(matchOf({ a: 3, b: 1 }, nothing, { a: 3, b: 2, c: 1, d: 1 })).toBe(0.25)
  expect(matchOf({}, nothing, {})).toBe(1)
})

test("seven of ten skills make eligible, two of three do not", () => {
  const some = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`s${at}`, 1]))
  expect(isEligible(some(7), nothing, some(10))).toBe(true)
  expect(isEligible(some(6), nothing, some(10))).toBe(false)
  expect(isEligible(some(2), nothing, some(3))).toBe(false)
  expect(isEligible(some(3), nothing, some(4))).toBe(true)
})

test("up to three skills, whoever is eligible has all of them", () => {
  fc.assert(
    fc.property(skills, skills, (capabilities, requires) => {
      fc.pre(Object.keys(requires).length <= 3)
      expect(isEligible(capabilities, nothing, requires)).toBe(meets({ capabilities }, requires))
    }),
  )
})

test("a higher chance and a lower cost never score worse", () => {
  const unit = fc.double({ min: 0, max: 1, noNaN: true })
  fc.assert(
    fc.property(unit, unit, unit, (chance, more, cost) => {
      expect(scoreOf(Math.max(chance, more), cost)).toBeGreaterThanOrEqual(scoreOf(Math.min(chance, more), cost))
      expect(scoreOf(chance, cost + 0.1)).toBeLessThan(scoreOf(chance, cost))
    }),
  )
})

test("what was seen counts, not what was declared; before that, what was declared at the level that is asked for", () => {
  const seen: Posterior = { ...prior(true), good: 1, bad: 9 }
  expect(meansOf({ a: 3, b: 1 }, (skill) => (skill === "a" ? seen : undefined), { a: 2, b: 1 })).toEqual([0.1, expect.closeTo(0.8, 12)])
  expect(meansOf({ b: 1 }, nothing, { b: 2 })).toEqual([0.25])
  expect(scoreFor({ a: 3 }, nothing, { a: 3 }, 1)).toBeGreaterThan(scoreFor({}, nothing, { a: 3 }, 1))
})
