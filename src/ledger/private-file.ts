import { renameSync, rmSync, writeFileSync } from "node:fs"

/** Replaces a file whole, with mode 0600: whoever reads it sees the old text or the new. After a power cut it may be either; its folder must be there. */
export function replacePrivately(path: string, text: string): void {
  const draft = `${path}.${process.pid}`
  try {
    writeFileSync(draft, text, { mode: 0o600 })
    renameSync(draft, path)
  } catch (error) {
    // What could not be put in its place may be a secret.
    rmSync(draft, { force: true })
    throw error
  }
}
