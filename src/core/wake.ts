import type { DirectiveEvent } from "./directive.ts"
import type { Actor } from "./entry.ts"
import type { Seq, SessionId, ThreadId } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { type Evidence, isInFlight, isLive, mayHaveArrived, type Trigger, type TriggerEvent, type TriggerId, wakeKey, type WakeSweep } from "./trigger.ts"
import { failure, goneReason, retracted } from "./trigger-end.ts"
import { noJob, slotOf } from "./trigger-request.ts"
import { heldBy, routeTo } from "./trigger-route.ts"
import { wakesDue } from "./unread-wake.ts"
import { type PermissionEvent, permissionsOver } from "./permission.ts"
import { backoffMs, wakePolicy } from "./wake-policy.ts"
import type { Workspace } from "./workspace.ts"

/** The hub's own part of waking: what ran out, what lost its reason, what nobody takes, and what is newly unread. Changes nothing the second time. */
export function decideWakes(state: Workspace, { busy, unacked, bits }: WakeSweep, nowMs: number): (TriggerEvent | DirectiveEvent | PermissionEvent)[] {
  if (state.jobs.isQuiet) return []
  const idle = new Map(unacked.map((job) => [job.id, job]))
  const events: (TriggerEvent | DirectiveEvent | PermissionEvent)[] = permissionsOver(state, nowMs)
  for (const job of state.jobs.live())
    events.push(...upkeep(state, job, idle.get(job.id)?.fence === job.fence ? (idle.get(job.id)?.idleMs ?? 0) : 0, bits, nowMs))
  for (const { id, thread, target, message, lastReadSeq, unread, lastSeq } of wakesDue(state, new Set(busy))) {
    const { hop, session } = routeTo(state, target, nowMs)
    const reason = unread === 1 ? "1 unread message" : `${unread} unread messages`
    const about = { thread, message, lastReadSeq, target, reason, prompt: "", route: hop, session }
    events.push({
      type: "trigger.requested",
      data: { id, origin: "unread", request: null, ...about, ...slotOf(state, wakeKey(thread, target), nowMs) },
      causedBy: lastSeq,
    })
  }
  return events
}

/** How long the agent of a job has to show that it heard: longer where it looks only now and then, or has to start first. */
export function ackTimeMs(state: Workspace, { hop, channel }: Trigger): number {
  const { ackMs, inboxAckMs, startAckMs } = wakePolicy(state)
  if (hop !== "live") return startAckMs
  return channel === "native" ? inboxAckMs : ackMs
}

function upkeep(state: Workspace, job: Trigger, idleMs: number, bits: number, nowMs: number): (TriggerEvent | DirectiveEvent)[] {
  const { id, status, fence } = job
  const gone = goneReason(state, job)
  if (gone !== null && (status !== "delivering" || state.agents.get(job.target)?.status !== "present")) return [retracted(job, gone)]
  const isOver = isClaimOver(state, job, nowMs)
  if (status === "claimed" && isOver)
    return [{ type: "trigger.released", data: { id, fence: fence as Seq, reason: "its supervisor fell silent before it delivered" }, causedBy: fence }]
  if (status === "delivering" && isOver) {
    const detail = "its supervisor fell silent in the middle of it: the text may have arrived"
    return [{ type: "trigger.sent", data: { id, fence: fence as Seq, channel: job.channel, session: null, detail, presumed: true }, causedBy: fence }]
  }
  if (status === "awaiting_ack" && heldBy(state, job, nowMs) === null) {
    const own = bits ^ backoffMs(1, 1, job.createdSeq * 2_654_435_761)
    if (hasDiedWith(state, job)) return failure(state, job, "PANE_DEAD", "it ended before it showed that it had the text", nowMs, own)
    if (idleMs >= ackTimeMs(state, job)) return failure(state, job, "ACK_TIMEOUT", `idle for ${idleMs} ms`, nowMs, own)
  }
  if (isUnclaimed(state, job, nowMs)) return [{ type: "trigger.flagged", data: { id, code: "NO_SUPERVISOR" }, causedBy: job.createdSeq }]
  return []
}

