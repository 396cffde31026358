import { type Booking, bookingOf, capOf, handOver, isNearlyUsed, nearlyUsed, type Reservation, type Spending } from "./account-book.ts"
import { type Breaker, type BreakerId, phaseOf } from "./breaker.ts"
import { areBreakersOn, breakersAfter } from "./breaker-outcome.ts"
import { limitOf } from "./budget.ts"
import { directive, type DirectiveEvent, sent } from "./directive.ts"
import type { Actor, Recorded } from "./entry.ts"
import type { TaskId } from "./ids.ts"
import { instant } from "./instant.ts"
import { exactUsd } from "./money.ts"
import { isRefusal, type Refusal } from "./refusal.ts"
import { isHeld, type Task, type TaskEvent } from "./task.ts"
import type { UsageEvent } from "./usage.ts"
import type { Workspace } from "./workspace.ts"

/** Adds to a decision what has to be told of it: thresholds that were reached, budgets that close, breakers that open, and who has to hand over. */
export function withNotices(state: Workspace, actor: Actor, decision: Recorded[] | Refusal, nowMs: number): Recorded[] | Refusal {
  if (isRefusal(decision)) return decision
  const reported = state.budgets.size === 0 ? [] : decision.flatMap((event) => noticesOf(state, event as TaskEvent | UsageEvent, actor, nowMs))
  const told = [...reported, ...breakerNotices(state, decision, nowMs)]
  return told.length === 0 ? decision : [...decision, ...told]
}

/** The money that an entry tells of; null where it tells of none. */
export function spendingOf(event: TaskEvent | UsageEvent, actor: Actor): Spending | null {
  switch (event.type) {
    case "task.submitted":
    case "task.completed":
    case "task.failed":
    case "task.retried":
      return event.data.usage.costMicroUsd > 0 ? { agent: actor.agent, task: event.data.id, costMicroUsd: event.data.usage.costMicroUsd } : null
    case "usage.reported": {
      const { agent, task, costMicroUsd } = event.data
      return costMicroUsd !== null && costMicroUsd > 0 ? { agent, task, costMicroUsd } : null
    }
    default:
      return null
  }
}

function noticesOf(state: Workspace, event: TaskEvent | UsageEvent, actor: Actor, nowMs: number): DirectiveEvent[] {
  const spending = spendingOf(event, actor)
  if (spending === null) return []
  const booking = bookingOf(state, spending, nowMs)
  const told = budgetNotices(state, spending, booking)
  // What comes with the end of a claim leaves nothing to finish or to hand over.
  return event.type === "usage.reported" ? [...told, ...claimNotices(state, spending, booking)] : told
}

function budgetNotices(state: Workspace, spending: Spending, { budgets }: Booking): DirectiveEvent[] {
  const told: DirectiveEvent[] = []
  for (const after of budgets) {
    const before = state.budgets.get(after.id)
    const limit = limitOf(state, after)
    if (before === undefined || limit === null) continue
    const spent = `${exactUsd(after.settledMicroUsd + after.overrunMicroUsd)} of ${exactUsd(limit)}`
    const isNewWindow = after.window !== before.window
    if (after.closedAtMs !== null && (before.closedAtMs === null || isNewWindow)) {
      const on = spending.task === null ? "" : ` on ${spending.task}`
      const text = `budget ${after.id} is closed: ${spending.agent} used ${exactUsd(after.overrunMicroUsd)}${on} beyond what was reserved (${spent}). skein budget top-up opens it.`
      told.push(toOperator(text, "high"))
    } else if (after.warnedPercent > (isNewWindow ? 0 : before.warnedPercent)) {
      told.push(toOperator(`budget ${after.id} has reached ${after.warnedPercent} %: ${spent}`, "normal"))
    }
  }
  return told
}

/** What whoever works under a reservation hears of it. */
function claimNotices(state: Workspace, spending: Spending, { reservation }: Booking): DirectiveEvent[] {
  const task = spending.task === null ? undefined : state.tasks.get(spending.task)
  if (reservation === null || task === undefined || !isHeld(task.status)) return []
  const before = state.reservations.get(task.id) as Reservation
  const { usedMicroUsd, stopAtMs } = reservation
  if (stopAtMs !== null && before.stopAtMs === null) {
    return [directive("pause", { agent: spending.agent }, task.id, handOver(task.id, stopAtMs), task.fence)]
  }
  if (stopAtMs === null && isNearlyUsed(reservation) && !isNearlyUsed(before)) {
    const text = nearlyUsed(task.id, usedMicroUsd, capOf(before) as number)
    return [directive("nudge", { agent: spending.agent }, task.id, text, task.fence)]
  }
  return []
}

/** Breakers that a decision opens, seen through the same steps that the fold will take. */
function breakerNotices(state: Workspace, decision: readonly Recorded[], nowMs: number): DirectiveEvent[] {
  if (!areBreakersOn(state)) return []
  const seen = new Map<BreakerId, Breaker | undefined>()
  const known = (id: BreakerId): Breaker | undefined => (seen.has(id) ? seen.get(id) : state.breakers.get(id))
  // The claim is over with the end of its lease: that its task fails for it, for want of attempts, is no second outcome.
  const over = new Set<TaskId>()
  for (const event of decision as readonly TaskEvent[]) {
    if (!/^(task|lease)\./.test(event.type)) continue
    const before: Task | undefined = "id" in event.data ? state.tasks.get(event.data.id) : undefined
    if (before === undefined || over.has(before.id)) continue
    for (const [id, breaker] of breakersAfter(state, event, before, nowMs, known)) seen.set(id, breaker)
    if (event.type === "lease.ended") over.add(before.id)
  }
  return [...seen].flatMap(([id, breaker]) => {
    const was = phaseOf(state.breakers.get(id), nowMs)
    if (breaker === undefined || breaker.open === null || was === "open" || phaseOf(breaker, nowMs) !== "open") return []
    const { untilMs, cause, reason } = breaker.open
    const until = untilMs === null ? "" : ` until ${instant(untilMs)}`
    return [toOperator(`breaker ${id} is open${until} (${cause}): ${reason.slice(0, 500)}`, "high")]
  })
}

function toOperator(text: string, priority: "high" | "normal"): DirectiveEvent {
  return sent({ kind: "info", directive: null, to: { role: "operator" }, task: null, priority, text, payload: {}, requiresAck: true }, null, "hub")
}

/** Takes back what was not handed over in time. No attempt is counted: it is the money that ended. */
export function takenBack(state: Workspace, ended: ReadonlySet<string>, nowMs: number): (TaskEvent | DirectiveEvent)[] {
  if (state.books.nextStopMs === null) return []
  return state.books.overdue(nowMs).flatMap(({ task: id, agent, fence }): (TaskEvent | DirectiveEvent)[] => {
    if (ended.has(id)) return []
    const released: TaskEvent = { type: "task.released", data: { id, reason: "its budget is spent, and its time to hand over is up" }, causedBy: fence }
    return [released, directive("stop", { agent }, id, `${id} was taken back: its budget is spent`, fence)]
  })
}
