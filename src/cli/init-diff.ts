import { createTwoFilesPatch } from "diff"
import type { FileChange } from "../repo/settings-files.ts"
import { printableLines } from "./printable.ts"
import type { Terminal } from "./terminal.ts"

/** What is about to happen to files, as a unified diff that `patch -p1` takes. */
export function unifiedDiff(changes: readonly FileChange[]): string {
  return changes
    .map(({ file, text, after }) => {
      const [from, to] = [text === null ? "/dev/null" : `a/${file}`, after === null ? "/dev/null" : `b/${file}`]
      return createTwoFilesPatch(from, to, text ?? "", after ?? "", undefined, undefined, { context: 3 }).replace(/^=+\n/, "")
    })
    .join("")
}

/** The diff for people: in colour, and without what a terminal would obey. */
export function shownDiff({ colours }: Terminal, changes: readonly FileChange[]): string {
  return printableLines(unifiedDiff(changes).replaceAll("\r\n", "\n"))
    .split("\n")
    .map((line) => {
      if (/^(---|\+\+\+) /.test(line)) return colours.bold(line)
      if (line.startsWith("@@")) return colours.cyan(line)
      if (line.startsWith("+")) return colours.green(line)
      return line.startsWith("-") ? colours.red(line) : line
    })
    .join("\n")
    .trimEnd()
}

/** What happens to a file, in one word. */
export function deed({ text, after }: FileChange): "created" | "changed" | "removed" {
  if (text === null) return "created"
  return after === null ? "removed" : "changed"
}
