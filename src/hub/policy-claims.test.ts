import fc from "fast-check"
import { expect, test } from "vitest"
import { DEFAULT_PROFILE } from "../core/agent.ts"
import type { Actor, Role } from "../core/entry.ts"
import { DEFAULT_SPEC, type TaskSpec } from "../core/task.ts"
import { evolve, Workspace } from "../core/workspace.ts"
import { loadCedar } from "./cedar-library.ts"
import { claimsOf, type Request, requestOf } from "./policy-request.ts"
import { PolicySet } from "./policy-set.ts"

const cedar = loadCedar()
const NOW = Date.UTC(2026, 10, 21, 3, 0, 0)
const TASKS = ["p.1/a", "p.1/b", "p/a", "c"]
const ANN: Actor = { agent: "ann", session: null, role: "worker" }

function workspace(): Workspace {
  const state = new Workspace()
  for (const [name, costPerHourMicroUsd] of Object.entries({ ann: 0, bob: 3_600_000 }))
    state.agents.put(name, { ...DEFAULT_PROFILE, name, kind: name, costPerHourMicroUsd, status: "present", addedAtMs: 0, credentials: {} })
  for (const id of TASKS) {
    const data = { id, plan: id === "c" ? null : (id.split("/")[0] ?? null), spec: { ...DEFAULT_SPEC, title: id } }
    evolve(state, { seq: state.seq + 1, atMs: 0, type: "task.added", v: 1, actor: ANN, commandId: null, commandHash: null, causedBy: null, data })
  }
  return state
}

/** By what a rule may ask of a task. */
const RULES: [asks: string, rules: string][] = [
  ["its labels, attempts and what it is expected to cost", `resource.labels.contains("x") || resource.attempts > 1 || context.amountMicroUsd > 1`],
  ["its name, and the caller's", `resource.name like "p.1/*" && principal.name == "bob" || resource == Task::"c" && resource.priority == "critical"`],
  ["its plan, and the hour", `resource in Plan::"p" && context.hourUtc < 4 || resource.priority == "critical"`],
  ["its skills by their levels", `resource.hasTag("ts") && resource.getTag("ts") > 2 && principal.kind == "bob"`],
]

test.for(RULES)("of a rule that asks %s every task is answered as by a set that never saw it, however its records change and come back", ([, rule]) => {
  const text = `permit (principal, action, resource);\nforbid (principal, action == Action::"task.claim", resource is Task) when { ${rule} };`
  const kept = new PolicySet(cedar, "kept", text)
  const state = workspace()
  const spec = fc.oneof(
    fc.record({ labels: fc.subarray(["x", "y", "z"]) }),
    fc.record({ estimateMs: fc.constantFrom(1_000, 2_000) }),
    fc.record({ requires: fc.constantFrom<Record<string, number>>({}, { ts: 2 }, { ts: 4 }) }),
    fc.record({ priority: fc.constantFrom<TaskSpec["priority"]>("low", "critical") }),
  )
  const change = fc.oneof(fc.nat(3), spec)
  const step = fc.record({ task: fc.constantFrom(...TASKS), change, isUndone: fc.boolean(), agent: fc.constantFrom("ann", "bob"), hours: fc.nat(3) })
  const answers = new Set<boolean>()
  const look = (agent: string, role: Role, nowMs: number): void => {
    const asked = claimsOf(state, { agent, role }, nowMs)
    const verdictOf = kept.claims(state, asked)
    const fresh = new PolicySet(cedar, "fresh", text)
    for (const task of [...TASKS, ...TASKS]) {
      const { allowed } = verdictOf(task)
      expect([task, allowed]).toEqual([task, fresh.decide(asked(task)).allowed])
      answers.add(allowed)
    }
  }
  fc.assert(
    fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
      for (const { task, change: to, isUndone, agent, hours } of steps) {
        const { length } = state.journal
        if (typeof to === "number") state.tasks.put(task, { ...state.tasks.get(task)!, attempts: to })
        else state.specs.put(task, { ...state.specs.get(task)!, ...to })
        look(agent, "worker", NOW + hours * 3_600_000)
        if (isUndone) state.journal.undoTo(length)
        look("ann", "operator", NOW)
      }
    }),
    { seed: 7, numRuns: 60 },
  )
  expect(answers.size).toBe(2)
})

test("of a task that was seen before nothing is read, whoever claims, until its record changes", () => {
  const state = workspace()
  let read = 0
  for (const id of TASKS) state.specs.put(id, Object.defineProperty({ ...state.specs.get(id)! }, "labels", { get: () => ((read += 1), ["x"]) }))
  const set = new PolicySet(cedar, "labels", `permit (principal, action, resource) when { resource.labels.contains("y") };`)
  const look = (agent: string): number => {
    read = 0
    const verdictOf = set.claims(state, claimsOf(state, { agent, role: "worker" }, NOW))
    for (const id of TASKS) expect(verdictOf(id).allowed).toBe(false)
    return read
  }
  expect(look("ann")).toBeGreaterThanOrEqual(TASKS.length)
  expect([look("ann"), look("bob")]).toEqual([0, 0])
  state.tasks.put("c", { ...state.tasks.get("c")!, attempts: 1 })
  expect([look("ann"), look("bob")]).toEqual([1, 0])
})

test("however many tasks there are, a second look asks nothing anew, also where others have looked before", () => {
  const state = workspace()
  const kept = TASKS.length - 1
  const set = new PolicySet(cedar, "many", `permit (principal, action, resource) when { resource.name like "p*" && principal.name != "" };`, kept)
  const look = (agent: string): number => {
    const before = set.evaluated
    const verdictOf = set.claims(state, claimsOf(state, { agent, role: "worker" }, NOW))
    for (const id of TASKS) verdictOf(id)
    return set.evaluated - before
  }
  expect([look("ann"), look("ann")]).toEqual([TASKS.length, 0])
  // The last one's are forgotten where they are too many, but nobody's own while they are looked for.
  expect([look("bob"), look("cat"), look("cat")]).toEqual([TASKS.length, TASKS.length, 0])
})

test("tasks that differ only at the end of a long text are told apart", () => {
  const state = workspace()
  const long = "x".repeat(500)
  const set = new PolicySet(cedar, "long", `permit (principal, action, resource) when { resource.labels.contains("${long}\u{fffd}") };`)
  const allowed = (label: string): boolean => {
    state.specs.put("c", { ...state.specs.get("c")!, labels: [label] })
    return set.decide(requestOf(state, "task.claim", ANN, { task: "c" }, NOW) as Request).allowed
  }
  expect(["x", "\u{fffd}", "y"].map((end) => allowed(long + end))).toEqual([false, true, false])
  // Half of a character looks like that one.
  expect([allowed(`${long}\ud800`), allowed(`${long}\udc00`)]).toEqual([true, true])
})
