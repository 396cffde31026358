import fc from "fast-check"
import { expect, test } from "vitest"
import { isEligible, matchOf } from "./match.ts"
import { meansOf, scoreFor, scoreOf, worthOf } from "./coordinator.ts"
import { meanOf, type Posterior, prior } from "./posterior.ts"
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
  expect(meansOf({ capabilities: { a: 3, b: 1 } }, (skill) => (skill === "a" ? seen : undefined), { a: 2, b: 1 })).toEqual([0.1, expect.closeTo(0.8, 12)])
  expect(meansOf({ capabilities: { b: 1 } }, nothing, { b: 2 })).toEqual([0.25])
  expect(scoreFor({ capabilities: { a: 3 } }, nothing, { a: 3 }, 1)).toBeGreaterThan(scoreFor({ capabilities: {} }, nothing, { a: 3 }, 1))
})

test("a base weight is the mean of what is declared and not seen yet, and of nothing else", () => {
  const rated = { capabilities: { a: 3, b: 2 }, baseWeight: 0.5 }
  const seen: Posterior = { ...prior(true, 0.5), good: 1, bad: 9 }
  expect(meansOf(rated, nothing, { a: 2, b: 3, c: 1 })).toEqual([0.5, 0.25, 0.25])
  expect(meansOf(rated, (skill) => (skill === "a" ? seen : undefined), { a: 2 })).toEqual([0.1])
  expect(meanOf(prior(true, 0.5))).toBeCloseTo(0.5, 12)
  expect(prior(true, 0.5).good + prior(true, 0.5).bad).toBeCloseTo(3, 12)
  expect(prior(false, 0.5)).toEqual(prior(false))
  // Whoever says nothing is believed as everybody: to the same bits as before there was such a thing.
  expect(prior(true)).toMatchObject({ good: 2.4, bad: 0.6 })
})

test("bonus and tier are factors on what a success is worth, and take nothing from what a failure costs", () => {
  expect(worthOf({})).toBe(1)
  expect(worthOf({ successBonus: 2, tier: 3 })).toBe(3)
  expect(worthOf({ tier: 2 })).toBe(1.25)
  const rated = { capabilities: { a: 1 }, successBonus: 1.5 }
  expect(scoreFor(rated, nothing, { a: 1 }, 1)).toBeCloseTo(4 * 1.5 * 0.8 - 1 - 0.5 * 0.2, 12)
  expect(scoreOf(0, 1, 5)).toBe(scoreOf(0, 1))
})
