import { afterEach, expect, test, vi } from "vitest"
import { Terminal } from "./terminal.ts"

afterEach(() => {
  vi.unstubAllEnvs()
  Reflect.deleteProperty(process.stdout, "columns")
  Reflect.deleteProperty(process.stdout, "rows")
})

test("a terminal that nobody told its size is written to as a pipe is", () => {
  vi.stubEnv("COLUMNS", "")
  for (const name of ["columns", "rows"]) Object.defineProperty(process.stdout, name, { value: 0, configurable: true })
  expect(new Terminal()).toMatchObject({ columns: 100, rows: 40 })
  vi.stubEnv("COLUMNS", "72")
  expect(new Terminal().columns).toBe(72)
  for (const none of ["-5", "0.5", "Infinity", "9007199254740993", "x"]) {
    vi.stubEnv("COLUMNS", none)
    expect(new Terminal().columns, none).toBe(100)
  }
})

test.each([
  ["", "1", true],
  ["1", "1", false],
  ["", "", false],
  ["", "0", false],
])("NO_COLOR=%j and FORCE_COLOR=%j in a pipe: colour %j", (no, force, coloured) => {
  vi.stubEnv("NO_COLOR", no)
  vi.stubEnv("FORCE_COLOR", force)
  expect(new Terminal().colours.isColorSupported).toBe(coloured)
})
