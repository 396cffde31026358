/** `file:line:column` of an offset, both counted from 1. */
export function placeIn(file: string, text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n")
  return `${file}:${before.length}:${(before.at(-1) ?? "").length + 1}`
}

/** Line ends as the text has them, or will have once another line follows. */
export function lineEndOf(text: string): "\r\n" | "\n" {
  return text.includes("\r\n") || text.endsWith("\r") ? "\r\n" : "\n"
}
