import type { TaskGraph } from "./graph.ts"

/** Boxes of tasks and what is between them, in units that are CSS pixels where nothing is zoomed. */
export const BOX = { width: 208, height: 46, gapX: 64, gapY: 14 } as const

/** Where each box begins, and how each edge of `TaskGraph.edges` runs: x and y of its points by turns; null: straight over. */
export type Layout = {
  readonly x: Float64Array
  readonly y: Float64Array
  readonly width: number
  readonly height: number
  readonly routes: readonly (Float64Array | null)[]
}

/** Rounds in which neighbours are drawn to each other. */
const SWEEPS = 6

type Shape = Pick<TaskGraph, "dependsOn" | "dependents">

/**
 * The column of each task: one further than the last thing that it waits for; what waits for nothing stands right before the first that waits for it.
 * -1: it neither waits for anything nor is waited for.
 */
export function ranksOf({ dependsOn, dependents }: Shape): Int32Array {
  const ranks = new Int32Array(dependsOn.length)
  const left = dependsOn.map((list) => list.length)
  const queue = left.flatMap((open, at) => (open === 0 ? [at] : []))
  for (let head = 0; head < queue.length; head += 1) {
    const at = queue[head] as number
    for (const next of dependents[at] ?? []) {
      ranks[next] = Math.max(ranks[next] as number, (ranks[at] as number) + 1)
      left[next] = (left[next] as number) - 1
      if (left[next] === 0) queue.push(next)
    }
  }
  dependsOn.forEach((list, at) => {
    if (list.length > 0) return
    const after = dependents[at] ?? []
    ranks[at] = after.length === 0 ? -1 : after.reduce((least, next) => Math.min(least, (ranks[next] as number) - 1), Number.MAX_SAFE_INTEGER)
  })
  return ranks
}

/** A layout in a few milliseconds: columns by what waits for what, each task near those that it is tied to. It is what is seen until the careful one is there. */
export function quickLayout(graph: Shape, ranks: Int32Array): Layout {
  const columns: number[][] = []
  ranks.forEach((rank, at) => {
    if (rank >= 0) (columns[rank] ??= []).push(at)
  })
  const place = new Float64Array(ranks.length)
  const spread = (column: number[]): void => column.forEach((at, row) => (place[at] = row - column.length / 2))
  columns.forEach(spread)
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0
    for (const column of forward ? columns : columns.toReversed()) {
      const near = forward ? graph.dependsOn : graph.dependents
      const wish = new Map(column.map((at) => [at, meanOf(near[at] ?? [], place) ?? (place[at] as number)]))
      column.sort((a, b) => (wish.get(a) as number) - (wish.get(b) as number) || a - b)
      spread(column)
    }
  }
  const tallest = columns.reduce((most, column) => Math.max(most, column.length), 0)
  const x = Float64Array.from(ranks, (rank) => Math.max(0, rank) * (BOX.width + BOX.gapX))
  const y = Float64Array.from(place, (row) => (row + tallest / 2) * (BOX.height + BOX.gapY))
  return withLoners({ x, y, routes: [] }, ranks)
}

/** Puts those that are tied to nobody in rows below the rest, about as wide as it. */
export function withLoners({ x, y, routes }: Pick<Layout, "x" | "y" | "routes">, ranks: Int32Array): Layout {
  let width = 0
  let height = 0
  const loners: number[] = []
  ranks.forEach((rank, at) => {
    if (rank < 0) return void loners.push(at)
    width = Math.max(width, (x[at] as number) + BOX.width)
    height = Math.max(height, (y[at] as number) + BOX.height)
  })
  const top = height === 0 ? 0 : height + 3 * BOX.gapY
  const [stepX, stepY] = [BOX.width + BOX.gapY, BOX.height + BOX.gapY]
  // Alone they fill a page that is somewhat wider than high.
  const across = Math.max(1, Math.round(Math.max(width / stepX, Math.sqrt((loners.length * stepY * 1.6) / stepX))))
  loners.forEach((at, turn) => {
    x[at] = (turn % across) * stepX
    y[at] = top + Math.floor(turn / across) * stepY
    width = Math.max(width, x[at] + BOX.width)
    height = Math.max(height, y[at] + BOX.height)
  })
  return { x, y, width, height, routes }
}

function meanOf(neighbours: readonly number[], place: Float64Array): number | null {
  if (neighbours.length === 0) return null
  return neighbours.reduce((sum, at) => sum + (place[at] as number), 0) / neighbours.length
}
