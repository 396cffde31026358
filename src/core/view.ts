import type { Agent, Session } from "./agent.ts"
import type { PlanId, TaskId } from "./ids.ts"
import type { Attempt } from "./judgement.ts"
import { isActive, type Task, type TaskSpec } from "./task.ts"
import type { Plan } from "./plan.ts"
import type { Workspace } from "./workspace.ts"

/** Where a task stands for a reader: its status, with what is derived for one that is pending. */
export type TaskState = Task["status"] | "ready" | "waiting" | "unreachable"
/** A task as callers see it: what it asks for, where it stands, what follows, and what its last attempts came to. */
export type TaskView = TaskSpec & Task & { state: TaskState; pathMs: number; history: readonly Attempt[] }
/** An agent as callers see it: never its credentials' hashes. */
export type AgentView = Omit<Agent, "credentials" | "addedSeq"> & { credentials: string[]; busy: boolean; tasks: TaskId[]; sessions: Session[] }
export type PlanView = Plan & { counts: Record<TaskState, number>; finished: boolean }

const NO_ATTEMPTS: readonly Attempt[] = []

export function taskState(state: Workspace, { id, status }: Pick<Task, "id" | "status">): TaskState {
  if (status !== "pending") return status
  if (state.board.isReady(id)) return "ready"
  return state.board.isUnreachable(id) ? "unreachable" : "waiting"
}

export function viewTask(state: Workspace, id: TaskId): TaskView | null {
  const t = state.tasks.get(id)
  const s = state.specs.get(id)
  if (t === undefined || s === undefined) return null
  // Written out, because every claim is answered with one: an engine makes it at once, and takes eight times as long to copy two records into one.
  // prettier-ignore
  return {
    title: s.title, body: s.body, priority: s.priority, dependsOn: s.dependsOn, requires: s.requires, budgetMicroUsd: s.budgetMicroUsd, touches: s.touches,
    run: s.run, env: s.env, estimateMs: s.estimateMs, prefers: s.prefers, model: s.model, account: s.account, gates: s.gates, filler: s.filler,
    review: s.review, leaseMs: t.leaseMs ?? s.leaseMs, maxAttempts: s.maxAttempts, labels: s.labels,
    id: t.id, plan: t.plan, addedSeq: t.addedSeq, addedAtMs: t.addedAtMs, lastSeq: t.lastSeq, status: t.status, owner: t.owner, session: t.session,
    fence: t.fence, leaseEndsAtMs: t.leaseEndsAtMs, attempts: t.attempts, progress: t.progress, note: t.note, blockedOn: t.blockedOn,
    helpWanted: t.helpWanted, deliverable: t.deliverable, usage: t.usage, reason: t.reason, stale: t.stale, claimedAtMs: t.claimedAtMs,
    updatedAtMs: t.updatedAtMs, closedAtMs: t.closedAtMs,
    state: taskState(state, t), pathMs: state.board.pathMs(id), history: state.attempts.get(id) ?? NO_ATTEMPTS,
  }
}

export function viewAgent(state: Workspace, { credentials, addedSeq: _, ...agent }: Agent): AgentView {
  const held = state.board.heldBy(agent.name)
  return {
    ...agent,
    credentials: Object.keys(credentials),
    busy: held.some((task) => isActive(task.status)),
    tasks: held.map((task) => task.id),
    sessions: state.board.sessionsOf(agent.name),
  }
}

/** `finished`: nothing is left that could still be done. */
export function viewPlan(state: Workspace, id: PlanId): PlanView | null {
  const plan = state.plans.get(id)
  if (plan === undefined) return null
  const counts: Record<TaskState, number> = { ...state.board.countsOf(id), ready: 0, waiting: 0, unreachable: 0 }
  let open = 0
  for (const taskId of state.board.tasksOf(id)) {
    const task = state.tasks.get(taskId) as Task
    const at = taskState(state, task)
    if (at !== task.status) counts[at] += 1
    const filler = state.specs.get(taskId)?.filler === true
    if (!filler && at !== "completed" && at !== "failed" && at !== "cancelled" && at !== "unreachable") open += 1
  }
  return { ...plan, counts, finished: open === 0 }
}
