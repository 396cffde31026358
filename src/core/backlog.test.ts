import { describe, expect, it } from "vitest"
import { delivery, OPERATOR, Scenario, types } from "../../test/scenario.ts"
import { findCycle } from "./backlog.ts"
import { openNotices } from "./directive.ts"
import { DEFAULT_SPEC } from "./task.ts"
import { viewTask } from "./view.ts"

const reason = "because"

describe("a task that is added", () => {
  it("has every field, those that were left out with their defaults, in one order", () => {
    const scenario = new Scenario()
    scenario.must("task.add", OPERATOR, { title: "A", priority: "high", id: "a" })
    scenario.must("task.add", OPERATOR, { id: "b", labels: ["x"], title: "B" })
    expect(scenario.state.specs.get("a")).toEqual({ ...DEFAULT_SPEC, title: "A", priority: "high" })
    expect(Object.keys(scenario.state.specs.get("b") ?? {})).toEqual(Object.keys(scenario.state.specs.get("a") ?? {}))
    expect(viewTask(scenario.state, "a")).toMatchObject({ id: "a", state: "ready", pathMs: 60_000 })
    expect(viewTask(scenario.state, "none")).toBeNull()
  })

  it("is refused with what is wrong", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("a")
    scenario.refuses("already_exists", "task.add", OPERATOR, { id: "a", title: "A" })
    scenario.refuses("invalid", "task.add", OPERATOR, { id: "p.1/a", title: "A" })
    for (const id of ["", "a b", "../a", "x".repeat(73)]) scenario.refuses("invalid", "task.add", OPERATOR, { id, title: "A" })
    expect(scenario.refuses("unknown_dependency", "task.add", OPERATOR, { id: "b", title: "B", dependsOn: ["a", "z"] }).details).toMatchObject({
      dependency: "z",
    })
    expect(scenario.refuses("cycle", "task.add", OPERATOR, { id: "b", title: "B", dependsOn: ["a", "b"] }).details).toEqual({ path: ["b", "b"] })
    scenario.refuses("invalid", "task.add", OPERATOR, { id: "b", title: "B", dependsOn: ["a", "a"] })
    scenario.refuses("forbidden", "task.add", ann, { id: "b", title: "B", gates: ["npm test"] })
    scenario.must("task.add", { ...ann, role: "orchestrator" }, { id: "b", title: "B", gates: ["npm test"] })
  })
})

describe("an edit", () => {
  it("changes what a task asks for, tells whoever holds it, and leaves its standing alone", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("a")
    const fence = scenario.claim(ann, "a")
    const before = scenario.at("a")
    expect(types(scenario.must("task.edit", OPERATOR, { task: "a", reason, changes: { title: "A", leaseMs: 5_000, review: true } }))).toEqual([
      "task.edited",
      "event.sent",
    ])
    expect(scenario.at("a")).toEqual(before)
    expect(openNotices(scenario.state, ann)).toMatchObject([{ directive: "replan", task: "a" }])
    scenario.complete(ann, "a", fence)
    expect(scenario.at("a").status).toBe("review")
  })

  it("moves a ready task to where it belongs now", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { rust: 1 } })
    scenario.task("a")
    scenario.task("b")
    const edit = (changes: Parameters<Scenario["task"]>[1] & object): void => void scenario.must("task.edit", OPERATOR, { task: "b", reason, changes })
    const first = (): string | undefined => {
      const [task] = scenario.next(ann)
      if (task !== undefined) scenario.must("task.release", ann, { task, fence: scenario.at(task).fence ?? 0, reason })
      return task
    }
    expect(first()).toBe("a")
    edit({ priority: "high" })
    expect(first()).toBe("b")
    edit({ requires: { rust: 2 } })
    expect(first()).toBe("a")
    edit({ requires: {}, priority: "normal", prefers: "ann" })
    expect(first()).toBe("b")
    edit({ filler: true })
    expect(first()).toBe("a")
    edit({ filler: false, dependsOn: ["a"] })
    expect(first()).toBe("a")
    scenario.must("task.cancel", OPERATOR, { task: "a", reason })
    scenario.refuses("nothing_ready", "task.claimNext", ann, { plan: null, labels: [], filler: null, max: 1 })
    edit({ dependsOn: [] })
    expect(first()).toBe("b")
  })

  it("never closes a circle", () => {
    const scenario = new Scenario()
    scenario.task("a")
    scenario.task("b", { dependsOn: ["a"] })
    scenario.task("c", { dependsOn: ["b"] })
    expect(scenario.refuses("cycle", "task.edit", OPERATOR, { task: "a", reason, changes: { dependsOn: ["c"] } }).details).toEqual({
      path: ["a", "c", "b", "a"],
    })
    scenario.refuses("unknown_dependency", "task.edit", OPERATOR, { task: "a", reason, changes: { dependsOn: ["z"] } })
    scenario.refuses("not_found", "task.edit", OPERATOR, { task: "z", reason, changes: { title: "Z" } })
  })
})

