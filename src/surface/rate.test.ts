import { expect, test } from "vitest"
import { SkeinError } from "../contract/errors.ts"
import { Buckets, Refusals } from "./rate.ts"

const agent = (name: string, workspace = "main") => ({ workspace, actor: { agent: name } })

function refusalOf(take: () => void): SkeinError | null {
  try {
    take()
    return null
  } catch (error) {
    return error as SkeinError
  }
}

test("an agent may ask as often as the bucket holds at once, then as often as it fills", () => {
  let nowMs = 0
  const buckets = new Buckets({ perSecond: 100, burst: 10 }, () => nowMs)
  const taken = (): number => {
    let count = 0
    while (refusalOf(() => buckets.take(agent("ada"))) === null) count += 1
    return count
  }
  expect(taken()).toBe(10)
  nowMs = 50
  expect(taken()).toBe(5)
  nowMs = 100_000
  expect(taken()).toBe(10)
  expect(buckets.refused).toBe(3)
})

test("the refusal names the time after which there is a token again, and that time suffices", () => {
  let nowMs = 0
  const buckets = new Buckets({ perSecond: 3, burst: 1 }, () => nowMs)
  buckets.take(agent("ada"))
  const refusal = refusalOf(() => buckets.take(agent("ada")))
  expect(refusal).toMatchObject({ code: "rate_limited", retryAfterMs: 334 })
  nowMs += refusal?.retryAfterMs ?? 0
  expect(refusalOf(() => buckets.take(agent("ada")))).toBeNull()
})

test("one agent's haste is nobody else's, not that of its namesake in another workspace", () => {
  const buckets = new Buckets({ perSecond: 1, burst: 1 }, () => 0)
  buckets.take(agent("ada"))
  expect(refusalOf(() => buckets.take(agent("ada")))).not.toBeNull()
  expect(refusalOf(() => buckets.take(agent("ben")))).toBeNull()
  expect(refusalOf(() => buckets.take(agent("ada", "other")))).toBeNull()
})

test("a bucket that is forgotten was full: nobody gains by many names", () => {
  let nowMs = 0
  const buckets = new Buckets({ perSecond: 1, burst: 2 }, () => nowMs)
  buckets.take(agent("ada"))
  buckets.take(agent("ada"))
  for (let at = 0; at < 10_001; at += 1) buckets.take(agent(`agent${at}`))
  expect(refusalOf(() => buckets.take(agent("ada")))).not.toBeNull()
  nowMs = 1_000
  for (let at = 0; at < 10_001; at += 1) buckets.take(agent(`other${at}`))
  expect(refusalOf(() => buckets.take(agent("ada")))).toBeNull()
  expect(refusalOf(() => buckets.take(agent("ada")))).not.toBeNull()
})

test("refusals within the rate cost nothing, time makes up for them, and all that rest together are refused at the rate", () => {
  let nowMs = 0
  const refusals = new Refusals({ perSecond: 100, burst: 3 }, () => nowMs)
  const four = (): boolean[] => [refusals.take(), refusals.take(), refusals.take(), refusals.take()]
  expect(four()).toEqual([true, true, true, false])
  nowMs = 1_000
  expect(four()).toEqual([true, true, true, false])
  for (let one = 0; one < 5; one += 1) refusals.rest()
  // Each of them 7 times in 350 ms: 35 in all, 100 a second.
  expect(refusals.priceMs(7)).toBe(350)
  refusals.rested()
  expect(refusals.priceMs(7)).toBe(280)
})
