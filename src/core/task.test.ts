import { describe, expect, it, test } from "vitest"
import { delivery, OPERATOR, Scenario, types } from "../../test/scenario.ts"
import type { Actor } from "./entry.ts"
import { isRefusal } from "./refusal.ts"
import { Ink } from "./ink.ts"
import { isActive, isClosed, isHeld, writeTask } from "./task.ts"

/** Where a task may stand, a pending one with what is derived. */
const STANDS = ["ready", "waiting", "claimed", "in_progress", "blocked", "review", "completed", "failed", "cancelled"] as const
type Stand = (typeof STANDS)[number]

/** A task `t` of ann's that stands there, with the fence that she had for it (1 where she never had one). */
function given(stand: Stand): { scenario: Scenario; ann: Actor; bob: Actor; fence: number } {
  const scenario = new Scenario()
  const ann = scenario.agent("ann")
  const bob = scenario.agent("bob")
  scenario.task("before")
  scenario.task("t", { review: stand === "review", dependsOn: stand === "waiting" ? ["before"] : [] })
  if (stand === "ready" || stand === "waiting") return { scenario, ann, bob, fence: 1 }
  const fence = scenario.claim(ann, "t")
  if (stand === "in_progress") scenario.must("task.update", ann, { task: "t", fence, progress: 0.5, note: null })
  if (stand === "blocked") scenario.must("task.block", ann, { task: "t", fence, on: { kind: "external", ref: "mail" }, reason: "r" })
  if (stand === "review" || stand === "completed") scenario.complete(ann, "t", fence)
  if (stand === "failed") scenario.must("task.fail", ann, { task: "t", fence, reason: "r", retry: false, usage: delivery().usage })
  if (stand === "cancelled") scenario.must("task.cancel", OPERATOR, { task: "t", reason: "r" })
  return { scenario, ann, bob, fence }
}

type Move = (given: { scenario: Scenario; ann: Actor; bob: Actor; fence: number }) => unknown
const reason = "because"
const MOVES = {
  claim: ({ scenario, bob }) => scenario.attempt("task.claim", bob, { task: "t" }),
  claim_again: ({ scenario, ann }) => scenario.attempt("task.claim", ann, { task: "t" }),
  update: ({ scenario, ann, fence }) => scenario.attempt("task.update", ann, { task: "t", fence, progress: 0.7, note: "n" }),
  renew: ({ scenario, ann, fence }) => scenario.attempt("lease.renew", ann, { task: "t", fence }),
  block: ({ scenario, ann, fence }) => scenario.attempt("task.block", ann, { task: "t", fence, on: { kind: "external", ref: "x" }, reason }),
  unblock: ({ scenario, ann }) => scenario.attempt("task.unblock", ann, { task: "t", reason }),
  complete: ({ scenario, ann, fence }) => scenario.attempt("task.complete", ann, { task: "t", fence, ...delivery() }),
  fail: ({ scenario, ann, fence }) => scenario.attempt("task.fail", ann, { task: "t", fence, reason, retry: false, usage: delivery().usage }),
  retry: ({ scenario, ann, fence }) => scenario.attempt("task.fail", ann, { task: "t", fence, reason, retry: true, usage: delivery().usage }),
  release: ({ scenario, ann, fence }) => scenario.attempt("task.release", ann, { task: "t", fence, reason }),
  approve: ({ scenario, bob }) => scenario.attempt("task.review", bob, { task: "t", approve: true, reason }),
  ask_changes: ({ scenario, bob }) => scenario.attempt("task.review", bob, { task: "t", approve: false, reason }),
  end_lease: ({ scenario }) => scenario.attempt("lease.end", OPERATOR, { task: "t", reason }),
  want_help: ({ scenario, ann, fence }) => scenario.attempt("help.want", ann, { task: "t", fence, reason }),
  answer_help: ({ scenario, bob }) => scenario.attempt("help.answer", bob, { task: "t" }),
  edit: ({ scenario }) => scenario.attempt("task.edit", OPERATOR, { task: "t", reason, changes: { title: "T" } }),
  rewire: ({ scenario }) => scenario.attempt("task.edit", OPERATOR, { task: "t", reason, changes: { dependsOn: [] } }),
  reset: ({ scenario }) => scenario.attempt("task.reset", OPERATOR, { task: "t", reason }),
  cancel: ({ scenario }) => scenario.attempt("task.cancel", OPERATOR, { task: "t", reason }),
} satisfies Record<string, Move>

