import { constants, copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { pathToFileURL } from "node:url"
import { decodeEntry } from "../core/entry.ts"
import { EntryHasher, GENESIS, sameHash } from "../core/hash.ts"
import type { Seq } from "../core/ids.ts"
import { isTooLong } from "./damage.ts"
import { growLog, GROWN_LOG_BYTES } from "./grown-log.ts"
import { type Head, LedgerFailure, type Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"
import { damaged } from "./sqlite-failure.ts"

const APPLICATION_ID = 0x536b_656e // "Sken"
const SCHEMA_VERSION = 1
export const PAGE_BYTES = 4096
/** What the write-ahead log may hold before it is checkpointed, unless told otherwise. */
export const WAL_BYTES = 16 * 1024 * 1024
/** A longer file, or one that is mostly hole, is no longer copied to be read: it is read in its place, whatever SQLite leaves there. */
const COPY_MAX_BYTES = 2 ** 30
/** How many of the last entries are checked at each start; `skein ledger verify` checks all. */
const CHECKED_AT_START = 64
/** How long to wait for another program that writes to the file (a `sqlite3` shell); this thread stands still meanwhile. */
const BUSY_MS = 500

const TABLE = "CREATE TABLE entries (seq INTEGER PRIMARY KEY, bytes TEXT NOT NULL, hash BLOB NOT NULL) STRICT"
const TRIGGERS = [
  "CREATE TRIGGER entries_only_grow BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END",
  "CREATE TRIGGER entries_never_shrink BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END",
]
const SCHEMA = `
  ${TABLE};
  ${TRIGGERS.join(";\n  ")};
  CREATE VIEW ledger AS SELECT seq,
    strftime('%Y-%m-%dT%H:%M:%fZ', (bytes ->> '$.atMs') / 1000.0, 'unixepoch') AS at,
    bytes ->> '$.type' AS type, bytes ->> '$.v' AS v,
    bytes ->> '$.actor.agent' AS agent, bytes ->> '$.actor.session' AS session, bytes ->> '$.actor.role' AS role,
    bytes ->> '$.commandId' AS commandId, bytes ->> '$.causedBy' AS causedBy, bytes -> '$.data' AS data, lower(hex(hash)) AS hash
    FROM entries;
  PRAGMA application_id = ${APPLICATION_ID};
  PRAGMA user_version = ${SCHEMA_VERSION};
`

/** A connection to the file, and whether somebody wrote to it since, where SQLite itself would not mind that. */
export type Opened = { database: DatabaseSync; isChanged(): boolean }

/** Throws `LedgerFailure`, or what SQLite throws. */
export function openFile(path: string, readOnly: boolean): Opened {
  // SQLite would wait at a pipe for ever.
  for (const file of [path, `${path}-wal`, `${path}-shm`])
    if (statSync(file, { throwIfNoEntry: false })?.isFile() === false)
      throw new LedgerFailure("unsupported", `${file} is no regular file`, "give the path of a ledger, or move away what is in its place")
  // SQLite takes an empty file for a new one, and deletes the log beside it: all that was acknowledged since the last checkpoint.
  if (isEmpty(path) && !isEmpty(`${path}-wal`)) throw damaged(path, null, "is empty, though there is a log of writes to it")
  if (!readOnly) return { database: new DatabaseSync(path, { timeout: BUSY_MS }), isChanged: () => false }
  if (!existsSync(path)) throw new LedgerFailure("rolled_back", `there is no ledger at ${path}`, "check the path; `skein up` makes one")
  const hasLog = existsSync(`${path}-wal`)
  // Whoever only reads makes no file: SQLite would leave the log's index there for ever, and could make none in a folder that is closed to it. Where there is
  // an index, a hub has the ledger open, or died with it open.
  const hasIndex = hasLog && existsSync(`${path}-shm`)
  if (!hasIndex && isEmpty(`${path}-wal`)) return openAlone(path)
  const isLong = sizeOf(path) + sizeOf(`${path}-wal`) > COPY_MAX_BYTES
  return { database: hasIndex || isLong ? new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS }) : openCopy(path), isChanged: () => false }
}

/** Opens a file that has no log, and is written to by nobody. */
function openAlone(path: string): Opened {
  const writtenAt = (): bigint | undefined => statSync(path, { bigint: true, throwIfNoEntry: false })?.mtimeNs
  const before = writtenAt()
  const url = pathToFileURL(path)
  url.searchParams.set("immutable", "1")
  return { database: new DatabaseSync(url, { readOnly: true }), isChanged: () => writtenAt() !== before }
}

