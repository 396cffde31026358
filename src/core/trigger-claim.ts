import { accountOf, type AccountEvent, putBack, RESET_MAX_MS, tooFar } from "./account.ts"
import type { DirectiveEvent } from "./directive.ts"
import type { Session } from "./agent.ts"
import type { Actor } from "./entry.ts"
import type { AgentId, Seq, SessionId } from "./ids.ts"
import { isRefusal, refuse, type Refusal } from "./refusal.ts"
import { isInFlight, isLive, type NextStep, type ReasonCode, type Trigger, type TriggerEvent, type TriggerId } from "./trigger.ts"
import { failure, goneReason } from "./trigger-end.ts"
import { noJob } from "./trigger-request.ts"
import { besideStep, heldBy, liveSession, routeOf } from "./trigger-route.ts"
import { wakePolicy } from "./wake-policy.ts"
import type { Workspace } from "./workspace.ts"

/** `busy` comes from the surface: agents in the middle of a turn, beside which nothing is started. */
export type ClaimTriggers = { agents: AgentId[]; max: number; busy: AgentId[] }
export const RECORD_STEPS = ["delivering", "sent", "turn_started", "acked", "failed", "deferred"] as const
export type RecordTrigger = {
  job: TriggerId
  fence: Seq
  step: (typeof RECORD_STEPS)[number]
  channel: string | null
  /** Why, where it failed or is put off. */
  code: ReasonCode | null
  detail: string
  /** The agent's session that was reached or started. */
  session: SessionId | null
  /** This kind of agent may run a second process beside its live session. */
  beside: boolean
  /** When the account's quota comes back, with QUOTA_EXHAUSTED. */
  untilMs: number | null
  /** 32 random bits, made by the surface. */
  bits: number
}
export const COVERED_MAX = 512

/** What a supervisor may say of an attempt: the hub times out acks, blocks threads and retracts by itself. */
const FAILURES: ReadonlySet<ReasonCode> = new Set([
  "TARGET_NOT_FOUND",
  "PANE_DEAD",
  "SEND_KEYS_ERROR",
  "RESUME_FAILED",
  "SPAWN_FAILED",
  "REGISTRY_DRIFT",
  "QUOTA_EXHAUSTED",
])
const DEFERRALS: ReadonlySet<ReasonCode> = new Set(["OPERATOR_BUSY", "MENU_OPEN", "DRAFT_PRESENT", "COPY_MODE", "QUOTA_EXHAUSTED"])

/** Takes jobs of the agents that this supervisor wakes, the oldest first, one for each agent. Only one supervisor ever has a job. */
export function decideClaimTriggers(state: Workspace, actor: Actor, { agents, max, busy }: ClaimTriggers, nowMs: number): TriggerEvent[] | Refusal {
  const session = actor.session === null ? undefined : state.sessions.get(actor.session)
  if (session?.status !== "live")
    return refuse(
      "wrong_status",
      "jobs are claimed by a supervisor with a live session",
      "Start one with session.start (owned) and bind it to the connection.",
      {
        session: actor.session,
      },
    )
  const names = [...new Set(agents)].sort()
  const events: TriggerEvent[] = []
  const known = state.supervisors.get(session.id)?.agents ?? []
  if (names.length !== known.length || names.some((name, at) => name !== known[at])) events.push({ type: "supervisor.covering", data: { agents: names } })
  const endsAtMs = nowMs + wakePolicy(state).claimMs
  let taken = 0
  for (const name of names) {
    if (taken >= max) break
    const found = nextJob(state, session.id, name, busy.includes(name), nowMs)
    if (found === null) continue
    const { job, hop, target } = found
    events.push({ type: "trigger.claimed", data: { id: job.id, hop, session: target, endsAtMs }, causedBy: job.createdSeq })
    taken += 1
  }
  return events
}