/** The specification: each command on a task that stands there leads to a status, or is refused with a code. */
const TABLE = `
                 ready         waiting       claimed       in_progress   blocked       review        completed     failed        cancelled
claim            claimed       not_ready     claim_denied  claim_denied  claim_denied  wrong_status  wrong_status  wrong_status  wrong_status
claim_again      claimed       not_ready     claimed       in_progress   blocked       wrong_status  wrong_status  wrong_status  wrong_status
update           stale_fence   stale_fence   in_progress   in_progress   blocked       wrong_status  stale_fence   stale_fence   stale_fence
renew            stale_fence   stale_fence   claimed       in_progress   blocked       review        stale_fence   stale_fence   stale_fence
block            stale_fence   stale_fence   blocked       blocked       blocked       wrong_status  stale_fence   stale_fence   stale_fence
unblock          wrong_status  wrong_status  wrong_status  wrong_status  in_progress   wrong_status  wrong_status  wrong_status  wrong_status
complete         stale_fence   stale_fence   completed     completed     wrong_status  wrong_status  stale_fence   stale_fence   stale_fence
fail             stale_fence   stale_fence   failed        failed        failed        wrong_status  stale_fence   stale_fence   stale_fence
retry            stale_fence   stale_fence   pending       pending       pending       wrong_status  stale_fence   stale_fence   stale_fence
release          stale_fence   stale_fence   pending       pending       pending       wrong_status  stale_fence   stale_fence   stale_fence
approve          wrong_status  wrong_status  wrong_status  wrong_status  wrong_status  completed     wrong_status  wrong_status  wrong_status
ask_changes      wrong_status  wrong_status  wrong_status  wrong_status  wrong_status  in_progress   wrong_status  wrong_status  wrong_status
end_lease        wrong_status  wrong_status  pending       pending       pending       wrong_status  wrong_status  wrong_status  wrong_status
want_help        stale_fence   stale_fence   claimed       in_progress   blocked       wrong_status  stale_fence   stale_fence   stale_fence
answer_help      wrong_status  wrong_status  wrong_status  wrong_status  wrong_status  wrong_status  wrong_status  wrong_status  wrong_status
edit             pending       pending       claimed       in_progress   blocked       review        wrong_status  wrong_status  wrong_status
rewire           pending       pending       wrong_status  wrong_status  wrong_status  wrong_status  wrong_status  wrong_status  wrong_status
reset            wrong_status  wrong_status  pending       pending       pending       pending       pending       pending       pending
cancel           cancelled     cancelled     cancelled     cancelled     cancelled     cancelled     wrong_status  wrong_status  wrong_status`
const [, ...rows] = TABLE.trim()
  .split("\n")
  .map((row) => row.trim().split(/\s+/))
const SPECIFIED = rows.map(([move, ...cells]) => [move as keyof typeof MOVES, cells] as const)

it("the table names every command", () => {
  expect(SPECIFIED.map(([move]) => move).sort()).toEqual(Object.keys(MOVES).sort())
})

describe.each(SPECIFIED)("%s", (move, cells) => {
  it.each(STANDS.map((stand, at) => [stand, cells[at]] as const))("of a task that is %s: %s", (stand, expected) => {
    const world = given(stand)
    const before = JSON.stringify(world.scenario.at("t"))
    const outcome = MOVES[move](world) as object
    expect(isRefusal(outcome) ? outcome.refused : world.scenario.at("t").status).toBe(expected)
    if (isRefusal(outcome)) expect(JSON.stringify(world.scenario.at("t"))).toBe(before)
  })
})

