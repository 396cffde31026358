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

  /** The perfect subtrees, each with the leaves `[start, end)` that it covers. */
  subtrees(): { start: number; end: number; root: Uint8Array }[] {
    let start = 0
    return this.#roots.map((root) => {
      const end = start + largestPowerUpTo(this.#size - start)
      const subtree = { start, end, root }
      start = end
      return subtree
    })
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

/** Gathers the roots of a path while leaves stream by in order, in O(log n) memory. */
export class PathRoots {
  readonly #hasher: EntryHasher
  readonly #path: readonly Leaves[]
  readonly #roots = new Map<number, Uint8Array>()
  /** The subtrees still open, by start. */
  readonly #open: Leaves[]
  #growing: Frontier
  /** The next leaf that is expected. */
  #next = 0

  /**
   * With `known`, the frontier of the older tree that a consistency path begins with, only leaves from `known.size` on are needed:
   * every subtree of such a path lies on one side of that size, and those before it are the frontier's own.
   */
  constructor(hasher: EntryHasher, path: readonly Leaves[], known?: Frontier) {
    this.#hasher = hasher
    this.#path = path
    this.#growing = new Frontier(hasher)
    this.#open = path.toSorted((a, b) => a.start - b.start)
    if (!known) return
    this.#next = known.size
    for (const { start, end, root } of known.subtrees()) {
      if (this.#open[0]?.start === start && this.#open[0].end === end) {
        this.#roots.set(start, root)
        this.#open.shift()
      }
    }
  }

  /** The index of the next leaf to add, or null when the path is complete. */
  next(): number | null {
    return this.#open.length > 0 ? this.#next : null
  }

  add(leaf: Uint8Array): void {
    const index = this.#next++
    const subtree = this.#open[0]
    if (!subtree || index < subtree.start) return
    this.#growing.append(leaf)
    if (index + 1 < subtree.end) return
    this.#roots.set(subtree.start, this.#growing.root())
    this.#growing = new Frontier(this.#hasher)
    this.#open.shift()
  }

  /** The proof, in the order of its path. Throws `RangeError` while leaves are missing. */
  proof(): Uint8Array[] {
    return this.#path.map(({ start }) => {
      const root = this.#roots.get(start)
      if (!root) throw new RangeError(`leaves are missing from ${this.#next} on`)
      return root
    })
  }
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
