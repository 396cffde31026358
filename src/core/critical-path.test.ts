import { expect, test } from "vitest"
import { OPERATOR, PLAN, Scenario } from "../../test/scenario.ts"
import { chainLeft, longestChain } from "./critical-path.ts"

const task = (id: string, minutes: number, dependsOn: string[] = []): { id: string; title: string; estimateMs: number; dependsOn: string[] } => ({
  id,
  title: id,
  estimateMs: minutes * 60_000,
  dependsOn,
})

function diamond(): Scenario {
  const s = new Scenario()
  s.must("plan.add", OPERATOR, { ...PLAN, tasks: [task("a", 1), task("short", 2, ["a"]), task("long", 5, ["a"]), task("end", 1, ["short", "long"])] })
  return s
}

test("the longest chain goes by way of the longer of two branches", () => {
  const { state } = diamond()
  const ids = state.board.tasksOf("p.1")
  expect(longestChain(state, ids, (id) => state.specs.get(id)?.estimateMs ?? 0)).toEqual({ ms: 7 * 60_000, tasks: ["p.1/a", "p.1/long", "p.1/end"] })
})

test("what is left of the plan is decided by what is open, and by nothing once all is closed", () => {
  const s = diamond()
  const ids = (): ReadonlySet<string> => s.state.board.tasksOf("p.1")
  expect(chainLeft(s.state, ids())).toEqual({ ms: 7 * 60_000, tasks: ["p.1/a", "p.1/long", "p.1/end"] })
  s.must("task.cancel", OPERATOR, { task: "p.1/long", reason: "not wanted" })
  expect(chainLeft(s.state, ids()).tasks).toEqual(["p.1/a", "p.1/short", "p.1/end"])
  s.must("plan.cancel", OPERATOR, { plan: "p.1", reason: "not wanted" })
  expect(chainLeft(s.state, ids())).toEqual({ ms: 0, tasks: [] })
})

test("a chain of 5,000 tasks needs no stack", () => {
  const s = new Scenario()
  s.must("plan.add", OPERATOR, { ...PLAN, tasks: Array.from({ length: 5_000 }, (_, at) => task(`t${at}`, 1, at === 0 ? [] : [`t${at - 1}`])) })
  const ids = s.state.board.tasksOf("p.1")
  expect(longestChain(s.state, ids, () => 1).ms).toBe(5_000)
  expect(chainLeft(s.state, ids).tasks).toHaveLength(5_000)
})
