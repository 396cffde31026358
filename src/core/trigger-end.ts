import { type DirectiveEvent, sent } from "./directive.ts"
import type { Seq } from "./ids.ts"
import { isInFlight, mayHaveArrived, type ReasonCode, REASONS, type Trigger, type TriggerEvent } from "./trigger.ts"
import { afterFailure } from "./trigger-route.ts"
import { cursorOf } from "./unread.ts"
import type { Workspace } from "./workspace.ts"

/** A failed attempt with what follows from it. The last one is told to the operator. */
export function failure(state: Workspace, job: Trigger, code: ReasonCode, detail: string, nowMs: number, bits: number): (TriggerEvent | DirectiveEvent)[] {
  const next = afterFailure(state, job, code, nowMs, bits)
  const event: TriggerEvent = { type: "trigger.failed", data: { id: job.id, fence: job.fence as Seq, code, detail, next }, causedBy: job.fence }
  if (next.status !== "dead") return [event]
  const text = `${job.target} could not be woken in ${job.thread}: ${REASONS[code].means}. skein trigger why ${job.id}; again: skein trigger retry ${job.id} --reason …`
  const to = { role: "operator" } as const
  return [event, sent({ kind: "blocker", directive: null, to, task: null, priority: "high", text, payload: { job: job.id }, requiresAck: false }, job.fence)]
}

export function retracted({ id, fence }: Trigger, reason: string): TriggerEvent {
  return { type: "trigger.cancelled", data: { id, code: "RETRACTED", reason }, causedBy: fence }
}

/** Why a job has lost its reason, or null while it stands. */
export function goneReason(state: Workspace, job: Trigger): string | null {
  const agent = state.agents.get(job.target)
  if (agent?.status !== "present") return `agent ${job.target} is retired`
  const thread = state.threads.get(job.thread)
  if (thread?.status === "closed") return `thread ${job.thread} is closed`
  if (thread === undefined) return null
  const cursor = cursorOf(state, { agent: job.target, role: agent.role }, thread)
  if (cursor === null) return job.thread === `agent/${job.target}` ? null : `${job.target} is no longer in thread ${job.thread}`
  if (job.origin === "request") return null
  if (cursor.lastReadSeq >= job.message || cursor.unread === 0) return `${job.target} has read it`
  return state.jobs.isCovered(job.target) || isInFlight(job) || mayStillAct(state, job) ? null : `no supervisor is to wake ${job.target}`
}

/**
 * Whether a text of the job may stand before its agent yet, typed and not taken: its supervisor is away, perhaps only for a moment. Were the job taken back, the next
 * supervisor would get another of the same unread state, under another nonce, and the agent would be woken twice.
 */
function mayStillAct(state: Workspace, job: Trigger): boolean {
  if (!mayHaveArrived(job)) return false
  const session = job.session === null ? null : state.sessions.get(job.session)
  return session === null || (session !== undefined && session.status !== "ended")
}
