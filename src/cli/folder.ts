import { mkdirSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { UsageError } from "./failure.ts"

/**
 * Makes a folder that somebody named, and those above it that are missing. Not as Node does by itself, which never ends where a folder takes none, as `/proc`.
 * Throws `UsageError`, or what the system says.
 */
export function makeFolder(path: string, mode = 0o777): void {
  if (path === "") throw new UsageError("the folder has no name", "Name one; . is the one that you are in.")
  if (isFolder(path)) return
  const above = dirname(path)
  if (above !== path) makeFolder(above, mode)
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === "EEXIST" && isFolder(path)) return
    if (code === "ENOENT") throw new UsageError(`the folder ${JSON.stringify(path)} cannot be made: ${JSON.stringify(above)} takes none`, "Name another place.")
    throw error
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}