describe("a task", () => {
  it("carries every field from its first entry on, in one order, whatever happens to it", () => {
    const fields = Object.keys(given("ready").scenario.at("t"))
    for (const stand of STANDS) {
      const { scenario } = given(stand)
      expect(Object.keys(scenario.at("t"))).toEqual(fields)
      expect(Object.values(scenario.at("t"))).not.toContain(undefined)
    }
  })

  it("is held, active or closed as its status says", () => {
    const all = ["pending", "claimed", "in_progress", "blocked", "review", "completed", "failed", "cancelled"] as const
    expect(all.filter(isHeld)).toEqual(["claimed", "in_progress", "blocked"])
    expect(all.filter(isActive)).toEqual(["claimed", "in_progress"])
    expect(all.filter(isClosed)).toEqual(["completed", "failed", "cancelled"])
  })

  it("starts with the first progress, and progress that says nothing new is still a sign of life", () => {
    const { scenario, ann, fence } = given("claimed")
    scenario.wait(60_000)
    expect(types(scenario.must("task.update", ann, { task: "t", fence, progress: null, note: null }))).toEqual(["task.started"])
    scenario.wait(60_000)
    expect(types(scenario.must("task.update", ann, { task: "t", fence, progress: null, note: null }))).toEqual(["task.progressed"])
    expect(scenario.at("t")).toMatchObject({ status: "in_progress", progress: 0, note: null, leaseEndsAtMs: scenario.nowMs + 120_000 })
    scenario.must("task.update", ann, { task: "t", fence, progress: 0.25, note: "so far" })
    scenario.must("task.update", ann, { task: "t", fence, progress: null, note: "further" })
    expect(scenario.at("t")).toMatchObject({ progress: 0.25, note: "further" })
  })

  it("adds up what all its attempts used", () => {
    const { scenario, ann, bob, fence } = given("claimed")
    scenario.must("task.fail", ann, { task: "t", fence, reason, retry: true, usage: { costMicroUsd: 10, inputTokens: 20, outputTokens: 30 } })
    scenario.claim(bob, "t")
    scenario.complete(bob, "t")
    expect(scenario.at("t")).toMatchObject({ attempts: 1, usage: { costMicroUsd: 11, inputTokens: 22, outputTokens: 33 } })
  })

  it("has failed when the last of its attempts is spent, whoever spends it", () => {
    const spend: Record<string, (scenario: Scenario, ann: Actor) => void> = {
      "by saying so": (scenario, ann) =>
        void scenario.must("task.fail", ann, { task: "t", fence: scenario.at("t").fence ?? 0, reason, retry: true, usage: delivery().usage }),
      "by falling silent": (scenario, ann) => void scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [{ id: ann.session ?? "", silentMs: 45_000 }] }),
      "by the end of its lease": (scenario) => {
        scenario.wait(120_000)
        scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [] })
      },
      "by the operator's hand": (scenario) => void scenario.must("lease.end", OPERATOR, { task: "t", reason }),
    }
    for (const [how, once] of Object.entries(spend)) {
      const scenario = new Scenario()
      scenario.task("t", { maxAttempts: 2 })
      for (const [attempts, status] of [
        [1, "pending"],
        [2, "failed"],
      ] as const) {
        const ann = scenario.agent("ann")
        scenario.claim(ann, "t")
        once(scenario, ann)
        expect(scenario.at("t"), how).toMatchObject({ attempts, status, fence: null, leaseEndsAtMs: null })
      }
    }
  })

  it("loses no attempt by being released, and has all of them again after a reset", () => {
    const { scenario, ann } = given("claimed")
    scenario.must("task.release", ann, { task: "t", fence: scenario.at("t").fence ?? 0, reason })
    expect(scenario.at("t").attempts).toBe(0)
    scenario.claim(ann, "t")
    scenario.must("lease.end", OPERATOR, { task: "t", reason })
    expect(scenario.at("t").attempts).toBe(1)
    scenario.must("task.reset", OPERATOR, { task: "t", reason })
    expect(scenario.at("t")).toMatchObject({ attempts: 0, status: "pending", deliverable: null })
  })

  it("begins anew for whoever claims it next: what the last one said of its progress is not the new one's", () => {
    const { scenario, ann, bob, fence } = given("claimed")
    scenario.must("task.update", ann, { task: "t", fence, progress: 0.7, note: "half of it" })
    scenario.must("task.release", ann, { task: "t", fence, reason })
    expect(scenario.claim(bob, "t")).toBeGreaterThan(fence)
    expect(scenario.state.tasks.get("t")).toMatchObject({ owner: "bob", status: "claimed", progress: 0, note: null, reason: null })
  })

  it("is not completed with evidence that tests fail", () => {
    const { scenario, ann, fence } = given("claimed")
    const { deliverable, usage } = delivery()
    const evidence = { ...deliverable.evidence, testsPass: false }
    scenario.refuses("invalid", "task.complete", ann, { task: "t", fence, deliverable: { ...deliverable, evidence }, usage })
  })
})

