import { closeSync, existsSync, fsyncSync, openSync, renameSync, statSync } from "node:fs"
import { dirname, extname } from "node:path"
import { backup, type DatabaseSync, type StatementSync } from "node:sqlite"
import { GENESIS, sameHash } from "../core/hash.ts"
import type { Seq } from "../core/ids.ts"
import { LedgerFailure, oneWriter, type Appended, type Elsewhere, type Head, type Ledger, type Packed, type Stored } from "./ledger.ts"
import { damaged, isRefused, translate, unknownOutcome } from "./sqlite-failure.ts"
import { draftOf, removeAbandoned, removeDraft } from "./sqlite-draft.ts"
import { checkTail, openFile, type Opened, PAGE_BYTES, prepareFile, WAL_BYTES } from "./sqlite-file.ts"
import { Packing } from "./sqlite-packing.ts"
import { WriterLock, createPrivately, type Owner } from "./writer-lock.ts"

export type SqliteOptions = {
  /** One file a workspace; `PATH-wal`, `PATH-shm`, `PATH.lock` and `PATH.owner` stand beside it. */
  path: string
  /** Whom a second opener is told of; this process by default. */
  owner?: Owner
  /** Opens without the writer's lock, beside a running hub or without one; every append is refused. */
  readOnly?: boolean
  /** The file may grow to this many bytes, rounded down to pages of 4096; beyond it appends are refused as on a full disk. */
  maxBytes?: number
  /** The write-ahead log is checkpointed when it reaches about this many bytes, though the writer be busy. 16 MiB. */
  walBytes?: number
}

/** Fewer entries than this are read row by row. */
const FEW = 8

/** Opens the workspace's ledger. Throws `LedgerFailure`: `locked`, `damaged` (naming the seq), `unsupported`, `rolled_back`. */
export function openSqlite(options: SqliteOptions): SqliteLedger {
  const lock = options.readOnly === true ? null : WriterLock.take(options.path, options.owner ?? { pid: process.pid, address: null })
  let opened: Opened | null = null
  try {
    if (lock) createPrivately(options.path)
    opened = openFile(options.path, lock === null)
    prepareFile(opened.database, options, lock === null)
    const ledger = new SqliteLedger(opened, options, lock)
    if (lock) checkTail(opened.database, options.path)
    return ledger
  } catch (error) {
    opened?.database.close()
    lock?.release()
    throw translate(error, options.path)
  }
}

/** Opens a ledger beside its writer, or without one. Throws as `openSqlite` does. */
export function openForReading(path: string): SqliteLedger {
  return openSqlite({ path, readOnly: true })
}

/**
 * The default store. A batch is one transaction, committed in the calling thread with the disk's sync: a worker would add 0.1 ms to each.
 * The write-ahead log is not checkpointed while anybody waits, and its file is written over, not cut: overwriting syncs in half the time.
 */
export class SqliteLedger implements Ledger {
  readonly supports = { durable: true, manyWriters: false }
  readonly path: string
  readonly elsewhere: Elsewhere
  readonly #database: DatabaseSync
  readonly #isChanged: Opened["isChanged"]
  readonly #lock: WriterLock | null
  readonly #walBytes: number
  readonly #begin: StatementSync
  readonly #commit: StatementSync
  readonly #insert: StatementSync
  readonly #last: StatementSync
  readonly #greatest: StatementSync
  readonly #range: StatementSync
  /** Many rows are read as their texts and one BLOB of all their hashes: Node takes 1 µs to make a BLOB, more than for all the rest of a row. */
  readonly #texts: StatementSync
  readonly #hashes: StatementSync
  readonly #checkpoint: StatementSync
  #packing: Packing | null = null
  /** About how much the write-ahead log holds that the file does not. */
  #unsettledBytes = 0
  #outcomeUnknown: LedgerFailure | null = null

