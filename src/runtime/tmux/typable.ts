import type { Delivery } from "../driver.ts"

export const NUDGE_MAX_CHARACTERS = 700
const NUDGE_MAX_LINES = 3
const BODY_MAX_BYTES = 16 * 1024

/**
 * What of a text may be typed into a terminal: no ESC (ESC[201~ would end a bracketed paste, and what follows would be keys), no other C0 but the end of a
 * line, no DEL, no C1, no half of a surrogate pair; CR becomes LF, a tab a space. Where the reader has no bracketed paste each end of a line would send what
 * stands there: `lines` false joins them by spaces.
 * Throws `RangeError` when what is left is nothing, or more than the form holds (`nudge` 700 characters and 3 lines, `body` 16 KiB of UTF-8): shorten it.
 */
export function typable(text: string, form: Delivery["form"], lines: boolean): string {
  const clean = text
    .toWellFormed()
    .replace(/\r\n?|\u2028|\u2029/g, "\n")
    .replaceAll("\t", " ")
    .replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, "")
    .trim()
  if (clean === "") throw new RangeError("nothing is left to type: the text holds no visible character")
  if (form === "nudge" && (characters(clean) > NUDGE_MAX_CHARACTERS || clean.split("\n").length > NUDGE_MAX_LINES)) {
    throw new RangeError(`a nudge holds at most ${NUDGE_MAX_CHARACTERS} characters and ${NUDGE_MAX_LINES} lines: the rest belongs into the message`)
  }
  if (Buffer.byteLength(clean) > BODY_MAX_BYTES) throw new RangeError(`at most ${BODY_MAX_BYTES} bytes can be typed: the rest belongs into the message`)
  return lines ? clean : clean.replace(/ *\n */g, " ")
}

const characters = (text: string): number => [...text].length
