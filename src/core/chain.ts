import { EntryHasher, fromHex, GENESIS, type Sha256, toHex } from "./hash.ts"
import type { Seq } from "./ids.ts"
import { Frontier, type FrontierRecord } from "./merkle.ts"

/** A chain as a snapshot keeps it. */
export type ChainRecord = { seq: Seq; hash: string; frontier: FrontierRecord }

/** How many leaves may wait before `commit` folds them: keeps the pause under 0.1 ms. */
const FOLD_AT = 64

/**
 * The hash chain and the Merkle tree as a writer grows them.
 *
 * `append` computes the chain hash alone. Leaves are hashed later, after the answer has gone out: they are needed only for a
 * root, and what was not committed can then be undone by forgetting it. Invariant: the frontier covers committed entries only.
 */
export class Chain {
  readonly #hasher: EntryHasher
  #frontier: Frontier
  /** Entries that the frontier does not cover yet: `#committed` that are durable, then those of the batch in flight. */
  #pending: string[] = []
  #committed = 0
  #committedHash: Uint8Array
  #hash: Uint8Array

  constructor(sha256: Sha256, from?: ChainRecord) {
    this.#hasher = new EntryHasher(sha256)
    this.#frontier = from ? Frontier.from(this.#hasher, from.frontier) : new Frontier(this.#hasher)
    if (from && from.seq !== from.frontier.size) throw new RangeError("the chain and its frontier end at different entries")
    this.#hash = this.#committedHash = from ? fromHex(from.hash) : GENESIS
  }

  /** The last entry appended, committed or not. */
  get seq(): Seq {
    return this.#frontier.size + this.#pending.length
  }

  /** The chain hash of that entry. */
  get hash(): Uint8Array {
    return this.#hash
  }

  /** Chains the next entry's bytes and returns its hash. Throws `RangeError` when it is too long, and changes nothing. */
  append(text: string): Uint8Array {
    this.#hash = this.#hasher.chain(this.#hash, text)
    this.#pending.push(text)
    return this.#hash
  }

  /** What was appended is durable. */
  commit(): void {
    this.#committed = this.#pending.length
    this.#committedHash = this.#hash
    if (this.#committed >= FOLD_AT) this.fold()
  }

  /** Forgets what was appended since the last `commit`: the append lost its race, or was rolled back. */
  rollback(): void {
    this.#pending.length = this.#committed
    this.#hash = this.#committedHash
  }

  /** Takes the committed entries into the tree. A writer calls it once it has answered; all else calls it by itself. */
  fold(): void {
    for (let i = 0; i < this.#committed; i++) this.#frontier.append(this.#hasher.leaf(this.#pending[i]!))
    this.#pending = this.#pending.slice(this.#committed)
    this.#committed = 0
  }

  /** The tree over every entry appended so far, those in flight included. */
  frontier(): Frontier {
    this.fold()
    const frontier = this.#frontier.copy()
    for (const text of this.#pending) frontier.append(this.#hasher.leaf(text))
    return frontier
  }

  /** The Merkle root over every entry appended so far, those in flight included. */
  root(): Uint8Array {
    return this.frontier().root()
  }

  /** What a snapshot keeps: the committed part. */
  record(): ChainRecord {
    this.fold()
    return { seq: this.#frontier.size, hash: toHex(this.#committedHash), frontier: this.#frontier.record() }
  }
}
