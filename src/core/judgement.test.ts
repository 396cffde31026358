import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { OPERATOR, Scenario } from "../../test/scenario.ts"
import { manifestOf } from "./manifest.ts"
import { meanOf, type Posterior } from "./posterior.ts"
import { evolve, fromSnapshot, mark, takeSnapshot, undoTo, Workspace } from "./workspace.ts"
import { decodeEntry } from "./entry.ts"

const NO_USAGE = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }

function belief(scenario: Scenario, agent: string, skill: string): Posterior | undefined {
  return scenario.state.beliefs.get(`${agent} ${skill}`)
}

describe("what becomes of a task", () => {
  it("is believed of whoever did it: completed for, failed and rejected against", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { docs: 3 } })
    scenario.task("a", { requires: { docs: 2 } })
    scenario.claim(ann, "a")
    scenario.complete(ann, "a")
    const good = belief(scenario, "ann", "docs") as Posterior
    expect(good).toMatchObject({ seen: 1, level: 2, lastSeq: scenario.state.seq })
    expect(meanOf(good)).toBeGreaterThan(0.8)
    scenario.task("b", { requires: { docs: 2 }, review: true })
    scenario.claim(ann, "b")
    scenario.complete(ann, "b")
    expect(belief(scenario, "ann", "docs")).toBe(good)
    scenario.must("task.review", OPERATOR, { task: "b", approve: false, reason: "thin" })
    const rejected = belief(scenario, "ann", "docs") as Posterior
    expect(meanOf(rejected)).toBeLessThan(meanOf(good))
    scenario.must("task.fail", ann, { task: "b", fence: scenario.at("b").fence as number, reason: "cannot", retry: true, usage: NO_USAGE })
    expect(meanOf(belief(scenario, "ann", "docs") as Posterior)).toBeLessThan(meanOf(rejected))
  })

  it("says nothing of an agent whose session was lost, or that gave the task back", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { docs: 3 } })
    scenario.task("a", { requires: { docs: 2 } })
    const fence = scenario.claim(ann, "a")
    scenario.must("task.release", ann, { task: "a", fence, reason: "no time" })
    scenario.claim(ann, "a")
    scenario.must("session.end", ann, { session: ann.session as string, reason: "gone" })
    expect(scenario.state.beliefs.size).toBe(0)
  })

  it("is a success from the agent's own threshold on: tests that pass or a reviewer's word are more than a delivery without any", () => {
    const delivered = (successThreshold: number | undefined, testsPass: boolean | null, review = false): number => {
      const scenario = new Scenario()
      const ann = scenario.agent("ann", { capabilities: { docs: 3 }, ...(successThreshold === undefined ? {} : { successThreshold }) })
      scenario.task("a", { requires: { docs: 2 }, review })
      const fence = scenario.claim(ann, "a")
      const deliverable = { text: "", evidence: { testsPass, commit: null, links: [] } }
      scenario.must("task.complete", ann, { task: "a", fence, deliverable, usage: NO_USAGE })
      if (review) scenario.must("task.review", OPERATOR, { task: "a", approve: true, reason: "fine" })
      expect(scenario.at("a").status).toBe("completed")
      return meanOf(belief(scenario, "ann", "docs") as Posterior)
    }
    for (const [threshold, testsPass, review, isSuccess] of [
      [undefined, null, false, true],
      [0.8, null, false, true],
      [0.81, null, false, false],
      [1, null, false, false],
      [1, true, false, true],
      [1, null, true, true],
    ] as const)
      expect(delivered(threshold, testsPass, review) > 0.8, JSON.stringify({ threshold, testsPass, review })).toBe(isSuccess)
  })

  it("moves a belief from where the agent's base weight put it", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { docs: 3 }, baseWeight: 0.5 })
    expect(manifestOf(scenario.state, "ann")).toMatchObject({ baseWeight: 0.5, skills: [{ skill: "docs", mean: 0.5, seen: 0 }] })
    scenario.task("a", { requires: { docs: 2 } })
    scenario.claim(ann, "a")
    scenario.complete(ann, "a")
    expect(meanOf(belief(scenario, "ann", "docs") as Posterior)).toBeCloseTo((1.5 * 0.998 + 1) / (3 * 0.998 + 1), 12)
  })

  it("leaves tasks that ask for no skill without a belief", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("a")
    scenario.claim(ann, "a")
    scenario.complete(ann, "a")
    expect(scenario.state.beliefs.size).toBe(0)
  })
})

