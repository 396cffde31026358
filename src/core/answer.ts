import type { Notice } from "./directive.ts"
import type { Actor, Entry } from "./entry.ts"
import { fenceOf, leaseIdOf } from "./file-lease.ts"
import type { AgentId, LeaseId, Seq, TaskId } from "./ids.ts"
import type { AskPermission, Permission } from "./permission.ts"
import type { TaskStatus } from "./task.ts"
import type { Trigger, TriggerId } from "./trigger.ts"
import { type TaskView, viewTask } from "./view.ts"
import type { Workspace } from "./workspace.ts"

// Built from the entries that the command made and the state after them: so the same key, coming again later, gets the same answer.

/** Where a command left its mark; seq of the last entry, or of the state where there was nothing to record. */
export type Done = { seq: Seq }

/** A claim: write `fence` on everything that is done under it, and stop a little before `leaseEndsAtMs`. */
export type Claimed = { fence: Seq; leaseEndsAtMs: number; leaseMs: number; task: TaskView }

/** A lease on files: `fence` is the seq of its entry. */
export type Reserved = Done & { lease: LeaseId; fence: Seq; endsAtMs: number }

/** How a job stands after a step of it. */
export type Outcome = { job: TriggerId; status: Trigger["status"]; hop: Trigger["hop"]; notBeforeMs: number }

/** How what was asked for stands: `option` once it is answered. */
export type Asked = Done & { permission: Seq } & Pick<Permission, "status" | "option" | "untilMs">

export function done(state: Workspace, _actor: Actor, _input: unknown, entries: readonly Entry[]): Done {
  return { seq: entries.at(-1)?.seq ?? state.seq }
}

export function claimOf(state: Workspace, id: TaskId, entry: Entry | null): Claimed {
  const task = viewTask(state, id) as TaskView
  const data = entry?.data as { leaseMs: number; leaseEndsAtMs: number } | undefined
  return {
    fence: entry?.seq ?? (task.fence as Seq),
    leaseEndsAtMs: data?.leaseEndsAtMs ?? (task.leaseEndsAtMs as number),
    leaseMs: data?.leaseMs ?? (task.leaseMs as number),
    task,
  }
}

export function claimsIn(state: Workspace, entries: readonly Entry[]): Claimed[] {
  return entries.filter((entry) => entry.type === "task.claimed").map((entry) => claimOf(state, (entry.data as { id: TaskId }).id, entry))
}

/** What an event makes of its task: an answer says what the command did, whatever has become of the task since. */
const STATUS_AFTER: Readonly<Record<string, TaskStatus>> = {
  "task.completed": "completed",
  "task.submitted": "review",
  "task.changes_requested": "in_progress",
  "task.failed": "failed",
  "task.retried": "pending",
  "task.released": "pending",
  "lease.ended": "pending",
}

export function withStatus(state: Workspace, actor: Actor, input: { task: TaskId }, entries: readonly Entry[]): Done & { status: string } {
  const own = entries.findLast(({ type, data }) => type in STATUS_AFTER && (data as { id: TaskId }).id === input.task)
  return {
    ...done(state, actor, input, entries),
    status: own === undefined ? (state.tasks.get(input.task)?.status ?? "unknown") : (STATUS_AFTER[own.type] as string),
  }
}

/** The end of the caller's own lease; null where it holds none any more. */
export function withLease(
  state: Workspace,
  actor: Actor,
  input: { task: TaskId; fence: Seq },
  entries: readonly Entry[],
): Done & { leaseEndsAtMs: number | null } {
  const task = state.tasks.get(input.task)
  return { ...done(state, actor, input, entries), leaseEndsAtMs: task?.fence === input.fence ? task.leaseEndsAtMs : null }
}

/** What a reservation or a renewal came to: both say so in one entry. */
export function reserved(state: Workspace, actor: Actor, input: unknown, entries: readonly Entry[]): Reserved {
  const entry = entries.at(-1) as Entry
  const { id, endsAtMs } = entry.data as { id?: LeaseId; endsAtMs: number }
  const fence = id === undefined ? entry.seq : fenceOf(id)
  return { ...done(state, actor, input, entries), lease: leaseIdOf(fence), fence, endsAtMs }
}

export function withJob(state: Workspace, actor: Actor, input: { job: TriggerId }, entries: readonly Entry[]): Done & Outcome {
  const { id, status, hop, notBeforeMs } = state.triggers.get(input.job) as Trigger
  return { ...done(state, actor, input, entries), job: id, status, hop, notBeforeMs }
}

/** What was asked for, as it stands now: asked again with its key, it may have its answer by then. */
export function askedFor(state: Workspace, actor: Actor, input: AskPermission, entries: readonly Entry[]): Asked {
  const { seq, data } = entries[0] as Entry<"permission.asked", { untilMs: number }>
  const { status, option } = state.permissions.get(String(seq)) ?? { status: "withdrawn", option: null }
  return { ...done(state, actor, input, entries), permission: seq, status, option, untilMs: data.untilMs }
}

/** Whom a helper was announced to. */
export function ownerTold(entries: readonly Entry[]): AgentId | undefined {
  const told = entries.find((entry) => entry.type === "event.sent")?.data as Notice | undefined
  return told !== undefined && "agent" in told.to ? told.to.agent : undefined
}

/** What became ready with a completion, also when the answer is built again later: all that it waits for was completed by then, and it was pending. */
export function readyBy(state: Workspace, id: TaskId, entries: readonly Entry[]): TaskId[] {
  const completed = entries.find((entry) => entry.type === "task.completed")?.seq
  if (completed === undefined) return []
  const isDone = (dependency: TaskId): boolean => {
    const task = state.tasks.get(dependency)
    return task?.status === "completed" && task.lastSeq <= completed
  }
  const ready = [...state.board.dependents(id)].filter((dependent) => {
    const since = (state.tasks.get(dependent)?.lastSeq ?? 0) > completed
    return (since || state.board.isReady(dependent)) && (state.specs.get(dependent)?.dependsOn ?? []).every(isDone)
  })
  return ready.sort()
}
