import fc from "fast-check"
import { expect, test } from "vitest"
import { type Camera, centred, fitted, inSight, moved, zoomed } from "./camera.ts"
import { withinSight } from "./edges.ts"

const view = { width: 800, height: 600 }
const cameras = fc.record({
  x: fc.integer({ min: -5_000, max: 5_000 }),
  y: fc.integer({ min: -5_000, max: 5_000 }),
  scale: fc.double({ min: 0.05, max: 3, noNaN: true }),
})
const toScreen = ({ x, y, scale }: Camera, point: { x: number; y: number }): { x: number; y: number } => ({
  x: (point.x - x) * scale,
  y: (point.y - y) * scale,
})

test("what is under the pointer stays under it while it is zoomed, however near", () => {
  fc.assert(
    fc.property(cameras, fc.double({ min: 0.1, max: 10, noNaN: true }), fc.nat(800), fc.nat(600), (camera, factor, x, y) => {
      const point = { x: camera.x + x / camera.scale, y: camera.y + y / camera.scale }
      const after = toScreen(zoomed(camera, factor, { x, y }), point)
      expect(after.x).toBeCloseTo(x, 3)
      expect(after.y).toBeCloseTo(y, 3)
    }),
  )
})

test("a drawing that is moved follows the hand", () => {
  fc.assert(
    fc.property(cameras, fc.integer({ min: -300, max: 300 }), (camera, dx) => {
      expect(toScreen(moved(camera, dx, 0), { x: 10, y: 10 }).x - toScreen(camera, { x: 10, y: 10 }).x).toBeCloseTo(dx, 3)
    }),
  )
})

test("all of a drawing fits, a small one at its own size and in the middle", () => {
  const small = fitted({ width: 200, height: 100 }, view)
  expect(small.scale).toBe(1)
  expect(toScreen(small, { x: 100, y: 50 })).toEqual({ x: 400, y: 300 })
  const large = fitted({ width: 20_000, height: 3_000 }, view)
  expect(toScreen(large, { x: 0, y: 0 }).x).toBeGreaterThanOrEqual(0)
  expect(toScreen(large, { x: 20_000, y: 0 }).x).toBeLessThanOrEqual(800)
})

test("nobody gets lost: some of the drawing is always in sight", () => {
  fc.assert(
    fc.property(cameras, fc.integer({ min: 1, max: 30_000 }), fc.integer({ min: 1, max: 30_000 }), (camera, width, height) => {
      const found = inSight(camera, { width, height }, view)
      const [begin, end] = [toScreen(found, { x: 0, y: 0 }), toScreen(found, { x: width, y: height })]
      expect(begin.x).toBeLessThan(800)
      expect(end.x).toBeGreaterThan(0)
      expect(begin.y).toBeLessThan(600)
      expect(end.y).toBeGreaterThan(0)
    }),
  )
})

test("a point is brought to the middle without a change of size", () => {
  const camera = centred({ x: 0, y: 0, scale: 2 }, { x: 500, y: 400 }, view)
  expect(camera.scale).toBe(2)
  expect(toScreen(camera, { x: 500, y: 400 })).toEqual({ x: 400, y: 300 })
})

test("of a line that part is drawn that is in sight, and of one that passes by nothing", () => {
  const sight = { left: 0, top: 0, right: 100, bottom: 100 }
  expect(withinSight(-100, 50, 300, 50, sight)).toEqual({ first: 0.25, last: 0.5 })
  expect(withinSight(10, 10, 90, 20, sight)).toEqual({ first: 0, last: 1 })
  expect(withinSight(-100, -50, 300, -50, sight)).toBeNull()
  expect(withinSight(-100, 90, 90, 300, sight)).toBeNull()
})
