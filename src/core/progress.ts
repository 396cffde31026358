import { capOf, handOver, isNearlyUsed, nearlyUsed } from "./account-book.ts"
import { unblockedBy } from "./blocker.ts"
import { type Throttled, throttledBy } from "./breaker-outcome.ts"
import { directive, type DirectiveEvent, directorOf, inVain, sent } from "./directive.ts"
import type { Actor } from "./entry.ts"
import type { AgentId, Seq, TaskId } from "./ids.ts"
import { isSuccess, judgedBy, type Learned, triedBy } from "./judgement.ts"
import { LEASE_UNOWNED_MS, underLease } from "./lease.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { type Deliverable, NO_USAGE, type Task, type TaskEvent, type TaskSpec, type Usage } from "./task.ts"
import type { Workspace } from "./workspace.ts"

export type Update = { task: TaskId; fence: Seq; progress: number | null; note: string | null }
export type Complete = { task: TaskId; fence: Seq; deliverable: Deliverable; usage: Usage }
/** `retry`: whether another attempt may help; where attempts are left, or it was throttled, the task is then open again. */
export type Fail = { task: TaskId; fence: Seq; reason: string; retry: boolean; usage: Usage; throttled?: Throttled }
export type Release = { task: TaskId; fence: Seq; reason: string; throttled?: Throttled }
export type Review = { task: TaskId; approve: boolean; reason: string }

type Events = (TaskEvent | DirectiveEvent)[]

/** So many attempts in a row that were throttled, without a word until when, are one that counts: what always says so is no provider, and ends. */
export const THROTTLES_MAX = 10

/** A sign of life and of progress: starts a claimed task, renews the lease. */
export function decideUpdate(state: Workspace, actor: Actor, { task: id, fence, progress, note }: Update, nowMs: number): TaskEvent[] | Refusal {
  const task = underLease(state, actor, id, fence, nowMs)
  if ("refused" in task) return task
  if (task.status === "review") return refuse("wrong_status", `task ${id} is in review`, "Wait for the review.", { task: id })
  const events: TaskEvent[] = []
  if (task.status === "claimed") events.push({ type: "task.started", data: { id }, causedBy: fence })
  if (progress !== null || note !== null || events.length === 0) events.push({ type: "task.progressed", data: { id, progress, note }, causedBy: fence })
  return events
}

/** The work is done. Where the task asks for a review it waits for one; else what waited for it is ready from this entry on. */
export function decideComplete(state: Workspace, actor: Actor, { task: id, fence, deliverable, usage }: Complete, nowMs: number): Events | Refusal {
  const task = underLease(state, actor, id, fence, nowMs)
  if ("refused" in task) return task
  if (task.status === "review") return refuse("wrong_status", `task ${id} is in review already`, "Wait for the review.", { task: id })
  if (task.status === "blocked") return refuse("wrong_status", `task ${id} is blocked on ${task.blockedOn?.ref}`, "Unblock it first.", { task: id })
  const spec = state.specs.get(id) as TaskSpec
  if (deliverable.evidence.testsPass === false) {
    return refuse("invalid", `task ${id} cannot be completed: its evidence says that tests fail`, "Mend them, or fail the task with the reason.", { task: id })
  }
  if (spec.review) {
    const text = `${id} waits for review`
    const to = { role: directorOf(state) }
    return [
      { type: "task.submitted", data: { id, deliverable, usage }, causedBy: fence },
      sent({ kind: "request_review", directive: null, to, task: id, priority: spec.priority, text, payload: {}, requiresAck: true }, fence),
    ]
  }
  return [
    { type: "task.completed", data: { id, deliverable, usage, ...judgedBy(state, task, isSuccess(state, task, deliverable)) }, causedBy: fence },
    ...unblockedBy(state, id, `${id} is completed`, fence, nowMs),
  ]
}

export function decideFail(state: Workspace, actor: Actor, { task: id, fence, reason, retry, usage, throttled: told }: Fail, nowMs: number): Events | Refusal {
  const task = underLease(state, actor, id, fence, nowMs)
  if ("refused" in task) return task
  if (task.status === "review") return refuse("wrong_status", `task ${id} is in review`, "Wait for the review.", { task: id })
  const throttled = told ?? throttledBy(reason)
  // Whoever was throttled has not shown what it cannot do.
  const tried = throttled !== null && retry ? throttledAgain(state, task, throttled, nowMs) : null
  if (throttled !== null && tried !== null)
    return [{ type: "task.retried", data: { id, reason, usage, throttled, uncounted: true, ...tried }, causedBy: fence }]
  return counted(state, task, { id, reason, usage, ...(throttled === null ? judgedBy(state, task, false) : { throttled }), ...triedBy(task) }, retry)
}

type Failed = { id: TaskId; reason: string; usage: Usage; throttled?: Throttled } & Learned

