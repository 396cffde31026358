import { type Colours, colourOf } from "./colours.ts"
import { BOX } from "./ranks.ts"
import type { NodeFace, Scenery, Sight } from "./scenery.ts"

type Means = { hasWords: boolean; scale: number; colours: Colours }

const EDGE = 5
/** Where words begin in a box, and how wide they may be: wider letters are drawn narrower. */
const WORDS_LEFT = 32
const WORDS_MAX = BOX.width - WORDS_LEFT - 4
const NAME_FONT = "600 13px system-ui, sans-serif"
const WORDS_FONT = "12px system-ui, sans-serif"
const SHAPE_FONT = "15px system-ui, sans-serif"
const LARGE_SHAPE_FONT = "30px system-ui, sans-serif"

/** Boxes of one state are drawn together: changing a canvas's colours and fonts costs more than a box. */
export function drawNodes(context: CanvasRenderingContext2D, { layout, faces, critical, cursor, open }: Scenery, sight: Sight, means: Means): void {
  const { colours, hasWords, scale } = means
  const byState = new Map<string, number[]>()
  faces.forEach(({ state }, at) => {
    const [x, y] = [layout.x[at] as number, layout.y[at] as number]
    if (x > sight.right || y > sight.bottom || x + BOX.width < sight.left || y + BOX.height < sight.top) return
    const known = byState.get(state)
    if (known === undefined) byState.set(state, [at])
    else known.push(at)
  })
  const isCritical = new Set(critical)
  for (const [state, nodes] of byState) {
    const colour = colourOf(state, colours)
    outline(context, layout, nodes, 0)
    context.fillStyle = colours.raised
    context.fill()
    context.strokeStyle = colour
    context.lineWidth = Math.max(1, 1 / scale)
    context.stroke()
    context.fillStyle = colour
    for (const at of nodes) context.fillRect(layout.x[at] as number, layout.y[at] as number, EDGE, BOX.height)
    if (!hasWords) {
      if (scale > 0.18) {
        context.font = LARGE_SHAPE_FONT
        for (const at of nodes) context.fillText((faces[at] as NodeFace).shape, (layout.x[at] as number) + BOX.width / 2 - 12, (layout.y[at] as number) + 34)
      }
      continue
    }
    context.font = SHAPE_FONT
    for (const at of nodes) context.fillText((faces[at] as NodeFace).shape, (layout.x[at] as number) + EDGE + 7, (layout.y[at] as number) + 29)
  }
  const nodes = [...byState.values()].flat()
  mark(
    context,
    layout,
    nodes.filter((at) => isCritical.has(at)),
    colours.accent,
    Math.max(3, 2.5 / scale),
  )
  mark(
    context,
    layout,
    nodes.filter((at) => at === open || at === cursor),
    colours.ink,
    Math.max(2, 2 / scale),
    4,
  )
  if (hasWords) drawWords(context, layout, faces, nodes, colours)
}

function drawWords(context: CanvasRenderingContext2D, layout: Scenery["layout"], faces: readonly NodeFace[], nodes: readonly number[], colours: Colours): void {
  context.fillStyle = colours.ink
  context.font = NAME_FONT
  for (const at of nodes) context.fillText((faces[at] as NodeFace).name, (layout.x[at] as number) + WORDS_LEFT, (layout.y[at] as number) + 20, WORDS_MAX)
  context.fillStyle = colours.quiet
  context.font = WORDS_FONT
  for (const at of nodes) context.fillText((faces[at] as NodeFace).words, (layout.x[at] as number) + WORDS_LEFT, (layout.y[at] as number) + 37, WORDS_MAX)
}

function mark(context: CanvasRenderingContext2D, layout: Scenery["layout"], nodes: readonly number[], colour: string, width: number, out = 0): void {
  if (nodes.length === 0) return
  outline(context, layout, nodes, out)
  context.strokeStyle = colour
  context.lineWidth = width
  context.stroke()
}

function outline(context: CanvasRenderingContext2D, { x, y }: Scenery["layout"], nodes: readonly number[], out: number): void {
  context.beginPath()
  for (const at of nodes) context.rect((x[at] as number) - out, (y[at] as number) - out, BOX.width + 2 * out, BOX.height + 2 * out)
}
