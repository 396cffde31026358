import type { AgentEvent, Profile } from "./agent.ts"
import { profileFrom, wrongName } from "./agent.ts"
import { cancelled, findCycle, planTaskId } from "./backlog.ts"
import type { DirectiveEvent } from "./directive.ts"
import { type Recorded, unknownType } from "./entry.ts"
import { type AgentId, isName, type PlanId, type Seq } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { DEFAULT_SPEC, isClosed, type TaskEvent, type TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** An agent that a plan brings along. `start`: whether `skein run` starts a process for it. */
export type PlanAgent = { name: AgentId; start: boolean } & Partial<Profile>
/** A task of a plan; its dependencies name tasks of the same plan. */
export type PlanTask = { id: string; title: string } & Partial<Omit<TaskSpec, "title">>

/** A plan as its file says it, checked whole before anything is written. */
export type AddPlan = {
  name: string
  title: string
  /** SHA-256 of the file's bytes in hex, and the commit that it runs on: with the name they say which plan it is. */
  digest: string
  commit: string | null
  worktrees: boolean
  maxActiveAgents: number | null
  budgetMicroUsd: number | null
  agents: PlanAgent[]
  tasks: PlanTask[]
}
export type CancelPlan = { plan: PlanId; reason: string }

/** One run of a plan: the same file on the same commit is the same run and goes on where it stopped. */
export type Plan = Omit<AddPlan, "tasks" | "agents"> & {
  id: PlanId
  run: number
  agents: { name: AgentId; start: boolean }[]
  taskCount: number
  addedSeq: Seq
  addedAtMs: number
  cancelled: string | null
}

export type PlanEvent = Recorded<"plan.added", Omit<Plan, "addedSeq" | "addedAtMs" | "cancelled">> | Recorded<"plan.cancelled", { id: PlanId; reason: string }>

/** Tasks of one plan at the most. */
export const PLAN_TASKS_MAX = 100_000

export function decideAddPlan(state: Workspace, plan: AddPlan): (PlanEvent | AgentEvent | TaskEvent)[] | Refusal {
  const known = findPlan(state, plan)
  if (known !== null) return []
  const wrong = wrongPlan(plan) ?? wrongAgents(state, plan.agents)
  if (wrong !== null) return wrong
  const { tasks, agents, ...rest } = plan
  const run = 1 + [...state.plans.values()].filter((other) => other.name === plan.name).length
  const id = `${plan.name}.${run}`
  const added: AgentEvent[] = agents
    .filter((agent) => !state.agents.has(agent.name))
    .map(({ name, start: _, ...profile }) => ({ type: "agent.added", data: { name, profile: profileFrom(profile) } }))
  return [
    ...added,
    { type: "plan.added", data: { ...rest, id, run, agents: agents.map(({ name, start }) => ({ name, start })), taskCount: tasks.length } },
    ...tasks.map(({ id: local, dependsOn = [], ...given }): TaskEvent => {
      const spec = { ...DEFAULT_SPEC, ...given, dependsOn: dependsOn.map((dependency) => planTaskId(id, dependency)) }
      return { type: "task.added", data: { id: planTaskId(id, local), plan: id, spec } }
    }),
  ]
}

/** The run that this file on this commit is already, unless it was cancelled. */
export function findPlan(state: Workspace, { name, digest, commit }: Pick<AddPlan, "name" | "digest" | "commit">): Plan | null {
  let found: Plan | null = null
  for (const plan of state.plans.values()) {
    if (plan.name === name && plan.digest === digest && plan.commit === commit && plan.cancelled === null && plan.run > (found?.run ?? 0)) found = plan
  }
  return found
}

export function decideCancelPlan(state: Workspace, { plan: id, reason }: CancelPlan): (PlanEvent | TaskEvent | DirectiveEvent)[] | Refusal {
  const plan = state.plans.get(id)
  if (plan === undefined) return refuse("not_found", `there is no plan ${id}`, "`skein plan list` lists the plans.", { plan: id })
  if (plan.cancelled !== null) return refuse("wrong_status", `plan ${id} is cancelled already`, "Start its file again for a new run.", { plan: id })
  const open = [...state.board.tasksOf(id)].filter((task) => !isClosed(state.tasks.get(task)?.status ?? "cancelled")).sort()
  const cancelling = new Set(open)
  const events = open.flatMap((task) => cancelled(state, task, reason))
  // Whoever is told to stop has nothing to plan anew.
  const isVain = ({ type, data }: (typeof events)[number]): boolean =>
    type === "event.sent" && data.directive === "replan" && data.task !== null && cancelling.has(data.task)
  return [{ type: "plan.cancelled", data: { id, reason } }, ...events.filter((event) => !isVain(event))]
}

/** What is wrong with the plan in itself; `plan check` asks the same and adds line and column. */
function wrongPlan({ name, tasks, agents }: Pick<AddPlan, "name" | "tasks" | "agents">): Refusal | null {
  if (!isName(name))
    return refuse("invalid", `"${name}" cannot name a plan`, "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit.", { plan: name })
  if (tasks.length === 0) return refuse("invalid", `plan ${name} has no tasks`, "Add one under `tasks`.", { plan: name })
  if (tasks.length > PLAN_TASKS_MAX)
    return refuse("too_large", `plan ${name} has ${tasks.length} tasks`, `Keep to ${PLAN_TASKS_MAX} a plan: make several plans of it.`, { plan: name })
  const byId = new Map<string, PlanTask>()
  for (const task of tasks) {
    if (!isName(task.id))
      return refuse("invalid", `"${task.id}" cannot be a task's id`, "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit.", { task: task.id })
    if (byId.has(task.id)) return refuse("already_exists", `two tasks are called ${task.id}`, "Give each task an id of its own.", { task: task.id })
    byId.set(task.id, task)
  }
  for (const { id, dependsOn = [] } of tasks) {
    const unknown = dependsOn.find((dependency) => !byId.has(dependency))
    if (unknown !== undefined)
      return refuse("unknown_dependency", `task ${id} depends on ${unknown}, which is not in the plan`, "Add that task, or mend the name.", {
        task: id,
        dependency: unknown,
      })
    if (new Set(dependsOn).size < dependsOn.length) return refuse("invalid", `task ${id} names a dependency twice`, "Name each once.", { task: id })
  }
  const path = findCycle(byId.keys(), (id) => byId.get(id)?.dependsOn ?? [])
  if (path !== null) return refuse("cycle", `these tasks wait for each other: ${path.join(" -> ")}`, "Take one of these dependencies out.", { path })
  const names = agents.map((agent) => agent.name)
  const twice = names.find((agent, at) => names.indexOf(agent) !== at)
  return twice === undefined ? null : refuse("already_exists", `two agents are called ${twice}`, "Give each agent a name of its own.", { agent: twice })
}

function wrongAgents(state: Workspace, agents: readonly PlanAgent[]): Refusal | null {
  for (const { name, role: given } of agents) {
    const wrong = wrongName(name, undefined)
    if (wrong !== null) return wrong
    // It would run the plan's commands with the rights that the agent has already.
    const role = state.agents.get(name)?.role ?? given
    if (role !== undefined && role !== "worker" && role !== "orchestrator" && role !== "observer")
      return refuse("forbidden", `a plan cannot bring an agent of role ${role}`, "Leave it out of the plan: such an agent is added by hand, skein agent add.", {
        agent: name,
      })
    if (state.agents.get(name)?.status === "retired") return refuse("retired", `agent ${name} is retired`, "Use another name in the plan.", { agent: name })
  }
  return null
}

export function evolvePlan(state: Workspace, event: PlanEvent, { seq, atMs }: { seq: Seq; atMs: number }): void {
  switch (event.type) {
    case "plan.added":
      state.plans.put(event.data.id, { ...event.data, addedSeq: seq, addedAtMs: atMs, cancelled: null })
      break
    case "plan.cancelled":
      state.plans.put(event.data.id, { ...(state.plans.get(event.data.id) as Plan), cancelled: event.data.reason })
      break
    default:
      throw unknownType(event)
  }
}
