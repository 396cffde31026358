import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fold, OPERATOR, PLAN, Scenario, START_MS, types } from "../../test/scenario.ts"
import { type Budget, freeOf, limitOf, type SetBudget } from "./budget.ts"
import { budgetViews } from "./budget-view.ts"
import type { Actor, Entry } from "./entry.ts"
import type { ReportUsage } from "./usage.ts"

const RULES = { windowMs: null, perClaimMicroUsd: null, warnPercent: [80], graceMs: 60_000, absorb: false, reason: "test" }
const DONE = { deliverable: { text: "", evidence: { testsPass: null, commit: null, links: [] } } }
const HOUR_MS = 3_600_000

function set(scenario: Scenario, scope: string, limitMicroUsd: number | null, more: Partial<SetBudget> = {}): void {
  scenario.must("budget.set", OPERATOR, { ...RULES, scope, limitMicroUsd, ...more })
}

function usage(costMicroUsd: number): { costMicroUsd: number; inputTokens: number; outputTokens: number } {
  return { costMicroUsd, inputTokens: 0, outputTokens: 0 }
}

function report(scenario: Scenario, actor: Actor, task: string | null, costMicroUsd: number): Entry[] {
  const tokens = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
  const input: ReportUsage = { agent: null, session: null, task, model: null, requests: 1, costMicroUsd, ...tokens }
  return scenario.must("usage.report", actor, input).entries
}

function shown(scenario: Scenario, scope: string): { free: number; reserved: number; settled: number; overrun: number; closed: boolean } {
  const view = budgetViews(scenario.state, scope, scenario.nowMs)[0]
  if (view === undefined) throw new Error(`no budget ${scope}`)
  const { freeMicroUsd: free, reservedMicroUsd: reserved, settledMicroUsd: settled, overrunMicroUsd: overrun, limitMicroUsd, closedAtMs } = view
  expect(free + reserved + settled + overrun).toBe(limitMicroUsd)
  return { free, reserved, settled, overrun, closed: closedAtMs !== null }
}

function texts(entries: readonly Entry[]): string[] {
  return entries.flatMap(({ type, data }) => (type === "event.sent" ? [(data as { text: string }).text] : []))
}

