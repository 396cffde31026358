import { expect, test } from "vitest"
import { OPERATOR, Scenario } from "../../test/scenario.ts"
import type { Actor } from "./entry.ts"
import { flightOf } from "./flight.ts"
import { type SpendingRow, spendingBy } from "./spending-view.ts"
import { USAGE_BY } from "./usage.ts"

const DONE = { deliverable: { text: "", evidence: { testsPass: null, commit: null, links: [] } } }

function report(s: Scenario, actor: Actor, task: string | null, model: string | null, costMicroUsd: number): void {
  const tokens = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
  s.must("usage.report", actor, { agent: null, session: null, task, model, requests: 1, costMicroUsd, ...tokens })
}

/** Ann has spent 30 of the 400 that `a` may cost, bob 500 with his delivery of `b`, of which he reported 200 before. */
function spent(): Scenario {
  const s = new Scenario()
  const [ann, bob] = [s.agent("ann"), s.agent("bob")]
  const rules = { windowMs: null, perClaimMicroUsd: null, warnPercent: [80], graceMs: 60_000, absorb: false, reason: "test" }
  s.must("budget.set", OPERATOR, { ...rules, scope: "workspace", limitMicroUsd: 10_000 })
  s.task("a", { budgetMicroUsd: 400, model: "opus" })
  s.task("b", { budgetMicroUsd: 900 })
  s.claim(ann, "a")
  report(s, ann, "a", "opus", 30)
  const fence = s.claim(bob, "b")
  report(s, bob, "b", "haiku", 200)
  s.must("task.complete", bob, { task: "b", fence, ...DONE, usage: { costMicroUsd: 300, inputTokens: 0, outputTokens: 0 } })
  return s
}

const short = (rows: readonly SpendingRow[]): unknown[] => rows.map(({ key, costMicroUsd, reservedMicroUsd }) => [key, costMicroUsd, reservedMicroUsd])

test("what deliveries said besides the reports counts for the task and whoever had it, and names no model", () => {
  const { state } = spent()
  expect(short(spendingBy(state, "task"))).toEqual([
    ["b", 500, 0],
    ["a", 30, 370],
  ])
  expect(short(spendingBy(state, "agent"))).toEqual([
    ["bob", 500, 0],
    ["ann", 30, 370],
  ])
  expect(short(spendingBy(state, "model"))).toEqual([
    [null, 300, 0],
    ["haiku", 200, 0],
    ["opus", 30, 370],
  ])
})

test("whatever it is added up by, it comes to the same, which is what the flight says", () => {
  const { state } = spent()
  for (const by of USAGE_BY) expect(spendingBy(state, by).reduce((sum, { costMicroUsd }) => sum + costMicroUsd, 0)).toBe(530)
  expect(flightOf(state).costMicroUsd).toBe(530)
})