  constructor({ database, isChanged }: Opened, options: SqliteOptions, lock: WriterLock | null) {
    this.path = options.path
    this.elsewhere = { module: new URL(`../ledger/sqlite${extname(import.meta.url)}`, import.meta.url).href, path: options.path }
    this.#database = database
    this.#isChanged = isChanged
    this.#lock = lock
    this.#walBytes = options.walBytes ?? WAL_BYTES
    this.#begin = database.prepare("BEGIN IMMEDIATE")
    this.#commit = database.prepare("COMMIT")
    this.#insert = database.prepare("INSERT INTO entries (seq, bytes, hash) VALUES (?, ?, ?)")
    this.#last = database.prepare("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
    this.#greatest = database.prepare("SELECT max(seq) FROM entries")
    this.#greatest.setReturnArrays(true)
    this.#range = database.prepare("SELECT seq, bytes, hash FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?")
    this.#texts = database.prepare("SELECT seq, bytes FROM entries WHERE seq >= ? ORDER BY seq LIMIT ?")
    this.#texts.setReturnArrays(true)
    this.#hashes = database.prepare(`
      SELECT count(*) AS rows, sum(length(hash) <> 32) AS odd, unhex(group_concat(hex(hash), '' ORDER BY seq)) AS hashes
      FROM entries WHERE seq BETWEEN ? AND ?`)
    this.#checkpoint = database.prepare("PRAGMA wal_checkpoint(PASSIVE)")
  }

  /** Says where the hub listens, for whoever finds the ledger locked. */
  announce(address: string): void {
    this.#lock?.announce(address)
  }

  async head(): Promise<Head> {
    return this.#head()
  }

  async append(expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    if (this.#outcomeUnknown) throw this.#outcomeUnknown
    if (!this.#lock) throw new LedgerFailure("rolled_back", `${this.path} was opened for reading only`, "open it without readOnly")
    let stage: "insert" | "commit" = "insert"
    try {
      // By `get`, here and below: `run` makes an object of what has changed, which costs a lone claim 3 µs, and nobody asks for it.
      this.#begin.get()
      if (this.#lastSeq() !== expected) {
        const moved = this.#head()
        this.#database.exec("ROLLBACK")
        return { ok: false, moved }
      }
      let next = expected
      let bytes = 0
      for (const entry of batch) {
        if (entry.seq !== ++next) throw new Error(`bug: entry ${entry.seq} was appended where ${next} belongs`)
        this.#insert.get(entry.seq, entry.bytes, entry.hash)
        bytes += entry.bytes.length + 48
      }
      stage = "commit"
      this.#commit.get()
      this.#unsettledBytes += (Math.ceil(bytes / PAGE_BYTES) + 1) * (PAGE_BYTES + 24)
    } catch (error) {
      throw this.#afterFailure(error, stage, expected)
    }
    if (this.#unsettledBytes >= this.#walBytes) this.#settle()
    const last = batch.at(-1)
    return { ok: true, head: last ? { seq: last.seq, hash: last.hash } : this.#head() }
  }

  async read(first: Seq, limit: number): Promise<Stored[]> {
    // A foreign row that stands before the first entry is seen by whoever reads from the first.
    const from = first <= 1 ? Number.MIN_SAFE_INTEGER : first
    const rows = this.#guarded(() => (limit < FEW ? null : this.#page(from, limit)) ?? (this.#range.all(from, limit) as Stored[]))
    for (const row of rows) {
      // A flipped bit in a record's header makes another type of a value; STRICT is checked only when a row is written.
      if (typeof row.bytes !== "string" || !(row.hash instanceof Uint8Array)) throw damaged(this.path, row.seq, "is of the wrong type")
      if (row.bytes.includes("\uFFFD")) this.#checkText(row)
    }
    return rows
  }

  async pack(from: Seq, limit: number): Promise<Packed | null> {
    return this.#guarded(() => (this.#packing ??= new Packing(this.#database)).pack(from, limit))
  }

  moved(_seq: Seq, signal: AbortSignal): Promise<void> {
    return oneWriter(signal)
  }

  async idle(): Promise<void> {
    if (this.#lock && this.#unsettledBytes > 0 && !this.#outcomeUnknown) this.#settle()
  }

  /** Copies the ledger to a new file while it is in use. The writer's own copy has the entries that arrive meanwhile, a reader's has not. */
  async backup(path: string, isEnding?: () => boolean): Promise<void> {
    const folder = dirname(path)
    if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
      throw new LedgerFailure("rolled_back", `there is no folder ${folder}`, "make it, or give the backup another path")
    checkFree(path)
    const draft = draftOf(path)
    try {
      removeAbandoned(path)
      removeDraft(draft)
      createPrivately(draft)
      try {
        // SQLite begins a copy anew at each step that finds that another connection has written: beside a busy hub it would never end.
        if (this.#lock === null) this.#database.exec("BEGIN; SELECT 1 FROM entries LIMIT 1")
        const progress = (): void => {
          if (isEnding?.() === true) throw new LedgerFailure("rolled_back", `the copy to ${path} was broken off`, "begin it anew")
        }
        await backup(this.#database, draft, { rate: 1000, progress })
      } finally {
        if (this.#database.isTransaction) this.#database.exec("ROLLBACK")
      }
      this.#checkUnchanged()
      syncFile(draft)
      checkFree(path)
      renameSync(draft, path)
    } catch (error) {
      removeDraft(draft)
      // Nobody else knows of a draft.
      if (error instanceof Error && "errno" in error) error.message = error.message.replaceAll(draft, path)
      throw translate(error, path)
    }
  }

  async close(): Promise<void> {
    if (!this.#database.isOpen) return
    this.#database.close()
    this.#lock?.release()
  }

  #head(): Head {
    const row = this.#guarded(() => this.#last.get() as Head | undefined)
    if (row && !(row.hash instanceof Uint8Array)) throw damaged(this.path, row.seq, "is of the wrong type")
    return row ? { seq: row.seq, hash: row.hash } : { seq: 0, hash: GENESIS }
  }

  /** `#head` without the hash, which Node takes 1 µs to make a BLOB of. */
  #lastSeq(): Seq {
    const [seq] = this.#greatest.get() as unknown as [Seq | null]
    return seq ?? 0
  }

