/** A thread that makes the hashes of a replay: the chain, the Merkle tree and the state digest, of operations that come in pieces of memory. */
import { parentPort } from "node:worker_threads"
import { type ChainRecord, EntryHasher, Frontier, GENESIS, sameHash, toHex } from "../core/chain.ts"
import { type DigestRecord, StateDigest } from "../core/digest.ts"
import { sha256 } from "../ledger/sha256.ts"

/** Each operation: its kind (1 byte), the length of what follows (4 bytes, little-endian), and that. */
export const HEAD_BYTES = 5
/** An entry: its stored hash, room for the hash before it, and its bytes, so that they are hashed where they lie. */
export const ENTRY = 0
/** A record, as `digestText` has it, to be counted in or out. */
export const COUNT_IN = 1
export const COUNT_OUT = 2
/** Asks for the root and the digest of all so far. */
export const MARK = 3
export const HASH_BYTES = 32

export type Piece = { memory: ArrayBuffer; bytes: number }
export type Reached = { root: string; digest: DigestRecord }
/** `broken`: an entry did not chain; nothing after it was looked at. */
export type Hashed = { broken: boolean; marks: Reached[]; digest: DigestRecord; chain: ChainRecord }

class Hashing {
  readonly #frontier = new Frontier(new EntryHasher(sha256))
  readonly #digest = new StateDigest(sha256)
  readonly #marks: Reached[] = []
  #hash = GENESIS
  #broken = false

  take({ memory, bytes }: Piece): void {
    const all = new Uint8Array(memory)
    const view = new DataView(memory)
    for (let at = 0; at < bytes && !this.#broken;) {
      const kind = all[at]
      const start = at + HEAD_BYTES
      const end = start + view.getUint32(at + 1, true)
      if (kind === ENTRY) this.#chain(all, start, end)
      else if (kind === COUNT_IN) this.#digest.addHash(sha256(all.subarray(start, end)))
      else if (kind === COUNT_OUT) this.#digest.removeHash(sha256(all.subarray(start, end)))
      else this.#marks.push({ root: toHex(this.#frontier.root()), digest: this.#digest.digest() })
      at = end
    }
  }

  end(): Hashed {
    const frontier = this.#frontier.record()
    return { broken: this.#broken, marks: this.#marks, digest: this.#digest.digest(), chain: { seq: frontier.size, hash: toHex(this.#hash), frontier } }
  }

  #chain(all: Uint8Array, start: number, end: number): void {
    const room = start + HASH_BYTES
    all.set(this.#hash, room)
    const hash = sha256(all.subarray(room, end))
    if (!sameHash(hash, all.subarray(start, room))) {
      this.#broken = true
      return
    }
    this.#hash = hash
    // The leaf is hashed over 0x00 and the bytes (RFC 6962, section 2.1).
    all[room + HASH_BYTES - 1] = 0
    this.#frontier.append(sha256(all.subarray(room + HASH_BYTES - 1, end)))
  }
}

const hashing = new Hashing()
parentPort?.on("message", (piece: Piece | null) => {
  if (piece !== null) {
    hashing.take(piece)
    parentPort?.postMessage(piece.memory, [piece.memory])
    return
  }
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage(hashing.end())
})
