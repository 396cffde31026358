import { expect, test } from "vitest"
import { systemClock } from "./clock.ts"

test("the system's clock goes by the one that cannot be set back", () => {
  const beforeMs = performance.now()
  const ms = systemClock.monotonicMs()
  expect(ms).toBeGreaterThanOrEqual(beforeMs)
  expect(ms).toBeLessThanOrEqual(performance.now())
})
