import type { Skills } from "./agent.ts"
import type { Throttled } from "./breaker-outcome.ts"
import type { Reserves } from "./claim-gate.ts"
import { type Recorded, unknownType } from "./entry.ts"
import type { AgentId, PlanId, Seq, SessionId, TaskId } from "./ids.ts"
import type { Ink } from "./ink.ts"
import type { Learned } from "./judgement.ts"
import type { Reasons } from "./reasons.ts"
import type { Workspace } from "./workspace.ts"

export type Priority = "critical" | "high" | "normal" | "low"
export const PRIORITIES: readonly Priority[] = ["critical", "high", "normal", "low"]

/** What an agent that is a script does for the task. Stand-in work only lasts: `--speed` scales it and nothing else. */
export type Run = { command: string } | { argv: string[] } | { standIn: { ms: number; costMicroUsd: number } }

/** What a task asks for: set when it is added, changed only by `task.edited`. */
export type TaskSpec = {
  title: string
  body: string
  priority: Priority
  dependsOn: TaskId[]
  requires: Skills
  budgetMicroUsd: number | null
  /** Globs of the paths that it will edit. */
  touches: string[]
  run: Run | null
  env: Readonly<Record<string, string>>
  estimateMs: number | null
  /** Whom it would like; never a lock. */
  prefers: AgentId | null
  model: string | null
  account: string | null
  /** Commands that must pass before it is complete. */
  gates: string[]
  /** Low-priority work for whoever is blocked or idle. */
  filler: boolean
  /** Whether somebody else must approve it: `complete` then leads to `review`. */
  review: boolean
  /** Length of its lease in ms, 1,000 to 3,600,000; null: 120 s where something beats for the session, else 15 min. */
  leaseMs: number | null
  maxAttempts: number
  labels: string[]
}

export type Evidence = { testsPass: boolean | null; commit: string | null; links: string[] }
export type Usage = { costMicroUsd: number; inputTokens: number; outputTokens: number }
export type Deliverable = { text: string; evidence: Evidence }
export type BlockedOn = { kind: "task" | "agent" | "external"; ref: string; reason: string; sinceSeq: Seq }

export type TaskStatus = "pending" | "claimed" | "in_progress" | "blocked" | "review" | "completed" | "failed" | "cancelled"

/** Where a task stands. What follows from others (ready, waiting, unreachable) is derived, in `board.ts`. */
export type Task = {
  id: TaskId
  plan: PlanId | null
  addedSeq: Seq
  addedAtMs: number
  /** The last entry that changed it, renewals left out. */
  lastSeq: Seq
  status: TaskStatus
  owner: AgentId | null
  session: SessionId | null
  /** Fencing token: the seq of the claim. Every write under the lease carries it. */
  fence: Seq | null
  leaseMs: number | null
  /** When the lease is over; null where there is none, or while a review waits. */
  leaseEndsAtMs: number | null
  attempts: number
  /** 0 to 1. */
  progress: number
  note: string | null
  blockedOn: BlockedOn | null
  helpWanted: { reason: string; helper: AgentId | null } | null
  deliverable: Deliverable | null
  usage: Usage
  reason: string | null
  /** Whom staleness was last flagged to, since the last update. */
  stale: "owner" | "operator" | null
  claimedAtMs: number | null
  updatedAtMs: number
  closedAtMs: number | null
}

export const DEFAULT_SPEC: Omit<TaskSpec, "title"> = {
  body: "",
  priority: "normal",
  dependsOn: [],
  requires: {},
  budgetMicroUsd: null,
  touches: [],
  run: null,
  env: {},
  estimateMs: null,
  prefers: null,
  model: null,
  account: null,
  gates: [],
  filler: false,
  review: false,
  leaseMs: null,
  maxAttempts: 3,
  labels: [],
}

/** Why a lease is over before the work is. Each of these counts as an attempt; a release does not. */
export type LeaseEnd = "expired" | "lost" | "session_ended" | "agent_retired" | "operator"

