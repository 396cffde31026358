import { Heap, type HeapNode } from "./heap.ts"

/** One lease of those, or (`at` -1) of none; `endsAtMs` is `LeaseEnds`' alone to change. */
export type LeaseEnd<Id> = HeapNode & { readonly id: Id; endsAtMs: number }

/** When each lease of a kind ends, the first on top. Derived: moves with every change of a record, and back when that is undone. */
export class LeaseEnds<Id extends string> {
  readonly #heap = new Heap<LeaseEnd<Id>>((a, b) => a.endsAtMs < b.endsAtMs || (a.endsAtMs === b.endsAtMs && a.id < b.id))

  /** When the first of them ends, or null. */
  get firstMs(): number | null {
    return this.#heap.top?.endsAtMs ?? null
  }

  /** Null: there is no such lease any more. */
  move(lease: LeaseEnd<Id>, endsAtMs: number | null): void {
    if (endsAtMs === null) {
      this.#heap.remove(lease)
      return
    }
    lease.endsAtMs = endsAtMs
    if (lease.at < 0) this.#heap.push(lease)
    else this.#heap.moved(lease)
  }

  /** Those that are over at `nowMs`, in no order. O(k) for k of them: below one that is not over, none is. */
  over(nowMs: number): LeaseEnd<Id>[] {
    const nodes = this.#heap.nodes
    const found: LeaseEnd<Id>[] = []
    const open = [0]
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const node = nodes[at]
      if (node === undefined || node.endsAtMs > nowMs) continue
      found.push(node)
      open.push(2 * at + 1, 2 * at + 2)
    }
    return found
  }
}
