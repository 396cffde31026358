const HASH_BYTES = 32

/** The hashes of records that have a number each, the last of those whose numbers differ by a multiple of `room`: in one run of bytes, which the system gives as it is written. */
export class RecentHashes {
  readonly #room: number
  /** Whose hash stands at each place; 0: nobody's. */
  readonly #numbers: Float64Array
  /** Where the hashes stand. */
  readonly bytes: Uint8Array

  constructor(room: number) {
    this.#room = room
    this.#numbers = new Float64Array(room)
    this.bytes = new Uint8Array(room * HASH_BYTES)
  }

  /** Where in `bytes` the hash begins that was kept under this number, 1 or more, or null. It is good until the next `keep`. */
  find(number: number): number | null {
    const place = number % this.#room
    return this.#numbers[place] === number ? place * HASH_BYTES : null
  }

  /** Keeps a hash of 32 bytes. */
  keep(number: number, hash: Uint8Array): void {
    const place = number % this.#room
    this.#numbers[place] = number
    this.bytes.set(hash, place * HASH_BYTES)
  }
}