describe("a budget", () => {
  it("reserves at the claim, settles what is reported, and frees the rest at the end", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 1_000)
    scenario.task("t", { budgetMicroUsd: 400 })
    const fence = scenario.claim(ann, "t")
    expect(shown(scenario, "workspace")).toEqual({ free: 600, reserved: 400, settled: 0, overrun: 0, closed: false })
    report(scenario, ann, "t", 150)
    expect(shown(scenario, "workspace")).toEqual({ free: 600, reserved: 250, settled: 150, overrun: 0, closed: false })
    scenario.must("task.complete", ann, { task: "t", fence, ...DONE, usage: usage(50) })
    expect(shown(scenario, "workspace")).toEqual({ free: 800, reserved: 0, settled: 200, overrun: 0, closed: false })
    expect(shown(scenario, "task/t")).toMatchObject({ settled: 200, reserved: 0 })
  })

  it("keeps a claim's reservation for whoever made it: what another spends on the task is taken from what is free", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    set(scenario, "workspace", 1_000)
    scenario.task("t", { budgetMicroUsd: 400 })
    scenario.claim(ann, "t")
    report(scenario, bob, "t", 150)
    expect(shown(scenario, "workspace")).toEqual({ free: 450, reserved: 400, settled: 150, overrun: 0, closed: false })
  })

  it("refuses a claim by name for which too little is free, and the next one that fits is taken instead", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 500)
    scenario.task("dear", { budgetMicroUsd: 501, priority: "high" })
    scenario.task("cheap", { budgetMicroUsd: 500 })
    const refused = scenario.refuses("budget_spent", "task.claim", ann, { task: "dear" })
    expect(refused).toMatchObject({
      details: { budget: "workspace", freeMicroUsd: 500, wantedMicroUsd: 501 },
      remedy: expect.stringContaining("skein budget top-up workspace") as string,
    })
    expect(scenario.must("task.claimNext", ann, { plan: null, labels: [], filler: null, max: 1 }).answer.claims[0]?.task.id).toBe("cheap")
    scenario.refuses("budget_spent", "task.claimNext", scenario.agent("bob"), { plan: null, labels: [], filler: null, max: 1 })
  })

  it("never reserves the same money for two tasks of one claim", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 9 })
    set(scenario, "workspace", 1_000)
    for (let at = 0; at < 5; at += 1) scenario.task(`t${at}`, { budgetMicroUsd: 300 })
    expect(scenario.must("task.claimNext", ann, { plan: null, labels: [], filler: null, max: 5 }).answer.claims).toHaveLength(3)
    expect(shown(scenario, "workspace")).toMatchObject({ free: 100, reserved: 900 })
  })

  it("reserves the estimate where a task has no cap: stand-in cost, hourly cost for its time, else a tenth of the limit", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 9, costPerHourMicroUsd: 3_600 })
    set(scenario, "workspace", 100_000)
    scenario.task("stand-in", { run: { standIn: { ms: 1, costMicroUsd: 77 } } })
    scenario.task("timed", { estimateMs: 2_001 })
    scenario.task("unknown")
    for (const [task, reserved] of [
      ["stand-in", 77],
      ["timed", 77 + 3],
      ["unknown", 80 + 10_000],
    ] as const) {
      scenario.claim(ann, task)
      expect(shown(scenario, "workspace").reserved).toBe(reserved)
    }
  })

  it("books usage beyond its reservation as overrun and closes; a top-up opens it again", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "agent/ann", 1_000, { perClaimMicroUsd: 100 })
    scenario.task("t")
    scenario.task("u")
    const fence = scenario.claim(ann, "t")
    const told = texts(report(scenario, ann, "t", 130))
    expect(told.join("\n")).toMatch(/budget agent\/ann is closed: ann used \$0.00003 on t beyond/)
    expect(told.join("\n")).toMatch(/t has used more than it had: hand it over before/)
    expect(shown(scenario, "agent/ann")).toEqual({ free: 870, reserved: 0, settled: 100, overrun: 30, closed: true })
    scenario.must("task.complete", ann, { task: "t", fence, ...DONE, usage: usage(0) })
    scenario.refuses("budget_spent", "task.claim", ann, { task: "u" })
    scenario.must("budget.topUp", OPERATOR, { scope: "agent/ann", windowMs: null, amountMicroUsd: 1, reason: "go on" })
    expect(shown(scenario, "agent/ann")).toEqual({ free: 871, reserved: 0, settled: 130, overrun: 0, closed: false })
    scenario.claim(ann, "u")
  })

  it("that absorbs takes an overrun from what is free, and closes only where nothing is", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 200, { perClaimMicroUsd: 100, absorb: true })
    scenario.task("t")
    scenario.claim(ann, "t")
    report(scenario, ann, "t", 200)
    expect(shown(scenario, "workspace")).toEqual({ free: 0, reserved: 0, settled: 200, overrun: 0, closed: false })
    report(scenario, ann, "t", 1)
    expect(shown(scenario, "workspace")).toEqual({ free: -1, reserved: 0, settled: 200, overrun: 1, closed: true })
  })

  it("gives whoever went beyond its reservation time to hand over: at its end the task is taken back, and no attempt is counted", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    set(scenario, "workspace", 1_000, { perClaimMicroUsd: 100 })
    scenario.task("t", { leaseMs: 3_600_000 })
    scenario.task("u", { leaseMs: 3_600_000 })
    scenario.claim(ann, "t")
    scenario.claim(bob, "u")
    report(scenario, ann, "t", 101)
    expect(scenario.state.board.nextLeaseEndMs).toBe(scenario.nowMs + 60_000)
    scenario.wait(59_999)
    scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [] })
    expect(scenario.state.tasks.get("t")?.status).toBe("claimed")
    scenario.wait(1)
    scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [] })
    expect(scenario.state.tasks.get("t")).toMatchObject({ status: "pending", attempts: 0 })
    // What bob reserved is his: he may finish.
    expect(scenario.state.tasks.get("u")).toMatchObject({ status: "claimed", owner: "bob" })
    expect(scenario.state.board.nextLeaseEndMs).toBeGreaterThan(scenario.nowMs)
  })

  it("counts late reports, of claims that are over, from what is free; where nothing is they are overrun", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 100, { perClaimMicroUsd: 50 })
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.must("task.release", ann, { task: "t", fence, reason: "later" })
    report(scenario, ann, "t", 90)
    expect(shown(scenario, "workspace")).toEqual({ free: 10, reserved: 0, settled: 90, overrun: 0, closed: false })
    report(scenario, ann, "t", 30)
    expect(shown(scenario, "workspace")).toEqual({ free: -20, reserved: 0, settled: 100, overrun: 20, closed: true })
  })

  it("frees what a crashed claim had reserved, with the same command that takes the task over", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    set(scenario, "workspace", 100)
    scenario.task("t", { budgetMicroUsd: 100, leaseMs: 1_000 })
    scenario.claim(ann, "t")
    scenario.wait(1_000)
    scenario.claim(bob, "t")
    expect(shown(scenario, "workspace")).toMatchObject({ free: 0, reserved: 100 })
    expect(shown(scenario, "task/t")).toMatchObject({ free: 0, reserved: 100 })
  })

  it("with a window starts anew at its end, not before; what is reserved stays reserved", () => {
    const scenario = new Scenario()
    scenario.nowMs = Math.ceil(START_MS / HOUR_MS) * HOUR_MS
    const ann = scenario.agent("ann", { maxActive: 3 })
    set(scenario, "account/agent/ann", 100, { windowMs: HOUR_MS, perClaimMicroUsd: 60 })
    for (const id of ["t", "u", "v"]) scenario.task(id, { leaseMs: 3_600_000 })
    const fence = scenario.claim(ann, "t")
    report(scenario, ann, "t", 50)
    scenario.refuses("budget_spent", "task.claim", ann, { task: "u" })
    scenario.wait(HOUR_MS / 2)
    scenario.must("lease.renew", ann, { task: "t", fence })
    scenario.wait(HOUR_MS / 2 - 1)
    scenario.refuses("budget_spent", "task.claim", ann, { task: "u" })
    scenario.wait(1)
    scenario.claim(ann, "u")
    expect(shown(scenario, "account/agent/ann")).toEqual({ free: 100 - 60 - 10, reserved: 70, settled: 0, overrun: 0, closed: false })
  })

  it("of a plan holds without anybody setting it, and counts what was spent before it was looked at", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 5 })
    const standIn = { run: { standIn: { ms: 1, costMicroUsd: 40 } } }
    scenario.must("plan.add", OPERATOR, { ...PLAN, budgetMicroUsd: 100, tasks: ["a", "b", "c"].map((id) => ({ id, title: id, ...standIn })) })
    report(scenario, ann, "p.1/c", 15)
    const fence = scenario.claim(ann, "p.1/a")
    expect(shown(scenario, "plan/p.1")).toEqual({ free: 45, reserved: 40, settled: 15, overrun: 0, closed: false })
    scenario.claim(ann, "p.1/b")
    scenario.refuses("budget_spent", "task.claim", ann, { task: "p.1/c" })
    scenario.must("task.complete", ann, { task: "p.1/a", fence, ...DONE, usage: usage(10) })
    expect(shown(scenario, "plan/p.1")).toMatchObject({ free: 35, settled: 25 })
  })

  it("of a task follows an edit of the task; none left, none reserved", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t", { budgetMicroUsd: 10 })
    report(scenario, ann, "t", 10)
    scenario.refuses("budget_spent", "task.claim", ann, { task: "t" })
    scenario.must("task.edit", OPERATOR, { task: "t", reason: "more", changes: { budgetMicroUsd: 25 } })
    const fence = scenario.claim(ann, "t")
    expect(shown(scenario, "task/t")).toMatchObject({ reserved: 15, settled: 10 })
    report(scenario, ann, "t", 20)
    scenario.must("task.release", ann, { task: "t", fence, reason: "over" })
    expect(shown(scenario, "task/t")).toEqual({ free: -5, reserved: 0, settled: 25, overrun: 5, closed: true })
    const edit = (budgetMicroUsd: number): Entry[] => scenario.must("task.edit", OPERATOR, { task: "t", reason: "more", changes: { budgetMicroUsd } }).entries
    edit(30)
    scenario.refuses("budget_spent", "task.claim", ann, { task: "t" })
    // Money again: it is open again, as after a top-up.
    edit(40)
    expect(shown(scenario, "task/t")).toEqual({ free: 10, reserved: 0, settled: 30, overrun: 0, closed: false })
    scenario.claim(ann, "t")
    expect(fold(scenario.bytes).budgets.get("task/t")).toEqual(scenario.state.budgets.get("task/t"))
  })

  it("that closed over a task in review has its changes done by whoever has money: its time to hand over was up", () => {
    for (const late of [false, true]) {
      const scenario = new Scenario()
      const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
      set(scenario, "workspace", 100, { perClaimMicroUsd: 50 })
      scenario.task("t", { review: true })
      scenario.claim(ann, "t")
      report(scenario, ann, "t", 60)
      scenario.complete(ann, "t")
      scenario.wait(RULES.graceMs - (late ? 0 : 1))
      expect(types(scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [] }))).toEqual([])
      const asked = types(scenario.must("task.review", bob, { task: "t", approve: false, reason: "mend it" }))
      expect(asked).toEqual(["task.changes_requested", late ? "task.released" : "event.sent"])
      expect(scenario.at("t")).toMatchObject({ status: late ? "pending" : "in_progress", attempts: 0 })
    }
  })

  it("takes a refund back into what is free, overruns first, and opens again when they are made good", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 100, { perClaimMicroUsd: 50 })
    scenario.task("t")
    scenario.claim(ann, "t")
    report(scenario, ann, "t", 60)
    scenario.must("usage.refund", OPERATOR, { agent: "ann", task: "t", costMicroUsd: 5, reason: "r" })
    expect(shown(scenario, "workspace")).toEqual({ free: 45, reserved: 0, settled: 50, overrun: 5, closed: true })
    scenario.must("usage.refund", OPERATOR, { agent: "ann", task: "t", costMicroUsd: 25, reason: "r" })
    expect(shown(scenario, "workspace")).toEqual({ free: 70, reserved: 0, settled: 30, overrun: 0, closed: false })
    scenario.refuses("invalid", "usage.refund", OPERATOR, { agent: "ann", task: "t", costMicroUsd: 31, reason: "r" })
  })

  it("warns once at each threshold, at it and not before", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 1_000, { warnPercent: [50, 80] })
    expect(texts(report(scenario, ann, null, 499))).toEqual([])
    expect(texts(report(scenario, ann, null, 1))).toEqual([expect.stringContaining("budget workspace has reached 50 %: $0.0005 of $0.001")])
    expect(texts(report(scenario, ann, null, 1))).toEqual([])
    expect(texts(report(scenario, ann, null, 400))).toEqual([expect.stringContaining("80 %")])
  })

  it("tells an agent that it has nearly used or overdrawn its reservation while it works, and not with the report that ends its claim", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 1_000, { perClaimMicroUsd: 100, warnPercent: [] })
    const toAnn = (entries: readonly Entry[]): string[] => texts(entries).filter((text) => /^\w has used/.test(text))
    for (const [id, reported, atTheEnd] of [
      ["a", 0, 100],
      ["b", 0, 120],
    ] as const) {
      scenario.task(id)
      const fence = scenario.claim(ann, id)
      expect(toAnn(report(scenario, ann, id, reported))).toEqual([])
      expect(toAnn(scenario.must("task.complete", ann, { task: id, fence, ...DONE, usage: usage(atTheEnd) }).entries), id).toEqual([])
      if (id === "b") scenario.must("budget.topUp", OPERATOR, { scope: "workspace", windowMs: null, amountMicroUsd: 100, reason: "r" })
    }
    scenario.task("c")
    scenario.claim(ann, "c")
    expect(toAnn(report(scenario, ann, "c", 80))).toEqual([expect.stringContaining("finish it, or hand it over in time")])
    expect(toAnn(report(scenario, ann, "c", 30))).toEqual([expect.stringContaining("hand it over before")])
  })

  it("that is taken away binds nobody, and what was reserved in it is nobody's debt later", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    set(scenario, "workspace", 100)
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    set(scenario, "workspace", null)
    set(scenario, "workspace", 50)
    scenario.must("task.release", ann, { task: "t", fence, reason: "r" })
    expect(shown(scenario, "workspace")).toEqual({ free: 50, reserved: 0, settled: 0, overrun: 0, closed: false })
    scenario.refuses("not_found", "budget.set", OPERATOR, { ...RULES, scope: "agent/nobody", limitMicroUsd: 1 })
  })
})

