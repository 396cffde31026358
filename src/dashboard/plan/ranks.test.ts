import fc from "fast-check"
import { expect, test } from "vitest"
import { BOX, type Layout, quickLayout, ranksOf } from "./ranks.ts"

/** Any graph without a circle: who waits comes after whom it waits for. */
const graphs = fc
  .array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 60, size: "max" })
  .map((lists) => shaped(lists.map((list, at) => (at === 0 ? [] : [...new Set(list.map((pick) => pick % at))]))))

function shaped(dependsOn: number[][]): { dependsOn: number[][]; dependents: number[][] } {
  const dependents: number[][] = dependsOn.map(() => [])
  dependsOn.forEach((list, to) => {
    for (const from of list) dependents[from]?.push(to)
  })
  return { dependsOn, dependents }
}

test("whoever waits stands in a later column, and what is tied to nobody in none", () => {
  fc.assert(
    fc.property(graphs, (graph) => {
      const ranks = ranksOf(graph)
      graph.dependsOn.forEach((list, at) => {
        for (const from of list) expect(ranks[from]).toBeLessThan(ranks[at] as number)
        const isTied = list.length + (graph.dependents[at]?.length ?? 0) > 0
        expect((ranks[at] as number) >= 0).toBe(isTied)
      })
    }),
  )
})

test("no two boxes lie on each other, and all lie within the drawing", () => {
  fc.assert(
    fc.property(graphs, (graph) => {
      const layout = quickLayout(graph, ranksOf(graph))
      graph.dependsOn.forEach((_, a) => {
        expect(layout.x[a]).toBeGreaterThanOrEqual(0)
        expect(layout.y[a]).toBeGreaterThanOrEqual(0)
        expect((layout.x[a] as number) + BOX.width).toBeLessThanOrEqual(layout.width)
        expect((layout.y[a] as number) + BOX.height).toBeLessThanOrEqual(layout.height)
        for (let b = 0; b < a; b += 1) expect(isApart(layout, a, b)).toBe(true)
      })
    }),
  )
})

function isApart({ x, y }: Layout, a: number, b: number): boolean {
  return Math.abs((x[a] as number) - (x[b] as number)) >= BOX.width || Math.abs((y[a] as number) - (y[b] as number)) >= BOX.height
}

test("tasks that nothing ties are laid in rows, about as wide as high", () => {
  const { width, height } = quickLayout(shaped(Array.from({ length: 400 }, () => [])), new Int32Array(400).fill(-1))
  expect(width / height).toBeGreaterThan(1)
  expect(width / height).toBeLessThan(3)
})
