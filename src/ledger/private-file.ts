import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs"

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
    throw error
  }
}