/** The oldest job of an agent that this supervisor may deliver now. */
function nextJob(
  state: Workspace,
  supervisor: SessionId,
  agent: AgentId,
  busy: boolean,
  nowMs: number,
): { job: Trigger; hop: Trigger["hop"]; target: SessionId | null } | null {
  if (state.jobs.isBeingWoken(agent)) return null
  for (const job of state.jobs.liveOf(agent)) {
    if (nowMs < job.notBeforeMs || heldBy(state, job, nowMs) !== null || goneReason(state, job) !== null) continue
    const { hop, session } = routeOf(state, job, nowMs)
    if (hop !== "live" && busy) continue
    if (hop === "live" && isKeptByAnother(state, supervisor, session as SessionId)) continue
    return { job, hop, target: session }
  }
  return null
}

/** Whether a session is in the keeping of another supervisor that lives: then that one reaches it. An earlier run of the same supervisor is no other. */
function isKeptByAnother(state: Workspace, supervisor: SessionId, session: SessionId): boolean {
  const { managedBy } = state.sessions.get(session) as Session
  const keeper = managedBy === undefined || managedBy === supervisor ? undefined : state.sessions.get(managedBy)
  return keeper?.status === "live" && keeper.agent !== state.sessions.get(supervisor)?.agent
}

/** One step of an attempt, under the fence of its claim. */
export function decideRecordTrigger(
  state: Workspace,
  actor: Actor,
  input: RecordTrigger,
  nowMs: number,
): (TriggerEvent | AccountEvent | DirectiveEvent)[] | Refusal {
  const { job: id, fence, step, channel, session, detail } = input
  const job = state.triggers.get(id)
  if (job === undefined) return noJob(id)
  const handedOver: TriggerEvent = { type: "trigger.sent", data: { id, fence, channel, session, detail, presumed: false }, causedBy: fence }
  // The agent was quicker than the word that its text is with it: the step is recorded all the same.
  if (step === "sent" && job.status === "delivered" && job.sentAtMs === null && job.supervisor === actor.session) return [handedOver]
  const stale = notUnderClaim(state, actor, job, input, nowMs)
  if (stale !== null) return isRefusal(stale) ? stale : []
  const causedBy = fence
  switch (step) {
    case "delivering":
      return [{ type: "trigger.delivering", data: { id, fence, channel, endsAtMs: nowMs + wakePolicy(state).claimMs }, causedBy }]
    case "sent":
      return job.status === "awaiting_ack" ? [] : [handedOver]
    case "turn_started":
    case "acked":
      return [{ type: "trigger.observed", data: { id, fence, what: step, detail }, causedBy }]
    case "deferred":
      return deferred(state, job, input, nowMs)
    case "failed":
      return failed(state, job, input, nowMs)
  }
}

/** A refusal where the claim no longer stands, `{}` where the job is over and there is nothing left to say, null where all is well. */
function notUnderClaim(state: Workspace, actor: Actor, job: Trigger, { fence, step }: RecordTrigger, nowMs: number): Refusal | Record<string, never> | null {
  const { id, status } = job
  const refused = (message: string): Refusal =>
    refuse("stale_fence", message, "Do not deliver it: it is somebody else's now, or over. Claim again.", { job: id, fence, status, current: job.fence })
  if (!isLive(job)) return status === "delivered" && step !== "delivering" ? {} : refused(`job ${id} is ${status}`)
  if (job.fence !== fence) return refused(`job ${id} is not held under fence ${fence}`)
  if (job.supervisor !== actor.session) return refused(`job ${id} is held by session ${job.supervisor}`)
  if (!isInFlight(job)) return refused(`job ${id} is ${status}`)
  if (step !== "delivering") return null
  if (status !== "claimed") return refused(`job ${id} is ${status} already`)
  if (job.claimEndsAtMs !== null && nowMs >= job.claimEndsAtMs) return refused(`the claim on job ${id} is over since ${nowMs - job.claimEndsAtMs} ms`)
  // Decided anew before the text goes out: what changed since the claim counts.
  if (goneReason(state, job) !== null || heldBy(state, job, nowMs) !== null) return refused(`job ${id} is not to be delivered any more`)
  return null
}

