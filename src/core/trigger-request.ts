import { presentAgent } from "./agent.ts"
import type { Actor } from "./entry.ts"
import type { AgentId, SessionId, ThreadId } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { permits } from "./role.ts"
import { placeKey, type Thread } from "./thread.ts"
import { inGroup, threadToPost } from "./thread-life.ts"
import { type Hop, isAutoBlocked, isInFlight, isLive, type ReasonCode, type Trigger, type TriggerEvent, type TriggerId, wakeKey } from "./trigger.ts"
import { goneReason } from "./trigger-end.ts"
import { routeOf, routeTo } from "./trigger-route.ts"
import { cursorOf } from "./unread.ts"
import { wakePolicy } from "./wake-policy.ts"
import type { Workspace } from "./workspace.ts"

/** `job` is made by the surface, of the caller and its request id: the core hashes nothing. */
export type TriggerParticipant = { job: TriggerId; request: string; thread: ThreadId; target: AgentId; reason: string; prompt: string }
export type RetryTrigger = { job: TriggerId; reason: string; force: boolean }
export type CancelTrigger = { job: TriggerId; reason: string }

/** What is answered to `trigger.participant`: always these fields. */
export type TriggerEnvelope = {
  job: TriggerId
  mode: "trigger_runtime" | "fallback_required"
  action: "queued" | "resume_session" | "spawn_session"
  status: Trigger["status"]
  code: ReasonCode | null
  notBeforeMs: number
  trace: {
    request: string | null
    thread: ThreadId
    message: number
    target: AgentId
    caller: AgentId
    callerSession: SessionId | null
    session: SessionId | null
  }
}

export function decideTrigger(state: Workspace, actor: Actor, input: TriggerParticipant, nowMs: number): TriggerEvent[] | Refusal {
  const { job: id, request, thread: threadId, target, reason, prompt } = input
  const known = state.triggers.get(id)
  if (known !== undefined) return sameRequest(known, input)
  const thread = threadToPost(state, threadId)
  if ("refused" in thread) return thread
  const wrong = notTriggerable(state, actor, thread, target)
  if (wrong !== null) return wrong
  const { hop, session } = routeTo(state, target, nowMs)
  const lastReadSeq = state.places.get(placeKey(threadId, target))?.lastReadSeq ?? 0
  const about = { thread: threadId, message: thread.head, lastReadSeq, target, reason, prompt, route: hop, session }
  const slot = slotOf(state, wakeKey(threadId, target), nowMs)
  return [{ type: "trigger.requested", data: { id, origin: "request", request, ...about, ...slot } }]
}

/** When the next trigger of an agent in a thread is due: at once, or as soon as the rate allows. */
export function slotOf(state: Workspace, key: string, nowMs: number): { notBeforeMs: number; code: ReasonCode | null } {
  const { ratePerMinute } = wakePolicy(state)
  const slots = state.wakes.get(key)?.slots ?? []
  const before = slots.at(-ratePerMinute)
  if (slots.length < ratePerMinute || before === undefined || before + 60_000 <= nowMs) return { notBeforeMs: nowMs, code: null }
  return { notBeforeMs: before + 60_000, code: "TRIGGER_RATE_LIMITED" }
}

function sameRequest(known: Trigger, { thread, target, reason, prompt, request }: TriggerParticipant): TriggerEvent[] | Refusal {
  if (known.thread === thread && known.target === target && known.reason === reason && known.prompt === prompt) return []
  return refuse("idempotency_conflict", `request ${request} came before with another payload`, "Use a new request id for a new trigger.", {
    request,
    job: known.id,
    firstSeq: known.createdSeq,
  })
}

