const HASH_BYTES = 32
const FIRST_ROOM = 1_024

/** The hashes of the last `limit` records that were kept, by key, in one run of bytes: 32 bytes and a place in a map each. */
export class RecentHashes {
  readonly #limit: number
  readonly #places = new Map<string, number>()
  readonly #keys: (string | undefined)[] = []
  #bytes = new Uint8Array(FIRST_ROOM * HASH_BYTES)
  #next = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#places.size
  }

  /** The hash that was kept under `key`, or null. It is good until the next `keep`. */
  get(key: string): Uint8Array | null {
    const place = this.#places.get(key)
    return place === undefined ? null : this.#bytes.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES)
  }

  /** Keeps a hash of 32 bytes; where there is no room, the oldest goes. */
  keep(key: string, hash: Uint8Array): void {
    const known = this.#places.get(key)
    if (known !== undefined) {
      this.#bytes.set(hash, known * HASH_BYTES)
      return
    }
    const place = this.#next
    this.#next = (place + 1) % this.#limit
    const oldest = this.#keys[place]
    if (oldest !== undefined) this.#places.delete(oldest)
    if ((place + 1) * HASH_BYTES > this.#bytes.length) this.#grow()
    this.#bytes.set(hash, place * HASH_BYTES)
    this.#keys[place] = key
    this.#places.set(key, place)
  }

  #grow(): void {
    const bytes = new Uint8Array(Math.min(this.#bytes.length * 2, this.#limit * HASH_BYTES))
    bytes.set(this.#bytes)
    this.#bytes = bytes
  }
}
