import { type EntryHasher, fromHex, sameHash, toHex } from "./hash.ts"

/** A frontier as it is stored: the number of leaves, and in hex the roots of its perfect subtrees, the largest first. */
export type FrontierRecord = { size: number; roots: string[] }

/** The right edge of an RFC 6962 tree: all that is needed to append leaves and to know the root, in O(log n) hashes. */
export class Frontier {
  readonly #hasher: EntryHasher
  #size: number
  /** One perfect subtree for each 1 in the binary form of `size`, the largest first. */
  readonly #roots: Uint8Array[]

  constructor(hasher: EntryHasher, size = 0, roots: readonly Uint8Array[] = []) {
    this.#hasher = hasher
    this.#size = size
    this.#roots = [...roots]
  }

  get size(): number {
    return this.#size
  }

  /** Appends the leaf hash of the next entry: one node hash on average. */
  append(leaf: Uint8Array): void {
    let root = leaf
    for (let n = this.#size; n % 2 === 1; n = (n - 1) / 2) root = this.#hasher.node(this.#roots.pop()!, root)
    this.#roots.push(root)
    this.#size++
  }

  root(): Uint8Array {
    let root = this.#roots.at(-1)
    if (!root) return this.#hasher.empty()
    for (let i = this.#roots.length - 2; i >= 0; i--) root = this.#hasher.node(this.#roots[i]!, root)
    return root
  }

  copy(): Frontier {
    return new Frontier(this.#hasher, this.#size, this.#roots)
  }

  record(): FrontierRecord {
    return { size: this.#size, roots: this.#roots.map(toHex) }
  }

  /** Throws `RangeError` when the record is not a frontier. */
  static from(hasher: EntryHasher, { size, roots }: FrontierRecord): Frontier {
    let ones = 0
    for (let n = size; n > 0; n = Math.floor(n / 2)) ones += n % 2
    if (!Number.isSafeInteger(size) || size < 0 || ones !== roots.length) throw new RangeError("not a frontier")
    return new Frontier(hasher, size, roots.map(fromHex))
  }
}

/** The leaves `[start, end)`, 0-based: leaf i is the entry with seq i + 1. */
export type Leaves = { start: number; end: number }

/** The subtrees whose roots prove leaf `index` of a tree of `size` leaves, from the leaf upwards (RFC 6962, section 2.1.1). */
export function inclusionPath(index: number, size: number): Leaves[] {
  if (!(index >= 0 && index < size)) throw new RangeError(`leaf ${index} is not in a tree of ${size}`)
  const path: Leaves[] = []
  for (let start = 0, end = size; end - start > 1;) {
    const split = start + splitOf(end - start)
    if (index < split) {
      path.unshift({ start: split, end })
      end = split
    } else {
      path.unshift({ start, end: split })
      start = split
    }
  }
  return path
}

/** The subtrees whose roots prove that the tree of `older` leaves begins the tree of `newer` (RFC 6962, section 2.1.2). */
export function consistencyPath(older: number, newer: number): Leaves[] {
  if (!(older >= 0 && older <= newer)) throw new RangeError(`a tree of ${older} leaves cannot begin one of ${newer}`)
  const path: Leaves[] = []
  if (older === 0) return path
  let start = 0
  let end = newer
  while (end !== older) {
    const split = start + splitOf(end - start)
    if (older <= split) {
      path.unshift({ start: split, end })
      end = split
    } else {
      path.unshift({ start, end: split })
      start = split
    }
  }
  // The verifier knows the older root; only where it is no whole subtree must its last part be said.
  if (start > 0) path.unshift({ start, end })
  return path
}

/** Whether `proof` shows `leaf` at `index` in the tree of `size` leaves with this root (RFC 9162, section 2.1.3.2). */
export function verifyInclusion(hasher: EntryHasher, index: number, size: number, leaf: Uint8Array, proof: readonly Uint8Array[], root: Uint8Array): boolean {
  if (!(index >= 0 && index < size)) return false
  let fn = index
  let sn = size - 1
  let hash = leaf
  for (const step of proof) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      hash = hasher.node(step, hash)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)]
    } else hash = hasher.node(hash, step)
    fn = half(fn)
    sn = half(sn)
  }
  return sn === 0 && sameHash(hash, root)
}

/** Whether `proof` shows that the older tree begins the newer one (RFC 9162, section 2.1.4.2). An empty tree begins any. */
export function verifyConsistency(
  hasher: EntryHasher,
  older: number,
  newer: number,
  olderRoot: Uint8Array,
  newerRoot: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (!(older >= 0 && older <= newer)) return false
  if (older === newer) return proof.length === 0 && sameHash(olderRoot, newerRoot)
  if (older === 0) return proof.length === 0 && sameHash(olderRoot, hasher.empty())
  const steps = largestPowerUpTo(older) === older ? [olderRoot, ...proof] : proof
  if (proof.length === 0) return false
  let fn = older - 1
  let sn = newer - 1
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)]
  let from = steps[0]!
  let to = from
  for (const step of steps.slice(1)) {
    if (sn === 0) return false
    if (fn % 2 === 1 || fn === sn) {
      from = hasher.node(step, from)
      to = hasher.node(step, to)
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)]
    } else to = hasher.node(to, step)
    fn = half(fn)
    sn = half(sn)
  }
  return sn === 0 && sameHash(from, olderRoot) && sameHash(to, newerRoot)
}

function half(n: number): number {
  return Math.floor(n / 2)
}

/** Where a tree of n > 1 leaves is split: the largest power of two below n. */
export function splitOf(n: number): number {
  return largestPowerUpTo(n - 1)
}

/** The largest power of two that is at most `n`, for n >= 1; beyond 2^31, so without bit operators. */
function largestPowerUpTo(n: number): number {
  let power = 1
  while (power * 2 <= n) power *= 2
  return power
}
