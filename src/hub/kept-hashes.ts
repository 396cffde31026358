import { HASH_BYTES } from "../ledger/ledger.ts"

const FIRST_ROOM = 4_096

/** A hash of 32 bytes for each of many whole numbers that lie close together, in one run of memory: an object for each would be looked at by every collection. */
export class KeptHashes {
  /** By number: which hash, from 1 on; 0: none. */
  #places = new Uint32Array(FIRST_ROOM)
  #hashes = new Uint8Array(FIRST_ROOM * HASH_BYTES)
  #used = 0
  readonly #before = new Uint8Array(HASH_BYTES)

  /** Keeps a hash; answers the one that was kept before, or null. It is good until the next call. */
  swap(number: number, hash: Uint8Array): Uint8Array | null {
    if (number >= this.#places.length) this.#places = grown(this.#places, new Uint32Array(Math.max(number + 1, this.#places.length * 2)))
    const known = this.#places[number] as number
    const place = known === 0 ? this.#add(number) : known
    const hashes = this.#hashes
    const before = this.#before
    const at = (place - 1) * HASH_BYTES
    for (let i = 0; i < HASH_BYTES; i += 1) {
      before[i] = hashes[at + i] as number
      hashes[at + i] = hash[i] as number
    }
    return known === 0 ? null : before
  }

  /** Forgets a hash; answers it, or null. */
  take(number: number): Uint8Array | null {
    const place = this.#places[number] ?? 0
    if (place === 0) return null
    this.#places[number] = 0
    return this.#hashes.slice((place - 1) * HASH_BYTES, place * HASH_BYTES)
  }

  #add(number: number): number {
    this.#used += 1
    const bytes = this.#used * HASH_BYTES
    if (bytes > this.#hashes.length) this.#hashes = grown(this.#hashes, new Uint8Array(this.#hashes.length * 2))
    this.#places[number] = this.#used
    return this.#used
  }
}

function grown<Numbers extends Uint8Array | Uint32Array>(from: Numbers, to: Numbers): Numbers {
  to.set(from)
  return to
}
