import { describe, expect, it } from "vitest"
import { OPERATOR, PLAN, Scenario, types } from "../../test/scenario.ts"
import type { PlanTask } from "./plan.ts"

const MINUTE_MS = 60_000

function sweep(scenario: Scenario): string[] {
  return types(scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [] }))
}

function addPlan(scenario: Scenario, tasks: PlanTask[], maxActiveAgents: number | null = null, name = "p"): void {
  scenario.must("plan.add", OPERATOR, { ...PLAN, name, maxActiveAgents, tasks })
}

describe("a claim", () => {
  it("has exactly one winner; the others hear who holds the task and until when", () => {
    const scenario = new Scenario()
    scenario.task("t")
    const callers = Array.from({ length: 64 }, (_, at) => scenario.agent(`a${at}`))
    const outcomes = callers.map((caller) => scenario.attempt("task.claim", caller, { task: "t" }))
    expect(outcomes.filter((outcome) => "answer" in outcome)).toHaveLength(1)
    for (const denied of outcomes.slice(1)) {
      expect(denied).toMatchObject({
        refused: "claim_denied",
        details: { heldBy: "a0", retryAtMs: scenario.nowMs + 120_000, directive: { kind: "claim_denied", heldBy: "a0" } },
      })
    }
  })

  it("answers with the seq of its own entry as fence, each higher than the last", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    let last = 0
    for (let round = 0; round < 5; round++) {
      const { answer, entries } = scenario.must("task.claim", ann, { task: "t" })
      expect(answer.fence).toBe(entries.at(-1)?.seq)
      expect(answer.fence).toBeGreaterThan(last)
      last = answer.fence
      scenario.must("task.release", ann, { task: "t", fence: last, reason: "r" })
    }
  })

  it("by whoever holds the task already is the same claim again, and nothing is recorded", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    const first = scenario.must("task.claim", ann, { task: "t" })
    scenario.wait(1_000)
    expect(scenario.must("task.claim", ann, { task: "t" })).toEqual({ entries: [], answer: first.answer })
  })

  it("by a session that was taken for lost is the sign of life that it is", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [{ id: ann.session as string, silentMs: MINUTE_MS }] })
    expect(scenario.state.sessions.get(ann.session as string)?.status).toBe("lost")
    scenario.wait(2 * 24 * 60 * MINUTE_MS)
    expect(types(scenario.must("task.claim", ann, { task: "t" }))).toEqual(["session.returned", "task.claimed"])
    // Else it would be forgotten, and its beats would renew nothing.
    scenario.session("ann")
    expect(scenario.state.sessions.get(ann.session as string)?.status).toBe("live")
  })

  it("by another session of the same agent is denied: two sessions are two workers", () => {
    const scenario = new Scenario()
    scenario.agent("ann", { maxActive: 2 })
    const [one, two] = [scenario.session("ann"), scenario.session("ann")]
    scenario.task("t")
    scenario.claim(one, "t")
    scenario.refuses("claim_denied", "task.claim", two, { task: "t" })
  })

  it("lasts 120 s where something beats for the session, 15 min where nothing does, or as long as the task says", () => {
    const scenario = new Scenario()
    const lengths = {
      beaten: scenario.agent("ann"),
      alone: scenario.agent("bob", {}, { owned: false }),
      "by hand": { ...scenario.agent("cat"), session: null },
    }
    for (const [how, actor] of Object.entries(lengths)) {
      scenario.task(how.replace(" ", "-"))
      expect(scenario.must("task.claim", actor, { task: how.replace(" ", "-") }).answer.leaseMs, how).toBe(how === "beaten" ? 120_000 : 900_000)
    }
    scenario.task("long", { leaseMs: 3_600_000 })
    expect(scenario.must("task.claim", scenario.agent("dan"), { task: "long" }).answer).toMatchObject({
      leaseMs: 3_600_000,
      leaseEndsAtMs: scenario.nowMs + 3_600_000,
    })
  })

  it("of what waits names what it waits for, and says when it can never be reached", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("a")
    scenario.task("b", { dependsOn: ["a"] })
    scenario.task("c", { dependsOn: ["b"] })
    expect(scenario.refuses("not_ready", "task.claim", ann, { task: "c" }).details).toEqual({ task: "c", waitsFor: ["b"], unreachable: false })
    scenario.must("task.cancel", OPERATOR, { task: "a", reason: "r" })
    expect(scenario.refuses("not_ready", "task.claim", ann, { task: "c" }).details).toEqual({ task: "c", waitsFor: ["b"], unreachable: true })
    scenario.must("task.reset", OPERATOR, { task: "a", reason: "r" })
    expect(scenario.refuses("not_ready", "task.claim", ann, { task: "c" }).details).toMatchObject({ unreachable: false })
    scenario.refuses("not_found", "task.claim", ann, { task: "nothing" })
  })

  it("needs every skill at its level, also one that is called like something that every object has", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { rust: 3 } })
    scenario.task("easy", { requires: { rust: 3 } })
    scenario.task("hard", { requires: { rust: 4, go: 1 } })
    scenario.task("odd", { requires: { constructor: 1 } })
    expect(scenario.refuses("not_eligible", "task.claim", ann, { task: "hard" }).details).toEqual({ task: "hard", missing: { rust: 4, go: 1 } })
    expect(scenario.refuses("not_eligible", "task.claim", ann, { task: "odd" }).details).toEqual({ task: "odd", missing: { constructor: 1 } })
    expect(scenario.next(ann, { max: 5 })).toEqual(["easy"])
  })

  it("by an orchestrator or the operator asks for no skills", () => {
    const scenario = new Scenario()
    scenario.task("t", { requires: { rust: 5 } })
    scenario.task("u", { requires: { rust: 5 } })
    expect(scenario.claim(scenario.agent("boss", { role: "orchestrator" }), "t")).toBeGreaterThan(0)
    scenario.agent("olga", { role: "operator" })
    expect(scenario.next(OPERATOR)).toEqual(["u"])
  })

  it("is refused to an agent that is unknown or retired, and to a session that has ended or was never there", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    scenario.refuses("not_found", "task.claim", { ...ann, agent: "nobody", session: null }, { task: "t" })
    scenario.refuses("not_found", "task.claim", { ...ann, session: "s_none" }, { task: "t" })
    scenario.must("session.end", ann, { session: ann.session ?? "", reason: "done" })
    scenario.refuses("not_found", "task.claim", ann, { task: "t" })
    const next = { plan: null, labels: [], filler: null, max: 1 }
    scenario.refuses("not_found", "task.claimNext", ann, next)
    scenario.must("agent.retire", OPERATOR, { name: "ann", reason: "r" })
    scenario.refuses("retired", "task.claim", { ...ann, session: null }, { task: "t" })
    scenario.refuses("retired", "task.claimNext", { ...ann, session: null }, next)
  })
})

