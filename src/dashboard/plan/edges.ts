import type { Colours } from "./colours.ts"
import { BOX, type Layout } from "./ranks.ts"
import { type Scenery, type Sight, WORDS_SCALE } from "./scenery.ts"

/** A part of an edge: a curve that leaves and arrives level, or a straight line. `edge`: the number of the edge that it is of. */
type Piece = { edge: number; isStraight: boolean; fromX: number; fromY: number; toX: number; toY: number }

/** Pieces are found by squares of this length, in units of the drawing; what is longer is looked at one by one. */
const CELL = 600
/** Pieces of one stroke: a path that crosses itself a thousand times takes far longer than its parts. */
const STROKE = 48

/** The edges of one layout, so that those in sight are found at once, and of long ones only what is in sight is drawn. */
export class Edges {
  readonly #cells = new Map<string, Piece[]>()
  readonly #long: Piece[] = []

  constructor({ x, y, routes }: Layout, edges: Int32Array) {
    for (let at = 0; at < edges.length / 2; at += 1) {
      const [from, to] = [edges[2 * at] as number, edges[2 * at + 1] as number]
      const begin = { x: (x[from] as number) + BOX.width, y: (y[from] as number) + BOX.height / 2 }
      const end = { x: x[to] as number, y: (y[to] as number) + BOX.height / 2 }
      for (const piece of piecesOf(at, begin, end, routes[at] ?? null)) this.#keep(piece)
    }
  }

  #keep(piece: Piece): void {
    const [left, right] = [Math.min(piece.fromX, piece.toX), Math.max(piece.fromX, piece.toX)]
    const [top, bottom] = [Math.min(piece.fromY, piece.toY), Math.max(piece.fromY, piece.toY)]
    if (right - left > 2 * CELL || bottom - top > 2 * CELL) return void this.#long.push(piece)
    for (let column = Math.floor(left / CELL); column <= Math.floor(right / CELL); column += 1)
      for (let row = Math.floor(top / CELL); row <= Math.floor(bottom / CELL); row += 1) {
        const cell = this.#cells.get(`${column} ${row}`)
        if (cell === undefined) this.#cells.set(`${column} ${row}`, [piece])
        else cell.push(piece)
      }
  }

  /** `scale`: screen pixels of a unit. Lines of the critical path are thick, those at the cursor dark. */
  draw(context: CanvasRenderingContext2D, { graph, critical, cursor, open }: Scenery, sight: Sight, scale: number, colours: Colours): void {
    const next = new Map(critical.map((at, turn) => [at, critical[turn + 1]]))
    const isNear = (at: number): boolean => at >= 0 && (at === cursor || at === open)
    const [plain, near, marked]: [Piece[], Piece[], Piece[]] = [[], [], []]
    for (const piece of this.#inSight(sight)) {
      const [from, to] = [graph.edges[2 * piece.edge] as number, graph.edges[2 * piece.edge + 1] as number]
      const kind = next.get(from) === to ? marked : isNear(from) || isNear(to) ? near : plain
      kind.push(piece)
    }
    const pixel = 1 / scale
    // Seen one by one they stand out from the ground by 3 to 1; from far away that would be a thicket.
    context.globalAlpha = scale >= WORDS_SCALE ? 0.75 : 0.35
    strokeAll(context, plain, sight, colours.quiet, Math.max(1.2, pixel))
    context.globalAlpha = 1
    strokeAll(context, near, sight, colours.ink, Math.max(1.6, 1.4 * pixel))
    strokeAll(context, marked, sight, colours.accent, Math.max(3.5, 2.5 * pixel))
  }

  #inSight({ left, top, right, bottom }: Sight): Iterable<Piece> {
    const found = new Set<Piece>(this.#long)
    const [columns, rows] = [Math.floor(right / CELL) - Math.floor(left / CELL) + 1, Math.floor(bottom / CELL) - Math.floor(top / CELL) + 1]
    // From far away nearly all of them are.
    if (columns * rows > this.#cells.size) for (const cell of this.#cells.values()) for (const piece of cell) found.add(piece)
    else
      for (let column = Math.floor(left / CELL); column <= Math.floor(right / CELL); column += 1)
        for (let row = Math.floor(top / CELL); row <= Math.floor(bottom / CELL); row += 1)
          for (const piece of this.#cells.get(`${column} ${row}`) ?? []) found.add(piece)
    return found
  }
}

type Point = { x: number; y: number }

/** By way of the points that the layout gives; where it gives none the edge is long, and goes straight over. */
function piecesOf(edge: number, begin: Point, end: Point, route: Float64Array | null): Piece[] {
  const points = [begin]
  if (route !== null) for (let at = 2; at < route.length - 2; at += 2) points.push({ x: route[at] as number, y: route[at + 1] as number })
  const isStraight = route === null && end.x - begin.x > 2 * BOX.gapX
  if (isStraight) points.push({ x: begin.x + BOX.gapX / 2, y: begin.y }, { x: end.x - BOX.gapX / 2, y: end.y })
  points.push(end)
  return points.slice(1).map((to, at) => {
    const from = points[at] as Point
    return { edge, isStraight, fromX: from.x, fromY: from.y, toX: to.x, toY: to.y }
  })
}

function strokeAll(context: CanvasRenderingContext2D, pieces: readonly Piece[], sight: Sight, colour: string, width: number): void {
  context.strokeStyle = colour
  context.lineWidth = width
  for (let at = 0; at < pieces.length; at += STROKE) {
    context.beginPath()
    for (const piece of pieces.slice(at, at + STROKE)) trace(context, piece, sight)
    context.stroke()
  }
}

function trace(context: CanvasRenderingContext2D, { isStraight, fromX, fromY, toX, toY }: Piece, sight: Sight): void {
  if (!isStraight) {
    const middle = (fromX + toX) / 2
    context.moveTo(fromX, fromY)
    context.bezierCurveTo(middle, fromY, middle, toY, toX, toY)
    return
  }
  const part = withinSight(fromX, fromY, toX, toY, sight)
  if (part === null) return
  context.moveTo(fromX + part.first * (toX - fromX), fromY + part.first * (toY - fromY))
  context.lineTo(fromX + part.last * (toX - fromX), fromY + part.last * (toY - fromY))
}

/** What part of a line is in sight, from 0 to 1 of its length; null: none of it (Liang and Barsky 1984). */
export function withinSight(
  fromX: number,
  fromY: number,
  toX: number,
  toY: number,
  { left, top, right, bottom }: Sight,
): { first: number; last: number } | null {
  let [first, last] = [0, 1]
  for (const [by, room] of [
    [fromX - toX, fromX - left],
    [toX - fromX, right - fromX],
    [fromY - toY, fromY - top],
    [toY - fromY, bottom - fromY],
  ] as const) {
    if (by === 0 && room < 0) return null
    if (by < 0) first = Math.max(first, room / by)
    if (by > 0) last = Math.min(last, room / by)
  }
  return first <= last ? { first, last } : null
}
