import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs"

/** Longer than any credential or token. */
const MAX_BYTES = 16_384

/**
 * What a file with a credential or token says, to 16 KiB. It is read at each call, which a pipe would not bear, and one without a writer would hold up
 * whoever opens it for ever: a file is taken and nothing else. Throws what is wrong with it.
 */
export function readTokenFile(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (!fstatSync(file).isFile()) throw new Error("it is no regular file")
    const bytes = Buffer.alloc(MAX_BYTES)
    return bytes.toString("utf8", 0, readSync(file, bytes)).trim()
  } finally {
    closeSync(file)
  }
}
