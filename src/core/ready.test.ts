import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { meets, ReadyTasks } from "./ready.ts"
import { DEFAULT_SPEC, PRIORITIES, type TaskSpec } from "./task.ts"

const AGENTS = ["ann", "bob"]
const LABELS = ["red", "green", "blue"]
const PLANS = [null, "p.1", "p.2"]

const task = fc.record({
  priority: fc.constantFrom(...PRIORITIES),
  prefers: fc.constantFrom(null, null, ...AGENTS),
  labels: fc.subarray(LABELS),
  requires: fc.constantFrom({}, { rust: 1 }, { rust: 3 }, { go: 1, rust: 2 }),
  filler: fc.boolean(),
  touches: fc.subarray(["a", "b"], { maxLength: 1 }),
  plan: fc.constantFrom(...PLANS),
  pathMs: fc.nat(3),
  later: fc.option(fc.nat(3)),
  gone: fc.boolean(),
})
const query = fc.record({
  count: fc.integer({ min: 1, max: 6 }),
  agent: fc.constantFrom("ann", "cat"),
  capabilities: fc.constantFrom(null, {}, { rust: 2 }, { go: 5, rust: 5 }),
  plan: fc.constantFrom(...PLANS),
  labels: fc.subarray(LABELS),
  filler: fc.boolean(),
  full: fc.constantFrom(undefined, ...PLANS),
  held: fc.constantFrom(undefined, "a", "b"),
  kept: fc.constantFrom(undefined, ...PRIORITIES),
})

describe("the ready tasks", () => {
  it("are chosen as by sorting all of them, whatever is asked for", () => {
    fc.assert(
      fc.property(fc.array(task, { maxLength: 40, size: "max" }), fc.array(query, { minLength: 1, maxLength: 8 }), (tasks, queries) => {
        const ready = new ReadyTasks()
        const all = tasks.map((given, at) => {
          const { plan, pathMs, later, gone, ...rest } = given
          const spec: TaskSpec = { title: "t", ...DEFAULT_SPEC, ...rest }
          const added = ready.add(`t${at}`, plan, spec, pathMs, at)
          return { id: `t${at}`, added, addedSeq: at, plan, spec, pathMs: later ?? pathMs, moved: later !== null, gone }
        })
        for (const { added, pathMs, moved } of all) if (moved) ready.moved(added, pathMs)
        for (const { added, gone } of all) if (gone) ready.delete(added)
        const left = all.filter(({ gone }) => !gone)
        expect(ready.size).toBe(left.length)
        for (const { full, held, kept, ...asked } of queries) {
          const favour = ({ prefers }: TaskSpec): number => (prefers === asked.agent ? 0 : prefers === null ? 1 : 2)
          const fitting = left.filter(({ spec, plan }) => {
            const able =
              asked.capabilities === null ||
              Object.entries(spec.requires).every(([skill, level]) => ((asked.capabilities as Record<string, number>)[skill] ?? 0) >= level)
            return (
              able &&
              spec.filler === asked.filler &&
              (asked.plan === null || plan === asked.plan) &&
              plan !== full &&
              !spec.touches.includes(held ?? "") &&
              spec.priority !== kept &&
              asked.labels.every((label) => spec.labels.includes(label))
            )
          })
          fitting.sort(
            (a, b) =>
              PRIORITIES.indexOf(a.spec.priority) - PRIORITIES.indexOf(b.spec.priority) ||
              b.pathMs - a.pathMs ||
              favour(a.spec) - favour(b.spec) ||
              a.addedSeq - b.addedSeq,
          )
          const admitted: string[] = []
          const admits = (id: string, { priority }: TaskSpec): boolean => {
            if (priority !== kept) admitted.push(id)
            return priority !== kept
          }
          const chosen = ready.choose({ ...asked, hasRoom: (plan) => plan !== full, isFree: (touches) => !touches.includes(held ?? ""), admits })
          expect(chosen).toEqual(fitting.slice(0, asked.count).map(({ id }) => id))
          // A yes counts as taken: nobody is asked of a task that is not chosen.
          expect(admitted).toEqual(chosen)
        }
      }),
      { numRuns: 500 },
    )
  })

  it("leave nothing behind when they are gone: the last of a shelf takes it along", () => {
    const ready = new ReadyTasks()
    const spec: TaskSpec = { title: "t", ...DEFAULT_SPEC, labels: ["red", "red"], prefers: "ann" }
    for (let round = 0; round < 3; round++) {
      const a = ready.add("a", null, spec, 0, 1)
      const b = ready.add("b", null, { ...spec, prefers: null }, 0, 2)
      ready.delete(a)
      const asked = { count: 1, agent: "ann", capabilities: {}, plan: null, filler: false, hasRoom: () => true, isFree: () => true }
      expect(ready.choose({ ...asked, labels: ["red"] })).toEqual(["b"])
      ready.delete(b)
      expect(ready.choose({ ...asked, labels: [] })).toEqual([])
    }
  })

  it("are met by who has every skill at its level, as its own", () => {
    expect(meets({ capabilities: {} }, {})).toBe(true)
    expect(meets({ capabilities: { rust: 2 } }, { rust: 2 })).toBe(true)
    expect(meets({ capabilities: { rust: 2 } }, { rust: 3 })).toBe(false)
    expect(meets({ capabilities: { rust: 5 } }, { rust: 1, go: 1 })).toBe(false)
    expect(meets({ capabilities: {} }, { toString: 1 })).toBe(false)
  })
})
