import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { chooseProbe, learnt, ratesOf } from "./bloomer.ts"
import { meanOf, type Posterior, prior } from "./posterior.ts"

const outcome = (success: boolean, weight = 1) => ({ success, weight, level: 1, seq: 1 })

/** Feeds outcomes; answers after how many the alarm came, or null. */
function alarmAfter(start: Posterior, outcomes: readonly boolean[]): number | null {
  let belief = start
  for (const [at, success] of outcomes.entries()) {
    const { after, bloomed } = learnt(belief, outcome(success))
    if (bloomed) return at + 1
    belief = after
  }
  return null
}

describe("late bloomers", () => {
  test("the CUSUM tells the rates of the specification apart", () => {
    expect(ratesOf(0.25)).toEqual({ p0: 0.25, p1: 0.75 })
    expect(ratesOf(0.5)).toEqual({ p0: 0.5, p1: 0.8 })
    expect(ratesOf(0.68)).toEqual({ p0: 0.6, p1: 0.95 })
  })

  test("an agent that had failed 20 times and succeeds from then on is found before its mean would show it", () => {
    let belief = prior(false)
    for (let at = 0; at < 20; at += 1) belief = learnt(belief, outcome(false)).after
    expect(meanOf(belief)).toBeLessThan(0.05)
    expect(alarmAfter(belief, [true, true, true])).not.toBeNull()
  })

  test("after the alarm the old belief is void: the mean is 0.8", () => {
    const low: Posterior = { ...prior(false), bad: 8 }
    const alarms = [1, 2, 3, 4].map((after) =>
      alarmAfter(
        low,
        Array.from({ length: after }, () => true),
      ),
    )
    expect(alarms).toEqual([null, 2, 2, 2])
    const { after, bloomed } = learnt(learnt(low, outcome(true)).after, outcome(true))
    expect(bloomed).toBe(true)
    expect([after.good, after.bad, after.rise]).toEqual([3.2, 0.8, 1])
  })

  test("the product is the CUSUM of logarithms: never below its start, alarm at h = 3", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60, size: "max" }), (outcomes) => {
        let belief = prior(false)
        let sum = 0
        for (const success of outcomes) {
          const mean = meanOf(belief)
          const { p0, p1 } = ratesOf(mean)
          sum = mean >= 0.7 ? 0 : Math.max(0, sum + Math.log(success ? p1 / p0 : (1 - p1) / (1 - p0)))
          const { after, bloomed } = learnt(belief, outcome(success))
          expect(bloomed).toBe(sum >= 3)
          if (bloomed) sum = 0
          expect(after.rise).toBeCloseTo(Math.exp(sum), 6)
          belief = after
        }
      }),
    )
  })

  test("nobody's chance to be probed is ever nothing", () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { maxLength: 400, size: "max" }),
        fc.integer({ min: 1, max: 1_000 }),
        fc.boolean(),
        (outcomes, sinceSeen, followUp) => {
          let belief = prior(false)
          for (const success of outcomes) belief = learnt(belief, outcome(success)).after
          expect(chooseProbe([{ belief, sinceSeen }], followUp)).toBe(0)
        },
      ),
    )
  })

  test("a probe goes to whoever was not looked at for longest, and a follow-up to the best sign", () => {
    const cold = prior(false)
    const sign: Posterior = { ...cold, rise: 3 }
    const candidates = [
      { belief: cold, sinceSeen: 10 },
      { belief: cold, sinceSeen: 90 },
      { belief: sign, sinceSeen: 5 },
    ]
    expect(chooseProbe(candidates, false)).toBe(1)
    expect(chooseProbe(candidates, true)).toBe(2)
    expect(chooseProbe(candidates.slice(0, 2), true)).toBe(1)
    expect(chooseProbe([], true)).toBe(-1)
  })
})
