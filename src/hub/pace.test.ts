import { expect, test } from "vitest"
import { Pace } from "./pace.ts"

test("before a batch was full no wait is known", () => {
  const pace = new Pace({ batchMax: 100, queueMax: 10_000, queueWaitMs: 250 })
  pace.batch(0, 10, 0)
  pace.batch(50, 10, 5)
  pace.batch(100, 10, 5)
  expect(pace.waitMs(1_000)).toBe(0)
})

test("full batches tell how long a queue takes, the time between them included", () => {
  const pace = new Pace({ batchMax: 100, queueMax: 10_000, queueWaitMs: 250 })
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, 500)
  expect(pace.waitMs(1_000)).toBeCloseTo(100)
})

test("a disk that stalls lengthens the wait at once, and is forgotten when it runs again", () => {
  const pace = new Pace({ batchMax: 100, queueMax: 10_000, queueWaitMs: 250 })
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, 500)
  pace.batch(1_000, 100, 500)
  expect(pace.waitMs(100)).toBeGreaterThan(200)
  for (let at = 1; at < 20; at += 1) pace.batch(1_000 + at * 10, 100, 500)
  expect(pace.waitMs(100)).toBeLessThan(12)
})

test("quiet between two batches is no wait", () => {
  const pace = new Pace({ batchMax: 100, queueMax: 10_000, queueWaitMs: 250 })
  for (let at = 0; at < 20; at += 1) pace.batch(at * 10, 100, at < 19 ? 500 : 0)
  pace.batch(60_000, 100, 500)
  pace.batch(60_010, 100, 500)
  expect(pace.waitMs(100)).toBeCloseTo(10)
})
