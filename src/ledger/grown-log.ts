import { statSync } from "node:fs"
import type { DatabaseSync } from "node:sqlite"

/** To so much the write-ahead log is grown at the start: some thousand small batches. */
export const GROWN_LOG_BYTES = 4 * 1024 * 1024
/** A frame holds a page at the least; a page's own number and checksum come on top. */
const FRAME_BYTES = 4096

/**
 * Lets the write-ahead log have its size before it is needed: a sync of blocks that the file has already takes half the time of one that makes it longer.
 * Frames that change nothing are written without a sync; the checkpoint then syncs them, and the next commit begins at the front.
 */
export function growLog(database: DatabaseSync, path: string, bytes: number): void {
  const missing = bytes - (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0)
  if (missing <= 0) return
  try {
    database.exec("PRAGMA wal_checkpoint(PASSIVE); PRAGMA synchronous = OFF")
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number }
    const frame = database.prepare(`PRAGMA user_version = ${version}`)
    for (let written = 0; written < missing; written += FRAME_BYTES) frame.run()
  } catch {
    // A disk without room for it says so at the next append; nothing rests on this.
  } finally {
    database.exec("PRAGMA synchronous = FULL")
  }
  database.exec("PRAGMA wal_checkpoint(PASSIVE)")
}
