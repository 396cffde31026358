const HASH_BYTES = 32
/** Places that there is room for at first: what keeps few hashes costs little. */
const FIRST_PLACES = 256

/** The hashes of records that have a number each, the last of those whose numbers differ by a multiple of `room`: in one run of bytes, which grows up to `room` places. */
export class RecentHashes {
  readonly #room: number
  /** Whose hash stands at each place; 0: nobody's. */
  #numbers: Float64Array
  #bytes: Uint8Array

  constructor(room: number) {
    this.#room = room
    const places = Math.min(room, FIRST_PLACES)
    this.#numbers = new Float64Array(places)
    this.#bytes = new Uint8Array(places * HASH_BYTES)
  }

  /** Where the hashes stand, until the next `keep`. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  /** Where in `bytes` the hash begins that was kept under this number, 1 or more, or null. It is good until the next `keep`. */
  find(number: number): number | null {
    const place = number % this.#room
    return this.#numbers[place] === number ? place * HASH_BYTES : null
  }

  /** Keeps a hash of 32 bytes. */
  keep(number: number, hash: Uint8Array): void {
    const place = number % this.#room
    if (place >= this.#numbers.length) this.#grow(place)
    this.#numbers[place] = number
    this.#bytes.set(hash, place * HASH_BYTES)
  }

  #grow(place: number): void {
    const places = Math.min(this.#room, 2 * place)
    const [numbers, bytes] = [this.#numbers, this.#bytes]
    this.#numbers = new Float64Array(places)
    this.#numbers.set(numbers)
    this.#bytes = new Uint8Array(places * HASH_BYTES)
    this.#bytes.set(bytes)
  }
}
