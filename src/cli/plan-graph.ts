import type { PlanAgent, PlanTask } from "../core/plan.ts"
import { findCycle } from "../core/backlog.ts"
import { meets } from "../core/ready.ts"
import type { PlanValue } from "./plan-value.ts"
import { showSkills } from "./quantity.ts"
import { didYouMean } from "./spelling.ts"

/** What was read, and where it stands in the file; `dependsOn`: where each dependency stands. */
export type Placed<Item> = { place: PlanValue; value: Item; dependsOn?: PlanValue[] }

/** Cycles that are told of one plan at the most. */
const CYCLES_MAX = 20

/** Ids and dependencies: each id once, each dependency there and named once, nothing that waits for itself. */
export function checkGraph(tasks: readonly Placed<PlanTask>[]): void {
  const byId = new Map<string, Placed<PlanTask>>()
  for (const task of tasks) {
    const { id } = task.value
    if (byId.has(id)) task.place.fault("duplicate_id", `has the id "${id}", which a task above has`, "Give each task an id of its own.")
    else byId.set(id, task)
  }
  for (const { value, dependsOn: places = [] } of byId.values()) {
    const named = new Set<string>()
    for (const [at, dependency] of (value.dependsOn ?? []).entries()) {
      const place = places[at]
      // On a plan of 100,000 tasks a suggestion for each of as many wrong names would take hours.
      const meant = byId.has(dependency) || byId.size > 2_000 ? "" : didYouMean(dependency, byId.keys())
      if (!byId.has(dependency))
        place?.fault("unknown_dependency", `names "${dependency}", which is no task of this plan`, `${meant}Add that task, or take the name out.`)
      else if (named.has(dependency)) place?.fault("duplicate_id", `names "${dependency}" a second time`, "Name each dependency once.")
      named.add(dependency)
    }
  }
  checkCycles(byId)
}

/** Tells each cycle at the dependency that closes it, then looks on as if that dependency were gone. */
function checkCycles(byId: ReadonlyMap<string, Placed<PlanTask>>): void {
  const waitsFor = new Map([...byId].map(([id, { value }]) => [id, (value.dependsOn ?? []).filter((dependency) => byId.has(dependency))]))
  for (let found = 0; found < CYCLES_MAX; found += 1) {
    const path = findCycle(byId.keys(), (id) => waitsFor.get(id) ?? [])
    if (path === null) return
    const [last = "", first = ""] = path.slice(-2)
    waitsFor.set(
      last,
      (waitsFor.get(last) ?? []).filter((dependency) => dependency !== first),
    )
    const task = byId.get(last)
    const shown = path.length > 12 ? [...path.slice(0, 6), "…", ...path.slice(-6)] : path
    task?.dependsOn?.[task.value.dependsOn?.indexOf(first) ?? -1]?.fault(
      "cycle",
      `closes a circle: ${shown.join(" -> ")}`,
      "Take one of these dependencies out: each task would wait for itself.",
    )
  }
}

/** Warns of tasks that no agent of the plan can do, and of favourites that are not of the plan: both may exist in the workspace already. */
export function checkFit(tasks: readonly Placed<PlanTask>[], agents: readonly Placed<PlanAgent>[]): void {
  if (agents.length === 0) return
  const names = new Set(agents.map(({ value }) => value.name))
  const team = agents.filter(({ value }) => value.start).map(({ value }) => ({ capabilities: value.capabilities ?? {} }))
  for (const { place, value } of tasks) {
    const { requires = {}, prefers } = value
    if (!team.some((agent) => meets(agent, requires))) {
      place.warn(
        "nobody_fits",
        `requires ${showSkills(requires) || "an agent"}, which no agent that the plan starts has`,
        "Give these capabilities to an agent of the plan, or have one join from outside.",
      )
    }
    if (prefers !== undefined && prefers !== null && !names.has(prefers)) {
      place.warn(
        "unknown_agent",
        `prefers ${prefers}, which is no agent of this plan`,
        `${didYouMean(prefers, names)}Name one of the plan's agents, or leave it out.`,
      )
    }
  }
}
