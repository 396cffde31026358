import { fromHex, toHex, type Sha256 } from "./hash.ts"
import { Ink } from "./ink.ts"
import type { Table } from "./table.ts"

/** A digest as a snapshot keeps it: 64 hex digits. */
export type DigestRecord = string

/**
 * A digest of a set of records that costs as much as the change, not as the set: the sum modulo 2^256 of SHA-256 over
 * `table \0 key \0 record`. The order in which records came and went leaves no trace, so a replay must reach the same sum.
 *
 * It shows that two folds agree (determinism, forgotten writes). It is no evidence against an adversary, who could search for
 * records with equal sums: that evidence is the chain, of which the state is a fold.
 */
export class StateDigest {
  readonly #sha256: Sha256
  readonly #ink = new Ink()
  /** The sum in limbs of 32 bits, the least significant first. */
  readonly #limbs = new Uint32Array(8)

  constructor(sha256: Sha256, from?: DigestRecord) {
    this.#sha256 = sha256
    if (from === undefined) return
    if (!/^[0-9a-f]{64}$/.test(from)) throw new RangeError("not a state digest: 64 hex digits are expected")
    for (let i = 0; i < 8; i++) this.#limbs[7 - i] = Number.parseInt(from.slice(8 * i, 8 * i + 8), 16)
  }

  /** Counts a record in. Answers its hash, for `removeHash`. */
  add<Rec>(table: Counted<Rec>, key: string, record: Rec): Uint8Array {
    const hash = this.#hash(table, key, record)
    this.addHash(hash)
    return hash
  }

  /** Counts a record out again, as it was counted in. */
  remove<Rec>(table: Counted<Rec>, key: string, record: Rec): void {
    this.removeHash(this.#hash(table, key, record))
  }

  /** `add` for whoever has made the SHA-256 over what `writeCounted` writes already. */
  addHash(hash: Uint8Array): void {
    const limbs = this.#limbs
    let carry = 0
    for (let i = 0; i < 8; i++) {
      const sum = limbs[i]! + word(hash, i) + carry
      limbs[i] = sum
      carry = sum > 0xffffffff ? 1 : 0
    }
  }

  /** `remove`, as `addHash` is `add`, of the hash that begins there. */
  removeHash(hash: Uint8Array, from = 0): void {
    const limbs = this.#limbs
    let borrow = 0
    for (let i = 0; i < 8; i++) {
      const difference = limbs[i]! - word(hash, i, from) - borrow
      limbs[i] = difference
      borrow = difference < 0 ? 1 : 0
    }
  }

  /** Counts in all that another digest counts. */
  addAll(other: DigestRecord): void {
    this.addHash(fromHex(other))
  }

  /** The sum as 64 hex digits, the most significant first; all zeros for an empty set. Also what a snapshot keeps. */
  digest(): DigestRecord {
    const bytes = new Uint8Array(32)
    const view = new DataView(bytes.buffer)
    for (let i = 0; i < 8; i++) view.setUint32(4 * i, this.#limbs[7 - i]!)
    return toHex(bytes)
  }

  #hash<Rec>(table: Counted<Rec>, key: string, record: Rec): Uint8Array {
    this.#ink.clear()
    writeCounted(this.#ink, table, key, record)
    return this.#sha256(this.#ink.written)
  }
}

/** What of a table counts: its name, and how its records are written. */
type Counted<Rec> = Pick<Table<Rec>, "name" | "write">

/** Writes what of a record is hashed. */
export function writeCounted<Rec>(ink: Ink, { name, write }: Counted<Rec>, key: string, record: Rec): void {
  ink.text(name)
  ink.byte(0)
  ink.text(key)
  ink.byte(0)
  write(record, ink)
}

function word(hash: Uint8Array, i: number, from = 0): number {
  const at = from + 28 - 4 * i
  return ((hash[at]! << 24) | (hash[at + 1]! << 16) | (hash[at + 2]! << 8) | hash[at + 3]!) >>> 0
}
