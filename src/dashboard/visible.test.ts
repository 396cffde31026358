import fc from "fast-check"
import { expect, test } from "vitest"
import { clipped, visible } from "./visible.ts"

test("controls are shown by their pictures, and what turns the direction of text by its code point", () => {
  expect(visible("a\u001b[31mb\u0000\u007f")).toBe("a␛[31mb␀␡")
  expect(visible("\u202eevil\u2066\u200f\u0085\ufeff")).toBe("⟨U+202E⟩evil⟨U+2066⟩⟨U+200F⟩⟨U+0085⟩⟨U+FEFF⟩")
  expect(visible("a\u200bb\u00ad\u2060\u{e0041}")).toBe("a⟨U+200B⟩b⟨U+00AD⟩⟨U+2060⟩⟨U+E0041⟩")
  expect(visible("two\nlines\tand a tab, שלום and 👩‍💻")).toBe("two\nlines\tand a tab, שלום and 👩‍💻")
})

test("marks piled on a letter, which would be drawn over what others wrote, are counted from the fifth on", () => {
  expect(visible(`a${"\u0301".repeat(400)}b`)).toBe(`a${"\u0301".repeat(4)}⟨396 more marks⟩b`)
  expect(visible(`a${"\u0301\u{1d167}".repeat(4)}`)).toBe(`a${"\u0301\u{1d167}".repeat(2)}⟨4 more marks⟩`)
  const written = ["Tie\u0302\u0301ng Vie\u0323\u0302t", "שָׁל֑וֹם", "1\ufe0f\u20e3", "क्षि", "กี่"]
  expect(written.map(visible)).toEqual(written)
})

test("nothing hidden is left in any text, and a text without any stays as it is", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 0x20ff }), { maxLength: 30, size: "max" }), (codes) => {
      const text = String.fromCharCode(...codes)
      const shown = visible(text)
      expect(shown).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/)
      expect(visible(shown)).toBe(shown)
    }),
  )
})

test("a long text is cut before half a character", () => {
  expect(clipped("abc", 3)).toBeNull()
  expect(clipped("abcd", 3)).toBe("abc")
  expect(clipped("ab👩x", 3)).toBe("ab")
})
