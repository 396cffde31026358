import { PATH_MAX } from "../core/glob.ts"

/** A segment that names nothing: `a//b`, `.`, `..`. */
const NO_NAME = /(?<=^|\/)\.{0,2}(?=\/|$)/g
/** What is kept of either end of a path that is too long: together they may grow by one character. */
const END = PATH_MAX / 2 - 1

/**
 * A path of a git tree as one that the hub takes. What the contract refuses as a path of the machine (`\x`, `C:/x`), as too long, or as none, since a tree can
 * be made that names `..`, becomes one that the same wildcards and folders cover: one that is refused would keep all others from being looked at.
 */
export function askablePath(path: string): string {
  const named = path.replace(/^(?:\\|[A-Za-z](?=:[/\\]))/, "\ufffd").replaceAll(NO_NAME, "\ufffd")
  if (named.length <= PATH_MAX) return named
  return `${named.slice(0, END)}${named.slice(-END)}`.replaceAll(NO_NAME, "\ufffd")
}
