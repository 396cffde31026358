import type { Scene } from "./scene.ts"

type Point = { x: number; y: number }

/** A press that moves less is a click, in screen pixels: a finger is less steady than a mouse. */
const STILL = { mouse: 5, finger: 12 } as const
/** How much a turn of the wheel zooms: a factor of e for so many of its pixels. */
const WHEEL = 400

/**
 * The hand on the graph: one pointer moves it, two zoom it, a click is handed on. The wheel zooms where the graph has the focus or Ctrl is held, so that
 * it is no trap for whoever only scrolls the page.
 */
export class Gestures {
  readonly #element: HTMLElement
  readonly #scene: Scene
  readonly #onClick: (at: Point) => void
  readonly #pointers = new Map<number, Point>()
  readonly #stop = new AbortController()
  #start: Point = { x: 0, y: 0 }
  /** Whether this press is a move by now, and no click any more. */
  #isMove = false

  constructor(element: HTMLElement, scene: Scene, onClick: (at: Point) => void) {
    this.#element = element
    this.#scene = scene
    this.#onClick = onClick
    const { signal } = this.#stop
    element.addEventListener("pointerdown", this.#down, { signal })
    element.addEventListener("pointermove", this.#move, { signal })
    element.addEventListener("pointerup", this.#up, { signal })
    element.addEventListener("pointercancel", this.#up, { signal })
    element.addEventListener("wheel", this.#wheel, { signal, passive: false })
  }

  close(): void {
    this.#stop.abort()
  }

  #pointOf({ clientX, clientY }: MouseEvent): Point {
    const { left, top } = this.#element.getBoundingClientRect()
    return { x: clientX - left, y: clientY - top }
  }

  #down = (event: PointerEvent): void => {
    if (event.button !== 0) return
    this.#element.setPointerCapture(event.pointerId)
    // A second finger is never a click.
    this.#isMove = this.#pointers.size > 0
    if (!this.#isMove) this.#start = this.#pointOf(event)
    this.#pointers.set(event.pointerId, this.#pointOf(event))
    this.#scene.hold()
  }

  #move = (event: PointerEvent): void => {
    const before = this.#pointers.get(event.pointerId)
    const now = this.#pointOf(event)
    if (before === undefined) {
      if (event.pointerType === "mouse") this.#element.style.cursor = this.#scene.at(now) >= 0 ? "pointer" : ""
      return
    }
    const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1]
    this.#pointers.set(event.pointerId, now)
    if (other === undefined) {
      const from = this.#isMove ? before : this.#start
      this.#isMove ||= Math.hypot(now.x - from.x, now.y - from.y) >= (event.pointerType === "mouse" ? STILL.mouse : STILL.finger)
      if (this.#isMove) this.#scene.pan(now.x - from.x, now.y - from.y)
      return
    }
    // Two fingers: what is between them stays between them.
    const apart = Math.hypot(before.x - other.x, before.y - other.y)
    this.#scene.pan((now.x - before.x) / 2, (now.y - before.y) / 2)
    if (apart > 1) this.#scene.zoom(Math.hypot(now.x - other.x, now.y - other.y) / apart, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 })
  }

  #up = (event: PointerEvent): void => {
    if (!this.#pointers.delete(event.pointerId)) return
    if (this.#pointers.size === 0) this.#scene.release()
    if (event.type === "pointerup" && !this.#isMove && this.#pointers.size === 0) this.#onClick(this.#pointOf(event))
  }

  #wheel = (event: WheelEvent): void => {
    if (!event.ctrlKey && document.activeElement !== this.#element) return
    event.preventDefault()
    const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 20 : event.deltaY
    this.#scene.zoom(Math.exp(-pixels / WHEEL), this.#pointOf(event))
  }
}