/** Opens a file with its log, but without the log's index, as copies that have no name any more once they are open. */
function openCopy(path: string): DatabaseSync {
  const folder = mkdtempSync(join(tmpdir(), "skein-reading-"))
  let database: DatabaseSync | null = null
  try {
    const copy = join(folder, "ledger")
    for (const end of ["", "-wal"]) copyFileSync(`${path}${end}`, `${copy}${end}`, constants.COPYFILE_FICLONE)
    database = new DatabaseSync(copy, { readOnly: true })
    database.prepare("SELECT 1 FROM sqlite_schema").get()
    return database
  } catch (error) {
    database?.close()
    throw error
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Sets the connection up; makes the tables of a new file, and refuses what is not a ledger or is newer than this program. */
export function prepareFile(database: DatabaseSync, options: { path: string; maxBytes?: number; walBytes?: number }, readOnly: boolean): void {
  const { application_id: application } = database.prepare("PRAGMA application_id").get() as { application_id: number }
  const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number }
  const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() as { tables: number }
  const isNew = application === 0 && version === 0 && tables === 0 && !readOnly
  if (!isNew && application !== APPLICATION_ID) {
    const remedy = readOnly ? "name a ledger's file, such as .skein/ledger/main.sqlite" : "give the path of a ledger, or of no file to start one"
    throw new LedgerFailure("unsupported", `${options.path} is not a Skein ledger`, remedy)
  }
  if (version > SCHEMA_VERSION) {
    throw new LedgerFailure("unsupported", `${options.path} was written by a newer Skein (version ${version})`, "install that version or a later one")
  }
  if (!isNew) checkSchema(database, options.path)
  if (readOnly) return
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; PRAGMA trusted_schema = OFF")
  if (options.maxBytes !== undefined) database.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(options.maxBytes / PAGE_BYTES))}`)
  if (isNew) database.exec(`BEGIN; ${SCHEMA} COMMIT`)
  growLog(database, options.path, Math.min(options.walBytes ?? WAL_BYTES, GROWN_LOG_BYTES))
}

/** Entries lie in the table that we made, and nothing acts on a write but what we wrote: a view in its place, or a trigger, answers and does what it likes. */
function checkSchema(database: DatabaseSync, path: string): void {
  const rows = database.prepare("SELECT name, sql FROM sqlite_schema WHERE name = 'entries' OR type = 'trigger'").all() as {
    name: string
    sql: string | null
  }[]
  for (const { name, sql } of rows)
    if (sql !== (name === "entries" ? TABLE : TRIGGERS.find((own) => own === sql)))
      throw damaged(path, null, `was changed: ${name.slice(0, 64)} is not as Skein made it`)
}

/** The last entries decode, and their hashes continue the chain. A batch torn by a crash is not seen here: SQLite's log never replays half of one. */
export function checkTail(database: DatabaseSync, path: string): void {
  const tail = database.prepare("SELECT seq, bytes, hash FROM entries ORDER BY seq DESC LIMIT ?").all(CHECKED_AT_START + 1) as Stored[]
  const hasher = new EntryHasher(sha256)
  let before: Head | null = tail.length <= CHECKED_AT_START ? { seq: 0, hash: GENESIS } : null
  for (const { seq, bytes, hash } of tail.toReversed()) {
    if (typeof bytes !== "string" || !(hash instanceof Uint8Array)) throw damaged(path, seq, "is of the wrong type")
    if (before) {
      if (seq !== before.seq + 1) throw damaged(path, before.seq + 1, "is missing")
      if (isTooLong(bytes) || !sameHash(hasher.chain(before.hash, bytes), hash)) throw damaged(path, seq, "does not continue the chain")
      if (seqOf(bytes) !== seq) throw damaged(path, seq, "does not decode")
    }
    before = { seq, hash }
  }
}

function seqOf(bytes: string): Seq | null {
  try {
    return decodeEntry(bytes).seq
  } catch {
    return null
  }
}

/** Whether nothing is in the file, or there is none. */
function isEmpty(path: string): boolean {
  return sizeOf(path) === 0
}

/** In bytes; 0 where there is no such file. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}
