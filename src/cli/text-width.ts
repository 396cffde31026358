import stringWidth from "string-width"

/** What takes a column a character, without a look at each. */
const NARROW = /^[\x20-\x7e]*$/

/** How many columns of the terminal a text takes; paint takes none. */
export function widthOf(text: string): number {
  return NARROW.test(text) ? text.length : stringWidth(text)
}

/** As much of the beginning as so many columns hold. */
export function cutTo(text: string, columns: number): string {
  if (NARROW.test(text)) return text.slice(0, columns)
  let kept = ""
  let room = columns
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    room -= stringWidth(segment)
    if (room < 0) break
    kept += segment
  }
  return kept
}

/** Lines of whole words, none wider than so many columns unless a single word is; 20 columns at the least. */
export function wrap(text: string, columns: number): string[] {
  const lines = [""]
  for (const word of text.split(" ")) {
    const line = lines.at(-1) ?? ""
    if (line === "") lines[lines.length - 1] = word
    else if (widthOf(line) + 1 + widthOf(word) <= Math.max(columns, 20)) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}