type Act =
  | { do: "claim" | "next"; who: number; task: number }
  | { do: "report" | "complete" | "fail" | "release"; who: number; task: number; cost: number }
  | { do: "wait"; ms: number }
  | { do: "topUp"; cost: number }
  | { do: "refund"; who: number; task: number; cost: number }

const cost = fc.nat(90)
const who = fc.nat(2)
const task = fc.nat(5)
const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ do: fc.constantFrom("claim" as const, "next" as const), who, task }),
  fc.record({ do: fc.constantFrom("claim" as const, "next" as const), who, task }),
  fc.record({ do: fc.constantFrom("report" as const, "complete" as const, "fail" as const, "release" as const), who, task, cost }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(1, 400, 1_000, 70_000) }),
  fc.record({ do: fc.constant("topUp" as const), cost: fc.integer({ min: 1, max: 90 }) }),
  fc.record({ do: fc.constant("refund" as const), who, task, cost: fc.integer({ min: 1, max: 20 }) }),
)

it("whatever claims, usage, crashes and late reports come in whatever order, the sums conserve to the micro-USD and no reservation goes over a limit", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60, size: "max" }), fc.boolean(), (acts, absorb) => {
      const scenario = new Scenario()
      const actors = ["ann", "bob", "cat"].map((name) => scenario.agent(name, { account: name === "cat" ? null : "shared", maxActive: 2 }))
      const specs = [
        { budgetMicroUsd: 100 },
        { budgetMicroUsd: 30 },
        { run: { standIn: { ms: 1, costMicroUsd: 45 } } },
        {},
        { review: true },
        { leaseMs: 500 + 500 },
      ]
      specs.forEach((spec, at) => scenario.task(`t${at}`, { leaseMs: 1_000, maxAttempts: 50, ...spec }))
      for (const scope of ["workspace", "account/shared", "agent/cat", "task/t3"]) set(scenario, scope, 200, { perClaimMicroUsd: 40, absorb, graceMs: 500 })
      set(scenario, "agent/ann", 120, { perClaimMicroUsd: 25, windowMs: 60_000 })
      let spent = 0
      const check = (entries: readonly Entry[]): void => {
        const claims = entries.filter(({ type }) => type === "task.claimed")
        for (const budget of scenario.state.budgets.values()) {
          const { reservedMicroUsd: reserved, settledMicroUsd: settled, overrunMicroUsd: overrun } = budget
          expect(Math.min(reserved, settled, overrun), budget.id).toBeGreaterThanOrEqual(0)
          const claimed = claims.some(({ data }) => budget.id in ((data as { reserves?: object }).reserves ?? {}))
          const limit = limitOf(scenario.state, budget) as number
          if (claimed) expect(freeOf(budget, limit), `${budget.id} after a reservation`).toBeGreaterThanOrEqual(0)
          const held = [...scenario.state.reservations.values()].reduce((sum, { left }) => sum + (left[budget.id] ?? 0), 0)
          expect(reserved, `${budget.id}: what claims hold is what is reserved`).toBe(held)
        }
        const { settledMicroUsd, overrunMicroUsd } = scenario.state.budgets.get("workspace") as Budget
        expect(settledMicroUsd + overrunMicroUsd, "the workspace's books hold every micro-USD that was reported").toBe(spent)
      }
      const sum = (entries: readonly Entry[]): number =>
        entries.reduce((total, { type, data }) => {
          const { usage: used, costMicroUsd } = data as { usage?: { costMicroUsd: number }; costMicroUsd?: number }
          return total + (used?.costMicroUsd ?? 0) + (type === "usage.refunded" ? -(costMicroUsd as number) : (costMicroUsd ?? 0))
        }, 0)
      for (const one of acts) {
        const before = scenario.bytes.length
        run(scenario, actors, one)
        const entries = scenario.bytes.slice(before).map((bytes) => JSON.parse(bytes) as Entry)
        spent += sum(entries)
        check(entries)
      }
      for (const { task: id } of [...scenario.state.reservations.values()]) scenario.must("task.cancel", OPERATOR, { task: id, reason: "end" })
      expect([...scenario.state.budgets.values()].every(({ reservedMicroUsd }) => reservedMicroUsd === 0)).toBe(true)
      check([])
    }),
    { numRuns: 300 },
  )
})

