import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import fc from "fast-check"
import { expect, test } from "vitest"
import { REASONS } from "./trigger.ts"
import { backoffMs, WAKE_NUMBERS } from "./wake-policy.ts"

const PAGE = readFileSync(fileURLToPath(new URL("../../docs/explanation/waking.md", import.meta.url)), "utf8")

test("a pause is doubled each time, give or take a quarter, whatever the bits", () => {
  expect([backoffMs(2_000, 1, 0), backoffMs(2_000, 1, 0xffffffff), backoffMs(2_000, 2, 0x8000_0000)]).toEqual([1_500, 2_500, 4_000])
  fc.assert(
    fc.property(fc.integer({ min: 10, max: 600_000 }), fc.integer({ min: 1, max: 10 }), fc.integer(), (firstMs, times, bits) => {
      const full = firstMs * 2 ** (times - 1)
      const pauseMs = backoffMs(firstMs, times, bits)
      expect(pauseMs).toBeGreaterThanOrEqual(Math.floor(full * 0.75))
      expect(pauseMs).toBeLessThanOrEqual(Math.ceil(full * 1.25))
    }),
  )
})

test("the page on waking has every reason code and every number as the core has them", () => {
  for (const [code, { means }] of Object.entries(REASONS)) expect(PAGE).toContain(`| \`${code}\` | ${means} |`)
  for (const [name, { is, min, max, means }] of Object.entries(WAKE_NUMBERS)) expect(PAGE).toContain(`| \`${name}\` | ${is} | ${min} | ${max} | ${means} |`)
})
