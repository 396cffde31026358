import { Heap, type HeapNode } from "./heap.ts"

type EndNode<Id> = HeapNode & { id: Id; endsAtMs: number }

/** When each lease of a kind ends, the first on top. Derived: moves with every change of a record, and back when that is undone. */
export class LeaseEnds<Id extends string> {
  readonly #nodes = new Map<Id, EndNode<Id>>()
  readonly #heap = new Heap<EndNode<Id>>((a, b) => a.endsAtMs < b.endsAtMs || (a.endsAtMs === b.endsAtMs && a.id < b.id))

  /** When the first of them ends, or null. */
  get firstMs(): number | null {
    return this.#heap.top?.endsAtMs ?? null
  }

  /** Null: there is no lease of this id any more. */
  move(id: Id, endsAtMs: number | null): void {
    const node = this.#nodes.get(id)
    if (endsAtMs === null) {
      if (node !== undefined) this.#heap.remove(node)
      this.#nodes.delete(id)
    } else if (node === undefined) {
      const fresh = { id, endsAtMs, at: -1 }
      this.#nodes.set(id, fresh)
      this.#heap.push(fresh)
    } else {
      node.endsAtMs = endsAtMs
      this.#heap.moved(node)
    }
  }

  /** Those that are over at `nowMs`, in no order. O(k) for k of them: below one that is not over, none is. */
  over(nowMs: number): { id: Id; endsAtMs: number }[] {
    const nodes = this.#heap.nodes
    const found: EndNode<Id>[] = []
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