describe("an agent that learned", () => {
  it("is eligible for what it never declared, up to the level that it succeeded on", () => {
    const scenario = new Scenario()
    // A director may claim whatever it likes: so a skill is shown that nobody declared.
    const ann = scenario.agent("ann", { role: "orchestrator" })
    for (let at = 0; at < 9; at += 1) {
      scenario.task(`t${at}`, { requires: { rust: 2 } })
      scenario.claim(ann, `t${at}`)
      scenario.complete(ann, `t${at}`)
    }
    expect(manifestOf(scenario.state, "ann")?.skills).toMatchObject([{ skill: "rust", declared: null, learned: 2, seen: 9 }])
    const worker = { ...ann, role: "worker" as const }
    scenario.task("same", { requires: { rust: 2 } })
    scenario.task("harder", { requires: { rust: 3 } })
    scenario.refuses("not_eligible", "task.claim", worker, { task: "harder" })
    expect(scenario.next(worker)).toEqual(["same"])
  })
})

describe("the next worker on a task", () => {
  it("gets what the last attempts came to, five at the most", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    const bob = scenario.agent("bob")
    scenario.task("a", { maxAttempts: 100 })
    for (let at = 0; at < 7; at += 1) {
      const fence = scenario.claim(ann, "a")
      scenario.must("task.update", ann, { task: "a", fence, progress: 0.5, note: `tried ${at}` })
      scenario.must("task.fail", ann, { task: "a", fence, reason: `no ${at}`, retry: true, usage: NO_USAGE })
    }
    const { task } = scenario.must("task.claim", bob, { task: "a" }).answer
    expect(task.history.map(({ note, reason }) => [note, reason])).toEqual([2, 3, 4, 5, 6].map((at) => [`tried ${at}`, `no ${at}`]))
    expect(task.history[0]).toMatchObject({ agent: "ann", end: "task.retried", progress: 0.5 })
  })

  it("hears of a lease that ran out, and of a rejection", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("a", { review: true })
    scenario.claim(ann, "a")
    scenario.complete(ann, "a")
    scenario.must("task.review", OPERATOR, { task: "a", approve: false, reason: "thin" })
    scenario.must("lease.end", OPERATOR, { task: "a", reason: "stop" })
    const ends = scenario.state.attempts.get("a")?.map(({ end, reason }) => [end, reason])
    expect(ends).toEqual([
      ["task.changes_requested", "thin"],
      ["lease.ended", "operator"],
    ])
  })
})

it("beliefs follow from the ledger alone: a replay, a snapshot and an undo come to the same", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.boolean()), { minLength: 1, maxLength: 30, size: "max" }), (outcomes) => {
      const scenario = new Scenario()
      const ann = scenario.agent("ann", { capabilities: { docs: 3 }, role: "orchestrator" })
      outcomes.forEach(([success, both], at) => {
        scenario.task(`t${at}`, { requires: both ? { docs: 2, rust: 1 } : { docs: 1 } })
        const fence = scenario.claim(ann, `t${at}`)
        if (success) scenario.complete(ann, `t${at}`)
        else scenario.must("task.fail", ann, { task: `t${at}`, fence, reason: "no", retry: false, usage: NO_USAGE })
      })
      const replayed = new Workspace()
      let middle = mark(replayed)
      scenario.bytes.forEach((bytes, at) => {
        if (at === scenario.bytes.length >> 1) middle = mark(replayed)
        evolve(replayed, decodeEntry(bytes))
      })
      const whole = [...scenario.state.beliefs.entries()]
      expect([...replayed.beliefs.entries()]).toEqual(whole)
      expect([...fromSnapshot(takeSnapshot(replayed)).beliefs.entries()]).toEqual(whole)
      undoTo(replayed, middle)
      for (const bytes of scenario.bytes.slice(middle.seq)) evolve(replayed, decodeEntry(bytes))
      expect([...replayed.beliefs.entries()]).toEqual(whole)
    }),
    { numRuns: 60 },
  )
})
