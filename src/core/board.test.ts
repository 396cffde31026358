import { describe, expect, it } from "vitest"
import { derive, kept } from "../../test/derived.ts"
import { OPERATOR, PLAN, Scenario } from "../../test/scenario.ts"
import { fromSnapshot, mark, takeSnapshot, undoTo } from "./workspace.ts"

const reason = "because"
const LONG = 20_000

/** A plan that is one chain. */
function chain(length: number): Scenario {
  const scenario = new Scenario()
  const tasks = Array.from({ length }, (_, at) => ({ id: `t${at}`, title: "t", estimateMs: 1, dependsOn: at === 0 ? [] : [`t${at - 1}`] }))
  scenario.must("plan.add", OPERATOR, {
    ...PLAN,
    tasks,
  })
  return scenario
}

describe("a long chain of tasks", () => {
  it("is measured, cut off and opened again without exhausting the stack", () => {
    const scenario = chain(LONG)
    const { board } = scenario.state
    const last = `p.1/t${LONG - 1}`
    expect(board.pathMs("p.1/t0")).toBe(LONG)
    expect(board.isUnreachable(last)).toBe(false)
    const before = mark(scenario.state)
    scenario.must("task.cancel", OPERATOR, { task: "p.1/t0", reason })
    expect(board.isUnreachable(last)).toBe(true)
    expect(fromSnapshot(takeSnapshot(scenario.state)).board.isUnreachable(last)).toBe(true)
    undoTo(scenario.state, before)
    expect(board.isUnreachable(last)).toBe(false)
    scenario.must("task.cancel", OPERATOR, { task: "p.1/t1", reason })
    scenario.must("task.reset", OPERATOR, { task: "p.1/t1", reason })
    expect(board.isUnreachable(last)).toBe(false)
    expect(board.pathMs("p.1/t0")).toBe(LONG)
    expect(scenario.refuses("cycle", "task.edit", OPERATOR, { task: "p.1/t0", reason, changes: { dependsOn: [last] } }).details).toMatchObject({
      path: { length: LONG + 1 },
    })
  })

  it("that goes on from what was completed long ago costs no more with every task", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const asked: string[] = []
    const specs = scenario.state.specs.get.bind(scenario.state.specs)
    scenario.task("t0")
    for (let at = 1; at <= 300; at++) {
      scenario.claim(ann, `t${at - 1}`)
      scenario.complete(ann, `t${at - 1}`)
      if (at === 300) {
        scenario.state.specs.get = (id) => {
          asked.push(id)
          return specs(id)
        }
      }
      scenario.task(`t${at}`, { dependsOn: [`t${at - 1}`] })
      expect(scenario.state.board.pathMs(`t${at}`)).toBe(60_000)
    }
    expect(new Set(asked).size).toBeLessThan(5)
  })
})

describe("what can be reached", () => {
  it("is what waits for nothing that failed; what was completed before counts as done", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("a")
    scenario.task("b", { dependsOn: ["a"] })
    scenario.task("c", { dependsOn: ["b"] })
    scenario.task("d", { dependsOn: ["c"] })
    for (const id of ["a", "b"]) {
      scenario.claim(ann, id)
      scenario.complete(ann, id)
    }
    scenario.must("task.reset", OPERATOR, { task: "a", reason })
    scenario.must("task.cancel", OPERATOR, { task: "a", reason })
    const { board } = scenario.state
    expect(["b", "c", "d"].map((id) => board.isUnreachable(id))).toEqual([false, false, false])
    expect(board.isReady("c")).toBe(true)
    expect(kept(scenario.state)).toEqual(derive(scenario.state))
    scenario.must("task.reset", OPERATOR, { task: "b", reason })
    expect(["b", "c", "d"].map((id) => board.isUnreachable(id))).toEqual([true, true, true])
  })
})