export type TaskEvent =
  | Recorded<"task.added", { id: TaskId; plan: PlanId | null; spec: TaskSpec }>
  /** `reopens`: the task has more money now than was spent, and its budget was closed. */
  | Recorded<"task.edited", { id: TaskId; changes: Partial<TaskSpec>; reason: string; reopens?: true }>
  | Recorded<"task.claimed", { id: TaskId; leaseMs: number; leaseEndsAtMs: number; why?: Reasons } & Reserves>
  | Recorded<"task.started", { id: TaskId }>
  | Recorded<"task.progressed", { id: TaskId; progress: number | null; note: string | null }>
  | Recorded<"task.blocked", { id: TaskId; kind: BlockedOn["kind"]; ref: string; reason: string }>
  | Recorded<"task.unblocked", { id: TaskId; reason: string }>
  | Recorded<"task.submitted", { id: TaskId; deliverable: Deliverable; usage: Usage }>
  | Recorded<"task.changes_requested", { id: TaskId; reason: string; leaseEndsAtMs: number } & Learned>
  | Recorded<"task.completed", { id: TaskId; deliverable: Deliverable; usage: Usage } & Learned>
  | Recorded<"task.failed", { id: TaskId; reason: string; usage: Usage; throttled?: Throttled } & Learned>
  /** `uncounted`: no attempt is counted, since it was throttled; ledgers of before counted one. */
  | Recorded<"task.retried", { id: TaskId; reason: string; usage: Usage; throttled?: Throttled; uncounted?: true } & Learned>
  | Recorded<"task.released", { id: TaskId; reason: string; throttled?: Throttled } & Learned>
  | Recorded<"task.cancelled", { id: TaskId; reason: string }>
  | Recorded<"task.reset", { id: TaskId; reason: string }>
  | Recorded<"task.flagged", { id: TaskId; to: "owner" | "operator"; silentMs: number }>
  | Recorded<"task.help_wanted", { id: TaskId; reason: string }>
  | Recorded<"task.help_joined", { id: TaskId; helper: AgentId }>
  | Recorded<"lease.ended", { id: TaskId; fence: Seq; reason: LeaseEnd; by: AgentId; note: string | null } & Learned>
  | Recorded<"lease.renewed", { id: TaskId; fence: Seq; leaseEndsAtMs: number }>
  | Recorded<"leases.renewed", { sessions: SessionId[] }>

/** A task as the state digest counts it. Written out, because it is the record that changes most: JSON takes 20 times as long. */
export function writeTask(t: Task, ink: Ink): void {
  ink.word(t.id)
  ink.word(t.plan)
  ink.word(t.addedSeq)
  ink.word(t.addedAtMs)
  ink.word(t.lastSeq)
  ink.word(t.status)
  ink.word(t.owner)
  ink.word(t.session)
  ink.word(t.fence)
  ink.word(t.leaseMs)
  ink.word(t.leaseEndsAtMs)
  ink.word(t.attempts)
  ink.word(t.progress)
  ink.word(t.usage.costMicroUsd)
  ink.word(t.usage.inputTokens)
  ink.word(t.usage.outputTokens)
  ink.word(t.stale)
  ink.word(t.claimedAtMs)
  ink.word(t.updatedAtMs)
  ink.word(t.closedAtMs)
  if (t.note !== null || t.reason !== null || t.blockedOn !== null || t.helpWanted !== null || t.deliverable !== null)
    ink.text(JSON.stringify([t.note, t.reason, t.blockedOn, t.helpWanted, t.deliverable]))
}

export const NO_USAGE: Usage = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }

/** Statuses in which nothing more happens unless somebody resets the task. */
export function isClosed(status: TaskStatus): boolean {
  return status === "completed" || status === "failed" || status === "cancelled"
}

/** Statuses in which a task counts against its owner's `maxActive`. */
export function isActive(status: TaskStatus): boolean {
  return status === "claimed" || status === "in_progress"
}

/** Statuses in which somebody holds the task under a lease. */
export function isHeld(status: TaskStatus): boolean {
  return isActive(status) || status === "blocked"
}

/** A lease is over at its end, not after it, whether or not a sweep has ended it. */
export function isLeaseOver({ status, leaseEndsAtMs }: Task, nowMs: number): boolean {
  return isHeld(status) && leaseEndsAtMs !== null && nowMs >= leaseEndsAtMs
}

/** The fields of a task that nobody holds. */
const UNHELD = {
  owner: null,
  session: null,
  fence: null,
  leaseMs: null,
  leaseEndsAtMs: null,
  blockedOn: null,
  helpWanted: null,
  stale: null,
  claimedAtMs: null,
} as const

function plus(a: Usage, b: Usage): Usage {
  return { costMicroUsd: a.costMicroUsd + b.costMicroUsd, inputTokens: a.inputTokens + b.inputTokens, outputTokens: a.outputTokens + b.outputTokens }
}

