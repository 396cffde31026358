import { describe, expect, it } from "vitest"
import { OPERATOR, Scenario, types } from "../../test/scenario.ts"
import { type Actor, HUB } from "./entry.ts"
import { openNotices } from "./directive.ts"
import type { TaskId } from "./ids.ts"

const reason = "because"

function block(scenario: Scenario, actor: Actor, task: TaskId, on: TaskId): string[] {
  return types(scenario.must("task.block", actor, { task, fence: scenario.at(task).fence ?? 0, on: { kind: "task", ref: on }, reason }))
}

/** ann is blocked on what bob does, and fills the time. */
function waiting(): { scenario: Scenario; ann: Actor; bob: Actor } {
  const scenario = new Scenario()
  const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
  scenario.task("main")
  scenario.task("other")
  scenario.task("fill", { filler: true })
  scenario.claim(ann, "main")
  scenario.claim(bob, "other")
  expect(block(scenario, ann, "main", "other")).toEqual(["task.started", "task.blocked", "event.sent"])
  expect(scenario.next(ann)).toEqual(["fill"])
  return { scenario, ann, bob }
}

describe("a blocked task", () => {
  it("keeps owner and lease, and whoever does what it waits for is told to plan anew", () => {
    const { scenario, bob } = waiting()
    expect(scenario.at("main")).toMatchObject({ status: "blocked", owner: "ann", blockedOn: { kind: "task", ref: "other", reason } })
    expect(openNotices(scenario.state, bob)).toMatchObject([{ directive: "replan", task: "main" }])
  })

  it("concerns whoever waits for it with another task, too", () => {
    const { scenario, ann, bob } = waiting()
    const notices = openNotices(scenario.state, ann).length
    scenario.task("third")
    block(scenario, bob, "other", "third")
    expect(openNotices(scenario.state, ann).slice(notices)).toMatchObject([
      { directive: "replan", task: "other", text: "other is blocked on task third: because" },
    ])
  })

  it("goes on the moment its blocker is completed; its owner is called back and lets go of its filler in the same breath", () => {
    const { scenario, ann, bob } = waiting()
    expect(types(scenario.complete(bob, "other"))).toEqual(["task.completed", "task.unblocked", "task.released", "event.sent"])
    expect(scenario.at("main")).toMatchObject({ status: "in_progress", blockedOn: null })
    expect(scenario.at("fill")).toMatchObject({ status: "pending", attempts: 0 })
    expect(openNotices(scenario.state, ann)).toMatchObject([{ directive: "resume", task: "main" }])
  })

  it("whose lease is over is nobody's: neither its owner nor the end of its blocker brings it back", () => {
    const { scenario, ann, bob } = waiting()
    const endsAtMs = scenario.at("main").leaseEndsAtMs ?? 0
    scenario.wait(endsAtMs - scenario.nowMs - 1)
    scenario.must("lease.renew", bob, { task: "other", fence: scenario.at("other").fence ?? 0 })
    scenario.wait(1)
    scenario.refuses("wrong_status", "task.unblock", ann, { task: "main", reason })
    expect(types(scenario.complete(bob, "other"))).toEqual(["task.completed"])
    expect(scenario.at("main")).toMatchObject({ status: "blocked", leaseEndsAtMs: endsAtMs })
  })

  it("goes on when its blocker is approved after a review", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("main")
    scenario.task("other", { review: true })
    scenario.claim(ann, "main")
    scenario.claim(bob, "other")
    block(scenario, ann, "main", "other")
    expect(types(scenario.complete(bob, "other"))).toEqual(["task.submitted", "event.sent"])
    expect(scenario.at("main").status).toBe("blocked")
    scenario.must("task.review", ann, { task: "other", approve: true, reason })
    expect(scenario.at("main").status).toBe("in_progress")
  })

  it("that waits for its owner's own filler goes on when that is done, and the filler stays done", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("main")
    scenario.task("fill", { filler: true })
    scenario.claim(ann, "main")
    block(scenario, ann, "main", "fill")
    scenario.claim(ann, "fill")
    expect(types(scenario.complete(ann, "fill"))).toEqual(["task.completed", "task.unblocked", "event.sent"])
    expect(scenario.at("fill").status).toBe("completed")
  })

  it("is told when it waits in vain: what it waits for has failed, was cancelled, or lost its last attempt", () => {
    const ends: ((scenario: Scenario, bob: Actor) => unknown)[] = [
      (scenario, bob) =>
        scenario.must("task.fail", bob, {
          task: "other",
          fence: scenario.at("other").fence ?? 0,
          reason,
          retry: false,
          usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 },
        }),
      (scenario) => scenario.must("task.cancel", OPERATOR, { task: "other", reason }),
      (scenario) => {
        for (let attempt = 0; attempt < 3; attempt++) {
          if (attempt > 0) scenario.claim(scenario.agent(`bob${attempt}`), "other")
          scenario.must("lease.end", OPERATOR, { task: "other", reason })
        }
      },
    ]
    for (const end of ends) {
      const { scenario, ann, bob } = waiting()
      end(scenario, bob)
      expect(openNotices(scenario.state, ann)).toMatchObject([{ directive: "replan", task: "main" }])
      expect(scenario.at("main").status).toBe("blocked")
    }
  })

  it("is unblocked by hand by its owner, an orchestrator or the operator; a worker that does not hold it cannot", () => {
    const { scenario, ann, bob } = waiting()
    expect(scenario.refuses("not_owner", "task.unblock", bob, { task: "main", reason }).details).toMatchObject({ heldBy: "ann" })
    scenario.must("task.unblock", ann, { task: "main", reason })
    scenario.refuses("wrong_status", "task.unblock", ann, { task: "main", reason })
    block(scenario, ann, "main", "other")
    scenario.must("task.unblock", { ...bob, role: "orchestrator" }, { task: "main", reason })
    scenario.refuses("not_found", "task.unblock", OPERATOR, { task: "none", reason })
  })

  it("releases a filler once where two tasks of one owner go on at once", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann", { maxActive: 2 }), scenario.agent("bob")]
    for (const id of ["a", "b", "other"]) scenario.task(id)
    scenario.task("fill", { filler: true })
    scenario.claim(bob, "other")
    for (const id of ["a", "b"]) {
      scenario.claim(ann, id)
      block(scenario, ann, id, "other")
    }
    scenario.next(ann)
    expect(types(scenario.complete(bob, "other")).filter((type) => type === "task.released")).toHaveLength(1)
    expect(scenario.state.board.activeOf("ann")).toBe(2)
  })

  it("releases no filler whose lease is over: that is an attempt, and ends with the next sweep", () => {
    const { scenario, ann, bob } = waiting()
    scenario.task("brief", { filler: true, leaseMs: 1_000 })
    scenario.must("task.release", ann, { task: "fill", fence: scenario.at("fill").fence ?? 0, reason })
    scenario.claim(ann, "brief")
    scenario.wait(1_000)
    expect(types(scenario.complete(bob, "other"))).not.toContain("task.released")
    expect(types(scenario.must("hub.sweep", HUB, { beats: [], silent: [] }))).toContain("lease.ended")
    expect(scenario.at("brief").attempts).toBe(1)
  })
})

