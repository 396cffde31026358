import { type Camera, centred, fitted, inSight, moved, type Size, zoomed } from "./camera.ts"
import { type Colours, coloursOf } from "./colours.ts"
import type { TaskGraph } from "./graph.ts"
import { drawNodes } from "./nodes.ts"
import { BOX, type Layout } from "./ranks.ts"
import type { Scenery, Sight } from "./scenery.ts"

/** Below this scale nobody could read a word. */
const WORDS_SCALE = 0.45
/** Edges are found by squares of this length, in units of the drawing. */
const CELL = 600

/** Draws the graph into a canvas, what is in sight of it, at most once a frame. All numbers of the screen are CSS pixels. */
export class Scene {
  readonly #canvas: HTMLCanvasElement
  readonly #context: CanvasRenderingContext2D
  readonly #onDrawn: () => void
  #scenery: Scenery | null = null
  #colours: Colours | null = null
  #size: Size = { width: 0, height: 0 }
  #density = 1
  #frame = 0
  #paths: { layout: Layout; edges: Edge[]; cells: Map<string, number[]> } | null = null
  camera: Camera = { x: 0, y: 0, scale: 1 }
  /** Whether somebody has moved it: a new layout is then not fitted again. */
  isMoved = false
  /** Frames drawn so far. */
  frames = 0

  /** `onDrawn`: called after each frame, for what shows where the camera is. */
  constructor(canvas: HTMLCanvasElement, onDrawn: () => void) {
    this.#canvas = canvas
    this.#context = canvas.getContext("2d") as CanvasRenderingContext2D
    this.#onDrawn = onDrawn
  }

  get size(): Size {
    return this.#size
  }

