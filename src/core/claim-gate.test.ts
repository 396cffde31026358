import { describe, expect, it } from "vitest"
import { DEFAULT_RULES } from "./budget.ts"
import { OPERATOR, Scenario, types } from "../../test/scenario.ts"

const NEXT = { plan: null, labels: [], filler: null, max: 1 } as const
const reason = "r"

function given(): Scenario {
  const scenario = new Scenario()
  scenario.must("hub.start", OPERATOR, { graceMs: 0 })
  scenario.must("breaker.setPolicy", OPERATOR, { changes: { consecutive: 2, ratePercent: 0, openMs: 1_000 }, reason })
  return scenario
}

describe("a claim", () => {
  it("is let through where the probe went elsewhere with its task: what it was the probe of was edited away", () => {
    for (const edit of ["labels", "model", "account"] as const) {
      const scenario = given()
      const [ann, bob] = [scenario.agent("ann", { model: "m", account: "shared" }), scenario.agent("bob", { model: "m", account: "shared", maxActive: 2 })]
      const breaker = { labels: "kind/deploy", model: "model/m", account: "account/shared" }[edit]
      for (const id of ["t", "u", "v"]) scenario.task(id, { labels: ["deploy"] })
      scenario.must("breaker.trip", OPERATOR, { breaker, untilMs: scenario.nowMs + 1_000, reason })
      scenario.wait(1_000)
      const fence = scenario.claim(ann, "t")
      if (edit === "labels") scenario.must("task.edit", OPERATOR, { task: "t", changes: { labels: [] }, reason })
      else scenario.must("agent.edit", OPERATOR, { name: "ann", reason, [edit]: "other" })
      scenario.refuses("breaker_open", "task.claim", bob, { task: "u" })
      scenario.must("task.release", ann, { task: "t", fence, reason })
      expect(scenario.state.breakers.get(breaker)?.probe, edit).toMatchObject({ fence })
      expect(types(scenario.must("task.claimNext", bob, { ...NEXT, labels: ["deploy"], max: 2 }))).toEqual(["breaker.probe_ended", "task.claimed"])
      const [held] = scenario.state.board.heldBy("bob")
      expect(scenario.state.breakers.get(breaker)?.probe).toEqual({ task: held?.id, fence: held?.fence })
      scenario.refuses("breaker_open", "task.claim", bob, { task: "v" })
      scenario.complete(bob, held?.id ?? "")
      expect(scenario.state.breakers.has(breaker), edit).toBe(false)
    }
  })

  it("knows of the leases that end with it: what opens by one is told, and lets nothing through", () => {
    const scenario = given()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob", { maxActive: 2 })]
    for (const id of ["s", "t", "u"]) scenario.task(id, { leaseMs: 1_000, maxAttempts: 99 })
    const fence = scenario.claim(ann, "t")
    scenario.must("task.fail", ann, { task: "t", fence, reason, retry: true, usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 } })
    scenario.claim(ann, "t")
    scenario.wait(1_000)
    scenario.refuses("breaker_open", "task.claim", ann, { task: "u" })
    scenario.refuses("breaker_open", "task.claimNext", ann, NEXT)
    // Its breaker is no other's.
    const took = scenario.must("task.claim", bob, { task: "t" })
    expect(types(took)).toEqual(["lease.ended", "task.claimed", "event.sent"])
    expect(JSON.stringify(took.entries[2]?.data)).toContain("breaker agent/ann is open")
  })

  it("has for real work what the caller's own filler has set aside, by name and by the next task: the filler gives way with it", () => {
    for (const byName of [true, false]) {
      const scenario = given()
      const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
      scenario.must("budget.set", OPERATOR, { ...DEFAULT_RULES, scope: "workspace", windowMs: null, limitMicroUsd: 1_000, reason })
      scenario.task("filler", { budgetMicroUsd: 600, filler: true })
      expect(scenario.must("task.claimNext", ann, NEXT).answer.claims[0]?.task.id).toBe("filler")
      scenario.task("real", { budgetMicroUsd: 700 })
      scenario.task("other", { budgetMicroUsd: 500, filler: true })
      scenario.refuses("budget_spent", "task.claimNext", bob, NEXT)
      const taken = byName ? scenario.must("task.claim", ann, { task: "real" }) : scenario.must("task.claimNext", ann, { ...NEXT, filler: false })
      expect(types(taken)).toEqual(["task.released", "task.claimed"])
      expect(scenario.state.budgets.get("workspace")?.reservedMicroUsd).toBe(700)
    }
  })

  it("is told of a budget of the caller's own that is closed, though nothing is ready that would ask for money", () => {
    const scenario = given()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.must("budget.set", OPERATOR, { ...DEFAULT_RULES, scope: "agent/ann", windowMs: null, limitMicroUsd: 100, reason })
    const tokens = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
    scenario.must("usage.report", ann, { agent: null, session: null, task: null, model: null, requests: 1, costMicroUsd: 101, ...tokens })
    expect(scenario.refuses("budget_spent", "task.claimNext", ann, NEXT)).toMatchObject({ details: { budget: "agent/ann", task: null } })
    scenario.refuses("nothing_ready", "task.claimNext", bob, NEXT)
  })

  it("has for another filler nothing of what the first has set aside: that one stays", () => {
    const scenario = given()
    const ann = scenario.agent("ann", { maxActive: 2 })
    scenario.must("budget.set", OPERATOR, { ...DEFAULT_RULES, scope: "workspace", windowMs: null, limitMicroUsd: 1_000, reason })
    for (const id of ["f", "g"]) scenario.task(id, { budgetMicroUsd: 600, filler: true })
    scenario.claim(ann, "f")
    for (const filler of [null, true]) scenario.refuses("budget_spent", "task.claimNext", ann, { ...NEXT, filler })
  })
})
