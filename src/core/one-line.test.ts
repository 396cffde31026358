import { expect, test } from "vitest"
import { isOneLine, onOneLine } from "./one-line.ts"

test("a line holds no controls, no ends of lines, no half of a character and nothing that turns the direction of text", () => {
  for (const code of [0, 9, 10, 13, 0x1b, 0x7f, 0x9b, 0x061c, 0x200e, 0x2028, 0x2029, 0x202e, 0x2066, 0x2069, 0xd800, 0xdc00]) {
    const text = `a${String.fromCodePoint(code)}${String.fromCodePoint(code)}b`
    expect(isOneLine(text), code.toString(16)).toBe(false)
    expect([onOneLine(text, " "), onOneLine(text, "")]).toEqual(["a b", "ab"])
  }
  for (const text of ["", "plain words", "ünï 🧶", "שלום"]) expect([isOneLine(text), onOneLine(text, "!")]).toEqual([true, text])
})
