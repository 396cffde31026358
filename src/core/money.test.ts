import { expect, test } from "vitest"
import { exactUsd, showUsd } from "./money.ts"

test("money is shown to the cent, under a cent as exactly as it is worth, its thousands apart", () => {
  expect([0, 1, 9_000, 12_250, 171_000, 600_000, 1_500_000, 1_234_567_890, -50_000, -2_000_000].map(showUsd)).toEqual([
    "$0.00",
    "$0.000001",
    "$0.009",
    "$0.01",
    "$0.17",
    "$0.60",
    "$1.50",
    "$1,234.57",
    "-$0.05",
    "-$2.00",
  ])
})

test("what is decided by money tells it to the millionth, and no longer than it has to", () => {
  expect([0, 30, 12_250, 600_000, 482_134, 22_500_000, 1_000_000_000_000].map(exactUsd)).toEqual([
    "$0.00",
    "$0.00003",
    "$0.01225",
    "$0.60",
    "$0.482134",
    "$22.50",
    "$1,000,000.00",
  ])
})
