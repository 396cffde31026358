import { useEffect, useMemo, useState } from "preact/hooks"
import type { TaskGraph } from "./graph.ts"
import type { LaidOut, LayoutWork } from "./layout-thread.ts"
import { BOX, type Layout, quickLayout, ranksOf, withLoners } from "./ranks.ts"

/** Beyond this many tasks the careful layout would take minutes, and beyond that no graph can be read: then there is the list. */
const CAREFUL_MAX = 3_000
export const DRAWN_MAX = 20_000
/** A careful layout that takes longer is given up, in ms. */
const GIVE_UP_MS = 60_000
/** A plan comes task by task: it is laid out when it rests, in ms. */
const REST_MS = 300
const KEPT = 8

/** Careful layouts by the shape of their graph, the last ones. */
const careful = new Map<string, Layout>()

/** `quick`: at once, while the careful one is in the making; `rough`: it is too large for that one, or took too long. */
export type Laid = { layout: Layout; how: "quick" | "careful" | "rough" }

/** The layout of a graph: a quick one at once, a careful one as soon as a thread has made it. Made once for each shape. */
export function useLayout(graph: TaskGraph): Laid {
  const [, again] = useState(0)
  const [isGivenUp, giveUp] = useState<string | null>(null)
  const quick = useMemo(() => {
    if (graph.ids.length > DRAWN_MAX) return null
    const ranks = ranksOf(graph)
    return { ranks, layout: quickLayout(graph, ranks) }
  }, [graph])
  const known = careful.get(graph.key)
  const isLarge = graph.ids.length > CAREFUL_MAX
  useEffect(() => {
    if (quick === null || isLarge || careful.has(graph.key) || graph.edges.length === 0) return
    let thread: Worker | null = null
    let isOver = false
    const start = async (): Promise<void> => {
      const { address } = await import("./layout-thread.ts")
      if (isOver) return
      thread = new Worker(address, { type: "module" })
      thread.addEventListener("message", ({ data }: MessageEvent<LaidOut>) => {
        clearTimeout(impatient)
        thread?.terminate()
        keep(graph.key, withLoners(data, quick.ranks))
        again((times) => times + 1)
      })
      thread.addEventListener("error", () => giveUp(graph.key))
      const work: LayoutWork = { ranks: quick.ranks, edges: graph.edges, ...BOX }
      thread.postMessage(work, { transfer: [] })
    }
    const rest = setTimeout(() => void start().catch(() => giveUp(graph.key)), REST_MS)
    const impatient = setTimeout(() => {
      thread?.terminate()
      giveUp(graph.key)
    }, GIVE_UP_MS)
    return () => {
      isOver = true
      clearTimeout(rest)
      clearTimeout(impatient)
      thread?.terminate()
    }
  }, [graph, quick])
  if (known !== undefined) return { layout: known, how: "careful" }
  if (quick === null) return { layout: NOTHING, how: "rough" }
  // Where nothing waits for anything there is nothing to do better.
  if (graph.edges.length === 0) return { layout: quick.layout, how: "careful" }
  return { layout: quick.layout, how: isLarge || isGivenUp === graph.key ? "rough" : "quick" }
}

const NOTHING: Layout = { x: new Float64Array(), y: new Float64Array(), width: 0, height: 0, routes: [] }

function keep(key: string, layout: Layout): void {
  careful.set(key, layout)
  for (const old of careful.keys()) if (careful.size > KEPT) careful.delete(old)
}