describe("a blocker", () => {
  it("must exist and be open", () => {
    const { scenario, bob } = waiting()
    scenario.task("done")
    scenario.must("task.cancel", OPERATOR, { task: "done", reason })
    const on = (kind: "task" | "agent" | "external", ref: string): { task: string; fence: number; on: { kind: typeof kind; ref: string }; reason: string } => ({
      task: "other",
      fence: scenario.at("other").fence ?? 0,
      on: { kind, ref },
      reason,
    })
    scenario.refuses("not_found", "task.block", bob, on("task", "none"))
    scenario.refuses("not_found", "task.block", bob, on("agent", "none"))
    scenario.refuses("wrong_status", "task.block", bob, on("task", "done"))
    expect(types(scenario.must("task.block", bob, on("agent", "ann")))).toEqual(["task.started", "task.blocked", "event.sent"])
    scenario.must("task.block", bob, on("external", "the weather"))
  })

  it("never closes a circle with blockers and dependencies, and the refusal shows it", () => {
    const { scenario, ann, bob } = waiting()
    const fence = scenario.at("other").fence ?? 0
    expect(scenario.refuses("cycle", "task.block", bob, { task: "other", fence, on: { kind: "task", ref: "main" }, reason }).details).toEqual({
      path: ["main", "other"],
    })
    expect(scenario.refuses("cycle", "task.block", bob, { task: "other", fence, on: { kind: "task", ref: "other" }, reason }).details).toEqual({
      path: ["other"],
    })
    scenario.task("after", { dependsOn: ["main"] })
    expect(scenario.refuses("cycle", "task.block", bob, { task: "other", fence, on: { kind: "task", ref: "after" }, reason }).details).toEqual({
      path: ["after", "main", "other"],
    })
    scenario.must("task.release", bob, { task: "other", fence, reason })
    expect(scenario.refuses("cycle", "task.edit", OPERATOR, { task: "other", reason, changes: { dependsOn: ["main"] } }).details).toEqual({
      path: ["other", "main", "other"],
    })
    expect(scenario.at("main").owner).toBe(ann.agent)
  })

  it("never closes a circle of agents that wait for each other, and the refusal shows it", () => {
    const scenario = new Scenario()
    const [ann, bob, cat] = ["ann", "bob", "cat"].map((name) => scenario.agent(name)) as [Actor, Actor, Actor]
    for (const actor of [ann, bob, cat]) scenario.claim(actor, scenario.task(`of-${actor.agent}`))
    const wait = ({ agent }: Actor, kind: "task" | "agent", ref: string) => {
      return { task: `of-${agent}`, fence: scenario.at(`of-${agent}`).fence ?? 0, on: { kind, ref }, reason }
    }
    expect(scenario.refuses("cycle", "task.block", ann, wait(ann, "agent", "ann"))).toMatchObject({
      message: "of-ann cannot wait for ann, who holds it",
      details: { path: ["ann"] },
    })
    scenario.must("task.block", ann, wait(ann, "agent", "bob"))
    scenario.refuses("cycle", "task.block", bob, wait(bob, "agent", "ann"))
    scenario.must("task.block", bob, wait(bob, "agent", "cat"))
    expect(scenario.refuses("cycle", "task.block", cat, wait(cat, "agent", "ann"))).toMatchObject({
      message: "of-cat cannot wait for ann, who waits for cat: ann -> bob -> cat",
      details: { path: ["ann", "bob", "cat"] },
    })
    // Who waits for a task can still answer.
    scenario.must("task.block", bob, wait(bob, "task", "of-cat"))
    scenario.must("task.block", cat, wait(cat, "agent", "bob"))
  })

  it("tells the owners of what depends on the blocked task, each once, and never the blocked one itself", () => {
    const scenario = new Scenario()
    const [ann, bob, cat] = [scenario.agent("ann"), scenario.agent("bob", { maxActive: 2 }), scenario.agent("cat")]
    scenario.task("main")
    scenario.task("other")
    for (const id of ["after", "later"]) scenario.task(id, { dependsOn: ["main"] })
    scenario.claim(ann, "main")
    scenario.complete(ann, "main")
    for (const id of ["after", "later"]) scenario.claim(bob, id)
    scenario.claim(cat, "other")
    scenario.must("task.reset", OPERATOR, { task: "main", reason })
    scenario.claim(ann, "main")
    expect(block(scenario, ann, "main", "other")).toEqual(["task.started", "task.blocked", "event.sent", "event.sent"])
    expect(openNotices(scenario.state, bob).map(({ directive, text }) => [directive, text])).toEqual([
      ["replan", "main, which after builds on, was reset: because"],
      ["replan", "main, which later builds on, was reset: because"],
      ["replan", "main is blocked on task other: because"],
    ])
    expect(openNotices(scenario.state, cat)).toMatchObject([{ directive: "replan", text: "main is blocked on task other: because" }])
    expect(openNotices(scenario.state, ann)).toEqual([])
  })

  it("that waits for its review concerns nobody where whoever delivered it is retired", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("main")
    scenario.task("other", { review: true })
    scenario.claim(bob, "other")
    scenario.complete(bob, "other")
    scenario.must("agent.retire", OPERATOR, { name: "bob", reason })
    scenario.claim(ann, "main")
    expect(block(scenario, ann, "main", "other")).toEqual(["task.started", "task.blocked"])
  })

  it("that is an agent is present; once it is retired, whoever waits for it is told", () => {
    const { scenario, ann } = waiting()
    const on = { kind: "agent", ref: "bob" } as const
    scenario.must("task.unblock", ann, { task: "main", reason })
    const fence = scenario.at("main").fence ?? 0
    scenario.must("task.block", ann, { task: "main", fence, on, reason })
    scenario.must("agent.retire", OPERATOR, { name: "bob", reason })
    expect(openNotices(scenario.state, ann).at(-1)).toMatchObject({ directive: "replan", task: "main", text: "main waits in vain: bob is retired" })
    scenario.refuses("retired", "task.block", ann, { task: "main", fence, on, reason })
    scenario.refuses("not_found", "task.block", ann, { task: "main", fence, on: { ...on, ref: "nobody" }, reason })
  })

  it("is not waited for in a circle by a task that is opened again: the reset shows it", () => {
    const scenario = new Scenario()
    const [ann, bob] = [scenario.agent("ann"), scenario.agent("bob")]
    scenario.task("first")
    scenario.task("second", { dependsOn: ["first"] })
    scenario.task("third", { dependsOn: ["second"] })
    for (const id of ["first", "second"]) {
      scenario.claim(ann, id)
      scenario.complete(ann, id)
    }
    scenario.must("task.reset", OPERATOR, { task: "first", reason })
    scenario.claim(bob, "first")
    // The second is completed and waits for nothing.
    block(scenario, bob, "first", "third")
    const path = ["second", "first", "third", "second"]
    expect(scenario.refuses("cycle", "task.reset", OPERATOR, { task: "second", reason }).details).toEqual({ path })
    scenario.must("task.unblock", OPERATOR, { task: "first", reason })
    scenario.must("task.reset", OPERATOR, { task: "second", reason })
  })
})
