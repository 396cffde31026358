import type { Seq } from "../core/ids.ts"
import { LedgerFailure } from "./ledger.ts"

const SQLITE_ERROR = 1
const SQLITE_BUSY = 5
const SQLITE_READONLY = 8
const SQLITE_IOERR_WRITE = 778
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14
const SQLITE_TOOBIG = 18
const SQLITE_NOTADB = 26

/** SQLite's result code without the extension, or null for any other error. */
function primaryCode(error: unknown): number | null {
  const code = (error as { errcode?: unknown } | null)?.errcode
  return typeof code === "number" ? code & 0xff : null
}

/**
 * Whether a write was refused before any sync: no room, a quota or the size that a file may have is at its end, or the disk is read-only. What SQLite was
 * about to write is then not there, since the last of it was not written whole. Any other failure of a commit tells nothing.
 */
export function isRefused(error: unknown): boolean {
  const code = primaryCode(error)
  return code === SQLITE_FULL || code === SQLITE_READONLY || (error as { errcode?: unknown } | null)?.errcode === SQLITE_IOERR_WRITE
}

export function unknownOutcome(path: string, cause: unknown): LedgerFailure {
  return new LedgerFailure("unknown_outcome", `the disk failed while ${path} was being synced`, "restart the hub: it reads what was written", null, cause)
}

export function damaged(path: string, seq: Seq | null, what: string, cause?: unknown): LedgerFailure {
  const where = seq === null ? path : `entry ${seq} of ${path}`
  return new LedgerFailure("damaged", `${where} ${what}`, "see `skein ledger verify`; keep this file and go on from a backup", seq, cause)
}

/** Adds the remedy to SQLite's failures; anything else passes through. */
export function translate(error: unknown, path: string): unknown {
  switch (primaryCode(error)) {
    case null:
      // A number beyond exact integers was never written by us.
      return (error as NodeJS.ErrnoException | null)?.code === "ERR_OUT_OF_RANGE" ? damaged(path, null, "holds a number that no entry has", error) : error
    case SQLITE_FULL:
      return new LedgerFailure("rolled_back", `no room to write to ${path}`, "free disk space, or raise the ledger's limit; nothing was written", null, error)
    case SQLITE_READONLY:
      return new LedgerFailure("rolled_back", `${path} cannot be written to`, "make the file and its directory writable; nothing was written", null, error)
    case SQLITE_BUSY:
      return new LedgerFailure("rolled_back", `another program is writing to ${path}`, "close it; nothing was written", null, error)
    case SQLITE_CANTOPEN:
      return new LedgerFailure(
        "rolled_back",
        `${path} cannot be opened`,
        "check that the file and its directory are there, and that you may use them",
        null,
        error,
      )
    case SQLITE_TOOBIG:
      return damaged(path, null, "holds a value longer than any entry", error)
    case SQLITE_ERROR:
      return damaged(path, null, "has not the tables of a ledger", error)
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new LedgerFailure(
        "damaged",
        `${path} is not a sound SQLite file`,
        "if it was a ledger, keep this file and go on from a backup; if not, name a ledger's file",
        null,
        error,
      )
    default:
      return isRefused(error)
        ? new LedgerFailure(
            "rolled_back",
            `the system refuses to write to ${path}`,
            "see whether a quota of the disk, or the size that a file may have (ulimit -f), is used up, and whether the disk is sound; nothing was written",
            null,
            error,
          )
        : new LedgerFailure("rolled_back", `the disk refused a read or write of ${path}`, "check the disk; nothing was written", null, error)
  }
}
