/** A node of a heap; the heap keeps its place in `at` (-1: in none). */
export type HeapNode = { at: number }

/** A binary heap that can take any of its nodes out again in O(log n): the smallest by `before` is on top. */
export class Heap<Node extends HeapNode> {
  readonly #nodes: Node[] = []
  readonly #before: (a: Node, b: Node) => boolean

  constructor(before: (a: Node, b: Node) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#nodes.length
  }

  get top(): Node | undefined {
    return this.#nodes[0]
  }

  /** All nodes, in no order but that the first is the top. */
  get nodes(): readonly Node[] {
    return this.#nodes
  }

  push(node: Node): void {
    node.at = this.#nodes.length
    this.#nodes.push(node)
    this.#up(node)
  }

  /** A node that is in no heap stays so. */
  remove(node: Node): void {
    const at = node.at
    if (at < 0) return
    const last = this.#nodes.pop()
    node.at = -1
    if (last === undefined || last === node) return
    this.#nodes[at] = last
    last.at = at
    this.moved(last)
  }

  /** Puts a node in its place again after what it is ordered by has changed. */
  moved(node: Node): void {
    this.#up(node)
    this.#down(node)
  }

  #up(node: Node): void {
    let at = node.at
    while (at > 0) {
      const parentAt = (at - 1) >> 1
      const parent = this.#nodes[parentAt] as Node
      if (!this.#before(node, parent)) break
      this.#nodes[at] = parent
      parent.at = at
      at = parentAt
    }
    this.#nodes[at] = node
    node.at = at
  }

  #down(node: Node): void {
    const size = this.#nodes.length
    let at = node.at
    for (;;) {
      let childAt = 2 * at + 1
      if (childAt >= size) break
      let child = this.#nodes[childAt] as Node
      const right = this.#nodes[childAt + 1]
      if (right !== undefined && this.#before(right, child)) {
        child = right
        childAt += 1
      }
      if (!this.#before(child, node)) break
      this.#nodes[at] = child
      child.at = at
      at = childAt
    }
    this.#nodes[at] = node
    node.at = at
  }
}
