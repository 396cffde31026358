import { closeSync, constants, fstatSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"

/** Longer than any file that is kept beside a ledger. */
const MAX_BYTES = 16 * 1024 * 1024

/**
 * The text of a file of the instance, and of nothing else that may stand in its place: a pipe without a writer would hold up the hub for ever, and a device, or
 * a file that is all hole, has no end. Throws what the system says, or which file is none, with the remedy.
 */
export function readPrivately(path: string): string {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const found = fstatSync(file)
    const fault = !found.isFile() ? "is no regular file" : found.size > MAX_BYTES ? `is longer than ${MAX_BYTES} bytes` : null
    if (fault !== null)
      throw Object.assign(new Error(`${path} ${fault}`), { remedy: "Put back the file that belongs there, or move away what is in its place." })
    return readFileSync(file, "utf8")
  } finally {
    closeSync(file)
  }
}

/** Replaces a file whole, with mode 0600: whoever reads it sees the old text or the new. After a power cut it is either, and never cut off; its folder must be there. */
export function replacePrivately(path: string, text: string): void {
  const draft = `${path}.${process.pid}`
  try {
    const file = openSync(draft, "w", 0o600)
    try {
      writeFileSync(file, text)
      // Its name must not be on the disk before what is in it.
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(draft, path)
  } catch (error) {
    // What could not be put in its place may be a secret.
    rmSync(draft, { force: true })
    if ((error as NodeJS.ErrnoException).code !== "EISDIR") throw error
    throw Object.assign(new Error(`${path} is a folder, and a file belongs there`), { remedy: "Move it away." })
  }
}
