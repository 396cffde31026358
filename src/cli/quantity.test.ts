import { describe, expect, test } from "vitest"
import { parseDuration, parseMoment, parseUsd, showDuration, showSkills } from "./quantity.ts"

describe("durations", () => {
  test.each([
    ["250ms", 250],
    ["20s", 20_000],
    ["1.5h", 5_400_000],
    ["90m", 5_400_000],
    ["1.1h", 3_960_000],
    ["0s", 0],
    [" 2 s ", 2_000],
    ["0.001s", 1],
  ])("%s is %i ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  test.each(["", "h", "1", "1.5", "-1s", "1d", "1S", "1h30m", "1e3s", "0x10s", "0.5ms", "99999999999999999h", "١s"])("%j is none", (text) => {
    expect(parseDuration(text)).toMatchObject({ wrong: expect.any(String) as string, remedy: expect.any(String) as string })
  })

  test.each([
    [0, "0 ms"],
    [7.4, "7.4 ms"],
    [850, "850 ms"],
    [12_340, "12.3 s"],
    [59_970, "1 min"],
    [250_000, "4 min 10 s"],
    [63_000_000, "17.5 h"],
  ])("%f ms is shown as %s", (ms, text) => {
    expect(showDuration(ms)).toBe(text)
  })
})

describe("money", () => {
  test.each([
    [22.5, 22_500_000],
    [0.1, 100_000],
    [0.000001, 1],
    [0, 0],
    [1_000_000, 1e12],
  ])("%f USD is %i millionths", (usd, micro) => {
    expect(parseUsd(usd)).toBe(micro)
  })

  test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, 0.0000001, 1_000_001])("%f USD is refused", (usd) => {
    expect(parseUsd(usd)).toHaveProperty("wrong")
  })
})

test("skills are shown with their levels", () => {
  expect([{ docs: 3, node: 1 }, {}].map(showSkills)).toEqual(["docs 3, node 1", ""])
})

test("a moment is a time of this day or of the one before, a date, or so long ago", () => {
  const at = (text: string): number => new Date(text).getTime()
  const nowMs = at("2026-11-23T10:30:00")
  expect(["10:29", "9:05:07", "10:31", "2026-11-20", "2026-11-20 08:00", "2026-11-20T08:00:30Z", "90m"].map((text) => parseMoment(text, nowMs))).toEqual([
    at("2026-11-23T10:29"),
    at("2026-11-23T09:05:07"),
    at("2026-11-22T10:31"),
    at("2026-11-20T00:00"),
    at("2026-11-20T08:00"),
    at("2026-11-20T08:00:30Z"),
    nowMs - 5_400_000,
  ])
  for (const text of ["", "24:00", "10:60", "noon", "2026-13-01", "12"]) expect(parseMoment(text, nowMs), text).toMatchObject({ wrong: "is no time" })
})