describe("a lease that has run out", () => {
  it("is ended by the claim that takes the task over, and the former holder is stale", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.wait(119_999)
    scenario.refuses("claim_denied", "task.claim", bob, { task: "t" })
    scenario.wait(1)
    const { entries } = scenario.must("task.claim", bob, { task: "t" })
    expect(entries.map(({ type, data }) => [type, data])).toMatchObject([
      ["lease.ended", { id: "t", fence, reason: "expired", by: "bob" }],
      ["task.claimed", { id: "t" }],
    ])
    expect(scenario.at("t")).toMatchObject({ owner: "bob", attempts: 1 })
    for (const write of ["task.update", "task.complete", "task.release"] as const) {
      const input = {
        task: "t",
        fence,
        progress: null,
        note: null,
        reason: "r",
        deliverable: { text: "", evidence: { testsPass: null, commit: null, links: [] } },
        usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 },
      }
      scenario.refuses("stale_fence", write, ann, input)
    }
  })

  it("is not ended by a claim while what the task depends on is open again", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("first")
    scenario.task("t", { dependsOn: ["first"], leaseMs: 1_000 })
    scenario.claim(ann, "first")
    scenario.complete(ann, "first")
    scenario.claim(ann, "t")
    scenario.must("task.reset", OPERATOR, { task: "first", reason: "wrong" })
    scenario.wait(1_000)
    expect(scenario.refuses("not_ready", "task.claim", bob, { task: "t" }).details).toMatchObject({ waitsFor: ["first"] })
    scenario.claim(bob, "first")
    scenario.complete(bob, "first")
    scenario.claim(bob, "t")
  })

  it("does not keep its own agent from work: its next claim ends it", () => {
    for (const again of ["t", "u"]) {
      const scenario = new Scenario()
      const ann = scenario.agent("ann")
      scenario.task("t")
      scenario.task("u")
      scenario.claim(ann, "t")
      scenario.refuses("at_limit", "task.claim", ann, { task: "u" })
      scenario.wait(120_000)
      expect(types(scenario.must("task.claim", ann, { task: again }))).toEqual(["lease.ended", "task.claimed"])
      expect(scenario.at("t").attempts).toBe(1)
      expect(scenario.state.board.activeOf("ann")).toBe(1)
    }
  })

  it("is never given again by claimNext as if it still held", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t")
    scenario.claim(ann, "t")
    scenario.wait(120_000)
    scenario.refuses("nothing_ready", "task.claimNext", ann, { plan: null, labels: [], filler: null, max: 1 })
    scenario.task("u")
    expect(scenario.next(ann)).toEqual(["u"])
    expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 1 })
  })

  it("of a last attempt is left to the sweep, by which the task has failed", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("t", { maxAttempts: 1 })
    scenario.claim(ann, "t")
    scenario.wait(120_000)
    scenario.refuses("claim_denied", "task.claim", bob, { task: "t" })
    expect(sweep(scenario)).toEqual(["lease.ended", "task.failed"])
    scenario.refuses("wrong_status", "task.claim", bob, { task: "t" })
  })
})