/**
 * Whether the live process that a text was sent to has ended, as its supervisor says: nothing is to be waited for then. What was started for a job has its time
 * all the same, or an agent that dies as it starts would be given up within moments.
 */
function hasDiedWith(state: Workspace, { hop, session }: Trigger): boolean {
  const reached = session === null ? undefined : state.sessions.get(session)
  return hop === "live" && reached?.status === "ended" && reached.managedBy !== undefined
}

/** A claim is over at its end, and with its supervisor: one that is lost delivers nothing any more, since it would have to say so first. */
function isClaimOver(state: Workspace, { claimEndsAtMs, supervisor }: Trigger, nowMs: number): boolean {
  return (claimEndsAtMs !== null && nowMs >= claimEndsAtMs) || state.sessions.get(supervisor as SessionId)?.status !== "live"
}

function isUnclaimed(state: Workspace, job: Trigger, nowMs: number): boolean {
  if (isInFlight(job) || job.code === "NO_SUPERVISOR" || nowMs - job.notBeforeMs < wakePolicy(state).unclaimedMs) return false
  return (
    heldBy(state, job, nowMs) === null &&
    !state.jobs.isBeingWoken(job.target) &&
    !state.jobs.liveOf(job.target).some((other) => other.createdSeq < job.createdSeq)
  )
}

/** What an agent's read cursor means for jobs in that thread: delivered where the text may have come, retracted where it was not needed any more. */
export function readBy(state: Workspace, actor: Actor, thread: ThreadId, lastReadSeq: number): TriggerEvent[] {
  return state.jobs.of(wakeKey(thread, actor.agent)).flatMap((job): TriggerEvent[] => {
    if (!isLive(job)) return job.status === "delivered" && job.readAtMs === null ? [confirmed(job, "cursor")] : []
    if (mayHaveArrived(job)) return [confirmed(job, "cursor")]
    return job.origin === "unread" && lastReadSeq >= job.message ? [retracted(job, `${actor.agent} has read it`)] : []
  })
}

function confirmed(job: Trigger, evidence: Evidence): TriggerEvent {
  return { type: "trigger.confirmed", data: { id: job.id, evidence }, causedBy: job.fence ?? job.createdSeq }
}

export type ConfirmTrigger = { job: TriggerId; evidence: "turn" | "nonce" }

/** The nonce of a job came back from its agent. One that was never sent proves nothing. */
export function decideConfirmTrigger(state: Workspace, actor: Actor, { job: id, evidence }: ConfirmTrigger): TriggerEvent[] | Refusal {
  const job = state.triggers.get(id)
  if (job === undefined) return noJob(id)
  if (job.target !== actor.agent)
    return refuse("forbidden", `trigger ${id} is for ${job.target}, not for ${actor.agent}`, "Leave the nonce of others alone.", { job: id })
  if (isLive(job)) return mayHaveArrived(job) ? [confirmed(job, evidence)] : []
  const known = evidence === "turn" ? job.turnAtMs : job.readAtMs
  return job.status === "delivered" && known === null ? [confirmed(job, evidence)] : []
}

/** When the hub has to look again at the latest for the sake of waking; null: not at all. */
export function nextWakeLookMs(state: Workspace, nowMs: number): number | null {
  if (state.jobs.isQuiet) return null
  const { pollMs, ackMs, inboxAckMs, startAckMs } = wakePolicy(state)
  const shortestMs = Math.min(ackMs, inboxAckMs, startAckMs)
  const lookMs = nowMs + (state.jobs.awaitingCount > 0 ? Math.min(pollMs, Math.ceil(shortestMs / 8)) : pollMs)
  return Math.max(nowMs, Math.min(lookMs, ...state.jobs.openPermissions().map(({ untilMs }) => untilMs)))
}
