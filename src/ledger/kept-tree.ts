import { EntryHasher } from "../core/hash.ts"
import type { Seq } from "../core/ids.ts"
import { Frontier, type Leaves, splitOf } from "../core/merkle.ts"
import { failureOf, finding, isTooLong } from "./damage.ts"
import type { Ledger } from "./ledger.ts"
import { sha256 } from "./sha256.ts"

/** Leaves of one run. A proof reads the run of its entry and what came since the last whole one: 512 entries at the most. */
const RUN = 256

/**
 * The Merkle tree over a ledger, as far as proofs have needed it: of each whole run the root, and of all perfect subtrees above them, in memory, some 2 MB for a million entries. So the
 * ledger is read once, at the first proof, and a later one reads what is new. What is read is not compared with any root: whoever proves something does that.
 */
export class KeptTree {
  readonly #ledger: Pick<Ledger, "read">
  readonly #hasher = new EntryHasher(sha256)
  /** Roots of perfect subtrees in their order: of one run each, of two, of four, and so on. */
  readonly #levels: Uint8Array[][] = [[]]
  #growing: Promise<void> = Promise.resolve()

  constructor(ledger: Pick<Ledger, "read">) {
    this.#ledger = ledger
  }

  /** The roots of these subtrees of the ledger's tree. Throws `LedgerFailure("damaged")` where entries are missing. */
  async roots(path: readonly Leaves[]): Promise<Uint8Array[]> {
    const size = Math.max(0, ...path.map(({ end }) => end))
    // One after the other, so that many proofs at once read the ledger once; one that failed keeps no other from it.
    const grown = this.#growing.then(() => this.#grow(size))
    this.#growing = grown.catch(() => undefined)
    await grown
    const roots: Uint8Array[] = []
    for (const subtree of path) roots.push(await this.#root(subtree))
    return roots
  }

  async #grow(size: number): Promise<void> {
    let run = new Frontier(this.#hasher)
    await eachText(this.#ledger, this.#levels[0]!.length * RUN + 1, size - (size % RUN), (text) => {
      run.append(this.#hasher.leaf(text))
      if (run.size < RUN) return
      this.#keep(run.root(), 0)
      run = new Frontier(this.#hasher)
    })
  }

  #keep(root: Uint8Array, level: number): void {
    const roots = (this.#levels[level] ??= [])
    roots.push(root)
    if (roots.length % 2 === 0) this.#keep(this.#hasher.node(roots.at(-2)!, root), level + 1)
  }

  async #root({ start, end }: Leaves): Promise<Uint8Array> {
    const size = end - start
    let level = 0
    while (RUN * 2 ** level < size) level += 1
    const kept = RUN * 2 ** level === size && start % size === 0 ? this.#levels[level]?.[start / size] : undefined
    if (kept !== undefined) return kept
    if (size > RUN) {
      const split = start + splitOf(size)
      return this.#hasher.node(await this.#root({ start, end: split }), await this.#root({ start: split, end }))
    }
    const frontier = new Frontier(this.#hasher)
    await eachText(this.#ledger, start + 1, end, (text) => frontier.append(this.#hasher.leaf(text)))
    return frontier.root()
  }
}

/** Calls `each` with the texts of these entries, in order. Throws `LedgerFailure("damaged")` where one is missing or damaged. */
export async function eachText(ledger: Pick<Ledger, "read">, from: Seq, to: Seq, each: (text: string) => void): Promise<void> {
  for (let next = from; next <= to;) {
    const page = await ledger.read(next, Math.min(RUN, to - next + 1))
    for (const { seq, bytes } of page) {
      if (seq !== next || isTooLong(bytes)) throw failureOf(finding(seq === next ? "altered" : "missing", next, `entry ${next} is damaged or missing`))
      each(bytes)
      next++
    }
    if (page.length === 0) throw failureOf(finding("truncated", next, `the ledger ends before entry ${next}, and ${to} are needed`))
  }
}
