import type { Recorded, Role } from "./entry.ts"
import type { AgentId, Seq, SessionId, ThreadId } from "./ids.ts"
import type { Workspace } from "./workspace.ts"

/** What a reason does to a job: tried again, on to the next hop, put off, held until something changes, or over. */
export type Consequence = "retried" | "fallback" | "deferred" | "waits" | "over"

/** Why a job is where it is: each code with what it means and what follows. */
export const REASONS = {
  TARGET_NOT_FOUND: { follows: "fallback", means: "the agent, or the session that was to be reached, is not there" },
  PANE_DEAD: { follows: "fallback", means: "the process in the agent's pane has ended" },
  SEND_KEYS_ERROR: { follows: "retried", means: "the text could not be handed to the agent's terminal or connection" },
  ACK_TIMEOUT: { follows: "retried", means: "the text was handed over, and the agent, though idle, showed no sign of it" },
  OPERATOR_BUSY: { follows: "deferred", means: "a person is typing in the agent's pane" },
  DEFER_TIMEOUT: { follows: "deferred", means: "the pane was not free for so long that the live session was given up" },
  RESUME_FAILED: { follows: "fallback", means: "the agent's conversation could not be resumed" },
  SPAWN_FAILED: { follows: "over", means: "no new session of the agent could be started" },
  REGISTRY_DRIFT: { follows: "fallback", means: "the registry knows a session that its supervisor does not find" },
  TRIGGER_RATE_LIMITED: { follows: "deferred", means: "the agent was triggered too often in this thread within a minute" },
  THREAD_AUTO_BLOCKED: { follows: "waits", means: "the thread went round in circles and is blocked: an orchestrator or the operator has to continue it" },
  MENU_OPEN: { follows: "deferred", means: "a menu or a question is open on the agent's screen: it is never answered by a text" },
  DRAFT_PRESENT: { follows: "deferred", means: "somebody's unsent text stands in the agent's input line" },
  COPY_MODE: { follows: "deferred", means: "the pane is in copy mode: keys would not reach the agent" },
  QUOTA_EXHAUSTED: { follows: "waits", means: "the agent's account is out of quota until its reset" },
  BREAKER_OPEN: {
    follows: "waits",
    means: "a breaker of the agent, its account or its model is open: what it protects is left alone until it lets a probe through",
  },
  RETRACTED: { follows: "over", means: "the reason for the wake has gone" },
  NO_SUPERVISOR: { follows: "waits", means: "no supervisor takes jobs of this agent" },
} as const satisfies Record<string, { follows: Consequence; means: string }>

export type ReasonCode = keyof typeof REASONS
export const REASON_CODES = Object.keys(REASONS) as ReasonCode[]

/** A job's id, which is also its nonce: it stands in the text that is handed over, and proves delivery when it comes back. */
export type TriggerId = string

export const TRIGGER_STATUSES = [
  "queued",
  "claimed",
  "delivering",
  "awaiting_ack",
  "deferred",
  "retrying",
  "fallback_resume",
  "fallback_spawn",
  "delivered",
  "dead",
  "cancelled",
] as const
export type TriggerStatus = (typeof TRIGGER_STATUSES)[number]

/** How the agent is reached: in its live session, by resuming its conversation, or by starting it anew with the thread's summary. */
export const HOPS = ["live", "resume", "spawn"] as const
export type Hop = (typeof HOPS)[number]

/** What the hub itself saw of a delivery: a turn of the agent that began with the nonce, its read cursor, or the nonce in a tool call. */
export const EVIDENCE = ["turn", "cursor", "nonce"] as const
export type Evidence = (typeof EVIDENCE)[number]

/** One agent to be woken, once. */
export type Trigger = {
  id: TriggerId
  /** `request`: somebody asked for it; `unread`: the hub found something unread. */
  origin: "request" | "unread"
  request: string | null
  thread: ThreadId
  /** The last message when it was made, and the target's cursor then. */
  message: number
  lastReadSeq: number
  target: AgentId
  reason: string
  prompt: string
  by: AgentId
  bySession: SessionId | null
  byRole: Role
  /** The route that was answered when it was made. */
  route: Hop
  status: TriggerStatus
  hop: Hop
  /** The target's session that the current attempt is meant for, or reached. */
  session: SessionId | null
  /** The supervisor's session that holds it or held it last. */
  supervisor: SessionId | null
  /** Seq of the claim's entry; null while nobody has it. */
  fence: Seq | null
  claimEndsAtMs: number | null
  /** Nobody gets it before. */
  notBeforeMs: number
  code: ReasonCode | null
  detail: string
  channel: string | null
  /** Attempts that failed, by hop. What was put off is none. */
  failed: Readonly<Record<Hop, number>>
  /** A text with its nonce may have reached the agent: whoever tries again looks for it first. */
  maybeSent: boolean
  deferredSinceMs: number | null
  /** An operator wants it delivered whoever is typing. */
  forced: { by: AgentId; reason: string } | null
  /** The three steps of a delivery that is confirmed. */
  sentAtMs: number | null
  turnAtMs: number | null
  readAtMs: number | null
  evidence: Evidence | null
  createdSeq: Seq
  createdAtMs: number
  endedAtMs: number | null
  /** Its entries, the newest at most `ENTRIES_KEPT`: what `trigger.why` tells. */
  entries: readonly Seq[]
}

