import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import { parsePlanFile } from "./plan-file.ts"
import { adviseTeam } from "./schedule.ts"

function planOf(text: string): Parameters<typeof adviseTeam>[0] {
  const result = parsePlanFile(new TextEncoder().encode(text))
  if ("faults" in result) throw new Error(result.faults[0]?.message)
  return result.ok.plan
}

const team = (plan: Parameters<typeof adviseTeam>[0]) => plan.agents.filter(({ start }) => start)

test("for phase zero a second bus is advised first, then a second cli, which reaches the critical path of 10.5 h", () => {
  const plan = planOf(readFileSync("examples/phase-zero.yaml", "utf8"))
  const advice = adviseTeam(plan, team(plan))
  expect(advice[0]).toMatch(/further bus: 1[23](\.\d+)? h/)
  expect(advice[1]).toMatch(/further cli: 10\.5 h/)
  expect(advice.length).toBe(2)
})

test("where the team is at the critical path already, nobody is advised", () => {
  const plan = planOf("plan: p\nagents: [{ name: a }]\ntasks:\n  - { id: x, title: X, estimate: 1h }\n  - { id: y, title: Y, estimate: 1h, dependsOn: [x] }\n")
  expect(adviseTeam(plan, team(plan))).toEqual([])
})

test("without estimates there is no advice", () => {
  const plan = planOf("plan: p\nagents: [{ name: a }]\ntasks:\n  - { id: x, title: X }\n  - { id: y, title: Y, estimate: 1h }\n")
  expect(adviseTeam(plan, team(plan))).toEqual([])
})
