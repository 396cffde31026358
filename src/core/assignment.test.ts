import fc from "fast-check"
import { expect, test } from "vitest"
import { assign, IMPOSSIBLE } from "./assignment.ts"

type Best = { served: number; total: number }

/** Every way there is. */
function byTrying(scores: readonly (readonly number[])[], row = 0, taken = 0): Best {
  if (row === scores.length) return { served: 0, total: 0 }
  let best = byTrying(scores, row + 1, taken)
  for (const [column, score] of (scores[row] as readonly number[]).entries()) {
    if (score === IMPOSSIBLE || (taken & (1 << column)) !== 0) continue
    const rest = byTrying(scores, row + 1, taken | (1 << column))
    const here = { served: rest.served + 1, total: rest.total + score }
    if (here.served > best.served || (here.served === best.served && here.total > best.total)) best = here
  }
  return best
}

const cell = fc.oneof({ arbitrary: fc.integer({ min: -50, max: 50 }), weight: 4 }, { arbitrary: fc.constant(IMPOSSIBLE), weight: 1 })
const scores = fc
  .tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }))
  .chain(([rows, columns]) => fc.array(fc.array(cell, { minLength: columns, maxLength: columns }), { minLength: rows, maxLength: rows }))

test("as many as possible are served, and among those ways none is worth more", () => {
  fc.assert(
    fc.property(scores, (given) => {
      const columns = assign(given)
      const served = columns.flatMap((column, row) => (column < 0 ? [] : [{ row, column }]))
      expect(new Set(served.map(({ column }) => column)).size).toBe(served.length)
      const values = served.map(({ row, column }) => given[row]?.[column] as number)
      expect(values).not.toContain(IMPOSSIBLE)
      expect({ served: served.length, total: values.reduce((sum, value) => sum + value, 0) }).toEqual(byTrying(given))
    }),
    { numRuns: 500 },
  )
})

test("greedy is not enough: the specialist is kept for what only it can do", () => {
  expect(
    assign([
      [9, 8],
      [9, 1],
    ]),
  ).toEqual([1, 0])
})

test("nothing to assign is no error", () => {
  expect(assign([])).toEqual([])
  expect(assign([[], []])).toEqual([-1, -1])
  expect(assign([[IMPOSSIBLE]])).toEqual([-1])
})
