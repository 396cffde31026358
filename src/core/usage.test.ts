import fc from "fast-check"
import { expect, test } from "vitest"
import { OPERATOR, Scenario, types } from "../../test/scenario.ts"
import { DEFAULT_PROFILE } from "./agent.ts"
import { budgetViews } from "./budget-view.ts"
import type { Actor } from "./entry.ts"
import { costOf, decideReportUsage, evolveUsage, priceOf, type ReportUsage, totalOf, usageBy, USAGE_BY } from "./usage.ts"
import { Workspace } from "./workspace.ts"

const actor: Actor = { agent: "ann", session: null, role: "worker" }
const nothing: ReportUsage = {
  agent: null,
  session: null,
  task: null,
  model: null,
  requests: 1,
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  costMicroUsd: null,
}

function withAgents(...names: string[]): Workspace {
  const state = new Workspace()
  for (const name of names) {
    state.agents.put(name, { name, status: "present", addedAtMs: 0, credentials: {}, ...DEFAULT_PROFILE })
  }
  return state
}

test("a model has the price of the longest beginning of its name that has one", () => {
  const price = (input: number) => ({ input, output: 0, cacheRead: 0, cacheWrite: 0 })
  const prices = new Map([
    ["gpt", price(1)],
    ["gpt-5", price(2)],
  ])
  expect(priceOf(prices, "gpt-5-codex")?.input).toBe(2)
  expect(priceOf(prices, "gpt-4")?.input).toBe(1)
  expect(priceOf(prices, "claude")).toBeNull()
  expect(priceOf(prices, null)).toBeNull()
})

test("a cost is whole millionths of a dollar", () => {
  expect(
    costOf({ inputTokens: 3, outputTokens: 2, cacheReadTokens: 10, cacheWriteTokens: 1 }, { input: 1.25, output: 10, cacheRead: 0.125, cacheWrite: 0 }),
  ).toBe(25)
})

test("a worker reports its own usage only; a supervisor anybody's", () => {
  const state = withAgents("ann", "bob")
  expect(decideReportUsage(state, actor, { ...nothing, agent: "bob" })).toMatchObject({ refused: "forbidden" })
  expect(decideReportUsage(state, { ...actor, agent: "s", role: "supervisor" }, { ...nothing, agent: "bob" })).toMatchObject([{ data: { agent: "bob" } }])
  expect(decideReportUsage(state, { ...actor, agent: "s", role: "supervisor" }, { ...nothing, agent: "eve" })).toMatchObject({ refused: "not_found" })
  expect(decideReportUsage(state, actor, { ...nothing, session: "s_1" })).toMatchObject({ refused: "not_found" })
})

test("what is reported without a task is booked on the one that its session holds, else on the only one that its agent holds", () => {
  const scenario = new Scenario()
  const ann = scenario.agent("ann", { maxActive: 2 })
  const idle = scenario.session("ann")
  const bookedOn = (by: Actor): unknown => (scenario.must("usage.report", by, nothing).entries[0]!.data as { task: unknown }).task
  for (const id of ["t", "u"]) scenario.task(id)
  expect(bookedOn(ann)).toBeNull()
  scenario.claim(ann, "t")
  expect([bookedOn(ann), bookedOn(idle)]).toEqual(["t", "t"])
  const other = scenario.session("ann")
  scenario.claim(other, "u")
  expect([bookedOn(ann), bookedOn(other), bookedOn(idle)]).toEqual(["t", "u", null])
})

test("whatever is reported, every way of adding it up comes to the same total, and that is the sum of the reports", () => {
  const count = fc.nat(1_000_000)
  const report = fc.record({
    agent: fc.constantFrom("ann", "bob"),
    session: fc.constant(null),
    task: fc.constant(null),
    model: fc.constantFrom(null, "m", "n"),
    requests: fc.integer({ min: 1, max: 5 }),
    inputTokens: count,
    outputTokens: count,
    cacheReadTokens: count,
    cacheWriteTokens: count,
    costMicroUsd: fc.option(count),
  })
  fc.assert(
    fc.property(fc.array(fc.tuple(report, fc.nat(3)), { maxLength: 30, size: "max" }), (reports) => {
      const state = withAgents("ann", "bob")
      for (const [at, [data, day]] of reports.entries()) evolveUsage(state, { type: "usage.reported", data }, { seq: at + 1, atMs: day * 86_400_000 })
      const costMicroUsd = reports.reduce((sum, [data]) => sum + (data.costMicroUsd ?? 0), 0)
      const unpriced = reports.reduce((sum, [data]) => sum + (data.costMicroUsd === null ? data.requests : 0), 0)
      for (const by of USAGE_BY) expect(totalOf(usageBy(state, by))).toMatchObject({ costMicroUsd, unpriced })
    }),
  )
})

