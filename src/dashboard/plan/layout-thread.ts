import * as library from "@dagrejs/dagre"

/** What a thread is asked to lay out: boxes by number, each in the column that it has, and edges as pairs. */
export type LayoutWork = { ranks: Int32Array; edges: Int32Array; width: number; height: number; gapX: number; gapY: number }
/** Where each box begins; by edge the points that it goes through, null where it was left out because it is long. */
export type LaidOut = { x: Float64Array; y: Float64Array; routes: (Float64Array | null)[] }

/** What is used of the library: its own declarations name a file that its package leaves out. */
type Point = { x: number; y: number }
type Ranked = { nodes(): string[]; node(name: string): Point & { rank: number } }
type Graph = Ranked & {
  setGraph(options: { rankdir: "LR"; nodesep: number; edgesep: number; ranksep: number; ranker: (inner: Ranked) => void }): void
  setDefaultEdgeLabel(label: () => object): void
  setNode(name: string, box: { width: number; height: number }): void
  setEdge(from: string, to: string): void
  edge(from: string, to: string): { points: Point[] }
}
const dagre = library as unknown as { graphlib: { Graph: new () => Graph }; layout(graph: Graph): void }

/** The address of this very file, for whoever starts a thread with it: the bundle names its files by what is in them. */
export const address: string = import.meta.url

/**
 * An edge over more columns than this takes no part: the library puts a box of its own into each column between, and a thousand tasks would take minutes.
 * Each task keeps the edge to what decides its column, which is never long.
 */
const SPAN_MAX = 3

if (typeof document === "undefined")
  addEventListener("message", ({ data }: MessageEvent<LayoutWork>) => {
    const done = layOut(data)
    postMessage(done, { transfer: [done.x.buffer, done.y.buffer] })
  })

/** The careful layout: the library's crossings and positions, in our own columns. */
function layOut({ ranks, edges, width, height, gapX, gapY }: LayoutWork): LaidOut {
  const graph = new dagre.graphlib.Graph()
  const columnOf = (name: string): number => (/^\d+$/.test(name) ? (ranks[Number(name)] as number) : -1)
  // The library halves the distance of columns and doubles their number, to have room for labels of edges.
  const ranker = (inner: Ranked): void => {
    for (const name of inner.nodes()) inner.node(name).rank = 2 * columnOf(name)
  }
  graph.setGraph({ rankdir: "LR", nodesep: gapY, edgesep: gapY / 2, ranksep: gapX, ranker })
  graph.setDefaultEdgeLabel(() => ({}))
  ranks.forEach((rank, at) => {
    if (rank >= 0) graph.setNode(String(at), { width, height })
  })
  const kept: boolean[] = []
  for (let at = 0; at < edges.length; at += 2) {
    const [from, to] = [edges[at] as number, edges[at + 1] as number]
    const isKept = (ranks[to] as number) - (ranks[from] as number) <= SPAN_MAX
    kept.push(isKept)
    if (isKept) graph.setEdge(String(from), String(to))
  }
  dagre.layout(graph)
  const x = new Float64Array(ranks.length)
  const y = new Float64Array(ranks.length)
  for (const name of graph.nodes()) {
    const box = graph.node(name)
    x[Number(name)] = box.x - width / 2
    y[Number(name)] = box.y - height / 2
  }
  const routes = kept.map((isKept, at) => {
    if (!isKept) return null
    const { points } = graph.edge(String(edges[2 * at]), String(edges[2 * at + 1]))
    return Float64Array.from(points.flatMap((point) => [point.x, point.y]))
  })
  return { x, y, routes }
}
