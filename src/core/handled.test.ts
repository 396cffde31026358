import { describe, expect, it } from "vitest"
import { Scenario } from "../../test/scenario.ts"

describe("a person's work in an agent's terminal", () => {
  it("is told to the orchestrators with what the agent holds, and to the operator where there is none", () => {
    const scenario = new Scenario()
    const keeper = scenario.agent("keeper", { role: "supervisor" })
    scenario.agent("ann")
    const told = (): unknown => scenario.must("agent.handled", keeper, { agent: "ann", untilMs: 1_000 }).entries.map(({ type, data }) => ({ type, data }))
    expect(told()).toMatchObject([{ type: "event.sent", data: { kind: "info", to: { role: "operator" }, payload: { agent: "ann", untilMs: 1_000 } } }])
    scenario.agent("boss", { role: "orchestrator" })
    expect(told()).toMatchObject([{ type: "event.sent", data: { to: { role: "orchestrator" }, thread: "role/orchestrator", voice: "hub" } }])
  })

  it("is no news of an agent that nobody knows", () => {
    const scenario = new Scenario()
    scenario.refuses("not_found", "agent.handled", scenario.agent("keeper", { role: "supervisor" }), { agent: "nobody", untilMs: 1_000 })
  })
})
