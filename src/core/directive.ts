import { type Actor, HUB, type Recorded, type Role, unknownType } from "./entry.ts"
import type { AgentId, Seq, TaskId, ThreadId } from "./ids.ts"
import { append } from "./message-page.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Priority } from "./task.ts"
import { openThread, takePlace, type Thread, threadOf } from "./thread.ts"
import type { Workspace } from "./workspace.ts"

/** The kinds of event that agents exchange through `event.send`. */
export const EVENT_KINDS = [
  "task_assign",
  "task_claim",
  "task_update",
  "blocker",
  "request_review",
  "merge_ready",
  "directive",
  "heartbeat",
  "ack",
  "info",
  "help_wanted",
] as const
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

/** Who has a notice wait: an agent, which chose to send it and directs nobody by it; somebody's work, or who directs; the hub's own rules. The first gives way first. */
export const VOICES = ["agent", "work", "hub"] as const
export type Voice = (typeof VOICES)[number]

/**
 * A notice as it is recorded: with the thread that it is a message of. Ledgers from before threads have none. `turn`: it is one of an agent's in a task's thread.
 * `voice`: where it waits in an inbox, or is the hub's own; older ledgers have none.
 */
export type Sent = Notice & { thread?: ThreadId | undefined; turn?: true; voice?: Voice }
/** A notice that waits for its acknowledgement. */
export type OpenNotice = Sent & { seq: Seq; from: AgentId; atMs: number; ackedBy: AgentId[] }
/** Notices that wait for one target at the most: then one gives way, and stays in the ledger. */
export const INBOX_MAX = 200
/** Of these what one agent chose to send, as long as nobody has acknowledged it. */
export const INBOX_SENDER_MAX = 20

export type SendNotice = Notice
export type AckNotice = { seq: Seq }

export type SentEvent = Recorded<"event.sent", Sent>
export type DirectiveEvent = SentEvent | Recorded<"event.acked", { seq: Seq; target: string }>

/** The inbox that a target's notices wait in. */
export function inboxOf(to: Target): string {
  if ("agent" in to) return `agent:${to.agent}`
  return "role" in to ? `role:${to.role}` : "everyone"
}

/** The entry of a notice, in the thread where it belongs. Help is asked of each in its own inbox: the task's thread need not hear it fifty times. */
export function sent(notice: Notice, causedBy: Seq | null = null, voice: Voice = "work"): SentEvent {
  const { kind, to, task, requiresAck } = notice
  const thread = threadOf(to, kind === "help_wanted" ? null : task)
  return { type: "event.sent", data: { ...notice, thread, ...(requiresAck || voice === "hub" ? { voice } : {}) }, causedBy }
}

/** A directive by the hub's own rules: the follow-up of somebody's action. */
export function directive(kind: DirectiveKind, to: Target, task: TaskId | null, text: string, causedBy: Seq | null): DirectiveEvent {
  return sent({ kind: "directive", directive: kind, to, task, priority: "high", text, payload: {}, requiresAck: true }, causedBy, "hub")
}

/** Who is told what a director has to see to: orchestrators, or the operator where there is none. */
export function directorOf(state: Workspace): "orchestrator" | "operator" {
  for (const { role, status } of state.agents.values()) if (role === "orchestrator" && status === "present") return "orchestrator"
  return "operator"
}

/** Tells whoever is blocked on a task that will not be completed, or on an agent that is retired: nothing would ever call them back. */
export function inVain(state: Workspace, ref: string, became: "failed" | "cancelled" | "retired", causedBy: Seq | null): DirectiveEvent[] {
  const kind = became === "retired" ? "agent" : "task"
  return state.board
    .blockedOn(ref)
    .filter((blocked) => blocked.blockedOn?.kind === kind && blocked.owner !== null)
    .map((blocked) => directive("replan", { agent: blocked.owner as AgentId }, blocked.id, `${blocked.id} waits in vain: ${ref} is ${became}`, causedBy))
}

