import { expect, test } from "vitest"
import { parseConfig } from "./config.ts"

test("an instance without settings has the defaults", () => {
  expect(parseConfig("", "config.yaml")).toEqual({ requireClaim: null, prices: new Map() })
  expect(parseConfig("# nothing yet\n", "config.yaml")).toEqual({ requireClaim: null, prices: new Map() })
})

test("prices are dollars for a million tokens; a cache that has none costs as much as input", () => {
  const { prices, requireClaim } = parseConfig("requireClaim: true\nprices:\n  gpt-5: { input: 1.25, output: 10, cacheRead: 0.125 }\n", "config.yaml")
  expect(prices.get("gpt-5")).toEqual({ input: 1.25, output: 10, cacheRead: 0.125, cacheWrite: 1.25 })
  expect(requireClaim).toBe(true)
})

test.each([
  ["prices: [", "config.yaml:1:"],
  ["prices:\n  gpt-5: { input: -1, output: 10 }\n", "config.yaml:2:19"],
  ["requireClaim: perhaps\n", "config.yaml:1:15"],
  ["\nprize: {}\n", "there is no setting prize"],
  ["prices:\n  a: &a { input: 1, output: 1, x: 2 }\n", "there is no setting prices.a.x"],
  ["- a list\n", "config.yaml:1:1"],
])("what is wrong in %j is named with its place", (text, place) => {
  expect(() => parseConfig(text, "config.yaml")).toThrow(place)
})
