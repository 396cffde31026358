import { describe, expect, it } from "vitest"
import { OPERATOR, PLAN, Scenario, types } from "../../test/scenario.ts"
import { openNotices } from "./directive.ts"
import type { AddPlan, PlanTask } from "./plan.ts"
import { viewPlan } from "./view.ts"

const reason = "because"

function plan(tasks: PlanTask[], changes: Partial<AddPlan> = {}): AddPlan {
  return { ...PLAN, digest: "d1", commit: "c1", tasks, ...changes }
}
const one: PlanTask[] = [{ id: "a", title: "A" }]
const two: PlanTask[] = [...one, { id: "b", title: "B" }]

describe("a plan that is cancelled", () => {
  it("stops whoever holds one of its tasks, and has nobody plan anew what is cancelled; others that wait for it hear of that", () => {
    const scenario = new Scenario()
    const [ann, bob, cat] = [scenario.agent("ann"), scenario.agent("bob"), scenario.agent("cat")]
    scenario.must("plan.add", OPERATOR, plan(two))
    scenario.task("c")
    for (const [actor, task] of [[ann, "p.1/a"] as const, [cat, "c"] as const])
      scenario.must("task.block", actor, { task, fence: scenario.claim(actor, task), on: { kind: "task", ref: "p.1/b" }, reason })
    scenario.claim(bob, "p.1/b")
    scenario.must("plan.cancel", OPERATOR, { plan: "p.1", reason })
    const heard = [ann, bob, cat].map((actor) => openNotices(scenario.state, actor).map(({ directive }) => directive))
    expect(heard).toEqual([["stop"], ["stop"], ["replan"]])
  })
})