/** What each event makes of a task, which `before` MUST be as it stands (undefined: there is none). */
export function evolveTask(
  state: Workspace,
  event: TaskEvent,
  before: Task | undefined,
  { seq, atMs, actor }: { seq: Seq; atMs: number; actor: { agent: AgentId; session: SessionId | null } },
): void {
  const { tasks, specs } = state
  if (event.type === "task.added") {
    const { id, plan, spec } = event.data
    specs.put(id, spec)
    // Written out: an engine makes it at once, and takes ten times as long to copy the fields of one that nobody holds into it.
    // prettier-ignore
    tasks.replace(id, before, { id, plan, addedSeq: seq, addedAtMs: atMs, lastSeq: seq, status: "pending", owner: null, session: null, fence: null, leaseMs: null, leaseEndsAtMs: null, blockedOn: null, helpWanted: null, stale: null, claimedAtMs: null, attempts: 0, progress: 0, note: null, deliverable: null, usage: NO_USAGE, reason: null, updatedAtMs: atMs, closedAtMs: null })
    return
  }
  if (event.type === "leases.renewed") {
    for (const session of event.data.sessions) {
      // What waits for its review has no lease, and MUST NOT get one: it would run out.
      for (const task of state.board.heldBySession(session))
        if (task.leaseEndsAtMs !== null) tasks.put(task.id, { ...task, leaseEndsAtMs: atMs + (task.leaseMs as number) })
    }
    return
  }
  const task = before as Task
  const put = (after: Task): void => tasks.replace(task.id, task, after)
  // Spread first and whole: an engine copies such a record at once, and each field only where it differs. What comes most often copies it once.
  const touched = (): Task => ({ ...task, lastSeq: seq, updatedAtMs: atMs })
  /** A sign of life by the owner renews the lease. */
  const leaseEndsAtMs = task.leaseMs === null ? null : atMs + task.leaseMs
  switch (event.type) {
    case "task.edited":
      specs.put(task.id, { ...(specs.get(task.id) as TaskSpec), ...event.data.changes })
      break
    case "task.claimed":
      // prettier-ignore
      put({ ...task, lastSeq: seq, updatedAtMs: atMs, status: "claimed", owner: actor.agent, session: actor.session, fence: seq, leaseMs: event.data.leaseMs, leaseEndsAtMs: event.data.leaseEndsAtMs, blockedOn: null, helpWanted: null, stale: null, claimedAtMs: atMs, progress: 0, note: null, reason: null })
      break
    case "task.started":
      put({ ...touched(), leaseEndsAtMs, stale: null, status: "in_progress" })
      break
    case "task.progressed":
      put({
        ...task,
        lastSeq: seq,
        updatedAtMs: atMs,
        leaseEndsAtMs,
        stale: null,
        progress: event.data.progress ?? task.progress,
        note: event.data.note ?? task.note,
      })
      break
    case "task.blocked": {
      const { kind, ref, reason } = event.data
      put({ ...touched(), leaseEndsAtMs, stale: null, status: "blocked", blockedOn: { kind, ref, reason, sinceSeq: seq } })
      break
    }
    case "task.unblocked":
      put({ ...touched(), leaseEndsAtMs, stale: null, status: "in_progress", blockedOn: null })
      break
    case "task.submitted":
      put({
        ...touched(),
        status: "review",
        leaseEndsAtMs: null,
        stale: null,
        helpWanted: null,
        progress: 1,
        deliverable: event.data.deliverable,
        usage: plus(task.usage, event.data.usage),
      })
      break
    case "task.changes_requested":
      put({ ...touched(), status: "in_progress", leaseEndsAtMs: event.data.leaseEndsAtMs, reason: event.data.reason })
      break
    case "task.completed":
      // prettier-ignore
      put({ ...task, lastSeq: seq, updatedAtMs: atMs, status: "completed", leaseEndsAtMs: null, blockedOn: null, helpWanted: null, stale: null, progress: 1, deliverable: event.data.deliverable, usage: plus(task.usage, event.data.usage), closedAtMs: atMs })
      break
    case "task.failed":
      put({
        ...touched(),
        ...UNHELD,
        owner: task.owner,
        status: "failed",
        reason: event.data.reason,
        usage: plus(task.usage, event.data.usage),
        attempts: task.attempts + (task.fence === null ? 0 : 1),
        closedAtMs: atMs,
      })
      break
    case "task.retried": {
      const attempts = task.attempts + (event.data.uncounted === true ? 0 : 1)
      put({ ...touched(), ...UNHELD, status: "pending", reason: event.data.reason, usage: plus(task.usage, event.data.usage), attempts })
      break
    }
    case "task.released":
      put({ ...touched(), ...UNHELD, status: "pending", reason: event.data.reason })
      break
    case "lease.ended":
      put({ ...touched(), ...UNHELD, status: "pending", reason: event.data.reason, attempts: task.attempts + 1 })
      break
    case "task.cancelled":
      put({ ...touched(), ...UNHELD, owner: task.owner, status: "cancelled", reason: event.data.reason, closedAtMs: atMs })
      break
    case "task.reset":
      put({ ...touched(), ...UNHELD, status: "pending", attempts: 0, progress: 0, note: null, deliverable: null, reason: event.data.reason, closedAtMs: null })
      break
    case "task.flagged":
      tasks.put(task.id, { ...task, stale: event.data.to })
      break
    case "task.help_wanted":
      put({ ...touched(), leaseEndsAtMs, stale: null, helpWanted: { reason: event.data.reason, helper: null } })
      break
    case "task.help_joined":
      tasks.put(task.id, { ...task, helpWanted: { reason: task.helpWanted?.reason ?? "", helper: event.data.helper } })
      break
    case "lease.renewed":
      tasks.put(task.id, { ...task, leaseEndsAtMs: event.data.leaseEndsAtMs })
      break
    default:
      throw unknownType(event)
  }
}
