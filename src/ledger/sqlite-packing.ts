import type { DatabaseSync, StatementSync } from "node:sqlite"
import { ENTRY_MAX_BYTES } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { HASH_BYTES, type Packed } from "./ledger.ts"

type Row = { rows: number; sound: number; last: Seq | null; head: Seq | null; bytes: Uint8Array<ArrayBuffer> | null; lengths: string | null }

/** Reads many entries as one BLOB: to make a text and a BLOB of each row costs as much as to hash it. */
export class Packing {
  readonly #page: StatementSync

  constructor(database: DatabaseSync) {
    // Each row brings the separator that stands before it: its own hash. A value of another type than was written sorts elsewhere than all texts or all BLOBs. Of a hash that
    // is longer, with one as much shorter after it, the whole would be the same bytes as of rows that are sound, and chain.
    this.#page = database.prepare(`
      SELECT count(*) AS rows, count(*) FILTER (WHERE bytes >= '' AND bytes < x'' AND hash >= x'' AND length(hash) = ${HASH_BYTES}) AS sound,
        max(seq) AS last, (SELECT max(seq) FROM entries) AS head,
        CAST((SELECT hash FROM entries WHERE seq = :first) || group_concat(bytes, hash) AS BLOB) AS bytes, group_concat(octet_length(bytes)) AS lengths
      FROM entries WHERE seq BETWEEN :from AND :to`)
  }

  /** Null where a row is missing or not of its type, or what is there does not fit together: whoever hashes it sees all else, the order of rows too. */
  pack(first: Seq, limit: number): Packed | null {
    // A foreign row that stands before the first entry is seen by whoever reads from the first.
    const from = first <= 1 ? Number.MIN_SAFE_INTEGER : first
    const row = this.#page.get({ first, from, to: first + limit - 1 }) as Row
    const { rows, sound, last, head, bytes } = row
    if (rows === 0) return head === null || head < first ? { bytes: new Uint8Array(0), lengths: new Uint32Array(0) } : null
    if (sound !== rows || last !== first + rows - 1 || (rows < limit && last !== head) || bytes === null) return null
    const lengths = Uint32Array.from((row.lengths ?? "").split(","), Number)
    const all = lengths.reduce((sum, length) => sum + HASH_BYTES + length, 0)
    return all === bytes.length && lengths.length === rows && lengths.every((length) => length <= ENTRY_MAX_BYTES) ? { bytes, lengths } : null
  }
}
