import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs"

/** Longer than any file that Skein reads in this way. */
const MAX_BYTES = 16 * 1024 * 1024

/**
 * The text of a file, and of nothing else that may stand in its place: a pipe without a writer would hold up whoever opens it for ever, and a device, or a
 * file that is all hole, has no end. Throws what the system says, or what is wrong with it.
 */
export function readRegular(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const found = fstatSync(file)
    if (!found.isFile()) throw new Error("it is no regular file")
    if (found.size > MAX_BYTES) throw new Error(`it is longer than ${MAX_BYTES} bytes`)
    return readFileSync(file, "utf8")
  } finally {
    closeSync(file)
  }
}