describe("a plan", () => {
  it("is one entry for itself and one for each agent that is new and each task; tasks are called by the plan's run", () => {
    const scenario = new Scenario()
    scenario.agent("ann", { capabilities: { old: 1 } })
    const agents = [
      { name: "ann", start: true, capabilities: { rust: 5 } },
      { name: "bob", start: false, maxActive: 3 },
    ]
    const added = scenario.must(
      "plan.add",
      OPERATOR,
      plan(
        [
          { id: "a", title: "A" },
          { id: "b", title: "B", dependsOn: ["a"], estimateMs: 5 },
        ],
        { agents },
      ),
    )
    expect(types(added)).toEqual(["agent.added", "plan.added", "task.added", "task.added"])
    expect(added.answer).toMatchObject({ plan: "p.1", created: true, tasks: 2 })
    expect(scenario.state.agents.get("ann")?.capabilities).toEqual({ old: 1 })
    expect(scenario.state.agents.get("bob")).toMatchObject({ maxActive: 3, role: "worker" })
    expect(scenario.state.specs.get("p.1/b")).toMatchObject({ dependsOn: ["p.1/a"], estimateMs: 5, maxAttempts: 3 })
    expect(scenario.state.plans.get("p.1")).toMatchObject({
      run: 1,
      taskCount: 2,
      agents: [
        { name: "ann", start: true },
        { name: "bob", start: false },
      ],
      cancelled: null,
    })
  })

  it("is known by its name, its content and the commit it runs on; a cancelled one is not gone on with", () => {
    const scenario = new Scenario()
    const add = (changes: Partial<AddPlan> = {}): unknown => scenario.must("plan.add", OPERATOR, plan(one, changes)).answer
    expect(add()).toMatchObject({ plan: "p.1", created: true })
    expect(add()).toMatchObject({ plan: "p.1", created: false })
    expect(add({ digest: "d2" })).toMatchObject({ plan: "p.2", created: true })
    expect(add({ commit: null })).toMatchObject({ plan: "p.3", created: true })
    expect(add({ name: "q" })).toMatchObject({ plan: "q.1", created: true })
    scenario.must("plan.cancel", OPERATOR, { plan: "p.1", reason })
    expect(add()).toMatchObject({ plan: "p.4", created: true })
    expect(add()).toMatchObject({ plan: "p.4", created: false })
  })

  it.each([
    ["invalid", plan(one, { name: "a b" })],
    ["invalid", plan([])],
    ["invalid", plan([{ id: "a/b", title: "A" }])],
    ["already_exists", plan([...one, ...one])],
    ["unknown_dependency", plan([{ id: "a", title: "A", dependsOn: ["z"] }])],
    ["invalid", plan([...one, { id: "b", title: "B", dependsOn: ["a", "a"] }])],
    [
      "already_exists",
      plan(one, {
        agents: [
          { name: "x", start: true },
          { name: "x", start: true },
        ],
      }),
    ],
    ["invalid", plan(one, { agents: [{ name: "hub", start: true }] })],
    ["invalid", plan(one, { agents: [{ name: "operator", role: "orchestrator", start: true }] })],
    ["forbidden", plan(one, { agents: [{ name: "x", start: true, role: "operator" }] })],
    ["forbidden", plan(one, { agents: [{ name: "x", start: true, role: "supervisor" }] })],
    ["forbidden", plan(one, { agents: [{ name: "chief", start: true }] })],
    ["retired", plan(one, { agents: [{ name: "gone", start: true }] })],
  ] as const)("is refused whole as %s", (code, wrong) => {
    const scenario = new Scenario()
    scenario.agent("gone")
    scenario.must("agent.retire", OPERATOR, { name: "gone", reason })
    scenario.agent("chief", { role: "operator" })
    scenario.refuses(code, "plan.add", OPERATOR, wrong)
    expect(scenario.state.plans.size + scenario.state.tasks.size).toBe(0)
  })

  it("with a circle is refused with the path that makes it", () => {
    const scenario = new Scenario()
    const depends = (edges: Record<string, string[]>): AddPlan => plan(Object.entries(edges).map(([id, dependsOn]) => ({ id, title: id, dependsOn })))
    const path = (edges: Record<string, string[]>): unknown => scenario.refuses("cycle", "plan.add", OPERATOR, depends(edges)).details["path"]
    expect(path({ a: ["a"] })).toEqual(["a", "a"])
    expect(path({ a: [], b: ["a", "d"], c: ["b"], d: ["c"] })).toEqual(["b", "d", "c", "b"])
    expect(scenario.must("plan.add", OPERATOR, depends({ d: ["b", "c"], c: ["a"], b: ["a"], a: [] })).answer.created).toBe(true)
  })

  it("that is cancelled cancels what is open, stops who holds it, and lets what is done stand", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.must("plan.add", OPERATOR, plan([...two, { id: "c", title: "C" }]))
    scenario.claim(ann, "p.1/a")
    scenario.complete(ann, "p.1/a")
    scenario.claim(ann, "p.1/b")
    expect(types(scenario.must("plan.cancel", OPERATOR, { plan: "p.1", reason }))).toEqual(["plan.cancelled", "task.cancelled", "event.sent", "task.cancelled"])
    expect(["a", "b", "c"].map((id) => scenario.at(`p.1/${id}`).status)).toEqual(["completed", "cancelled", "cancelled"])
    scenario.refuses("wrong_status", "plan.cancel", OPERATOR, { plan: "p.1", reason })
    scenario.refuses("not_found", "plan.cancel", OPERATOR, { plan: "p.9", reason })
  })

  it("is finished when nothing is left that could still be done, filler work aside", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann")
    scenario.must(
      "plan.add",
      OPERATOR,
      plan([
        { id: "a", title: "A" },
        { id: "b", title: "B", dependsOn: ["a"] },
        { id: "c", title: "C", review: true },
        { id: "f", title: "F", filler: true },
      ]),
    )
    const view = (): unknown => viewPlan(scenario.state, "p.1")
    expect(view()).toMatchObject({ finished: false, counts: { pending: 4, ready: 3, waiting: 1, unreachable: 0 } })
    scenario.must("task.cancel", OPERATOR, { task: "p.1/a", reason })
    scenario.claim(ann, "p.1/c")
    scenario.complete(ann, "p.1/c")
    expect(view()).toMatchObject({ finished: false, counts: { pending: 2, ready: 1, unreachable: 1, review: 1, cancelled: 1 } })
    scenario.must("task.review", OPERATOR, { task: "p.1/c", approve: true, reason })
    expect(view()).toMatchObject({ finished: true })
    expect(viewPlan(scenario.state, "p.2")).toBeNull()
  })
})
