import { type Actor, unknownType } from "./entry.ts"
import type { AgentId, Seq } from "./ids.ts"
import { ENTRIES_KEPT, isLive, type Trigger, type TriggerEvent, waitingFor, type Wake, wakeKey } from "./trigger.ts"
import { wakePolicy } from "./wake-policy.ts"
import type { Workspace } from "./workspace.ts"

/** A job that is over is forgotten when its agent is woken in its thread again so long after. */
const FORGET_MS = 24 * 3_600_000
/** Failures that mean that the agent's process went away. */
const CRASHES: ReadonlySet<string> = new Set(["PANE_DEAD", "REGISTRY_DRIFT", "RESUME_FAILED"])

type At = { seq: Seq; atMs: number; actor: Actor }

/** Folds one entry about waking. What each hop leads to was decided and stands in the entry. */
export function evolveTrigger(state: Workspace, event: TriggerEvent, at: At): void {
  if (event.type === "trigger.requested") return requested(state, event.data, at)
  if (event.type === "supervisor.covering") return covering(state, event.data.agents, at)
  const job = state.triggers.get(event.data.id) as Trigger
  const entries = [...job.entries.slice(1 - ENTRIES_KEPT), at.seq]
  const put = (changes: Partial<Trigger>): void => state.triggers.put(job.id, { ...job, entries, ...changes })
  switch (event.type) {
    case "trigger.claimed": {
      const { hop, session, endsAtMs } = event.data
      return put({
        status: "claimed",
        hop,
        session,
        supervisor: at.actor.session,
        fence: at.seq,
        claimEndsAtMs: endsAtMs,
        code: null,
        detail: "",
        channel: null,
      })
    }
    case "trigger.delivering":
      return put({ status: "delivering", channel: event.data.channel, claimEndsAtMs: event.data.endsAtMs, maybeSent: true })
    case "trigger.sent": {
      const { channel, session, detail } = event.data
      if (!isLive(job)) return put({ channel: channel ?? job.channel, session: session ?? job.session, sentAtMs: at.atMs })
      return put({
        status: "awaiting_ack",
        channel: channel ?? job.channel,
        session: session ?? job.session,
        detail,
        claimEndsAtMs: null,
        sentAtMs: at.atMs,
        maybeSent: true,
      })
    }
    case "trigger.observed":
      return put({})
    case "trigger.failed": {
      const { code, detail, next } = event.data
      if (CRASHES.has(code)) crashed(state, job.target, at.atMs)
      const failed = { ...job.failed, [job.hop]: job.failed[job.hop] + 1 }
      return put({ ...next, ...free, code, detail, failed, deferredSinceMs: null, endedAtMs: next.status === "dead" ? at.atMs : null })
    }
    case "trigger.deferred": {
      const { code, detail, next } = event.data
      return put({ ...next, ...free, code, detail, deferredSinceMs: job.deferredSinceMs ?? at.atMs })
    }
    case "trigger.released":
      return put({ status: waitingFor(job.hop), ...free, notBeforeMs: at.atMs, detail: event.data.reason })
    case "trigger.confirmed":
      return confirmed(state, job, event.data.evidence, at, put)
    case "trigger.flagged":
      return put({ code: event.data.code })
    case "trigger.cancelled":
      if (event.data.code === "RETRACTED" && job.origin === "unread") forget(state, job)
      return put({ status: "cancelled", ...free, code: event.data.code, detail: event.data.reason, endedAtMs: at.atMs })
    case "trigger.retried": {
      const { reason, force, next } = event.data
      if (!isLive(job)) state.crashes.delete(job.target)
      const forced = force ? { by: at.actor.agent, reason } : job.forced
      return put({ ...next, ...free, code: null, detail: reason, failed: isLive(job) ? job.failed : none, deferredSinceMs: null, forced, endedAtMs: null })
    }
    default:
      throw unknownType(event)
  }
}

const free = { fence: null, claimEndsAtMs: null } as const
const none = { live: 0, resume: 0, spawn: 0 } as const

function requested(state: Workspace, data: (TriggerEvent & { type: "trigger.requested" })["data"], { seq, atMs, actor }: At): void {
  const key = wakeKey(data.thread, data.target)
  const known = state.wakes.get(key)
  if (known !== undefined) {
    for (const old of state.jobs.of(key)) if (old.endedAtMs !== null && old.endedAtMs + FORGET_MS < atMs) state.triggers.delete(old.id)
  }
  const slots = [...(known?.slots ?? []), data.notBeforeMs].slice(-wakePolicy(state).ratePerMinute)
  const unread = data.origin === "unread" ? data : (known ?? { message: 0, lastReadSeq: 0 })
  state.wakes.put(key, { message: unread.message, lastReadSeq: unread.lastReadSeq, job: data.id, slots } satisfies Wake)
  state.triggers.put(data.id, {
    id: data.id,
    origin: data.origin,
    request: data.request,
    thread: data.thread,
    message: data.message,
    lastReadSeq: data.lastReadSeq,
    target: data.target,
    reason: data.reason,
    prompt: data.prompt,
    by: actor.agent,
    bySession: actor.session,
    byRole: actor.role,
    route: data.route,
    status: data.code === "TRIGGER_RATE_LIMITED" ? "deferred" : waitingFor(data.route),
    hop: data.route,
    session: data.session,
    supervisor: null,
    fence: null,
    claimEndsAtMs: null,
    notBeforeMs: data.notBeforeMs,
    code: data.code,
    detail: "",
    channel: null,
    failed: none,
    maybeSent: false,
    deferredSinceMs: null,
    forced: null,
    sentAtMs: null,
    turnAtMs: null,
    readAtMs: null,
    evidence: null,
    createdSeq: seq,
    createdAtMs: atMs,
    endedAtMs: null,
    entries: [...(state.triggers.get(data.id)?.entries ?? []).slice(1 - ENTRIES_KEPT), seq],
  })
}

function confirmed(state: Workspace, job: Trigger, evidence: Trigger["evidence"], { atMs }: At, put: (changes: Partial<Trigger>) => void): void {
  const step = evidence === "turn" ? { turnAtMs: job.turnAtMs ?? atMs } : { readAtMs: job.readAtMs ?? atMs }
  if (!isLive(job)) return put(step)
  state.crashes.delete(job.target)
  put({ ...step, status: "delivered", ...free, code: null, detail: "", evidence, endedAtMs: atMs })
}

/** A wake whose reason went is no wake: should the same be unread again, another is made. */
function forget(state: Workspace, { id, thread, target }: Trigger): void {
  const key = wakeKey(thread, target)
  const wake = state.wakes.get(key)
  if (wake?.job === id) state.wakes.put(key, { ...wake, message: 0, lastReadSeq: 0 })
}

function crashed(state: Workspace, agent: AgentId, atMs: number): void {
  state.crashes.put(agent, [...(state.crashes.get(agent) ?? []), atMs].slice(-wakePolicy(state).crashes))
}

function covering(state: Workspace, agents: readonly AgentId[], { atMs, actor }: At): void {
  const session = actor.session as string
  if (agents.length === 0) state.supervisors.delete(session)
  else state.supervisors.put(session, { session, agent: actor.agent, agents, sinceMs: atMs })
}
