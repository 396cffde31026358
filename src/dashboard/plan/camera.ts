/** What part of the drawing is seen: its point at the left top corner, and how many screen pixels a unit of it takes. */
export type Camera = { readonly x: number; readonly y: number; readonly scale: number }
export type Size = { readonly width: number; readonly height: number }

const SCALE = { min: 0.02, max: 3 } as const
/** Around a drawing that is seen whole, in screen pixels. */
const MARGIN = 16
/** So much of the drawing always stays in sight, in screen pixels. */
const LEFT_IN_SIGHT = 60

/** All of it, in the middle; a small drawing is not blown up beyond `most`. */
export function fitted(drawing: Size, view: Size, most = 1): Camera {
  const scale = limited(Math.min((view.width - 2 * MARGIN) / Math.max(1, drawing.width), (view.height - 2 * MARGIN) / Math.max(1, drawing.height), most))
  return { scale, x: (drawing.width - view.width / scale) / 2, y: (drawing.height - view.height / scale) / 2 }
}

/** Moved by screen pixels, as a hand moves a sheet of paper. */
export function moved(camera: Camera, dx: number, dy: number): Camera {
  return { ...camera, x: camera.x - dx / camera.scale, y: camera.y - dy / camera.scale }
}

/** Nearer or further by a factor; what is at this point of the screen stays there. */
export function zoomed({ x, y, scale }: Camera, factor: number, at: { x: number; y: number }): Camera {
  const next = limited(scale * factor)
  return { scale: next, x: x + at.x / scale - at.x / next, y: y + at.y / scale - at.y / next }
}

/** With this point of the drawing in the middle of the screen. */
export function centred({ scale }: Camera, point: { x: number; y: number }, view: Size): Camera {
  return { scale, x: point.x - view.width / 2 / scale, y: point.y - view.height / 2 / scale }
}

/** Not so far away that nothing is left to see. */
export function inSight({ x, y, scale }: Camera, drawing: Size, view: Size): Camera {
  const rest = LEFT_IN_SIGHT / scale
  const within = (at: number, length: number, seen: number): number =>
    Math.min(length - Math.min(rest, length), Math.max(Math.min(rest, length) - seen / scale, at))
  return { scale, x: within(x, drawing.width, view.width), y: within(y, drawing.height, view.height) }
}

function limited(scale: number): number {
  return Math.min(SCALE.max, Math.max(SCALE.min, scale))
}