describe("reset and cancel", () => {
  it("stop whoever holds the task, whose fence is stale from then on", () => {
    for (const name of ["task.reset", "task.cancel"] as const) {
      const scenario = new Scenario()
      const ann = scenario.agent("ann")
      scenario.task("a")
      const fence = scenario.claim(ann, "a")
      expect(scenario.must(name, OPERATOR, { task: "a", reason }).entries.at(-1)).toMatchObject({
        type: "event.sent",
        data: { directive: "stop", to: { agent: "ann" } },
      })
      scenario.refuses("stale_fence", "task.update", ann, { task: "a", fence, progress: 1, note: null })
      expect(scenario.state.board.activeOf("ann")).toBe(0)
      expect(scenario.state.board.nextLeaseEndMs).toBeNull()
      scenario.refuses("not_found", name, OPERATOR, { task: "none", reason })
    }
  })

  it("make what depends on the task unreachable, and reachable again", () => {
    const scenario = new Scenario()
    scenario.task("a")
    scenario.task("b", { dependsOn: ["a"] })
    scenario.must("task.cancel", OPERATOR, { task: "a", reason })
    expect(viewTask(scenario.state, "b")?.state).toBe("unreachable")
    scenario.must("task.reset", OPERATOR, { task: "a", reason })
    expect(viewTask(scenario.state, "b")?.state).toBe("waiting")
    expect(viewTask(scenario.state, "a")?.state).toBe("ready")
  })
})

describe("an edit of its attempts", () => {
  it("leaves a task one at the least, the one under way counted", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.task("t", { maxAttempts: 3 })
    const edit = (maxAttempts: number) => ({ task: "t", reason, changes: { maxAttempts } })
    scenario.must("task.fail", ann, { task: "t", fence: scenario.claim(ann, "t"), reason, retry: true, usage: delivery().usage })
    expect(scenario.refuses("invalid", "task.edit", OPERATOR, edit(1)).details).toMatchObject({ attempts: 1 })
    const fence = scenario.claim(ann, "t")
    scenario.refuses("invalid", "task.edit", OPERATOR, edit(1))
    scenario.must("task.edit", OPERATOR, edit(2))
    scenario.must("task.fail", ann, { task: "t", fence, reason, retry: true, usage: delivery().usage })
    expect(scenario.at("t")).toMatchObject({ status: "failed", attempts: 2 })
  })
})

describe("a circle", () => {
  it("is found from whatever root it is reached, and none is found where there is none", () => {
    const graph: Record<string, string[]> = { a: ["b"], b: ["c", "d"], c: [], d: ["b"], e: ["a"], f: ["c"] }
    const dependsOn = (id: string): string[] => graph[id] ?? []
    expect(findCycle(["e"], dependsOn)).toEqual(["b", "d", "b"])
    expect(findCycle(["f", "c", "unknown"], dependsOn)).toBeNull()
    expect(findCycle(Object.keys(graph), dependsOn)).toEqual(["b", "d", "b"])
  })
})
