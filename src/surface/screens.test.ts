import { expect, test } from "vitest"
import { Screens } from "./screens.ts"

test("a terminal is reported while somebody looks at it, and for a while after", () => {
  const screens = new Screens()
  screens.report([{ agent: "ada", text: "nobody looks" }], 0)
  expect(screens.look("ada", 1_000)).toBeNull()
  expect(screens.wanted(1_000)).toEqual(["ada"])
  screens.report([{ agent: "ada", text: "> " }], 2_000)
  expect(screens.look("ada", 16_000)).toEqual({ text: "> ", atMs: 2_000 })
  expect(screens.wanted(31_000)).toEqual(["ada"])
  expect(screens.wanted(31_001)).toEqual([])
  expect(screens.look("ada", 31_002)).toBeNull()
})

test("what is old is not shown as if it were now", () => {
  const screens = new Screens()
  screens.look("ada", 0)
  screens.report([{ agent: "ada", text: "> " }], 0)
  for (let nowMs = 10_000; nowMs <= 60_000; nowMs += 10_000) expect(screens.look("ada", nowMs)).not.toBeNull()
  expect(screens.look("ada", 60_001)).toBeNull()
})

test("however many are looked at, memory stays bounded", () => {
  const screens = new Screens()
  for (let at = 0; at < 1_000; at += 1) screens.look(`a-${at}`, 0)
  expect(screens.wanted(0)).toHaveLength(200)
})