describe("claimNext", () => {
  it("goes by priority, then the longest chain left, then whom a task prefers, then age", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 20 })
    scenario.agent("bob")
    scenario.task("old")
    scenario.task("bobs", { prefers: "bob" })
    scenario.task("anns", { prefers: "ann" })
    scenario.task("young")
    scenario.task("long", { estimateMs: 2 * MINUTE_MS })
    scenario.task("head", { estimateMs: 1 })
    scenario.task("tail", { estimateMs: 2 * MINUTE_MS, dependsOn: ["head"] })
    scenario.task("low", { priority: "low", estimateMs: 10 * MINUTE_MS })
    scenario.task("high", { priority: "high" })
    scenario.task("critical", { priority: "critical", estimateMs: 0 })
    const order = ["critical", "high", "head", "long", "anns", "old", "young", "bobs", "low"]
    expect(scenario.next(ann, { max: 20 })).toEqual(order)
    for (const task of order) scenario.must("task.release", ann, { task, fence: scenario.at(task).fence ?? 0, reason: "r" })
    expect(order.map(() => scenario.next(ann)[0])).toEqual(order)
  })

  it("knows a chain that grew or shrank while its head was ready", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 9 })
    scenario.task("a", { estimateMs: 10 })
    scenario.task("b", { estimateMs: 20 })
    scenario.task("a2", { estimateMs: 15, dependsOn: ["a"] })
    expect(scenario.state.board.pathMs("a")).toBe(25)
    scenario.must("task.cancel", OPERATOR, { task: "a2", reason: "r" })
    expect(scenario.state.board.pathMs("a")).toBe(10)
    scenario.must("task.edit", OPERATOR, { task: "a", reason: "r", changes: { estimateMs: 30 } })
    expect(scenario.next(ann, { max: 9 })).toEqual(["a", "b"])
  })

  it("keeps to a plan and to tasks that have all the labels asked for", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 9 })
    scenario.task("loose", { labels: ["x", "y"], prefers: "ann" })
    addPlan(scenario, [
      { id: "x", title: "x", labels: ["x"] },
      { id: "xy", title: "xy", labels: ["y", "x"] },
      { id: "none", title: "none" },
    ])
    const asked = (filter: object): string[] => {
      const given = scenario.next(ann, { max: 9, ...filter })
      for (const task of given) scenario.must("task.release", ann, { task, fence: scenario.at(task).fence ?? 0, reason: "r" })
      return given
    }
    expect(asked({ plan: "p.1" })).toEqual(["p.1/x", "p.1/xy", "p.1/none"])
    expect(asked({ labels: ["x"] })).toEqual(["loose", "p.1/x", "p.1/xy"])
    expect(asked({ labels: ["x", "y"] })).toEqual(["loose", "p.1/xy"])
    expect(asked({ labels: ["x", "y"], max: 1 })).toEqual(["loose"])
    expect(asked({ labels: ["y"], plan: "p.1", max: 1 })).toEqual(["p.1/xy"])
    scenario.refuses("nothing_ready", "task.claimNext", ann, { plan: null, labels: ["z"], filler: null, max: 1 })
    scenario.refuses("nothing_ready", "task.claimNext", ann, { plan: "p.2", labels: [], filler: null, max: 1 })
  })

  it("offers filler work only where nothing else is ready, only where it is wanted, and real work takes its place at once", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("real")
    scenario.task("fill", { filler: true, priority: "critical" })
    expect(scenario.next(ann)).toEqual(["real"])
    scenario.complete(ann, "real")
    scenario.refuses("nothing_ready", "task.claimNext", ann, { plan: null, labels: [], filler: false, max: 1 })
    expect(scenario.next(ann)).toEqual(["fill"])
    expect(scenario.next(ann)).toEqual(["fill"])
    scenario.task("more")
    const { entries, answer } = scenario.must("task.claimNext", ann, { plan: null, labels: [], filler: null, max: 1 })
    expect(entries.map((entry) => entry.type)).toEqual(["task.released", "task.claimed"])
    expect(answer.claims.map((claim) => claim.task.id)).toEqual(["more"])
    expect(scenario.at("fill")).toMatchObject({ status: "pending", attempts: 0 })
    scenario.refuses("at_limit", "task.claim", ann, { task: "fill" })
  })

  it("gives only filler work where only that is asked for", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 2 })
    scenario.task("real")
    scenario.task("fill", { filler: true })
    expect(scenario.next(ann, { filler: true })).toEqual(["fill"])
    scenario.refuses("nothing_ready", "task.claimNext", ann, { plan: null, labels: [], filler: true, max: 1 })
  })

  it("gives no more than maxActive, filler work counted in; a blocked task does not count", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 2 })
    for (const id of ["a", "b", "c"]) scenario.task(id)
    for (const id of ["f", "g", "h"]) scenario.task(id, { filler: true })
    expect(scenario.next(ann, { max: 100 })).toEqual(["a", "b"])
    expect(scenario.next(ann, { max: 100 })).toEqual(["a", "b"])
    scenario.refuses("at_limit", "task.claim", ann, { task: "c" })
    scenario.must("task.block", ann, { task: "a", fence: scenario.at("a").fence ?? 0, on: { kind: "external", ref: "x" }, reason: "r" })
    expect(scenario.next(ann)).toEqual(["c"])
    scenario.complete(ann, "b")
    scenario.complete(ann, "c")
    expect(scenario.next(ann, { max: 100 })).toEqual(["f", "g"])
    scenario.refuses("at_limit", "task.claim", ann, { task: "h" })
  })

  it("lets go of no filler for another filler, and of all for real work", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { maxActive: 3 })
    for (const id of ["f", "g"]) scenario.task(id, { filler: true })
    scenario.claim(ann, "f")
    expect(types(scenario.must("task.claim", ann, { task: "g" }))).toEqual(["task.claimed"])
    scenario.task("real")
    expect(types(scenario.must("task.claim", ann, { task: "real" }))).toEqual(["task.released", "task.released", "task.claimed"])
  })

  it("answers a session without work of its own that its agent is at its limit, never with no claim at all", () => {
    const scenario = new Scenario()
    const one = scenario.agent("ann")
    const two = scenario.session("ann")
    scenario.task("f", { filler: true })
    scenario.task("g", { filler: true })
    expect(scenario.next(one)).toEqual(["f"])
    scenario.refuses("at_limit", "task.claimNext", two, { plan: null, labels: [], filler: null, max: 1 })
  })

  it("keeps a plan to its number of agents; filler work and those at work already are free", () => {
    const scenario = new Scenario()
    const [ann, bob, cat] = [scenario.agent("ann", { maxActive: 2 }), scenario.agent("bob"), scenario.agent("cat")]
    addPlan(
      scenario,
      [
        { id: "a", title: "a" },
        { id: "b", title: "b" },
        { id: "c", title: "c" },
        { id: "d", title: "d" },
        { id: "f", title: "f", filler: true },
      ],
      2,
    )
    expect(scenario.next(ann)).toEqual(["p.1/a"])
    expect(scenario.next(bob)).toEqual(["p.1/b"])
    scenario.refuses("at_limit", "task.claim", cat, { task: "p.1/c" })
    expect(scenario.next(ann)).toEqual(["p.1/c"])
    expect(scenario.next(cat)).toEqual(["p.1/f"])
    scenario.refuses("nothing_ready", "task.claimNext", cat, { plan: null, labels: [], filler: false, max: 1 })
    scenario.complete(bob, "p.1/b")
    expect(scenario.next(cat)).toEqual(["p.1/d"])
  })

  it("does not count the agent whose lease has run out against the plan, for the one that takes its task over", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    addPlan(
      scenario,
      [
        { id: "a", title: "a" },
        { id: "b", title: "b" },
      ],
      1,
    )
    scenario.claim(ann, "p.1/a")
    scenario.wait(120_000)
    scenario.refuses("at_limit", "task.claim", bob, { task: "p.1/b" })
    scenario.claim(bob, "p.1/a")
  })

  it("names in each claim the entry that made the task ready", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("a")
    scenario.task("b", { dependsOn: ["a"] })
    scenario.claim(ann, "a")
    const completed = scenario.complete(ann, "a").entries[0]?.seq
    expect(scenario.must("task.claim", ann, { task: "b" }).entries[0]?.causedBy).toBe(completed)
  })
})
