import fc from "fast-check"
import { expect, test } from "vitest"
import { BatchCost } from "./batch-cost.ts"

const sizes = fc.array(fc.integer({ min: 20, max: 512 }), { minLength: 80, maxLength: 120, size: "max" })

test("before any batch nothing is known, and nothing limited", () => {
  const cost = new BatchCost()
  expect([cost.commandMs, cost.doneIn(8)]).toEqual([0, Number.POSITIVE_INFINITY])
})

test("of batches of many sizes it tells how many commands are done in a time, what a batch takes by itself left out", () => {
  fc.assert(
    fc.property(sizes, fc.double({ min: 0.1, max: 3, noNaN: true }), fc.double({ min: 0.01, max: 0.05, noNaN: true }), (batches, batchMs, commandMs) => {
      const cost = new BatchCost()
      for (const size of batches) cost.learn(size, batchMs + size * commandMs, false)
      const done = cost.doneIn(8)
      // A batch by itself is given half of the time at the most, and a command at least a quarter of what it costs with its share of that.
      expect(done).toBeGreaterThanOrEqual(Math.floor(4 / cost.commandMs))
      expect(done).toBeLessThanOrEqual(Math.max(32 / cost.commandMs, 3 * 512) + 1)
    }),
  )
  const cost = new BatchCost()
  for (let at = 0; at < 200; at += 1) cost.learn(100 + (at % 7) * 40, 1 + (100 + (at % 7) * 40) * 0.02, false)
  expect(Math.abs(cost.doneIn(8) - 7 / 0.02)).toBeLessThan(35)
})

test("where a batch by itself takes longer than the time, commands for as long again: the slower the disk the more", () => {
  const done = [10, 20, 40].map((batchMs) => {
    const cost = new BatchCost()
    for (let at = 0; at < 200; at += 1) cost.learn(100 + (at % 7) * 40, batchMs + (100 + (at % 7) * 40) * 0.02, false)
    return cost.doneIn(8)
  })
  expect(done[0]).toBeGreaterThan(300)
  expect(done).toEqual(done.toSorted((a, b) => a - b))
})

test("time in which it may have been idle makes no command slower, only quicker", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 512 }), fc.double({ min: 0.1, max: 100, noNaN: true })), { minLength: 1 }), (batches) => {
      const cost = new BatchCost()
      cost.learn(100, 2, false)
      for (const [size, ms] of batches) {
        const before = cost.commandMs
        cost.learn(size, ms, true)
        expect(cost.commandMs).toBeLessThanOrEqual(before)
      }
    }),
  )
})
