import { RepositoryError } from "./git.ts"
import { lineEndOf, placeIn } from "./settings-text.ts"

/** The lines between which a text of Skein's stands in a file of somebody else's. */
export type Marks = { begin: string; end: string }

type Found = { from: number; to: number }

/**
 * The text with the block in it: in the place of the one that is there, else at the end behind an empty line. Throws `RepositoryError` where the marks do
 * not pair.
 */
export function putBlock(file: string, text: string, marks: Marks, body: string): string {
  const eol = lineEndOf(text)
  const block = [marks.begin, ...body.split("\n"), marks.end].join(eol)
  const found = findBlock(file, text, marks)
  if (found !== null) return text.slice(0, found.from) + block + text.slice(found.to)
  if (text.trim() === "") return `${block}${eol}`
  return `${text}${text.endsWith("\n") ? "" : eol}${eol}${block}${eol}`
}

/** The text without the block, and without the empty line before it. */
export function takeBlock(file: string, text: string, marks: Marks): string {
  const found = findBlock(file, text, marks)
  if (found === null) return text
  const head = text.slice(0, found.from).replace(/\r?\n$/, "")
  const tail = text.slice(found.to)
  return head === "" ? tail.replace(/^(\r?\n)+/, "") : head.replace(/(?<!\n)$/, lineEndOf(text)) + tail.replace(/^\r?\n/, "")
}

function findBlock(file: string, text: string, { begin, end }: Marks): Found | null {
  const from = text.indexOf(begin)
  const last = text.indexOf(end)
  if (from === -1 && last === -1) return null
  const again = text.indexOf(begin, from + 1)
  if (from === -1 || last < from || again !== -1 || text.indexOf(end, last + 1) !== -1) {
    const at = again !== -1 ? again : from === -1 || (last !== -1 && last < from) ? last : from
    throw new RepositoryError(
      "settings_unreadable",
      `${placeIn(file, text, Math.max(at, 0))}: the marks around Skein's part do not pair`,
      `Have one line ${JSON.stringify(begin)} and after it one line ${JSON.stringify(end)}, or neither. Nothing was changed.`,
    )
  }
  return { from, to: last + end.length }
}