function run(scenario: Scenario, actors: readonly Actor[], one: Act): void {
  if (one.do === "wait") {
    scenario.wait(one.ms)
    if (one.ms !== 400) scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [] })
    return
  }
  if (one.do === "topUp") return void scenario.must("budget.topUp", OPERATOR, { scope: "workspace", windowMs: null, amountMicroUsd: one.cost, reason: "r" })
  const actor = actors[one.who] as Actor
  const id = `t${one.task}`
  const fence = scenario.state.tasks.get(id)?.fence ?? 1
  const used = "cost" in one ? usage(one.cost) : usage(0)
  if (one.do === "claim") scenario.attempt("task.claim", actor, { task: id })
  else if (one.do === "next") scenario.attempt("task.claimNext", actor, { plan: null, labels: [], filler: null, max: 2 })
  else if (one.do === "report") report(scenario, actor, id, one.cost)
  else if (one.do === "complete") scenario.attempt("task.complete", actor, { task: id, fence, ...DONE, usage: used })
  else if (one.do === "fail") scenario.attempt("task.fail", actor, { task: id, fence, reason: "r", retry: true, usage: used })
  else if (one.do === "release") scenario.attempt("task.release", actor, { task: id, fence, reason: "r" })
  else if (one.do === "refund") scenario.attempt("usage.refund", OPERATOR, { agent: actor.agent, task: id, costMicroUsd: one.cost, reason: "r" })
}
