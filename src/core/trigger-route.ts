import { accountOf, pausedUntilMs } from "./account.ts"
import type { Session } from "./agent.ts"
import { type Breaker, phaseOf } from "./breaker.ts"
import type { AgentId } from "./ids.ts"
import { permits } from "./role.ts"
import { type Hop, isAutoBlocked, isLive, type NextStep, type ReasonCode, type Trigger, waitingFor } from "./trigger.ts"
import { backoffMs, wakePolicy } from "./wake-policy.ts"
import type { Workspace } from "./workspace.ts"

/** Failures after which the same is tried again. All others mean that the live session is gone. */
const RETRIED: ReadonlySet<ReasonCode> = new Set(["SEND_KEYS_ERROR", "ACK_TIMEOUT"])

/** The agent's live session, the newest of several. */
export function liveSession(state: Workspace, agent: AgentId): Session | null {
  return newest(state.board.sessionsOf(agent).filter(({ status }) => status === "live"))
}

/** The agent's session whose conversation can be resumed: it was heard of lately enough. */
function resumable(state: Workspace, agent: AgentId, nowMs: number): Session | null {
  const { staleMs } = wakePolicy(state)
  const heardOf = ({ endedAtMs, owned, startedAtMs }: Session): number => endedAtMs ?? (owned ? nowMs : startedAtMs)
  return newest(state.board.sessionsOf(agent).filter((session) => session.resumeId !== null && nowMs - heardOf(session) <= staleMs))
}

function newest(sessions: readonly Session[]): Session | null {
  return sessions.reduce<Session | null>((found, session) => {
    const later = found === null || session.startedAtMs > found.startedAtMs || (session.startedAtMs === found.startedAtMs && session.id > found.id)
    return later ? session : found
  }, null)
}

export type Route = { hop: Hop; session: string | null }

/** How an agent is reached where nothing was tried yet. */
export function routeTo(state: Workspace, agent: AgentId, nowMs: number): Route {
  const live = liveSession(state, agent)
  return live === null ? routeBeside(state, agent, nowMs, 0) : { hop: "live", session: live.id }
}

/** The way on where the live session is given up: its conversation, else a new one. `more`: crashes that are not recorded yet. */
function routeBeside(state: Workspace, agent: AgentId, nowMs: number, more: number): Route {
  const session = isCrashLoop(state, agent, nowMs, more) ? null : resumable(state, agent, nowMs)
  return session === null ? { hop: "spawn", session: null } : { hop: "resume", session: session.id }
}

function isCrashLoop(state: Workspace, agent: AgentId, nowMs: number, more = 0): boolean {
  const { crashes, crashWindowMs } = wakePolicy(state)
  const recent = (state.crashes.get(agent) ?? []).filter((atMs) => nowMs - atMs <= crashWindowMs)
  return recent.length + more >= crashes
}

/** How a job that waits is to be delivered now: sessions may have come and gone since its hop was chosen. */
export function routeOf(state: Workspace, job: Trigger, nowMs: number): Route {
  const live = liveSession(state, job.target)
  // Another session than the one that was given up: it is reached before anything is started beside it.
  if (live !== null && (job.hop === "live" || live.id !== job.session)) return { hop: "live", session: live.id }
  if (job.hop === "live") return routeBeside(state, job.target, nowMs, 0)
  if (job.hop === "resume") {
    const session = resumable(state, job.target, nowMs)
    return session === null ? { hop: "spawn", session: null } : { hop: "resume", session: session.id }
  }
  return { hop: "spawn", session: live?.id ?? null }
}

/** What follows a failed attempt. `bits`: 32 random bits for the pause. */
export function afterFailure(state: Workspace, job: Trigger, code: ReasonCode, nowMs: number, bits: number): NextStep {
  const policy = wakePolicy(state)
  const { hop, failed } = job
  const times = failed[hop] + 1
  const dead: NextStep = { status: "dead", hop, notBeforeMs: nowMs }
  // Every new session of the agent is tried live: without this bound an agent that comes and goes would be tried for ever.
  const most = policy.retries + policy.resumes + 2
  if (hop === "spawn" || failed.live + failed.resume + failed.spawn + 1 >= most) return dead
  const pauseMs = backoffMs(policy.retryMs, times, bits)
  if (hop === "live" && RETRIED.has(code) && times <= policy.retries) return { status: "retrying", hop, notBeforeMs: nowMs + pauseMs }
  return besideStep(state, job, code, nowMs, hop === "resume" ? pauseMs : 0)
}

/** On to the next hop of the chain: resume while it may help, else spawn. */
export function besideStep(state: Workspace, job: Trigger, code: ReasonCode, nowMs: number, pauseMs: number): NextStep {
  const crashed = code === "PANE_DEAD" || code === "REGISTRY_DRIFT" || code === "RESUME_FAILED" ? 1 : 0
  const resumed = job.failed.resume + (job.hop === "resume" ? 1 : 0)
  const { hop } = routeBeside(state, job.target, nowMs, crashed)
  const next: Hop = hop === "resume" && resumed < wakePolicy(state).resumes ? "resume" : "spawn"
  return { status: waitingFor(next), hop: next, notBeforeMs: nowMs + pauseMs }
}

/** The open breaker that an agent stands behind: its own, its account's or its model's; of several the one that is open longest. Half-open it lets work through. */
export function openBreaker(state: Workspace, agent: AgentId, nowMs: number): Breaker | null {
  if (state.breakers.size === 0) return null
  const model = state.agents.get(agent)?.model ?? null
  const ids = [`agent/${agent}`, `account/${accountOf(state, agent)}`, ...(model === null ? [] : [`model/${model}`])]
  const open = ids.flatMap((id) => {
    const breaker = state.breakers.get(id)
    return breaker !== undefined && phaseOf(breaker, nowMs) === "open" ? [breaker] : []
  })
  const until = ({ open: state }: Breaker): number => state?.untilMs ?? Number.POSITIVE_INFINITY
  return open.reduce<Breaker | null>((longest, one) => (longest === null || until(one) > until(longest) ? one : longest), null)
}

/** What keeps a job from being taken by anybody, whatever its time: the thread's block, its account's quota, or a breaker. */
export function heldBy(state: Workspace, job: Trigger, nowMs: number): ReasonCode | null {
  if (!isLive(job)) return null
  const overrides = job.origin === "request" && permits("orchestrator", job.byRole)
  if (isAutoBlocked(state, job.thread) && !overrides && job.forced === null) return "THREAD_AUTO_BLOCKED"
  if (pausedUntilMs(state, job.target, nowMs) !== null) return "QUOTA_EXHAUSTED"
  return openBreaker(state, job.target, nowMs) === null ? null : "BREAKER_OPEN"
}
