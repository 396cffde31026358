import { presentAgent } from "./agent.ts"
import { type Actor, HUB, type Recorded, type Role, unknownType } from "./entry.ts"
import { type AgentId, isName, type Seq, type ThreadId } from "./ids.ts"
import { append } from "./message-page.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { aRole, permits, ROLES } from "./role.ts"
import { inboxOf } from "./directive.ts"
import { audienceOf, newThread, OPERATOR, type Participant, placeKey, takePlace, type Thread, type ThreadStatus, type ThreadType } from "./thread.ts"
import type { Workspace } from "./workspace.ts"

/** Participants by name in one thread at the most: each message names them. Roles and everyone count as one. */
export const PARTICIPANTS_MAX = 128

export type CreateThread = { thread: ThreadId; title: string; type: ThreadType; participants: AgentId[] }
export type JoinThread = { thread: ThreadId }
export type LeaveThread = { thread: ThreadId }
export type InviteToThread = { thread: ThreadId; agents: AgentId[] }
export type SetThreadStatus = { thread: ThreadId; status: ThreadStatus; reason: string }

export type ThreadEvent =
  | Recorded<"thread.created", { id: ThreadId; title: string; type: ThreadType; participants: AgentId[] }>
  /** `fromSeq`: the last message that they need not read. */
  | Recorded<"thread.joined", { id: ThreadId; agents: AgentId[]; fromSeq: number }>
  | Recorded<"thread.left", { id: ThreadId; agent: AgentId }>
  /** `auto`: by the hub's own rule, whoever's message it was that broke it. */
  | Recorded<"thread.status_changed", { id: ThreadId; message: number; from: ThreadStatus; to: ThreadStatus; reason: string; audience: string[]; auto?: true }>

/** The least role that may take a thread from one status to another; what is not here cannot be done at all. */
const TRANSITIONS: Readonly<Record<ThreadStatus, Partial<Record<ThreadStatus, Role>>>> = {
  active: { blocked: "worker", resolved: "worker", closed: "orchestrator" },
  // Blocked is disputed, or stopped for going round in circles: no worker goes on by itself, and only the operator ends it over the dispute.
  blocked: { active: "orchestrator", resolved: "orchestrator", closed: "operator" },
  resolved: { active: "worker", closed: "worker" },
  closed: { active: "orchestrator" },
}

/** The least role that may post while a thread has a status; null: nobody. The hub's notices about a task always arrive. */
export const POSTING: Readonly<Record<ThreadStatus, Role | null>> = { active: "worker", blocked: "orchestrator", resolved: "worker", closed: null }

/** A thread of one target rather than of a subject: nobody joins, leaves or closes it. */
export function isInbox(id: ThreadId): boolean {
  return id === "team" || id.startsWith("agent/") || id.startsWith("role/")
}

/** The thread, or what it would be if this were its first message. */
export function threadToPost(state: Workspace, id: ThreadId): Thread | Refusal {
  const name = id.slice(id.indexOf("/") + 1)
  if (id.startsWith("agent/")) {
    const agent = presentAgent(state, name)
    if ("refused" in agent) return agent
  }
  const known = state.threads.get(id)
  if (known !== undefined) return known
  const exists = id === "team" || (id.startsWith("task/") && state.tasks.has(name)) || (id.startsWith("role/") && ROLES.includes(name as Role))
  return exists || id.startsWith("agent/") ? newThread(id, OPERATOR, 0, 0) : noThread(id)
}

function noThread(id: ThreadId): Refusal {
  return refuse(
    "not_found",
    `there is no thread ${id}`,
    "`skein thread list` lists the threads; task/ID, agent/NAME, role/ROLE and team begin by themselves.",
    {
      thread: id,
    },
  )
}

export function decideCreateThread(state: Workspace, actor: Actor, { thread: id, title, type, participants }: CreateThread): ThreadEvent[] | Refusal {
  if (!isName(id) || id === "team")
    return refuse("invalid", `"${id}" cannot name a thread`, "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit; `team` is taken.", {
      thread: id,
    })
  if (state.threads.has(id)) return refuse("already_exists", `there is a thread ${id} already`, "Post in it, or choose another name.", { thread: id })
  const all = [...new Set([actor.agent, ...participants])].sort()
  return wrongParticipants(state, id, all, actor, 0) ?? [{ type: "thread.created", data: { id, title, type, participants: all } }]
}

/** Whoever joins by itself is not asked to read what was said before. */
export function decideJoinThread(state: Workspace, actor: Actor, { thread: id }: JoinThread): ThreadEvent[] | Refusal {
  const thread = state.threads.get(id)
  if (thread === undefined) return noThread(id)
  if (isInbox(id)) return refuse("invalid", `nobody joins ${id}`, "Post in it: it reaches whom it is for.", { thread: id })
  if (state.places.get(placeKey(id, actor.agent))?.joined === true) return []
  const wrong = wrongParticipants(state, id, [actor.agent], actor, state.forum.membersOf(id).length)
  return wrong ?? [{ type: "thread.joined", data: { id, agents: [actor.agent], fromSeq: thread.head } }]
}

