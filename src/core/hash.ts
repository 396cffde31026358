import { ENTRY_MAX_BYTES } from "./entry.ts"

/** SHA-256, handed in because the core knows no platform. MUST return 32 bytes that nobody writes to again. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

/** The hash before the first entry: 32 zero bytes. */
export const GENESIS: Uint8Array = new Uint8Array(32)

/**
 * Hashes entries and tree nodes, in scratch space of its own so that the hot path allocates nothing but the results.
 * The domain bytes 0x00 and 0x01 keep a leaf from passing as a node (RFC 6962, section 2.1).
 */
export class EntryHasher {
  readonly #sha256: Sha256
  readonly #encoder = new TextEncoder()
  /** Bytes 0..31 hold the previous hash (byte 31 becomes the leaf's 0x00), the entry's bytes follow. */
  readonly #scratch = new Uint8Array(32 + ENTRY_MAX_BYTES)
  readonly #room = this.#scratch.subarray(32)
  readonly #node = new Uint8Array(65).fill(1, 0, 1)

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  /** `SHA-256(prev || bytes)`. Throws `RangeError` when the entry is longer than `ENTRY_MAX_BYTES`. */
  chain(prev: Uint8Array, text: string): Uint8Array {
    const bytes = this.#encode(text)
    this.#scratch.set(prev, 0)
    return this.#sha256(this.#scratch.subarray(0, 32 + bytes))
  }

  /** `SHA-256(0x00 || bytes)`, the leaf of the Merkle tree. */
  leaf(text: string): Uint8Array {
    const bytes = this.#encode(text)
    this.#scratch[31] = 0
    return this.#sha256(this.#scratch.subarray(31, 32 + bytes))
  }

  /** Chain hash and leaf hash of one entry, encoded once. */
  both(prev: Uint8Array, text: string): { hash: Uint8Array; leaf: Uint8Array } {
    const bytes = this.#encode(text)
    this.#scratch.set(prev, 0)
    const hash = this.#sha256(this.#scratch.subarray(0, 32 + bytes))
    this.#scratch[31] = 0
    return { hash, leaf: this.#sha256(this.#scratch.subarray(31, 32 + bytes)) }
  }

  /** `SHA-256(0x01 || left || right)`. */
  node(left: Uint8Array, right: Uint8Array): Uint8Array {
    this.#node.set(left, 1)
    this.#node.set(right, 33)
    return this.#sha256(this.#node)
  }

  /** The root of a tree without leaves: SHA-256 of nothing. */
  empty(): Uint8Array {
    return this.#sha256(new Uint8Array(0))
  }

  #encode(text: string): number {
    const { read, written } = this.#encoder.encodeInto(text, this.#room)
    if (read < text.length) throw new RangeError(`an entry is at most ${ENTRY_MAX_BYTES} bytes long`)
    return written
  }
}

/** Whether two hashes are the same. Hashes are public: no constant time is needed. */
export function sameHash(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))

export function toHex(bytes: Uint8Array): string {
  let text = ""
  for (const byte of bytes) text += HEX[byte]!
  return text
}

/** Throws `RangeError` on anything but an even number of hex digits. */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || /[^0-9a-f]/i.test(text)) throw new RangeError("not a hex string")
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16))
}
