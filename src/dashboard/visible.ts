/**
 * Characters that no screen shows, or that change how others are shown: controls but newline and tab, those of the direction of text, spaces of no width, and
 * tags, in which a whole text can hide. Joiners stay as they are: scripts and emoji are written with them.
 */
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

/** Marks that stand on one letter beyond those that any text has: hundreds of them are drawn over all that stands above it. */
const PILE = /(\p{M}{4})(\p{M}+)/gu

const PICTURES = 0x2400
const DELETE = 0x7f

/**
 * A text with every hidden character made visible: controls by their pictures, all others by their code point; and of marks piled on a letter no more than
 * four. Agents write what is read here.
 */
export function visible(text: string): string {
  return text
    .replace(PILE, (_, first: string, rest: string) => `${first}\u27e8${[...rest].length} more marks\u27e9`)
    .replace(HIDDEN, (hidden) => {
      const code = hidden.codePointAt(0) as number
      if (code < 0x20) return String.fromCharCode(PICTURES + code)
      if (code === DELETE) return "\u2421"
      return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`
    })
}

/** The beginning of a text, never half a character of it; null where all of it is within `max` UTF-16 units. */
export function clipped(text: string, max: number): string | null {
  if (text.length <= max) return null
  const isHalf = /[\ud800-\udbff]/.test(text.charAt(max - 1))
  return text.slice(0, isHalf ? max - 1 : max)
}
