import type { AgentEvent, Session } from "./agent.ts"
import { directive, type DirectiveEvent, inVain, type Target } from "./directive.ts"
import type { Actor } from "./entry.ts"
import { type FileLease, filesEnded, type FilesEvent, isFileLeaseDue } from "./file-lease.ts"
import type { AgentId, Seq, SessionId, TaskId } from "./ids.ts"
import { triedBy } from "./judgement.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { WakeSweep } from "./trigger.ts"
import { takenBack } from "./governor-notice.ts"
import { isHeld, isLeaseOver, type LeaseEnd, type Task, type TaskEvent, type TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** Lease of a session that something beats for. */
export const LEASE_OWNED_MS = 120_000
/** Lease where nothing beats: a person or a script that calls the CLI now and then. */
export const LEASE_UNOWNED_MS = 900_000
/** A task in progress without an update for this long is flagged to its owner; after twice this, to the operator. */
const STALE_MS = 900_000
/** A session is lost after this many of its heartbeat intervals without a beat. */
export const LOST_AFTER_BEATS = 3

/** What the hub tells the core at each sweep: presence since the last one. */
export type Sweep = {
  /** Sessions that beat since the last sweep. */
  beats: readonly SessionId[]
  /** Owned sessions of this hub's own connections that have been silent for three intervals. */
  silent: readonly { id: SessionId; silentMs: number }[]
  /** Of `beats`, those who came to this hub from another: named in any case, so that the other no longer takes their silence for their end. */
  arrived?: readonly SessionId[]
  /** What it knows of turns, for waking agents. */
  wakes?: WakeSweep
}
export type EndLease = { task: TaskId; reason: string }
export type RenewLease = { task: TaskId; fence: Seq }

/** Sessions named in one `leases.renewed`, so that an entry stays under its limit. */
const RENEWED_PER_ENTRY = 1_500

/** Ends a lease; with its last attempt the task has failed. `note`: what whoever ended it by hand says of it. */
export function leaseEnded(state: Workspace, task: Task, reason: LeaseEnd, by: AgentId, note: string | null = null): (TaskEvent | DirectiveEvent)[] {
  const ended: TaskEvent = { type: "lease.ended", data: { id: task.id, fence: task.fence as Seq, reason, by, note, ...triedBy(task) }, causedBy: task.fence }
  const { maxAttempts } = state.specs.get(task.id) as TaskSpec
  if (task.attempts + 1 < maxAttempts) return [ended]
  const spent = `its last attempt of ${maxAttempts} ended: ${reason}`
  return [
    ended,
    { type: "task.failed", data: { id: task.id, reason: spent, usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 } }, causedBy: task.fence },
    ...inVain(state, task.id, "failed", task.fence),
  ]
}

/** Ends all leases that an agent or session holds. */
export function leasesEnded(state: Workspace, held: readonly Task[], reason: LeaseEnd, by: AgentId): (TaskEvent | DirectiveEvent)[] {
  return held.filter((task) => isHeld(task.status)).flatMap((task) => leaseEnded(state, task, reason, by))
}

/**
 * The task, when the caller holds it under this fence right now. A lease is over at its end, not after it: a paused agent that wakes up late is
 * refused even where nobody else has claimed the task yet.
 */
export function underLease(state: Workspace, actor: Actor, id: TaskId, fence: Seq, nowMs: number): Task | Refusal {
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (!isHeld(task.status) && task.status !== "review") {
    return refuse(
      "stale_fence",
      `task ${id} is ${task.status}: fence ${fence} no longer holds it`,
      "Stop working on it; claim it again if it is still to be done.",
      { task: id, fence, status: task.status },
    )
  }
  if (task.fence !== fence) {
    return refuse(
      "stale_fence",
      `task ${id} is held by ${task.owner} under fence ${task.fence}, not ${fence}`,
      task.owner === actor.agent
        ? `You claimed it again since: if it was this run of yours, go on under fence ${task.fence}, else stop working on it.`
        : "Stop working on it: somebody else holds it now.",
      { task: id, fence, heldBy: task.owner },
    )
  }
  if (task.owner !== actor.agent) {
    return refuse(
      "not_owner",
      `task ${id} is held by ${task.owner}, not by ${actor.agent}`,
      "Only its owner can do this; ask for it, or have an operator end the lease.",
      { task: id, heldBy: task.owner },
    )
  }
  if (isLeaseOver(task, nowMs)) {
    const endedAtMs = task.leaseEndsAtMs as number
    return refuse("stale_fence", `the lease on task ${id} is over since ${nowMs - endedAtMs} ms`, "Stop working on it; claim it again.", {
      task: id,
      fence,
      endedAtMs,
    })
  }
  return task
}

export function decideRenewLease(state: Workspace, actor: Actor, { task: id, fence }: RenewLease, nowMs: number): TaskEvent[] | Refusal {
  const task = underLease(state, actor, id, fence, nowMs)
  if ("refused" in task) return task
  if (task.leaseMs === null || task.leaseEndsAtMs === null) return []
  return [{ type: "lease.renewed", data: { id, fence, leaseEndsAtMs: nowMs + task.leaseMs }, causedBy: fence }]
}

