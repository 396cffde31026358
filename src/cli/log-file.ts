import { copyFileSync, fstatSync, openSync, rmSync, statSync, truncateSync, writeSync } from "node:fs"

/** A log that has grown beyond this begins anew, with what it was beside it as `.1`: hub and supervisor may run for months. */
export const LOG_MAX_BYTES = 16 * 1024 * 1024

/** Begins a log anew. Whoever has it open for appending goes on at its beginning, and need not know. Throws what the system says. */
export function beginAnew(path: string): void {
  try {
    copyFileSync(path, `${path}.1`)
  } catch (error) {
    // A copy that a full disk cut off would only take the last of its room.
    rmSync(`${path}.1`, { force: true })
    throw error
  }
  truncateSync(path)
}

/**
 * A log of mode 0600 to append lines to; once it is long it begins anew. A line that the disk has no room for is left out: whoever tells that the disk is full
 * MUST NOT end by it.
 */
export function appendingTo(path: string): { write(line: string): void } {
  const file = openSync(path, "a", 0o600)
  let { size } = fstatSync(file)
  let isCut = false
  return {
    write(line) {
      if (size > LOG_MAX_BYTES) {
        size = 0
        try {
          beginAnew(path)
        } catch {
          // It goes on where it is, and is tried again after as much.
        }
      }
      const bytes = Buffer.from(isCut ? `\n${line}` : line)
      try {
        const written = writeSync(file, bytes)
        size += written
        isCut = written < bytes.length
      } catch {
        // Nothing of it is there.
      }
    },
  }
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
