import { expect, test } from "vitest"
import { type Crowd, Pace } from "./pace.ts"

const LIMITS = { batchMax: 100, queueMax: 10_000, queueWaitMs: 250 }

test("before a batch was full no wait is known", () => {
  const pace = new Pace(LIMITS, () => 0)
  pace.batch(0, 10, 0)
  pace.batch(50, 10, 5)
  pace.batch(100, 10, 5)
  expect(pace.waitMs(1_000)).toBe(0)
})

test("full batches tell how long a queue takes, the time between them included", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, 500)
  expect(pace.waitMs(1_000)).toBeCloseTo(100)
})

test("a disk that stalls lengthens the wait at once, and is forgotten when it runs again", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, 500)
  pace.batch(1_000, 100, 500)
  expect(pace.waitMs(100)).toBeGreaterThan(200)
  for (let at = 1; at < 20; at += 1) pace.batch(1_000 + at * 10, 100, 500)
  expect(pace.waitMs(100)).toBeLessThan(12)
})

test("quiet between two batches is no wait", () => {
  const pace = new Pace(LIMITS, () => 0)
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, at < 19 ? 500 : 0)
  pace.batch(60_000, 100, 500)
  pace.batch(60_010, 100, 500)
  expect(pace.waitMs(100)).toBeCloseTo(10)
})

const crowd = (length: number, own: number, agents = 10): [Crowd, number] => [{ length, agents }, own]

/** Full batches, one every 10 ms, from `fromMs` on. */
function busy(pace: Pace, batches: number, fromMs = 0): void {
  for (let at = 0; at < batches; at += 1) pace.batch(fromMs + at * 10, 100, 0)
}

test("a burst may fill the queue up to its wait; a load that stays may fill no more than the next batch", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 5)
  expect([pace.standing, pace.isFull(...crowd(1_000, 500))]).toEqual([false, false])
  busy(pace, 20, 50)
  expect([pace.standing, pace.isFull(...crowd(99, 50)), pace.isFull(...crowd(100, 50))]).toEqual([true, false, true])
})

test("under a load that stays each agent has its share of the next batch, and one with nothing waiting is taken", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 30)
  expect(pace.isFull(...crowd(100, 0))).toBe(false)
  expect([pace.isFull(...crowd(105, 9)), pace.isFull(...crowd(105, 10))]).toEqual([false, true])
  // Where there are more agents than a batch has places, one each; and the wait of all is bounded as ever.
  expect([pace.isFull(...crowd(500, 0, 500)), pace.isFull(...crowd(500, 1, 500))]).toEqual([false, true])
  expect([pace.isFull(...crowd(2_400, 0, 2_400)), pace.isFull(...crowd(2_600, 0, 2_600))]).toEqual([false, true])
})

test("a lull while those who were refused wait does not end it, a second without a full batch does", () => {
  const pace = new Pace(LIMITS, () => 0)
  busy(pace, 30)
  for (let at = 0; at < 99; at += 1) pace.batch(300 + at * 10, 49, 0)
  expect([pace.standing, pace.isFull(...crowd(150, 100))]).toEqual([true, true])
  // It refuses nobody meanwhile as long as less waits than the next batch takes.
  expect(pace.isFull(...crowd(99, 99))).toBe(false)
  pace.batch(1_300, 49, 0)
  expect([pace.standing, pace.isFull(...crowd(150, 100))]).toEqual([false, false])
  busy(pace, 30, 2_000)
  expect(pace.standing).toBe(true)
  pace.batch(5_000, 100, 0)
  expect(pace.standing).toBe(false)
})

test("after a pause nothing of it is left, before the first batch already", () => {
  let nowMs = 0
  const pace = new Pace(LIMITS, () => nowMs)
  busy(pace, 30)
  expect(pace.share(10)).toBe(10)
  nowMs = 5_000
  expect([pace.standing, pace.share(10), pace.isFull(...crowd(150, 100))]).toEqual([false, Number.POSITIVE_INFINITY, false])
})

test("the more is refused the later it may come, spread over that time; without a load it is soon", () => {
  const pace = new Pace(LIMITS, () => 0)
  expect(pace.retryAfterMs(50)).toBe(20)
  busy(pace, 30)
  const told = Array.from({ length: 1_000 }, () => pace.retryAfterMs(100))
  expect(Math.min(...told)).toBeGreaterThanOrEqual(20)
  expect(Math.max(...told)).toBeLessThanOrEqual(120)
  const [early, late] = [told.slice(0, 200), told.slice(800)].map((some) => Math.max(...some)) as [number, number]
  expect(late).toBeGreaterThan(2 * early)
  expect(new Set(told.slice(800)).size).toBeGreaterThan(40)
  busy(pace, 60, 300)
  expect(pace.retryAfterMs(100)).toBe(20)
})
