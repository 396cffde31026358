import type { Actor, Recorded, Role } from "./entry.ts"
import type { AgentId, Seq, TaskId } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Priority } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** The kinds of event that agents exchange through `event.send`. */
export const EVENT_KINDS = ["task_assign", "task_claim", "task_update", "blocker", "request_review", "merge_ready", "directive", "heartbeat", "ack", "info", "help_wanted"] as const
export type EventKind = (typeof EVENT_KINDS)[number]
export const DIRECTIVES = ["claim_denied", "replan", "pause", "resume", "stop", "nudge"] as const
export type DirectiveKind = (typeof DIRECTIVES)[number]

/** To whom something goes: one agent, all of a role, or everyone. */
export type Target = { agent: AgentId } | { role: Role } | { everyone: true }

/** Something said to somebody: an event with its kind, and what it is about. */
export type Notice = {
  kind: EventKind
  /** Which directive, where it is one. */
  directive: DirectiveKind | null
  to: Target
  task: TaskId | null
  priority: Priority
  text: string
  payload: Readonly<Record<string, unknown>>
  requiresAck: boolean
}

/** A notice that waits for its acknowledgement. */
export type OpenNotice = Notice & { seq: Seq; from: AgentId; atMs: number; ackedBy: AgentId[] }
/** What waits for one target, oldest first. */
export type Inbox = { target: string; notices: OpenNotice[] }

/** Notices that wait for one target at the most: the oldest gives way, and stays in the ledger. */
export const INBOX_MAX = 200

export type SendNotice = Notice
export type AckNotice = { seq: Seq }

export type DirectiveEvent = Recorded<"event.sent", Notice> | Recorded<"event.acked", { seq: Seq; target: string }>

/** The inbox that a target's notices wait in. */
export function inboxOf(to: Target): string {
  if ("agent" in to) return `agent:${to.agent}`
  return "role" in to ? `role:${to.role}` : "everyone"
}

/** A directive by the hub's own rules: the follow-up of somebody's action. */
export function directive(kind: DirectiveKind, to: Target, task: TaskId | null, text: string, causedBy: Seq | null): DirectiveEvent {
  return { type: "event.sent", data: { kind: "directive", directive: kind, to, task, priority: "high", text, payload: {}, requiresAck: true }, causedBy }
}

export function decideSendNotice(state: Workspace, actor: Actor, notice: SendNotice): DirectiveEvent[] | Refusal {
  if ("agent" in notice.to && !state.agents.has(notice.to.agent)) return refuse("not_found", `there is no agent ${notice.to.agent}`, "`skein agent list` lists the agents.", { agent: notice.to.agent })
  if (notice.task !== null && !state.tasks.has(notice.task)) return refuse("not_found", `there is no task ${notice.task}`, "`skein task list` lists the tasks.", { task: notice.task })
  const directs = notice.kind === "directive" || notice.kind === "task_assign"
  if (directs && actor.role !== "operator" && actor.role !== "orchestrator") {
    return refuse("forbidden", `a ${actor.role} cannot send a ${notice.kind}`, "Send `info` instead, or ask an orchestrator or the operator.", { kind: notice.kind })
  }
  if (notice.kind === "directive" && notice.directive === null) return refuse("invalid", "a directive needs to say which", `Give \`directive\`: one of ${DIRECTIVES.join(", ")}.`, {})
  return [{ type: "event.sent", data: notice }]
}

export function decideAckNotice(state: Workspace, actor: Actor, { seq }: AckNotice): DirectiveEvent[] | Refusal {
  for (const target of inboxesOf(actor)) {
    const notice = state.inboxes.get(target)?.notices.find((open) => open.seq === seq)
    if (notice === undefined) continue
    return notice.ackedBy.includes(actor.agent) ? [] : [{ type: "event.acked", data: { seq, target }, causedBy: seq }]
  }
  return refuse("not_found", `no notice ${seq} waits for ${actor.agent}`, "It was acknowledged already, or is somebody else's: read your inbox.", { seq })
}

/** The inboxes that a caller reads. */
export function inboxesOf(actor: Actor): string[] {
  return [`agent:${actor.agent}`, `role:${actor.role}`, "everyone"]
}

/** What waits for the caller, oldest first. */
export function openNotices(state: Workspace, actor: Actor): OpenNotice[] {
  const open = inboxesOf(actor).flatMap((target) => state.inboxes.get(target)?.notices ?? [])
  return open.filter((notice) => !notice.ackedBy.includes(actor.agent)).sort((a, b) => a.seq - b.seq)
}

export function evolveDirective(state: Workspace, event: DirectiveEvent, { seq, atMs, actor }: { seq: Seq; atMs: number; actor: Actor }): void {
  if (event.type === "event.sent") {
    if (!event.data.requiresAck) return
    const target = inboxOf(event.data.to)
    const notices = state.inboxes.get(target)?.notices ?? []
    state.inboxes.put(target, { target, notices: [...notices.slice(1 - INBOX_MAX), { ...event.data, seq, from: actor.agent, atMs, ackedBy: [] }] })
    return
  }
  const inbox = state.inboxes.get(event.data.target) as Inbox
  const rest = event.data.target.startsWith("agent:")
    ? inbox.notices.filter((notice) => notice.seq !== event.data.seq)
    : inbox.notices.map((notice) => (notice.seq === event.data.seq ? { ...notice, ackedBy: [...notice.ackedBy, actor.agent] } : notice))
  if (rest.length === 0) state.inboxes.delete(inbox.target)
  else state.inboxes.put(inbox.target, { target: inbox.target, notices: rest })
}