describe("a review", () => {
  it("is not the owner's own, the operator excepted", () => {
    const { scenario, ann } = given("review")
    scenario.refuses("forbidden", "task.review", ann, { task: "t", approve: true, reason })
    scenario.must("task.review", { ...ann, role: "operator" }, { task: "t", approve: true, reason })
    expect(scenario.at("t")).toMatchObject({ status: "completed", deliverable: { text: "done" }, usage: { costMicroUsd: 1 } })
  })

  it("that asks for changes gives the owner its task back under the same fence and a fresh lease", () => {
    const { scenario, ann, bob, fence } = given("review")
    expect(scenario.at("t").leaseEndsAtMs).toBeNull()
    scenario.wait(10_000_000)
    expect(types(scenario.must("task.review", bob, { task: "t", approve: false, reason: "mend it" }))).toEqual(["task.changes_requested", "event.sent"])
    expect(scenario.at("t")).toMatchObject({ status: "in_progress", owner: "ann", fence, reason: "mend it", leaseEndsAtMs: scenario.nowMs + 120_000 })
    scenario.complete(ann, "t", fence)
    expect(scenario.at("t").status).toBe("review")
  })

  it("that asks for changes of somebody who is gone opens the task for others, and no attempt is counted", () => {
    const leave: ((scenario: Scenario, ann: Actor) => unknown)[] = [
      (scenario) => scenario.must("agent.retire", OPERATOR, { name: "ann", reason }),
      (scenario, ann) => scenario.must("session.end", ann, { session: ann.session ?? "", reason }),
      (scenario, ann) => scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [{ id: ann.session ?? "", silentMs: 45_000 }] }),
      // Its next session has the one that ended long ago forgotten.
      (scenario, ann) => {
        scenario.must("session.end", ann, { session: ann.session ?? "", reason })
        scenario.wait(24 * 3_600_000 + 1)
        scenario.session("ann")
        expect(scenario.state.sessions.has(ann.session ?? "")).toBe(false)
      },
    ]
    for (const gone of leave) {
      const { scenario, ann, bob } = given("review")
      gone(scenario, ann)
      expect(scenario.at("t").status).toBe("review")
      scenario.must("task.review", bob, { task: "t", approve: false, reason: "mend it" })
      expect(scenario.at("t")).toMatchObject({ status: "pending", attempts: 0, owner: null, fence: null, leaseEndsAtMs: null })
      scenario.claim(bob, "t")
    }
  })

  it("has no lease that could run out, also while its owner's session beats for other work", () => {
    const { scenario, ann } = given("review")
    scenario.task("other")
    scenario.claim(ann, "other")
    scenario.wait(60_000)
    scenario.must("hub.sweep", OPERATOR, { beats: [ann.session ?? ""], silent: [] })
    expect(scenario.at("other").leaseEndsAtMs).toBe(scenario.nowMs + 120_000)
    expect(scenario.at("t").leaseEndsAtMs).toBeNull()
    scenario.wait(10_000_000)
    scenario.must("hub.sweep", OPERATOR, { beats: [], silent: [] })
    expect(scenario.at("t").status).toBe("review")
  })
})

test("every field of a task counts in the state's digest", () => {
  const task = given("blocked").scenario.at("t")
  const others = [
    ...Object.keys(task).map((field) => ({ ...task, [field]: field === "usage" ? task.usage : "other" })),
    ...Object.keys(task.usage).map((field) => ({ ...task, usage: { ...task.usage, [field]: 77 } })),
  ].filter((other) => JSON.stringify(other) !== JSON.stringify(task))
  expect(others).toHaveLength(Object.keys(task).length - 1 + Object.keys(task.usage).length)
  const written = (one: typeof task): string => {
    const ink = new Ink()
    writeTask(one, ink)
    return new TextDecoder().decode(ink.written)
  }
  expect(new Set([task, ...others].map(written)).size).toBe(1 + others.length)
})
