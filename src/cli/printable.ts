/**
 * What a terminal would obey, or what would show text other than it is: C0 and C1 controls, DEL, marks and overrides of writing direction,
 * zero-width spaces, line separators, tag characters, and halves of surrogate pairs. Titles, names and notes come from agents: none is trusted.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]|\p{Surrogate}/gu
const UNSAFE_BUT_BREAKS = new RegExp(`(?![\\n\\t])(?:${UNSAFE.source})`, "gu")

/** The text on one line, with whatever a terminal would obey shown as an escape: `\n`, `\x1b`, `\u{202e}`. */
export function printable(text: string): string {
  return text.replace(UNSAFE, escaped)
}

/** As `printable`, where line breaks and tabs are kept. */
export function printableLines(text: string): string {
  return text.replace(UNSAFE_BUT_BREAKS, escaped)
}

/** Whether a name or title holds anything that `printable` would have to escape. */
export function isPrintable(text: string): boolean {
  return text.search(UNSAFE) === -1
}

/** Whether a longer text holds anything but line breaks and tabs that would have to be escaped. */
export function isPrintableLines(text: string): boolean {
  return text.search(UNSAFE_BUT_BREAKS) === -1
}

/** JSON of the same value, on one line, in which a terminal finds nothing to obey. In JSON such characters stand within strings only. */
export function printableJson(json: string): string {
  return json.replace(UNSAFE, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  )
}

function escaped(character: string): string {
  if (character === "\n") return "\\n"
  if (character === "\r") return "\\r"
  if (character === "\t") return "\\t"
  const code = character.codePointAt(0) as number
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`
}