export function decideLeaveThread(state: Workspace, actor: Actor, { thread: id }: LeaveThread): ThreadEvent[] | Refusal {
  if (!state.threads.has(id)) return noThread(id)
  if (isInbox(id)) return refuse("invalid", `nobody leaves ${id}`, "Acknowledge what you have read there: message.ack.", { thread: id })
  if (state.places.get(placeKey(id, actor.agent))?.joined !== true) return []
  return [{ type: "thread.left", data: { id, agent: actor.agent } }]
}

/** Whoever is invited is asked to read all of it. */
export function decideInviteToThread(state: Workspace, actor: Actor, { thread: id, agents }: InviteToThread): ThreadEvent[] | Refusal {
  const thread = state.threads.get(id)
  if (thread === undefined) return noThread(id)
  if (isInbox(id)) return refuse("invalid", `nobody is invited to ${id}`, "Create a thread with these participants.", { thread: id })
  if (thread.status === "closed")
    return refuse("wrong_status", `thread ${id} is closed`, "Have an orchestrator open it again.", { thread: id, status: "closed" })
  const outside = notWithin(state, actor, thread)
  if (outside !== null) return outside
  const added = [...new Set(agents)].filter((agent) => state.places.get(placeKey(id, agent))?.joined !== true).sort()
  if (added.length === 0) return []
  const wrong = wrongParticipants(state, id, added, actor, state.forum.membersOf(id).length)
  return wrong ?? [{ type: "thread.joined", data: { id, agents: added, fromSeq: 0 } }]
}

export function decideSetThreadStatus(state: Workspace, actor: Actor, { thread: id, status: to, reason }: SetThreadStatus): ThreadEvent[] | Refusal {
  const thread = state.threads.get(id)
  if (thread === undefined) return noThread(id)
  const { status: from } = thread
  if (isInbox(id)) return refuse("invalid", `${id} is always active`, "Only threads about something have a status: create one.", { thread: id })
  if (from === to) return []
  const least = TRANSITIONS[from][to]
  const details = { thread: id, status: from, to }
  if (least === undefined)
    return refuse(
      "wrong_status",
      `thread ${id} is ${from}: it cannot become ${to}`,
      `From ${from} it goes to ${Object.keys(TRANSITIONS[from]).join(", ")}.`,
      details,
    )
  if (!permits(least, actor.role))
    return refuse(
      "forbidden",
      `${aRole(actor.role)} cannot take thread ${id} from ${from} to ${to}`,
      least === "operator" ? "Ask the operator." : `Ask an agent of role ${least}, or the operator.`,
      details,
    )
  const outside = notWithin(state, actor, thread)
  if (outside !== null) return outside
  // Told to whoever is in it as a message of the hub's.
  return [{ type: "thread.status_changed", data: { id, message: thread.head + 1, from, to, reason, audience: audienceOf(state, thread, actor.agent) } }]
}

/** A worker acts only on threads that it is in. */
function notWithin(state: Workspace, actor: Actor, { id, groups }: Thread): Refusal | null {
  if (permits("orchestrator", actor.role) || state.places.get(placeKey(id, actor.agent))?.joined === true || inGroup(groups, actor)) return null
  return refuse("forbidden", `${actor.agent} is not in thread ${id}`, "Join it first: thread.join.", { thread: id })
}

export function inGroup(groups: Thread["groups"], { role }: Pick<Actor, "role">): boolean {
  return "everyone" in groups || inboxOf({ role }) in groups
}

export function full(thread: ThreadId): Refusal {
  const message = `a thread has ${PARTICIPANTS_MAX} participants at the most`
  return refuse("at_limit", message, "Use role/ROLE or team to reach many, or several threads.", { thread, limit: PARTICIPANTS_MAX })
}

function wrongParticipants(state: Workspace, id: ThreadId, agents: readonly AgentId[], actor: Actor, already: number): Refusal | null {
  if (already + agents.length > PARTICIPANTS_MAX) return full(id)
  for (const name of agents) {
    if (name === actor.agent || name === OPERATOR) continue
    const agent = presentAgent(state, name)
    if ("refused" in agent) return agent
  }
  return null
}

export function evolveThread(state: Workspace, event: ThreadEvent, { seq, atMs, actor }: { seq: Seq; atMs: number; actor: Actor }): void {
  switch (event.type) {
    case "thread.created": {
      const { id, title, type, participants } = event.data
      state.threads.put(id, { ...newThread(id, actor.agent, seq, atMs), title, type })
      for (const agent of participants) takePlace(state, id, agent, 0)
      break
    }
    case "thread.joined":
      for (const agent of event.data.agents) takePlace(state, event.data.id, agent, event.data.fromSeq)
      break
    case "thread.left": {
      const key = placeKey(event.data.id, event.data.agent)
      state.places.put(key, { ...(state.places.get(key) as Participant), joined: false })
      break
    }
    case "thread.status_changed": {
      const { id, to, reason, auto = false } = event.data
      const changedBy = auto ? HUB.agent : actor.agent
      state.threads.put(id, { ...(state.threads.get(id) as Thread), status: to, reason, changedBy, changedAtMs: atMs, turns: 0 })
      append(state, id, { seq, atMs, sender: auto ? null : actor, what: "system" })
      break
    }
    default:
      throw unknownType(event)
  }
}
