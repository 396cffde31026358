import { copyFileSync, fstatSync, statSync, truncateSync } from "node:fs"

/** A log that has grown beyond this begins anew, with what it was beside it as `.1`: hub and supervisor may run for months. */
export const LOG_MAX_BYTES = 16 * 1024 * 1024

/** Begins a log anew. Whoever has it open for appending goes on at its beginning, and need not know. Throws what the system says. */
export function beginAnew(path: string): void {
  copyFileSync(path, `${path}.1`)
  truncateSync(path)
}

/** The same for the log that standard output is appended to, once it is too long; any other file is its owner's. */
export function shortenOwnLog(path: string): void {
  try {
    const [output, log] = [fstatSync(1), statSync(path)]
    if (output.ino === log.ino && output.dev === log.dev && log.size > LOG_MAX_BYTES) beginAnew(path)
  } catch {
    // It goes on where it is.
  }
}