export function decideEndLease(state: Workspace, actor: Actor, { task: id, reason }: EndLease): (TaskEvent | DirectiveEvent)[] | Refusal {
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (!isHeld(task.status))
    return refuse("wrong_status", `task ${id} is ${task.status}: it has no lease`, "There is nothing to end.", { task: id, status: task.status })
  const stop = directive("stop", { agent: task.owner as AgentId }, id, `the lease on ${id} was ended: ${reason}`, task.fence)
  return [...leaseEnded(state, task, "operator", actor.agent, reason), stop]
}

/**
 * One sweep: renew what beat, declare lost what fell silent, end what ran out, flag what stalled. Renewals come first, so that no lease ends
 * whose owner was heard of in time.
 */
export function decideSweep(state: Workspace, { beats, silent, arrived = [] }: Sweep, nowMs: number): (TaskEvent | AgentEvent | FilesEvent | DirectiveEvent)[] {
  const beating = new Set(beats)
  const { holdings } = state.board
  const events: (TaskEvent | AgentEvent | FilesEvent | DirectiveEvent)[] = []
  const renewed = new Set<SessionId>()
  const moved = new Set(arrived)
  for (const id of beating) {
    const session = state.sessions.get(id)
    if (session === undefined || session.status === "ended") continue
    if (session.status === "lost") events.push({ type: "session.returned", data: { id } })
    const filesDue = holdings.ofSession(id).some((lease) => isFileLeaseDue(state.files.get(lease) as FileLease, nowMs))
    if (moved.has(id) || filesDue || state.board.heldBySession(id).some((task) => isDue(task, nowMs))) renewed.add(id)
  }
  const sessions = [...renewed]
  for (let at = 0; at < sessions.length; at += RENEWED_PER_ENTRY) {
    events.push({ type: "leases.renewed", data: { sessions: sessions.slice(at, at + RENEWED_PER_ENTRY) } })
  }
  const ended = new Set<TaskId>()
  const lost = new Set<SessionId>()
  const end = (tasks: readonly Task[], reason: LeaseEnd): void => {
    for (const task of tasks) {
      if (!isHeld(task.status) || ended.has(task.id)) continue
      ended.add(task.id)
      events.push(...leaseEnded(state, task, reason, "hub"))
    }
  }
  for (const { id, silentMs } of new Map(silent.map((session) => [session.id, session])).values()) {
    if (beating.has(id) || !mayBeLost(state.sessions.get(id), silentMs)) continue
    events.push({ type: "session.lost", data: { id, silentMs } })
    end(state.board.heldBySession(id), "lost")
    lost.add(id)
    events.push(...filesEnded(holdings.ofSession(id), "lost"))
  }
  end(
    state.board.overdue(nowMs).filter((task) => task.session === null || !renewed.has(task.session)),
    "expired",
  )
  const stands = (session: SessionId | null): boolean => session !== null && (renewed.has(session) || lost.has(session))
  const filesOver = holdings.overdue(nowMs).filter((id) => !stands((state.files.get(id) as FileLease).session))
  events.push(...filesEnded(filesOver, "expired"))
  const takenBackNow = takenBack(state, ended, nowMs)
  for (const event of takenBackNow) if (event.type === "task.released") ended.add(event.data.id)
  return [...events, ...takenBackNow, ...flagged(state, ended, nowMs)]
}

/** Work of which nothing was heard for too long: told to its owner, then to the operator; to both where no hub ran meanwhile. */
function flagged(state: Workspace, ended: ReadonlySet<TaskId>, nowMs: number): (TaskEvent | DirectiveEvent)[] {
  const events: (TaskEvent | DirectiveEvent)[] = []
  for (const { id, owner, fence, updatedAtMs, stale } of state.board.silentSince(nowMs - STALE_MS)) {
    const silentMs = nowMs - updatedAtMs
    if (ended.has(id)) continue
    const text = `nothing was heard of ${id} for ${Math.floor(silentMs / 60_000)} min: ${owner} holds it`
    const flag = (to: "owner" | "operator", target: Target): void => {
      events.push({ type: "task.flagged", data: { id, to, silentMs }, causedBy: fence }, directive("nudge", target, id, text, fence))
    }
    if (stale === null) flag("owner", { agent: owner as AgentId })
    if (stale !== "operator" && silentMs >= 2 * STALE_MS) flag("operator", { role: "operator" })
  }
  return events
}

/** A lease is renewed once a third of it has gone by: a sweep that comes for another reason adds nothing. */
function isDue({ leaseMs, leaseEndsAtMs }: Task, nowMs: number): boolean {
  return leaseMs !== null && leaseEndsAtMs !== null && 3 * (leaseEndsAtMs - nowMs) <= 2 * leaseMs
}

function mayBeLost(session: Session | undefined, silentMs: number): session is Session {
  return session !== undefined && session.status === "live" && session.owned && silentMs >= LOST_AFTER_BEATS * session.heartbeatMs
}
