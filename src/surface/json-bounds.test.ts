import { expect, test } from "vitest"
import { isWithin } from "./json-bounds.ts"

const within = (text: string, levels: number, marks: number): boolean => isWithin(Buffer.from(text), levels, marks)

test("levels are counted, and all marks but those within texts", () => {
  expect([within("[[[]]]", 3, 6), within("[[[]]]", 2, 6), within("[[[]]]", 3, 5)]).toEqual([true, false, false])
  expect([within('{"a":[1,2],"b":{}}', 2, 10), within('{"a":[1,2],"b":{}}', 2, 9)]).toEqual([true, false])
  expect(within('["[[[[{{{{,,,,::::", "\\"[[[", "\\\\", "é[[["]', 1, 5)).toBe(true)
  expect(within('["a\\\\",[[]]]', 2, 20)).toBe(false)
})

test("what is no JSON passes, or does not, and never throws", () => {
  for (const text of ["", '"', '"\\', "]]]]", "[[", "nonsense", '{"a']) expect(within(text, 2, 4)).toBe(true)
})