export function decideAckNotice(state: Workspace, actor: Actor, { seq }: AckNotice): DirectiveEvent[] | Refusal {
  const notice = state.notices.get(String(seq))
  const target = notice === undefined ? "" : inboxOf(notice.to)
  if (notice !== undefined && (inboxesOf(actor).includes(target) || (target === ORCHESTRATORS && standsIn(state, actor)))) {
    return notice.ackedBy.includes(actor.agent) ? [] : [{ type: "event.acked", data: { seq, target }, causedBy: seq }]
  }
  return refuse("not_found", `no notice ${seq} waits for ${actor.agent}`, "It was acknowledged already, or is somebody else's: read your inbox.", { seq })
}

/** The inboxes that a caller reads. */
function inboxesOf(actor: Actor): string[] {
  return [`agent:${actor.agent}`, `role:${actor.role}`, "everyone"]
}

const ORCHESTRATORS = inboxOf({ role: "orchestrator" })

/** Whether what none of the orchestrators acknowledged is the caller's to see to: it is the operator, and the last of them is retired. */
function standsIn(state: Workspace, { role }: Actor): boolean {
  return role === "operator" && state.board.noticeCount(ORCHESTRATORS) > 0 && directorOf(state) === "operator"
}

/** What waits for the caller, oldest first. */
export function openNotices(state: Workspace, actor: Actor): OpenNotice[] {
  const open = inboxesOf(actor).flatMap((target) => state.board.noticesTo(target))
  const left = standsIn(state, actor) ? state.board.noticesTo(ORCHESTRATORS).filter(({ ackedBy }) => ackedBy.length === 0) : []
  return [...open, ...left].filter((notice) => !notice.ackedBy.includes(actor.agent)).sort((a, b) => a.seq - b.seq)
}

export function evolveDirective(state: Workspace, event: DirectiveEvent, { seq, atMs, actor }: { seq: Seq; atMs: number; actor: Actor }): void {
  const { notices, board } = state
  switch (event.type) {
    case "event.sent": {
      if (event.data.thread !== undefined) tell(state, event.data.thread, event.data.to, { seq, atMs, actor })
      if (event.data.turn === true) {
        const thread = state.threads.get(event.data.thread as ThreadId) as Thread
        state.threads.put(thread.id, { ...thread, turns: thread.turns + 1 })
      }
      if (!event.data.requiresAck) return
      const target = inboxOf(event.data.to)
      if (board.noticeCount(target) >= INBOX_MAX) {
        const waiting = board.noticesTo(target)
        // In ledgers of before the oldest gave way, whatever it was.
        const [least] = event.data.voice === undefined ? waiting : waiting.sort((a, b) => weightOf(a) - weightOf(b))
        notices.delete(String((least as OpenNotice).seq))
      }
      notices.put(String(seq), { ...event.data, seq, from: actor.agent, atMs, ackedBy: [] })
      break
    }
    case "event.acked": {
      const notice = notices.get(String(event.data.seq)) as OpenNotice
      // What went to one agent is over with its acknowledgement; what went to many stays for the others.
      if ("agent" in notice.to) notices.delete(String(notice.seq))
      else notices.put(String(notice.seq), { ...notice, ackedBy: [...notice.ackedBy, actor.agent] })
      break
    }
    default:
      throw unknownType(event)
  }
}

/** What gives way first, the oldest where it is the same: what somebody has acknowledged, then by its voice. */
function weightOf({ voice = "work", ackedBy }: OpenNotice): number {
  return ackedBy.length > 0 ? -1 : VOICES.indexOf(voice)
}

/** Makes a notice a message of its thread, and whoever it is for one who reads there. */
function tell(state: Workspace, id: ThreadId, to: Target, { seq, atMs, actor }: { seq: Seq; atMs: number; actor: Actor }): void {
  const thread = openThread(state, id, actor.agent)
  if ("agent" in to) takePlace(state, id, to.agent, thread.head)
  else if (!(inboxOf(to) in thread.groups)) state.threads.put(id, { ...thread, groups: { ...thread.groups, [inboxOf(to)]: thread.head } })
  const byHub = actor.agent === HUB.agent
  if (!byHub && id.startsWith("task/")) takePlace(state, id, actor.agent, thread.head)
  append(state, id, { seq, atMs, sender: byHub ? null : actor, what: byHub ? "system" : "event" })
}