function notTriggerable(state: Workspace, actor: Actor, thread: Thread, target: AgentId): Refusal | null {
  const { id, status } = thread
  const agent = presentAgent(state, target)
  if ("refused" in agent) return { ...agent, details: { ...agent.details, code: "TARGET_NOT_FOUND" } }
  const directs = permits("orchestrator", actor.role)
  const isIn = (agentId: AgentId, role: Actor["role"]): boolean =>
    id === `agent/${agentId}` || inGroup(thread.groups, { role }) || (state.threads.has(id) && cursorOf(state, { agent: agentId, role }, thread) !== null)
  if (!directs && !isIn(actor.agent, actor.role) && id !== `agent/${target}`)
    return refuse("forbidden", `${actor.agent} is not in thread ${id}`, "Join it first: thread.join. Or trigger the agent in its own inbox, agent/NAME.", {
      thread: id,
    })
  if (!isIn(target, agent.role))
    return refuse("forbidden", `${target} is not in thread ${id}: nothing there is for it to read`, "Invite it first: thread.invite.", { thread: id, target })
  if (status === "closed") return refuse("wrong_status", `thread ${id} is closed`, "Have an orchestrator open it again.", { thread: id, status })
  if (isAutoBlocked(state, id) && !directs)
    return refuse("wrong_status", `thread ${id} is blocked: ${thread.reason}`, "Only an orchestrator or the operator continues it: thread.unblock.", {
      thread: id,
      status,
      code: "THREAD_AUTO_BLOCKED",
    })
  return null
}

/** Opens a dead or cancelled job again, or has one that waits tried at once. `force`: whoever types in the pane; the reason is kept. */
export function decideRetryTrigger(state: Workspace, { job: id, reason, force }: RetryTrigger, nowMs: number): TriggerEvent[] | Refusal {
  const job = state.triggers.get(id)
  if (job === undefined) return noJob(id)
  const refused = (message: string, remedy: string): Refusal => refuse("wrong_status", message, remedy, { job: id, status: job.status })
  if (job.status === "delivered") return refused(`job ${id} is delivered`, "Trigger the agent again: skein wake.")
  if (isInFlight(job)) return refused(`job ${id} is ${job.status}: somebody is at it`, "Wait for its outcome: skein trigger why.")
  const gone = goneReason(state, job)
  if (gone !== null) return refused(`the reason for job ${id} has gone: ${gone}`, "Trigger the agent anew where it is to be woken: skein wake.")
  const { hop } = isLive(job) ? routeOf(state, job, nowMs) : routeTo(state, job.target, nowMs)
  const status = hop === "live" ? "queued" : hop === "resume" ? "fallback_resume" : "fallback_spawn"
  return [{ type: "trigger.retried", data: { id, reason, force, next: { status, hop, notBeforeMs: nowMs } } }]
}

export function decideCancelTrigger(state: Workspace, { job: id, reason }: CancelTrigger): TriggerEvent[] | Refusal {
  const job = state.triggers.get(id)
  if (job === undefined) return noJob(id)
  if (!isLive(job)) return []
  return [{ type: "trigger.cancelled", data: { id, code: null, reason }, causedBy: job.fence }]
}

export function noJob(id: TriggerId): Refusal {
  return refuse("not_found", `there is no trigger ${id}`, "`skein trigger list` lists them.", { job: id })
}

const ACTIONS: Record<Hop, TriggerEnvelope["action"]> = { live: "queued", resume: "resume_session", spawn: "spawn_session" }

/** The answer to whoever asked, the same again for the same request. */
export function envelopeOf(state: Workspace, id: TriggerId): TriggerEnvelope {
  const job = state.triggers.get(id) as Trigger
  const { request, thread, message, target, by, bySession, session, route, status, notBeforeMs } = job
  const code = job.code ?? (isLive(job) && !state.jobs.isCovered(target) ? "NO_SUPERVISOR" : null)
  return {
    job: id,
    mode: route === "live" ? "trigger_runtime" : "fallback_required",
    action: ACTIONS[route],
    status,
    code,
    notBeforeMs,
    trace: { request, thread, message, target, caller: by, callerSession: bySession, session },
  }
}