/** The end of an attempt that counts: with the last of them the task has failed. */
function counted(state: Workspace, { id, attempts, fence }: Task, data: Failed, retry: boolean): Events {
  const again = retry && attempts + 1 < (state.specs.get(id) as TaskSpec).maxAttempts
  return again ? [{ type: "task.retried", data, causedBy: fence }] : [{ type: "task.failed", data, causedBy: fence }, ...inVain(state, id, "failed", fence)]
}

/** For the event that ends a throttled attempt; null where it has to be counted. */
function throttledAgain(state: Workspace, task: Task, { untilMs }: Throttled, nowMs: number): Learned | null {
  const learned = triedBy(task)
  const { tried } = learned
  if (tried === undefined || (untilMs !== null && untilMs > nowMs)) return learned
  const throttles = (state.attempts.get(task.id)?.at(-1)?.throttles ?? 0) + 1
  return throttles < THROTTLES_MAX ? { tried: { ...tried, throttles } } : null
}

/** Gives the task back unharmed: no attempt is counted, unless it was throttled too often. */
export function decideRelease(state: Workspace, actor: Actor, { task: id, fence, reason, throttled: told }: Release, nowMs: number): Events | Refusal {
  const task = underLease(state, actor, id, fence, nowMs)
  if ("refused" in task) return task
  if (task.status === "review") return refuse("wrong_status", `task ${id} is in review`, "Wait for the review.", { task: id })
  const throttled = told ?? throttledBy(reason)
  if (throttled === null) {
    // A task that was given back untouched has nothing to tell.
    const tried = task.progress > 0 || task.note !== null ? triedBy(task) : {}
    return [{ type: "task.released", data: { id, reason, ...tried }, causedBy: fence }]
  }
  const tried = throttledAgain(state, task, throttled, nowMs)
  if (tried !== null) return [{ type: "task.released", data: { id, reason, throttled, ...tried }, causedBy: fence }]
  return counted(state, task, { id, reason, usage: NO_USAGE, throttled, ...triedBy(task) }, true)
}

/** Somebody other than the owner approves, or asks for changes. */
export function decideReview(state: Workspace, actor: Actor, { task: id, approve, reason }: Review, nowMs: number): Events | Refusal {
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (task.status !== "review")
    return refuse("wrong_status", `task ${id} is ${task.status}, not in review`, "There is nothing to review.", { task: id, status: task.status })
  if (task.owner === actor.agent && actor.role !== "operator")
    return refuse("forbidden", `${actor.agent} cannot review its own task`, "Let another agent review it.", { task: id })
  if (approve) return approved(state, task, nowMs)
  const requested: TaskEvent = {
    type: "task.changes_requested",
    data: { id, reason, leaseEndsAtMs: nowMs + (task.leaseMs ?? LEASE_UNOWNED_MS), ...judgedBy(state, task, false), ...triedBy(task) },
    causedBy: task.fence,
  }
  // Whoever delivered it may be gone, or without money to go on: then it is open for others, and that is nobody's failed attempt.
  if (isGone(state, task) || isOutOfMoney(state, task, nowMs)) return [requested, { type: "task.released", data: { id, reason }, causedBy: task.fence }]
  const money = moneyOf(state, task)
  // Money first: of a long reason not all is shown everywhere.
  const text = `${money === null ? "" : `${money}\n`}changes requested on ${id}: ${reason}`
  return [requested, directive("resume", { agent: task.owner as AgentId }, id, text, task.fence)]
}

function isGone(state: Workspace, { owner, session }: Task): boolean {
  if (state.agents.get(owner as AgentId)?.status === "retired") return true
  // One that ended long ago is forgotten.
  return session !== null && state.sessions.get(session)?.status !== "live"
}

/** Whether the hub would take the task back at once: its time to hand over was up while it waited. */
function isOutOfMoney(state: Workspace, task: Task, nowMs: number): boolean {
  const stopAtMs = stopOf(state, task)
  return stopAtMs !== null && nowMs >= stopAtMs
}

/** When its time to hand over is up; null where it has what it needs. */
function stopOf(state: Workspace, { id }: Task): number | null {
  return state.reservations.get(id)?.stopAtMs ?? null
}

/** What came with its delivery was told to nobody: there was nothing left to hand over, nor to finish. */
function moneyOf(state: Workspace, { id }: Task): string | null {
  const reservation = state.reservations.get(id)
  if (reservation === undefined) return null
  if (reservation.stopAtMs !== null) return handOver(id, reservation.stopAtMs)
  return isNearlyUsed(reservation) ? nearlyUsed(id, reservation.usedMicroUsd, capOf(reservation) as number) : null
}

function approved(state: Workspace, task: Task, nowMs: number): Events {
  const { id, fence } = task
  const deliverable = task.deliverable as Deliverable
  const usage = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
  return [
    { type: "task.completed", data: { id, deliverable, usage, ...judgedBy(state, task, isSuccess(state, task, deliverable, true)) }, causedBy: fence },
    ...unblockedBy(state, id, `${id} is completed`, fence, nowMs),
  ]
}
