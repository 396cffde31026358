import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Heap, type HeapNode } from "./heap.ts"

type Node = HeapNode & { value: number; id: number }

function node(value: number, id: number): Node {
  return { at: -1, value, id }
}

function newHeap(): Heap<Node> {
  return new Heap<Node>((a, b) => a.value < b.value || (a.value === b.value && a.id < b.id))
}

describe("a heap", () => {
  it("gives its nodes in order, whichever are taken out or moved on the way", () => {
    const moves = fc.array(fc.record({ do: fc.constantFrom("push", "push", "pop", "remove", "move"), value: fc.nat(20), at: fc.nat(100) }), {
      maxLength: 200,
      size: "max",
    })
    fc.assert(
      fc.property(moves, (steps) => {
        const heap = newHeap()
        const model: Node[] = []
        for (const [id, step] of steps.entries()) {
          const chosen = model[step.at % Math.max(1, model.length)]
          if (step.do === "push" || chosen === undefined) {
            const fresh = node(step.value, id)
            heap.push(fresh)
            model.push(fresh)
          } else if (step.do === "move") {
            chosen.value = step.value
            heap.moved(chosen)
          } else {
            const out = step.do === "pop" ? (heap.top as Node) : chosen
            heap.remove(out)
            expect(out.at).toBe(-1)
            model.splice(model.indexOf(out), 1)
          }
          model.sort((a, b) => a.value - b.value || a.id - b.id)
          expect(heap.top).toBe(model[0])
          expect(heap.size).toBe(model.length)
          for (const [at, kept] of heap.nodes.entries()) expect(kept.at).toBe(at)
        }
        const out: Node[] = []
        for (let top = heap.top; top !== undefined; top = heap.top) {
          heap.remove(top)
          out.push(top)
        }
        expect(out).toEqual(model)
      }),
    )
  })

  it("takes nothing out twice", () => {
    const heap = newHeap()
    const [a, b] = [node(1, 1), node(2, 2)]
    heap.push(a)
    heap.push(b)
    heap.remove(a)
    heap.remove(a)
    expect(heap.nodes).toEqual([b])
  })
})