  /** A page of entries, or null where a hash is not 32 bytes long or the file changes meanwhile: then they are read row by row. */
  #page(from: Seq, limit: number): Stored[] | null {
    const texts = this.#texts.all(from, limit) as unknown as [Seq, string][]
    if (texts.length === 0) return []
    const [row] = this.#hashes.all(from, texts.at(-1)![0]) as { rows: number; odd: number; hashes: Uint8Array }[]
    if (row?.rows !== texts.length || row.odd !== 0 || row.hashes.length !== 32 * texts.length) return null
    return texts.map(([seq, bytes], i) => ({ seq, bytes, hash: row.hashes.subarray(32 * i, 32 * i + 32) }))
  }

  #guarded<Result>(read: () => Result): Result {
    try {
      return read()
    } catch (error) {
      throw translate(error, this.path)
    } finally {
      this.#checkUnchanged()
    }
  }

  /** What was read while somebody wrote to the file may be of before and after. */
  #checkUnchanged(): void {
    if (this.#isChanged()) throw new LedgerFailure("locked", `${this.path} was written to while it was read`, "a hub has begun to write to it: do that again")
  }

  /** A byte that is not UTF-8 reads as U+FFFD, just as an honest U+FFFD does: only the bytes tell them apart. */
  #checkText(row: Stored): void {
    const found = this.#database.prepare("SELECT CAST(bytes AS BLOB) AS raw FROM entries WHERE seq = ?").get(row.seq) as { raw: Uint8Array } | undefined
    // In a file that is unsound, a row may be there for one way of asking and not for another.
    if (found === undefined || !sameHash(new TextEncoder().encode(row.bytes), found.raw)) throw damaged(this.path, row.seq, "is not UTF-8")
  }

  /** Moves what the write-ahead log holds into the file. Its sync is not tried again either: a failure ends this store's writing. */
  #settle(): void {
    try {
      const { log, checkpointed } = this.#checkpoint.get() as { log: number; checkpointed: number }
      // A reader may hold back the rest; it is tried again after as much has been written again.
      this.#unsettledBytes = checkpointed < log ? this.#walBytes / 2 : 0
    } catch (error) {
      // Refused before any sync: the log still holds all of it. It is tried again after as much has been written again.
      if (isRefused(error)) {
        this.#unsettledBytes = this.#walBytes / 2
        return
      }
      this.#outcomeUnknown = unknownOutcome(this.path, error)
      throw this.#outcomeUnknown
    }
  }

  /** What became of the batch: rolled back where that is certain, else unknown, and then this store writes no more. */
  #afterFailure(error: unknown, stage: "insert" | "commit", expected: Seq): unknown {
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK")
      if ((stage === "insert" || isRefused(error)) && this.#head().seq === expected) return translate(error, this.path)
    } catch {
      // The rollback failed as well: nothing is certain any more.
    }
    this.#outcomeUnknown = unknownOutcome(this.path, error)
    return this.#outcomeUnknown
  }
}

function checkFree(path: string): void {
  if (existsSync(path)) throw new LedgerFailure("rolled_back", `${path} exists already`, "give the backup a new path")
}

function syncFile(path: string): void {
  const file = openSync(path, "r+")
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
