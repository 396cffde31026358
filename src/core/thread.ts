import type { AgentId, Seq, TaskId, ThreadId } from "./ids.ts"
import { countOf, groupCursor } from "./message-page.ts"
import type { Target } from "./directive.ts"
import type { Workspace } from "./workspace.ts"

export const THREAD_TYPES = ["conversation", "workflow", "incident"] as const
export type ThreadType = (typeof THREAD_TYPES)[number]
export const THREAD_STATUSES = ["active", "blocked", "resolved", "closed"] as const
export type ThreadStatus = (typeof THREAD_STATUSES)[number]

/** A conversation of agents: its messages are numbered from 1 without a gap. Bodies stay in the ledger. */
export type Thread = {
  id: ThreadId
  title: string
  type: ThreadType
  status: ThreadStatus
  /** Why it has its status, and who gave it that; null while it is as it began. */
  reason: string | null
  changedBy: AgentId | null
  changedAtMs: number | null
  createdBy: AgentId
  createdSeq: Seq
  createdAtMs: number
  /** Its number of messages, which is the last one's number; the ledger seq and time of that one, 0 before the first. */
  head: number
  lastSeq: Seq
  lastAtMs: number
  /** Who is in it by role or as one of all (`role:worker`, `everyone`), each with the number of the last message before that. */
  groups: Readonly<Record<string, number>>
  /** Numbers given to senders so far. */
  senders: number
  /** The task that it is about: the last one that a message named. */
  task: TaskId | null
  /** Messages by agents since the last sign of progress: an update of its task, a commit, a change of status, a finding that is new. */
  turns: number
}

/** Somebody's place in a thread. */
export type Participant = {
  thread: ThreadId
  agent: AgentId
  /** By which pages know its messages; 0 before its first. */
  number: number
  /** False: it left, or only sent something there. */
  joined: boolean
  /** The last message that it has read; never goes back, never beyond the thread's head. */
  lastReadSeq: number
  /** Messages of its own after that one: nobody has to read what it wrote itself. */
  ownAfter: number
}

/** The operator is nobody's agent, and may be in any thread. */
export const OPERATOR = "operator"

export function placeKey(thread: ThreadId, agent: AgentId): string {
  return `${thread}#${agent}`
}

/** The thread that a notice belongs to: its task's, else its target's. */
export function threadOf(to: Target, task: TaskId | null): ThreadId {
  if (task !== null) return `task/${task}`
  if ("agent" in to) return `agent/${to.agent}`
  return "role" in to ? `role/${to.role}` : "team"
}

/** What a thread that nobody has to create is about, or null where the id is not of that form. */
function meantBy(id: ThreadId): { title: string; task: TaskId | null; groups: Record<string, number>; agent: AgentId | null } | null {
  if (id === "team") return { title: "Everyone", task: null, groups: { everyone: 0 }, agent: null }
  const slash = id.indexOf("/")
  const name = id.slice(slash + 1)
  if (id.startsWith("task/")) return { title: `Task ${name}`, task: name, groups: {}, agent: null }
  if (id.startsWith("agent/")) return { title: `To ${name}`, task: null, groups: {}, agent: name }
  if (id.startsWith("role/")) return { title: `To every ${name}`, task: null, groups: { [`role:${name}`]: 0 }, agent: null }
  return null
}

export function newThread(id: ThreadId, by: AgentId, seq: Seq, atMs: number): Thread {
  const { title, task, groups } = meantBy(id) ?? { title: id, task: null, groups: {} }
  return {
    id,
    title,
    type: "workflow",
    status: "active",
    reason: null,
    changedBy: null,
    changedAtMs: null,
    createdBy: by,
    createdSeq: seq,
    createdAtMs: atMs,
    head: 0,
    lastSeq: 0,
    lastAtMs: 0,
    groups,
    senders: 0,
    task,
    turns: 0,
  }
}

/** Whom an entry about the thread concerns, so that a subscriber can tell from the entry alone: `agent:NAME`, `role:ROLE`, `everyone`; never its sender. */
export function audienceOf(state: Workspace, { id, groups }: Thread, sender: AgentId): string[] {
  const own = state.threads.has(id) ? null : meantBy(id)?.agent
  const agents = typeof own === "string" ? [own] : state.forum.membersOf(id)
  return [...Object.keys(groups), ...agents.filter((agent) => agent !== sender).map((agent) => `agent:${agent}`)].sort()
}

/** Opens a thread that nobody had to create, where it is not there yet. */
export function openThread(state: Workspace, id: ThreadId, by: AgentId): Thread {
  const known = state.threads.get(id)
  if (known !== undefined) return known
  const thread = newThread(id, by, state.seq, state.atMs)
  state.threads.put(id, thread)
  const own = meantBy(id)?.agent
  if (typeof own === "string") takePlace(state, id, own, 0)
  return thread
}

/** Has an agent in the thread from here on; where it read it before, by name, by role or as one of all, its cursor stands. */
export function takePlace(state: Workspace, id: ThreadId, agent: AgentId, fromSeq: number): void {
  const key = placeKey(id, agent)
  const known = state.places.get(key)
  if (known?.joined === true) return
  const thread = state.threads.get(id) as Thread
  const role = state.agents.get(agent)?.role ?? "operator"
  const lastReadSeq = Math.max(known?.lastReadSeq ?? 0, groupCursor(state, thread, { agent, role }) ?? (known === undefined ? fromSeq : 0))
  const number = known?.number ?? 0
  state.places.put(key, { thread: id, agent, number, joined: true, lastReadSeq, ownAfter: countOf(state, id, number, lastReadSeq + 1, thread.head) })
}
