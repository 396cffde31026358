import { describe, expect, it } from "vitest"
import { OPERATOR, Scenario } from "../../test/scenario.ts"
import type { Actor, Entry } from "./entry.ts"

const BUDGET = { windowMs: null, warnPercent: [], graceMs: 60_000, absorb: false, reason: "r" }
const TOKENS = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }

function set(scenario: Scenario, scope: string, limitMicroUsd: number | null, perClaimMicroUsd: number): void {
  scenario.must("budget.set", OPERATOR, { ...BUDGET, scope, limitMicroUsd, perClaimMicroUsd })
}

function texts(entries: readonly Entry[]): string[] {
  return entries.flatMap(({ type, data }) => (type === "event.sent" ? [(data as { text: string }).text] : []))
}

function report(scenario: Scenario, by: Actor, costMicroUsd: number): string[] {
  return texts(scenario.must("usage.report", by, { agent: null, session: null, task: "t", model: null, requests: 1, costMicroUsd, ...TOKENS }).entries)
}

describe("whoever has used 80 % of its reservation", () => {
  it("is not told of a limit that was taken away, but of the tightest that is left", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 1_000, 100)
    set(scenario, "agent/ann", 1_000, 200)
    scenario.task("t")
    scenario.claim(ann, "t")
    set(scenario, "workspace", null, 100)
    expect(report(scenario, ann, 90)).toEqual([])
    expect(report(scenario, ann, 69)).toEqual([])
    expect(report(scenario, ann, 1)).toEqual(["t has used $0.00016 of the $0.0002 that it may: finish it, or hand it over in time."])
    expect(report(scenario, ann, 1)).toEqual([])
  })

  it("is told of none where all its limits were taken away", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.agent("bob")
    set(scenario, "workspace", 1_000, 100)
    set(scenario, "agent/bob", 1_000, 100)
    scenario.task("t")
    scenario.claim(ann, "t")
    set(scenario, "workspace", null, 100)
    expect(report(scenario, ann, 99)).toEqual([])
  })

  it("hears of it with the changes that are asked of it, where what came with its delivery went so far", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    set(scenario, "workspace", 1_000, 100)
    scenario.task("t", { review: true })
    const fence = scenario.claim(ann, "t")
    const deliverable = { text: "", evidence: { testsPass: null, commit: null, links: [] } }
    const usage = (costMicroUsd: number): { costMicroUsd: number; inputTokens: number; outputTokens: number } => ({
      costMicroUsd,
      inputTokens: 0,
      outputTokens: 0,
    })
    const asked = (): string[] => texts(scenario.must("task.review", bob, { task: "t", approve: false, reason: "mend it" }).entries)
    expect(texts(scenario.must("task.complete", ann, { task: "t", fence, deliverable, usage: usage(79) }).entries)).toEqual(["t waits for review"])
    expect(asked()).toEqual(["changes requested on t: mend it"])
    scenario.must("task.complete", ann, { task: "t", fence, deliverable, usage: usage(1) })
    expect(asked()).toEqual(["t has used $0.00008 of the $0.0001 that it may: finish it, or hand it over in time.\nchanges requested on t: mend it"])
  })
})

describe("the operator", () => {
  it("is told that a breaker is open when it is: a last attempt whose lease ran out is one failure, though its task fails with it", () => {
    const scenario = new Scenario()
    scenario.must("hub.start", OPERATOR, { graceMs: 0 })
    scenario.must("breaker.setPolicy", OPERATOR, { changes: { consecutive: 2, ratePercent: 0 }, reason: "short" })
    const ann = scenario.agent("ann")
    const told = (task: string): string[] => {
      scenario.task(task, { leaseMs: 1_000, maxAttempts: 1 })
      scenario.claim(ann, task)
      scenario.wait(1_000)
      return texts(scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [] }).entries)
    }
    expect(told("t")).toEqual([])
    expect(scenario.state.tasks.get("t")?.status).toBe("failed")
    expect(scenario.state.breakers.get("agent/ann")).toMatchObject({ open: null, recent: [{ ok: false }] })
    expect(told("u")).toEqual([expect.stringMatching(/^breaker agent\/ann is open until .* \(failures\): the lease on u ended: expired$/)])
  })
})
