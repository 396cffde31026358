import { colourOf } from "./colours.ts"
import type { Scene } from "./scene.ts"
import { BOX } from "./ranks.ts"
import { type Scenery, WORDS_SCALE } from "./scenery.ts"

/** All of the graph in a corner, and the part of it that is seen; pressed, it goes there. It is there when the whole is not to be seen at a readable size. */
export class Overview {
  readonly #canvas: HTMLCanvasElement
  readonly #scene: Scene
  /** The boxes alone: they change far less often than the part that is seen. */
  readonly #boxes = document.createElement("canvas")
  #scenery: Scenery | null = null

  constructor(canvas: HTMLCanvasElement, scene: Scene) {
    this.#canvas = canvas
    this.#scene = scene
    this.#boxes.width = canvas.width
    this.#boxes.height = canvas.height
    const go = (event: PointerEvent): void => {
      if (event.buttons !== 1) return
      const { left, top } = canvas.getBoundingClientRect()
      const { scale, x, y } = this.#place()
      scene.centre({ x: (event.clientX - left - x) / scale, y: (event.clientY - top - y) / scale })
    }
    canvas.addEventListener("pointerdown", go)
    canvas.addEventListener("pointermove", go)
  }

  show(scenery: Scenery): void {
    if (this.#scenery?.layout === scenery.layout && this.#scenery.faces === scenery.faces) return
    this.#scenery = scenery
    this.repaint()
  }

  repaint(): void {
    if (this.#scenery === null) return
    const { layout, faces } = this.#scenery
    const context = this.#boxes.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D
    const { scale, x, y } = this.#place()
    context.clearRect(0, 0, this.#boxes.width, this.#boxes.height)
    faces.forEach(({ state }, at) => {
      context.fillStyle = colourOf(state, this.#scene.colours)
      context.fillRect(
        x + (layout.x[at] as number) * scale,
        y + (layout.y[at] as number) * scale,
        Math.max(1.5, BOX.width * scale),
        Math.max(1.5, BOX.height * scale),
      )
    })
    this.follow()
  }

  /** The part that is seen has moved. */
  follow(): void {
    if (this.#scenery === null) return
    const { layout } = this.#scenery
    const { camera, size } = this.#scene
    const isWhole = camera.scale >= WORDS_SCALE && layout.width * camera.scale <= size.width && layout.height * camera.scale <= size.height
    this.#canvas.hidden = isWhole || size.width < 320
    if (this.#canvas.hidden) return
    const context = this.#canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D
    const { scale, x, y } = this.#place()
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height)
    context.drawImage(this.#boxes, 0, 0)
    context.strokeStyle = this.#scene.colours.ink
    context.lineWidth = 1.5
    context.strokeRect(x + camera.x * scale, y + camera.y * scale, (size.width / camera.scale) * scale, (size.height / camera.scale) * scale)
  }

  #place(): { scale: number; x: number; y: number } {
    const { width, height } = this.#scenery?.layout ?? { width: 1, height: 1 }
    const scale = Math.min(this.#canvas.width / Math.max(1, width), this.#canvas.height / Math.max(1, height))
    return { scale, x: (this.#canvas.width - width * scale) / 2, y: (this.#canvas.height - height * scale) / 2 }
  }
}