function wrongCode({ step, code }: RecordTrigger, allowed: ReadonlySet<ReasonCode>): Refusal | null {
  if (code !== null && allowed.has(code)) return null
  return refuse("invalid", `${code ?? "no code"} is no reason for ${step}`, `Give one of ${[...allowed].join(", ")}.`, { step, code })
}

function failed(state: Workspace, job: Trigger, input: RecordTrigger, nowMs: number): (TriggerEvent | AccountEvent | DirectiveEvent)[] | Refusal {
  const { code, detail, bits } = input
  const wrong = wrongCode(input, FAILURES)
  if (wrong !== null) return wrong
  if (code === "QUOTA_EXHAUSTED") return outOfQuota(state, job, input, nowMs)
  return failure(state, job, code as ReasonCode, detail, nowMs, bits)
}

function outOfQuota(state: Workspace, job: Trigger, { untilMs, detail }: RecordTrigger, nowMs: number): (TriggerEvent | AccountEvent)[] | Refusal {
  if (untilMs === null || untilMs <= nowMs)
    return refuse(
      "invalid",
      "a quota that is exhausted comes back at some time to come",
      "Give `untilMs`, in ms since 1970; an hour from now where nobody knows.",
      { untilMs },
    )
  const account = accountOf(state, job.target)
  if (untilMs > nowMs + RESET_MAX_MS) return tooFar(account, untilMs)
  const others = state.jobs.awaiting().filter((other) => other.id !== job.id && accountOf(state, other.target) === account)
  const reason = detail === "" ? "the agent said so" : detail
  return [{ type: "account.exhausted", data: { account, untilMs, reason } }, ...[job, ...others].map((each) => putBack(each, reason, nowMs))]
}

function deferred(state: Workspace, job: Trigger, input: RecordTrigger, nowMs: number): (TriggerEvent | AccountEvent)[] | Refusal {
  const wrong = wrongCode(input, DEFERRALS)
  if (wrong !== null) return wrong
  if (input.code === "QUOTA_EXHAUSTED") return outOfQuota(state, job, input, nowMs)
  const { deferMs, recheckMs, deferRetryMs } = wakePolicy(state)
  const over = job.deferredSinceMs !== null && nowMs - job.deferredSinceMs >= deferMs
  const { code, detail, next } = over
    ? givenUp(state, job, input, nowMs, deferRetryMs)
    : { code: input.code as ReasonCode, detail: input.detail, next: again(nowMs + recheckMs) }
  return [{ type: "trigger.deferred", data: { id: job.id, fence: job.fence, code, detail, next }, causedBy: job.fence }]
}

function again(notBeforeMs: number): NextStep {
  return { status: "deferred", hop: "live", notBeforeMs }
}

function givenUp(
  state: Workspace,
  job: Trigger,
  { code, detail, beside }: RecordTrigger,
  nowMs: number,
  retryMs: number,
): { code: ReasonCode; detail: string; next: NextStep } {
  const why = `${code}${detail === "" ? "" : `: ${detail}`}`
  const alone = liveSession(state, job.target) === null
  // Beside a live session only a conversation of its own: two processes of one would write over each other. And only where nothing was tried in vain in the live
  // one: a spawn takes the place of a session that does not answer, and this one may hold a draft or a question.
  const aside: NextStep = { status: "fallback_spawn", hop: "spawn", notBeforeMs: nowMs }
  const next = alone ? besideStep(state, job, "DEFER_TIMEOUT", nowMs, 0) : beside && job.failed.live === 0 ? aside : again(nowMs + retryMs)
  return { code: "DEFER_TIMEOUT", detail: why, next }
}
