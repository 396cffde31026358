import type { Agent, Skills } from "./agent.ts"
import { assign, IMPOSSIBLE } from "./assignment.ts"
import type { ClaimNext } from "./claim.ts"
import { scoreFor } from "./coordinator.ts"
import type { Actor } from "./entry.ts"
import type { AgentId, TaskId } from "./ids.ts"
import { beliefsOf } from "./judgement.ts"
import { type Beliefs, isEligible } from "./match.ts"
import type { Task, TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** Somebody who waits for work right now. */
export type Waiter = { actor: Actor; filter: ClaimNext }
/** Who is served when, and with what: `place` among those who wait; `meant` is null where it takes what comes first for it. */
export type Served = { place: number; meant: TaskId | null }

/** Tasks, and waiters who can do one of them, that are weighed against each other at once. */
const TASKS_MAX = 16
const WAITERS_MAX = 32
/** What it is worth that a task would like this very agent: less than any difference in ability that was seen. */
const PREFERRED = 0.05

/**
 * In which order those who wait are served. First come first served, unless skills are asked for: then the ready tasks are assigned among all who wait, so
 * that as many as possible are done, by whoever does them best. Nothing is held back: whoever gets none of these still claims what is left.
 */
export function orderOfTurns(state: Workspace, waiters: readonly Waiter[]): Served[] {
  const meant = waiters.length < 2 ? NOBODY : meantFor(state, waiters)
  const first: Served[] = []
  for (const [place, task] of meant) first.push({ place, meant: task })
  for (let place = 0; place < waiters.length; place += 1) if (!meant.has(place)) first.push({ place, meant: null })
  return first
}

type Competing = { place: number; agent: Agent; beliefs: Beliefs; waiter: Waiter }
const NOBODY: ReadonlyMap<number, TaskId> = new Map()

/** By place among the waiters, the task that each of them should take. */
function meantFor(state: Workspace, waiters: readonly Waiter[]): ReadonlyMap<number, TaskId> {
  const tasks = foremost(state, Math.min(TASKS_MAX, waiters.length))
  if (!tasks.some((id) => asksForSkills(state, id))) return NOBODY
  const specs = tasks.map((id) => state.specs.get(id) as TaskSpec)
  const competing: Competing[] = []
  for (let place = 0; place < waiters.length && competing.length < WAITERS_MAX; place += 1) {
    const waiter = waiters[place] as Waiter
    const agent = state.agents.get(waiter.actor.agent)
    if (agent === undefined || agent.status !== "present" || waiter.filter.filler === true) continue
    if (state.board.activeOf(agent.name) >= agent.maxActive) continue
    const one: Competing = { place, agent, beliefs: beliefsOf(state, agent.name), waiter }
    if (tasks.some((id, row) => fits(state, id, specs[row] as TaskSpec, one))) competing.push(one)
  }
  if (competing.length < 2) return NOBODY
  const meanCost = competing.reduce((sum, { agent }) => sum + agent.costPerHourMicroUsd, 0) / competing.length
  const scores = specs.map((spec, row) =>
    competing.map((one, column) => {
      if (!fits(state, tasks[row] as TaskId, spec, one)) return IMPOSSIBLE
      const { agent, beliefs } = one
      const { requires, prefers } = spec
      const cost = meanCost === 0 ? 1 : agent.costPerHourMicroUsd / meanCost
      // Where all else is equal: the first task to whoever came first.
      return scoreFor(agent, beliefs, requires, cost) + (prefers === agent.name ? PREFERRED : 0) - 1e-9 * (row + 1) * (column + 1)
    }),
  )
  const meant = new Map<number, TaskId>()
  assign(scores).forEach((column, row) => {
    if (column >= 0) meant.set((competing[column] as Competing).place, tasks[row] as TaskId)
  })
  return meant
}

/** The tasks that come first for somebody who may do anything. */
function foremost(state: Workspace, count: number): TaskId[] {
  return state.board.chooseReady({
    count,
    agent: "",
    capabilities: null,
    plan: null,
    labels: [],
    filler: false,
    isFree: () => true,
    hasRoom: () => true,
  })
}

function asksForSkills(state: Workspace, id: TaskId): boolean {
  for (const _ in (state.specs.get(id) as TaskSpec).requires) return true
  return false
}

/** Directors take what they like; everybody else takes what they are able to do. */
export function isFreeToTake({ role }: Pick<Actor, "role">): boolean {
  return role === "operator" || role === "orchestrator"
}

function fits(state: Workspace, id: TaskId, spec: TaskSpec, { agent, beliefs, waiter }: Competing): boolean {
  const { plan, labels } = waiter.filter
  if (!isFreeToTake(waiter.actor) && !isEligible(agent.capabilities, beliefs, spec.requires)) return false
  if (plan !== null && (state.tasks.get(id) as Task).plan !== plan) return false
  if (labels.length > 0 && !labels.every((label) => spec.labels.includes(label))) return false
  return spec.touches.length === 0 || !state.board.holdings.obstruct(spec.touches, agent.name)
}

/** Whether an agent may do what is required: by its word, or by what it learned. */
export function mayDo(state: Workspace, { name, capabilities }: { name: AgentId; capabilities: Skills }, requires: Skills): boolean {
  return isEligible(capabilities, beliefsOf(state, name), requires)
}
