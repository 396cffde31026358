import type { Seq } from "../core/ids.ts"

/** Where the ledger ends: the last seq (0 when empty) and its chain hash (32 zero bytes when empty). */
export type Head = { seq: Seq; hash: Uint8Array }

/** One stored entry: the bytes as they were hashed and the chain hash over them. */
export type Stored = { seq: Seq; bytes: string; hash: Uint8Array }

/** What an append answers. `moved`: somebody else appended first; catch up from `head` and decide again. */
export type Appended = { ok: true; head: Head } | { ok: false; moved: Head }

/**
 * The one store of truth. Every implementation MUST pass `ledger.contract.ts`.
 *
 * - `append` MUST be all or nothing, MUST be durable when it resolves where `supports.durable` says so, and MUST answer `moved`
 *   and write nothing when `expected` is not the head.
 * - It MUST throw `LedgerFailure` with code `rolled_back` when nothing was written (disk full, read-only), so that the hub
 *   refuses and goes on reading, and with `unknown_outcome` when it cannot tell: the caller MUST then stop and be restarted.
 * - It MUST NOT retry an fsync.
 */
export interface Ledger {
  /** What this store can do; the contract suite tests both sides of each. */
  readonly supports: { durable: boolean; manyWriters: boolean }
  head(): Promise<Head>
  append(expected: Seq, batch: readonly Stored[]): Promise<Appended>
  /** Entries from `from` (inclusive) on, in order, `limit` at the most; fewer only at the end. */
  read(from: Seq, limit: number): Promise<Stored[]>
  /** Resolves at once when another writer has appended beyond `seq`; never for stores with one writer. Rejects with the signal's reason. */
  moved(seq: Seq, signal: AbortSignal): Promise<void>
  /** Housekeeping when nothing waits (SQLite: a WAL checkpoint). */
  idle(): Promise<void>
  /** A copy of the whole store at a new path while it is in use; rejects, and leaves nothing, soon after `isEnding` says so. Stores without files throw `unsupported`. */
  backup(path: string, isEnding?: () => boolean): Promise<void>
  close(): Promise<void>
}

export const HASH_BYTES = 32
/** Many entries in one run of memory, whoever is given them may write to it: of each its stored hash, then the bytes that were hashed. */
export type Packed = { bytes: Uint8Array<ArrayBuffer>; lengths: Uint32Array }

/** How another thread opens the same store for reading: `module`, a URL, exports `openForReading(path)`. */
export type Elsewhere = { module: string; path: string }
/** `pack`: as `read`, but null where anything is not as it was written, which `read` then tells; what it gives need not be valid UTF-8. */
export type Reader = Pick<Ledger, "close"> & { pack(from: Seq, limit: number): Promise<Packed | null> }
/** A ledger as a replay needs it; `elsewhere` where its store can be opened twice. */
export type Source = Pick<Ledger, "read"> & { readonly elsewhere?: Elsewhere }

export type LedgerFailureCode = "rolled_back" | "unknown_outcome" | "locked" | "damaged" | "unsupported"

/** A store's failure, with what to do about it. */
export class LedgerFailure extends Error {
  readonly code: LedgerFailureCode
  readonly remedy: string
  /** The exact entry that is damaged, where one is. */
  readonly seq: Seq | null
  constructor(code: LedgerFailureCode, message: string, remedy: string, seq: Seq | null = null, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = "LedgerFailure"
    this.code = code
    this.remedy = remedy
    this.seq = seq
  }
}

/** `moved` of a store with one writer: nobody else ever appends, so it only ends with the signal. */
export function oneWriter(signal: AbortSignal): Promise<void> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    else signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true })
  })
}
