import { type Camera, centred, fitted, inSight, moved, type Size, zoomed } from "./camera.ts"
import { type Colours, coloursOf } from "./colours.ts"
import { Edges } from "./edges.ts"
import { scaleOfPage } from "../scale.ts"
import type { TaskGraph } from "./graph.ts"
import { drawNodes } from "./nodes.ts"
import { BOX, type Layout } from "./ranks.ts"
import { type Scenery, WORDS_SCALE } from "./scenery.ts"

/** So much is drawn around what is in sight while it is moved, in screen pixels. */
const MARGIN = 256

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
  #edges: { layout: Layout; edges: Edges } | null = null
  camera: Camera = { x: 0, y: 0, scale: 1 }
  /** What is on the canvas: from where, how much around what was in sight then, and whether it is still so. */
  #drawn: { camera: Camera; margin: number; isFresh: boolean } = { camera: this.camera, margin: 0, isFresh: false }
  /** The next drawing is for somebody's hand. */
  #isMoving = false
  #isHeld = false
  /** Whether somebody has moved it: a new layout is then not fitted again. */
  isMoved = false

  /** `onDrawn`: called after each frame, for what shows where the camera is. */
  constructor(canvas: HTMLCanvasElement, onDrawn: () => void) {
    this.#canvas = canvas
    // Drawn by the processor: without a graphics card that is twice as fast, and with one it is fast enough.
    this.#context = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D
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
    this.#drawn.isFresh = false
    if (before?.layout !== scenery.layout) this.#refit(before, scenery)
    this.soon()
  }

  /** Another layout: all of it again, or, where somebody has moved it, the task at hand stays where it was on the screen. */
  #refit(before: Scenery | null, { layout, graph, cursor, open }: Scenery): void {
    if (!this.isMoved) this.camera = fitted(layout, this.#size, scaleOfPage())
    const at = cursor >= 0 ? cursor : open
    if (!this.isMoved || at < 0 || before?.graph !== graph) return
    const { x, y, scale } = this.camera
    this.camera = {
      scale,
      x: x + (layout.x[at] as number) - (before.layout.x[at] as number),
      y: y + (layout.y[at] as number) - (before.layout.y[at] as number),
    }
  }

  /** Light became dark, or dark light. */
  recolour(): void {
    this.#colours = null
    this.#drawn.isFresh = false
    this.soon()
  }

  resize(size: Size, density: number): void {
    const before = this.#size
    this.#size = size
    this.#density = density
    const [width, height] = [size.width + 2 * MARGIN, size.height + 2 * MARGIN]
    this.#canvas.width = Math.round(width * density)
    this.#canvas.height = Math.round(height * density)
    Object.assign(this.#canvas.style, { width: `${width}px`, height: `${height}px` })
    this.#drawn.isFresh = false
    if (!this.isMoved) this.fit()
    // What was in the middle stays there.
    else this.camera = moved(this.camera, (size.width - before.width) / 2, (size.height - before.height) / 2)
    // What was drawn is gone with the old size: a frame without it would flash.
    this.#draw()
  }

  fit(): void {
    this.isMoved = false
    this.#look(fitted(this.#scenery?.layout ?? { width: 1, height: 1 }, this.#size, scaleOfPage()))
  }

  /** A hand is on it: what is around is drawn before it moves, and its first step is no later than the others. */
  hold(): void {
    this.#isHeld = true
    if (this.#drawn.margin > 0 && this.#drawn.camera === this.camera) return
    this.#drawn.isFresh = false
    this.soon()
  }

  release(): void {
    this.#isHeld = false
  }

  pan(dx: number, dy: number): void {
    this.isMoved = true
    this.#isMoving = true
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
    const { camera } = this
    const drawn = this.#drawn
    const shift = { x: (drawn.camera.x - camera.x) * camera.scale, y: (drawn.camera.y - camera.y) * camera.scale }
    const isThere = drawn.isFresh && drawn.camera.scale === camera.scale && Math.max(Math.abs(shift.x), Math.abs(shift.y)) <= drawn.margin
    if (isThere) this.#place(shift)
    else this.#redraw()
    this.#onDrawn()
  }

  /** Draws what is in sight, and around it where somebody moves it: then the next frames only move what is there. */
  #redraw(): void {
    const scenery = this.#scenery
    if (scenery === null) return
    const { camera } = this
    const context = this.#context
    const margin = (this.#isMoving || this.#isHeld) && this.#drawn.camera.scale === camera.scale ? MARGIN : 0
    const scale = camera.scale * this.#density
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height)
    context.setTransform(scale, 0, 0, scale, MARGIN * this.#density - camera.x * scale, MARGIN * this.#density - camera.y * scale)
    const [beside, width, height] = [margin / camera.scale, this.#size.width / camera.scale, this.#size.height / camera.scale]
    const sight = { left: camera.x - beside, top: camera.y - beside, right: camera.x + width + beside, bottom: camera.y + height + beside }
    this.#edgesOf(scenery.graph, scenery.layout).draw(context, scenery, sight, camera.scale, this.colours)
    drawNodes(context, scenery, sight, { hasWords: camera.scale >= WORDS_SCALE, scale: camera.scale, colours: this.colours })
    this.#drawn = { camera, margin, isFresh: true }
    this.#isMoving = false
    this.#place({ x: 0, y: 0 })
  }

  #place({ x, y }: { x: number; y: number }): void {
    const whole = (length: number): number => Math.round(length * this.#density) / this.#density
    this.#canvas.style.transform = `translate(${whole(x) - MARGIN}px, ${whole(y) - MARGIN}px)`
  }

  #edgesOf(graph: TaskGraph, layout: Layout): Edges {
    if (this.#edges?.layout !== layout) this.#edges = { layout, edges: new Edges(layout, graph.edges) }
    return this.#edges.edges
  }
}