function underBudgets(...scopes: string[]) {
  const scenario = new Scenario()
  const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
  const rules = { windowMs: null, perClaimMicroUsd: null, warnPercent: [], graceMs: 300_000, absorb: false, reason: "r" }
  for (const scope of scopes) scenario.must("budget.set", OPERATOR, { scope, limitMicroUsd: 1_000, ...rules })
  const spends = (agent: Actor, task: string, costMicroUsd: number) => scenario.must("usage.report", agent, { ...nothing, task, costMicroUsd })
  const books = (scope: string) => budgetViews(scenario.state, scope, scenario.nowMs)[0]
  const usage = (costMicroUsd: number) => ({ costMicroUsd, inputTokens: 0, outputTokens: 0 })
  return { scenario, ann, bob, spends, books, usage }
}

test("a refund takes back what that agent spent there itself: reported, or at the end of an attempt of its own", () => {
  const { scenario, ann, bob, spends, books, usage } = underBudgets("agent/ann", "agent/bob")
  for (const id of ["t", "u", "v"]) scenario.task(id)
  scenario.must("task.fail", bob, { task: "t", fence: scenario.claim(bob, "t"), reason: "r", retry: true, usage: usage(30) })
  scenario.claim(ann, "t")
  spends(ann, "t", 60)
  spends(bob, "u", 200)
  const refund = (agent: string, costMicroUsd: number, task = "t") => ({ agent, task, costMicroUsd, reason: "r" })
  expect(scenario.refuses("invalid", "usage.refund", OPERATOR, refund("bob", 31))).toMatchObject({
    message: "bob has spent $0.00003 on t, not $0.000031",
    details: { spentMicroUsd: 30 },
  })
  scenario.must("usage.refund", OPERATOR, refund("bob", 30))
  scenario.complete(ann, "t")
  scenario.must("usage.refund", OPERATOR, refund("ann", 61))
  expect([books("agent/ann")?.settledMicroUsd, books("agent/bob")?.settledMicroUsd, scenario.at("t").usage.costMicroUsd]).toEqual([0, 200, 0])
  // What came with the completion was never reported: it is not taken back there a second time.
  expect(usageBy(scenario.state, "agent").find(({ key }) => key === "ann")?.costMicroUsd).toBe(0)
  scenario.claim(ann, "v")
  scenario.complete(ann, "v")
  scenario.refuses("invalid", "usage.refund", OPERATOR, refund("bob", 1, "v"))
  scenario.must("usage.refund", OPERATOR, refund("ann", 1, "v"))
})

test("a top-up is for claims to come: whoever went beyond what it had reserved hands over all the same, and may claim anew", () => {
  const { scenario, ann, spends, books } = underBudgets()
  scenario.task("t", { budgetMicroUsd: 100 })
  scenario.claim(ann, "t")
  spends(ann, "t", 150)
  scenario.must("budget.topUp", OPERATOR, { scope: "task/t", windowMs: null, amountMicroUsd: 100, reason: "r" })
  expect(books("task/t")).toMatchObject({ freeMicroUsd: 50, closedAtMs: null })
  scenario.wait(300_000)
  expect(types(scenario.must("hub.sweep", OPERATOR, { beats: [ann.session as string], silent: [] }))).toContain("task.released")
  scenario.claim(ann, "t")
  expect(books("task/t")).toMatchObject({ freeMicroUsd: 0, reservedMicroUsd: 50, settledMicroUsd: 150 })
})

test("what was added to a task's budget counts beside the limit that an edit sets: with money again it is open again", () => {
  const { scenario, ann, spends, books } = underBudgets()
  scenario.task("t", { budgetMicroUsd: 100 })
  scenario.must("budget.topUp", OPERATOR, { scope: "task/t", windowMs: null, amountMicroUsd: 50, reason: "r" })
  const fence = scenario.claim(ann, "t")
  spends(ann, "t", 200)
  scenario.must("task.release", ann, { task: "t", fence, reason: "r" })
  expect(books("task/t")?.closedAtMs).not.toBeNull()
  scenario.must("task.edit", OPERATOR, { task: "t", changes: { budgetMicroUsd: 160 }, reason: "r" })
  expect(books("task/t")).toMatchObject({ freeMicroUsd: 10, closedAtMs: null })
  scenario.claim(ann, "t")
})