  get colours(): Colours {
    return (this.#colours ??= coloursOf(this.#canvas))
  }

  show(scenery: Scenery): void {
    const before = this.#scenery
    this.#scenery = scenery
    if (before?.layout !== scenery.layout && !this.isMoved) this.camera = fitted(scenery.layout, this.#size)
    this.soon()
  }

  /** Light became dark, or dark light. */
  recolour(): void {
    this.#colours = null
    this.soon()
  }

  resize(size: Size, density: number): void {
    const before = this.#size
    this.#size = size
    this.#density = density
    this.#canvas.width = Math.max(1, Math.round(size.width * density))
    this.#canvas.height = Math.max(1, Math.round(size.height * density))
    if (!this.isMoved) this.fit()
    // What was in the middle stays there.
    else this.camera = moved(this.camera, (size.width - before.width) / 2, (size.height - before.height) / 2)
    // What was drawn is gone with the old size: a frame without it would flash.
    this.#draw()
  }

  fit(): void {
    this.isMoved = false
    this.#look(fitted(this.#scenery?.layout ?? { width: 1, height: 1 }, this.#size))
  }

  pan(dx: number, dy: number): void {
    this.isMoved = true
    this.#look(moved(this.camera, dx, dy))
  }

  zoom(factor: number, at: { x: number; y: number } = { x: this.#size.width / 2, y: this.#size.height / 2 }): void {
    this.isMoved = true
    this.#look(zoomed(this.camera, factor, at))
  }

  /** Brings a point of the drawing into the middle. */
  centre(point: { x: number; y: number }): void {
    this.isMoved = true
    this.#look(centred(this.camera, point, this.#size))
  }

  /** Brings a task into the middle, near enough to read it, unless it is well in sight. */
  seek(at: number): void {
    const { layout } = this.#scenery ?? {}
    if (layout === undefined || at < 0) return
    const { camera, size } = { camera: this.camera, size: this.#size }
    const [x, y] = [((layout.x[at] ?? 0) - camera.x) * camera.scale, ((layout.y[at] ?? 0) - camera.y) * camera.scale]
    const isInSight = x >= 0 && y >= 0 && x + BOX.width * camera.scale <= size.width && y + BOX.height * camera.scale <= size.height
    if (isInSight && camera.scale >= WORDS_SCALE) return
    if (camera.scale < WORDS_SCALE) this.camera = { ...camera, scale: 0.8 }
    this.centre({ x: (layout.x[at] ?? 0) + BOX.width / 2, y: (layout.y[at] ?? 0) + BOX.height / 2 })
  }

  /** The task at a point of the screen; -1: none. */
  at(point: { x: number; y: number }): number {
    const { graph, layout } = this.#scenery ?? {}
    if (graph === undefined || layout === undefined) return -1
    const [x, y] = [this.camera.x + point.x / this.camera.scale, this.camera.y + point.y / this.camera.scale]
    return layout.x.findIndex((left, at) => x >= left && x <= left + BOX.width && y >= (layout.y[at] as number) && y <= (layout.y[at] as number) + BOX.height)
  }

  close(): void {
    cancelAnimationFrame(this.#frame)
  }

  #look(camera: Camera): void {
    this.camera = inSight(camera, this.#scenery?.layout ?? { width: 1, height: 1 }, this.#size)
    this.soon()
  }

  soon(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw())
  }

  #draw(): void {
    cancelAnimationFrame(this.#frame)
    this.#frame = 0
    const scenery = this.#scenery
    if (scenery === null) return
    const { camera } = this
    const context = this.#context
    const scale = camera.scale * this.#density
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height)
    context.setTransform(scale, 0, 0, scale, -camera.x * scale, -camera.y * scale)
    const sight = { left: camera.x, top: camera.y, right: camera.x + this.#size.width / camera.scale, bottom: camera.y + this.#size.height / camera.scale }
    this.#drawEdges(context, scenery, sight)
    drawNodes(context, scenery, sight, { hasWords: camera.scale >= WORDS_SCALE, scale: camera.scale, colours: this.colours })
    this.frames += 1
    this.#onDrawn()
  }

  #drawEdges(context: CanvasRenderingContext2D, { graph, layout, critical, cursor, open }: Scenery, sight: Sight): void {
    const { edges, cells } = this.#edgesOf(graph, layout)
    const { colours } = this
    const pixel = 1 / this.camera.scale
    const next = new Map(critical.map((at, turn) => [at, critical[turn + 1]]))
    const isNear = (at: number): boolean => at >= 0 && (at === cursor || at === open)
    const marked: number[] = []
    const near: number[] = []
    context.beginPath()
    for (const at of inCells(cells, sight)) {
      const edge = edges[at] as Edge
      if (edge.right < sight.left || edge.left > sight.right || edge.bottom < sight.top || edge.top > sight.bottom) continue
      const [from, to] = [graph.edges[2 * at] as number, graph.edges[2 * at + 1] as number]
      if (next.get(from) === to) marked.push(at)
      else if (isNear(from) || isNear(to)) near.push(at)
      else trace(context, edge.points)
    }
    stroke(context, colours.line, Math.max(1.2, pixel))
    context.beginPath()
    for (const at of near) trace(context, (edges[at] as Edge).points)
    stroke(context, colours.ink, Math.max(1.6, 1.4 * pixel))
    context.beginPath()
    for (const at of marked) trace(context, (edges[at] as Edge).points)
    stroke(context, colours.accent, Math.max(3.5, 2.5 * pixel))
  }

  #edgesOf(graph: TaskGraph, layout: Layout): { edges: Edge[]; cells: Map<string, number[]> } {
    if (this.#paths?.layout === layout) return this.#paths
    const edges: Edge[] = []
    const cells = new Map<string, number[]>()
    for (let at = 0; at < graph.edges.length / 2; at += 1) {
      const edge = edgeOf(layout, graph.edges[2 * at] as number, graph.edges[2 * at + 1] as number, layout.routes[at] ?? null)
      edges.push(edge)
      for (let column = Math.floor(edge.left / CELL); column <= Math.floor(edge.right / CELL); column += 1)
        for (let row = Math.floor(edge.top / CELL); row <= Math.floor(edge.bottom / CELL); row += 1) {
          const cell = cells.get(`${column} ${row}`)
          if (cell === undefined) cells.set(`${column} ${row}`, [at])
          else cell.push(at)
        }
    }
    this.#paths = { layout, edges, cells }
    return this.#paths
  }
}

type Edge = Sight & { points: readonly number[] }

/** From the right side of one box to the left side of another, by way of the points that the layout gives. */
function edgeOf({ x, y }: Layout, from: number, to: number, route: Float64Array | null): Edge {
  const begin = [(x[from] as number) + BOX.width, (y[from] as number) + BOX.height / 2]
  const end = [x[to] as number, (y[to] as number) + BOX.height / 2]
  const points = [...begin, ...(route === null ? [] : route.slice(2, -2)), ...end]
  const xs = points.filter((_, at) => at % 2 === 0)
  const ys = points.filter((_, at) => at % 2 === 1)
  return { points, left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) }
}

/** Every edge of the cells in sight, each once. */
function inCells(cells: ReadonlyMap<string, readonly number[]>, { left, top, right, bottom }: Sight): Iterable<number> {
  const found = new Set<number>()
  const [columns, rows] = [Math.floor(right / CELL) - Math.floor(left / CELL) + 1, Math.floor(bottom / CELL) - Math.floor(top / CELL) + 1]
  // From far away nearly all of them are.
  if (columns * rows > cells.size) for (const cell of cells.values()) for (const at of cell) found.add(at)
  else
    for (let column = Math.floor(left / CELL); column <= Math.floor(right / CELL); column += 1)
      for (let row = Math.floor(top / CELL); row <= Math.floor(bottom / CELL); row += 1) for (const at of cells.get(`${column} ${row}`) ?? []) found.add(at)
  return found
}

/** A line that leaves and arrives level. */
function trace(context: CanvasRenderingContext2D, points: readonly number[]): void {
  context.moveTo(points[0] as number, points[1] as number)
  for (let at = 2; at < points.length; at += 2) {
    const [fromX, fromY, x, y] = [points[at - 2] as number, points[at - 1] as number, points[at] as number, points[at + 1] as number]
    const middle = (fromX + x) / 2
    context.bezierCurveTo(middle, fromY, middle, y, x, y)
  }
}

function stroke(context: CanvasRenderingContext2D, colour: string, width: number): void {
  context.strokeStyle = colour
  context.lineWidth = width
  context.stroke()
}
