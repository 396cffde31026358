import { type Signal, signal } from "@preact/signals"

/** Pixels of a rem where nobody asked for another size. */
const USUAL_PX = 16

/** CSS pixels that a rem has: more on a wall, and for whoever wants large letters. What is placed by script goes by it as the style does. */
export const remPx: Signal<number> = signal(USUAL_PX)

/** How much larger than usual everything is. */
export function scaleOfPage(): number {
  return remPx.peek() / USUAL_PX
}

function measure(): void {
  remPx.value = Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || USUAL_PX
}

/** Follows the size of letters from now on. */
export function followScale(): void {
  measure()
  addEventListener("resize", measure)
}
