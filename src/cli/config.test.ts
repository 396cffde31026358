import { expect, test } from "vitest"
import { UsageError } from "./failure.ts"
import { WAKE_NUMBERS } from "../core/wake-policy.ts"
import { SUPERVISOR_DEFAULTS, SUPERVISOR_NUMBERS } from "../runtime/supervisor-numbers.ts"
import { parseConfig } from "./config.ts"

test("an instance without settings has the defaults", () => {
  const defaults = { requireClaim: null, prices: new Map(), wake: {}, supervisor: SUPERVISOR_DEFAULTS, permissions: [], presets: new Map() }
  expect(parseConfig("", "config.yaml")).toEqual(defaults)
  expect(parseConfig("# nothing yet\n", "config.yaml")).toEqual(defaults)
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

test("every number of waking may be set up to its bounds, and not beyond; those of the supervisor and of the hub are told apart", () => {
  const numbers = { ...SUPERVISOR_NUMBERS, ...WAKE_NUMBERS }
  for (const [name, { min, max }] of Object.entries(numbers)) {
    for (const value of [min, max]) {
      const { wake, supervisor } = parseConfig(`wake: { ${name}: ${value} }`, "config.yaml")
      expect({ ...supervisor, ...wake }[name as "quietMs"]).toBe(value)
      expect(Object.keys(wake)).toEqual(Object.hasOwn(WAKE_NUMBERS, name) ? [name] : [])
    }
    for (const value of [min - 1, max + 1]) expect(() => parseConfig(`wake: { ${name}: ${value} }`, "config.yaml")).toThrow(`wake.${name}`)
  }
  expect(() => parseConfig("wake: { acks: 3 }", "config.yaml")).toThrow("there is no setting wake.acks")
})

test("a kind of agent needs no more than how it is started; what is wrong in it is named with its place", () => {
  const { presets } = parseConfig("presets:\n  mine:\n    interactive: { start: [my-agent, --chat] }\n", "config.yaml")
  expect(presets.get("mine")).toMatchObject({
    name: "mine",
    interactive: { start: ["my-agent", "--chat"], resume: null },
    screen: { bracketedPaste: false },
    acp: null,
  })
  expect(() => parseConfig("presets:\n  mine:\n    interactive: { start: [''] }\n", "config.yaml")).toThrow("config.yaml:3:")
  expect(() => parseConfig("presets:\n  mine:\n    interactive: { start: [a] }\n    screen: { ready: ['('] }\n", "config.yaml")).toThrow(
    "no regular expression",
  )
})

test("a fault is told with its place alone: the YAML reader's own message, which quotes its line, took 19 s for 48,000 faults in one", () => {
  const told = (text: string): string => {
    try {
      parseConfig(text, "config.yaml")
      return "taken"
    } catch (error) {
      return (error as Error).message
    }
  }
  expect(told(`prices: ${"*a [".repeat(48_000)}`)).toBe("config.yaml:1:12: this is no YAML: Unexpected flow-seq-start at node end")
  expect(told("requireClaim: true\nprices: {}\nrequireClaim: false\n")).toBe('config.yaml:3:1: the key "requireClaim" is there already')
  expect(told(`prices: ${"[".repeat(200)}`)).toBe("config.yaml:1:72: lists and maps nest deeper than 64 levels here")
  expect(told("prices: {}\n---\nprices: {}\n")).toBe("config.yaml:2:1: a second document begins here")
})

test("a file that the YAML reader cannot finish is refused with the file's name and a remedy", () => {
  for (const text of ["prices: *nobody\n", `prices:\n${"- ".repeat(20_000)}\n`, `prices: ${"[".repeat(20_000)}\n`])
    expect(() => parseConfig(text, "config.yaml")).toThrow(UsageError)
})
