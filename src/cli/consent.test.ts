import { PassThrough } from "node:stream"
import { expect, test } from "vitest"
import { saysYes } from "./consent.ts"

function asked(typed: string, isTTY: boolean): Promise<boolean> {
  const input = new PassThrough()
  const answer = saysYes("Do this?", { input, output: Object.assign(new PassThrough(), { isTTY, columns: 80, rows: 24 }).resume() })
  input.end(typed)
  return answer
}

test.each([
  ["y\n", true],
  ["YES\r\n", true],
  [" y \n", true],
  ["y\n\u0004", true],
  ["yy\n", false],
  ["\ny\n", false],
  ["", false],
  ["y", false],
])("at the end of what is typed, %j, the question has its answer", async (typed, yes) => {
  expect(await asked(typed, false)).toBe(yes)
  expect(await asked(typed, true)).toBe(yes)
})

test.each(["\u0003", "\u0004", "y\u0003"])("Ctrl-C and Ctrl-D at a terminal are a no: %j", async (typed) => {
  expect(await asked(typed, true)).toBe(false)
})