export const ENTRIES_KEPT = 100

/** What is kept of waking one agent in one thread. */
export type Wake = {
  /** The unread state that was last made a job: the last message of others, and the cursor. */
  message: number
  lastReadSeq: number
  job: TriggerId
  /** When the last jobs were due, oldest first; as many as the rate allows in a minute. */
  slots: readonly number[]
}

/** A supervisor's session and the agents that it wakes. */
export type Supervision = { session: SessionId; agent: AgentId; agents: readonly AgentId[]; sinceMs: number }

export type NextStep = { status: TriggerStatus; hop: Hop; notBeforeMs: number }

export type TriggerEvent =
  | Recorded<
      "trigger.requested",
      Pick<
        Trigger,
        "id" | "origin" | "request" | "thread" | "message" | "lastReadSeq" | "target" | "reason" | "prompt" | "route" | "session" | "notBeforeMs"
      > & {
        code: ReasonCode | null
      }
    >
  | Recorded<"trigger.claimed", { id: TriggerId; hop: Hop; session: SessionId | null; endsAtMs: number }>
  | Recorded<"trigger.delivering", { id: TriggerId; fence: Seq; channel: string | null; endsAtMs: number }>
  /** `presumed`: its supervisor fell silent in the middle of it. */
  | Recorded<"trigger.sent", { id: TriggerId; fence: Seq; channel: string | null; session: SessionId | null; detail: string; presumed: boolean }>
  /** What a supervisor saw: a sign of life, and no delivery. */
  | Recorded<"trigger.observed", { id: TriggerId; fence: Seq; what: "turn_started" | "acked"; detail: string }>
  | Recorded<"trigger.failed", { id: TriggerId; fence: Seq; code: ReasonCode; detail: string; next: NextStep }>
  /** Put off: no attempt is burnt. */
  | Recorded<"trigger.deferred", { id: TriggerId; fence: Seq | null; code: ReasonCode; detail: string; next: NextStep }>
  | Recorded<"trigger.released", { id: TriggerId; fence: Seq; reason: string }>
  | Recorded<"trigger.confirmed", { id: TriggerId; evidence: Evidence }>
  | Recorded<"trigger.flagged", { id: TriggerId; code: ReasonCode }>
  | Recorded<"trigger.cancelled", { id: TriggerId; code: ReasonCode | null; reason: string }>
  | Recorded<"trigger.retried", { id: TriggerId; reason: string; force: boolean; next: NextStep }>
  | Recorded<"supervisor.covering", { agents: AgentId[] }>

const ENDED: ReadonlySet<TriggerStatus> = new Set(["delivered", "dead", "cancelled"])
const IN_FLIGHT: ReadonlySet<TriggerStatus> = new Set(["claimed", "delivering", "awaiting_ack"])

/** Whether the job still has something to do. */
export function isLive({ status }: Pick<Trigger, "status">): boolean {
  return !ENDED.has(status)
}

/** Whether somebody is at it, or its text is on the way. */
export function isInFlight({ status }: Pick<Trigger, "status">): boolean {
  return IN_FLIGHT.has(status)
}

/** Whether a text with its nonce is, or may be, with the agent. */
export function mayHaveArrived({ status, maybeSent }: Pick<Trigger, "status" | "maybeSent">): boolean {
  return maybeSent || status === "delivering" || status === "awaiting_ack"
}

/** The status in which a job waits for a hop. */
export function waitingFor(hop: Hop): TriggerStatus {
  return hop === "live" ? "queued" : hop === "resume" ? "fallback_resume" : "fallback_spawn"
}

export function wakeKey(thread: ThreadId, agent: AgentId): string {
  return `${thread}#${agent}`
}

/** The job that the hub makes of an unread state: the same state is the same job. `lastSeq`: ledger seq of the last message of others. */
export function unreadJobId(lastSeq: Seq, lastReadSeq: number, target: AgentId): TriggerId {
  return `u${lastSeq}.${lastReadSeq}.${target}`
}

/** Whether the thread was blocked by the hub's own rule. */
export function isAutoBlocked(state: Workspace, thread: ThreadId): boolean {
  const found = state.threads.get(thread)
  return found?.status === "blocked" && found.changedBy === "hub"
}

/** What the hub adds to a sweep for waking: what it knows of turns, and random bits. */
export type WakeSweep = {
  /** Agents in the middle of a turn. */
  busy: readonly AgentId[]
  /** Jobs whose agent was idle for the whole of its ack time and showed nothing. */
  unacked: readonly { id: TriggerId; fence: Seq; idleMs: number }[]
  /** 32 random bits. */
  bits: number
}
