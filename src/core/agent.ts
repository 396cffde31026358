import { type Actor, HUB, type Recorded, type Role, unknownType } from "./entry.ts"
import { filesEnded, type FilesEvent } from "./file-lease.ts"
import type { AgentId, SessionId } from "./ids.ts"
import { isName } from "./ids.ts"
import { type DirectiveEvent, inboxOf, inVain } from "./directive.ts"
import { leasesEnded } from "./lease.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { TaskEvent } from "./task.ts"
import { OPERATOR } from "./thread.ts"
import type { Workspace } from "./workspace.ts"

/** Skills and the level of each, 1 (knows it) to 5 (leads in it). */
export type Skills = Readonly<Record<string, number>>

/** What an agent is and can. */
export type Profile = {
  /** How it runs: script, claude, codex, gemini, opencode, human. */
  kind: string
  role: Role
  capabilities: Skills
  /** Tasks it may work on at once; a blocked task or one in review does not count. 1 to 1,000,000. */
  maxActive: number
  model: string | null
  account: string | null
  costPerHourMicroUsd: number
  /** Time between two heartbeats of its sessions, in ms, 200 to 300,000; lost after three without one. */
  heartbeatMs: number
} & Standing

/** What the coordinator is told of an agent besides its skills; what is absent is as for everybody. */
export type Standing = {
  /** The chance of success that is believed of a skill that it declares, before anything was seen: 0.05 to 0.95; 0.8 where absent. */
  baseWeight?: number
  /** How many times as much a success of it is worth as another's: 0.1 to 10; 1 where absent. */
  successBonus?: number
  /**
   * From which grade on what it delivers counts as success, 0 to 1: 1 is delivered with tests that pass, or approved by a reviewer; 0.8 is delivered without
   * a word on tests. 0.5 where absent.
   */
  successThreshold?: number
  /** 1 to 3: so many tasks at once where `maxActive` is not said, and a success worth 1, 1.25 or 1.5 times as much; 1 where absent. */
  tier?: number
}

export type Agent = Profile & {
  name: AgentId
  status: "present" | "retired"
  addedAtMs: number
  /** The entry that added it; absent where that was before the first thread. What was said to its role before is not for it to read. */
  addedSeq?: number
  /** Hashes of its live credentials by id: a secret itself never enters the ledger. */
  credentials: Readonly<Record<string, string>>
}

/** One run of an agent. Active and idle are presence and not kept here. */
export type Session = {
  id: SessionId
  agent: AgentId
  status: "live" | "lost" | "ended"
  runtime: string
  /** The agent's own id of its conversation, for a later resume. */
  resumeId: string | null
  /** Whether something beats for it: a session that nobody owns has no lost rule, only its leases. */
  owned: boolean
  heartbeatMs: number
  startedAtMs: number
  /** When it ended or was lost; null while it is live. */
  endedAtMs: number | null
  reason: string | null
  /** The supervisor's session that keeps its process; absent where none does. */
  managedBy?: SessionId
  /** The wake that its process was started for; absent where it was started, or started again, without one. */
  trigger?: string
}

/** The session by which an agent counts as lost: its newest, where that was lost and none lives. `sessions`: all of one agent, by their start. */
export function lostSession(sessions: readonly Session[]): Session | null {
  const newest = sessions.at(-1)
  return newest?.status === "lost" && !sessions.some(({ status }) => status === "live") ? newest : null
}

export const DEFAULT_PROFILE: Profile = {
  kind: "script",
  role: "worker",
  capabilities: {},
  maxActive: 1,
  model: null,
  account: null,
  costPerHourMicroUsd: 0,
  heartbeatMs: 15_000,
}

/** A session that ended or was lost is forgotten when its agent starts another this long after. */
const FORGET_SESSION_MS = 24 * 3_600_000

export type AddAgent = { name: AgentId } & Partial<Profile>
export type EditAgent = { name: AgentId; reason: string } & Partial<Omit<Profile, "role">>
export type RetireAgent = { name: AgentId; reason: string }
/** `id` and `hash` are made by the hub: the secret itself goes to the caller and nowhere else. */
export type IssueCredential = { agent: AgentId; id: string; hash: string }
export type RevokeCredential = { agent: AgentId; id: string; reason: string }
/** `id` is made by the hub, so that the core stays free of randomness. */
export type StartSession = { id: SessionId; agent: AgentId; runtime: string; resumeId: string | null; owned: boolean; trigger?: string | undefined }
/** `resumeId`: what is known by now of the agent's own id of its conversation; null leaves what the session has. */
export type AdoptSession = { session: SessionId; resumeId: string | null }
export type EndSession = { session: SessionId; reason: string }

export type AgentEvent =
  | Recorded<"agent.added", { name: AgentId; profile: Profile }>
  | Recorded<"agent.edited", { name: AgentId; changes: Partial<Profile>; reason: string }>
  | Recorded<"agent.retired", { name: AgentId; reason: string }>
  | Recorded<"agent.credential_issued", { agent: AgentId; id: string; hash: string }>
  | Recorded<"agent.credential_revoked", { agent: AgentId; id: string; reason: string }>
  | Recorded<
      "session.started",
      { id: SessionId; agent: AgentId; runtime: string; resumeId: string | null; owned: boolean; heartbeatMs: number; managedBy?: SessionId; trigger?: string }
    >
  | Recorded<"session.adopted", { id: SessionId; by: SessionId; resumeId?: string }>
  | Recorded<"session.lost", { id: SessionId; silentMs: number }>
  | Recorded<"session.returned", { id: SessionId }>
  | Recorded<"session.ended", { id: SessionId; reason: string }>

/** A profile of which something may be left out. */
export function profileFrom(given: Partial<Profile>): Profile {
  return { ...DEFAULT_PROFILE, ...(given.tier === undefined ? {} : { maxActive: given.tier }), ...given }
}

export function decideAddAgent(state: Workspace, { name, ...profile }: AddAgent): AgentEvent[] | Refusal {
  const wrong = wrongName(name, profile.role)
  if (wrong !== null) return wrong
  const known = state.agents.get(name)
  if (known !== undefined)
    return refuse("already_exists", `agent ${name} exists already (${known.status})`, "Choose another name, or edit the agent that is there.", { agent: name })
  return [{ type: "agent.added", data: { name, profile: profileFrom(profile) } }]
}

/** Whoever is called as the operator reads its threads, and is taken for it by others: that is the operator itself, where it takes tasks. */
export function wrongName(name: AgentId, role: Role | undefined): Refusal | null {
  if (isName(name) && name !== HUB.agent && (name !== OPERATOR || role === "operator")) return null
  const remedy = "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit; `hub` and `operator` are taken."
  return refuse("invalid", `"${name}" cannot name an agent`, remedy, { agent: name })
}

export function decideEditAgent(state: Workspace, { name, reason, ...changes }: EditAgent): AgentEvent[] | Refusal {
  const agent = presentAgent(state, name)
  if ("refused" in agent) return agent
  const ofTier = changes.tier === undefined ? {} : { maxActive: changes.tier }
  return [{ type: "agent.edited", data: { name, changes: { ...ofTier, ...changes }, reason } }]
}

/** Its leases end, its sessions end, its credentials are void: nothing of it goes on. */
export function decideRetireAgent(state: Workspace, { name, reason }: RetireAgent): (AgentEvent | TaskEvent | FilesEvent | DirectiveEvent)[] | Refusal {
  const agent = presentAgent(state, name)
  if ("refused" in agent) return agent
  const sessions = state.board.sessionsOf(name).filter((session) => session.status !== "ended")
  const ended: AgentEvent[] = sessions.map(({ id }) => ({ type: "session.ended", data: { id, reason: "agent retired" } }))
  const files = filesEnded(state.board.holdings.ofAgent(name), "agent_retired")
  const leases = leasesEnded(state, state.board.heldBy(name), "agent_retired", name)
  const told = inVain(state, name, "retired", null).filter(({ data }) => !("to" in data && "agent" in data.to && data.to.agent === name))
  return [...leases, ...files, ...ended, { type: "agent.retired", data: { name, reason } }, ...told]
}

export function decideIssueCredential(state: Workspace, { agent, id, hash }: IssueCredential): AgentEvent[] | Refusal {
  const found = presentAgent(state, agent)
  if ("refused" in found) return found
  return [{ type: "agent.credential_issued", data: { agent, id, hash } }]
}

export function decideRevokeCredential(state: Workspace, { agent, id, reason }: RevokeCredential): AgentEvent[] | Refusal {
  const found = state.agents.get(agent)
  if (found === undefined || !Object.hasOwn(found.credentials, id))
    return refuse("not_found", `agent ${agent} has no credential ${id}`, "`skein agent show` lists an agent's credentials.", { agent, id })
  return [{ type: "agent.credential_revoked", data: { agent, id, reason } }]
}

export function decideStartSession(
  state: Workspace,
  actor: Actor,
  { id, agent: name, runtime, resumeId, owned, trigger }: StartSession,
): AgentEvent[] | Refusal {
  const agent = presentAgent(state, name)
  if ("refused" in agent) return agent
  if (actor.agent !== name && actor.role !== "supervisor" && actor.role !== "operator") {
    return refuse("forbidden", `${actor.agent} cannot start a session of ${name}`, "Start it with that agent's own credential, or as supervisor or operator.", {
      agent: name,
    })
  }
  if (state.sessions.has(id)) return refuse("already_exists", `there is a session ${id} already`, "Ask again: the hub draws another id.", { session: id })
  const keeper = actor.role === "supervisor" && actor.agent !== name ? actor.session : null
  const gone = keeperGone(state, keeper)
  if (gone !== null) return gone
  const managedBy = keeper === null ? {} : { managedBy: keeper }
  const forWake = trigger === undefined ? {} : { trigger }
  return [{ type: "session.started", data: { id, agent: name, runtime, resumeId, owned, heartbeatMs: agent.heartbeatMs, ...managedBy, ...forWake } }]
}

/** A supervisor takes a session into its keeping: its own after a restart, or one that nobody living keeps. */
export function decideAdoptSession(state: Workspace, actor: Actor, { session: id, resumeId }: AdoptSession): AgentEvent[] | Refusal {
  const session = state.sessions.get(id)
  if (session === undefined) return refuse("not_found", `there is no session ${id}`, "`skein session list` lists the sessions.", { session: id })
  if (actor.session === null)
    return refuse("wrong_status", "a session is kept by a supervisor with a session of its own", "Start one with session.start (owned).", { session: id })
  const gone = keeperGone(state, actor.session)
  if (gone !== null) return gone
  if (session.status === "ended") return refuse("wrong_status", `session ${id} has ended`, "Start another.", { session: id, status: "ended" })
  const { managedBy } = session
  const learnt = resumeId === null || resumeId === session.resumeId ? {} : { resumeId }
  if (managedBy === actor.session && learnt.resumeId === undefined) return []
  const keeper = managedBy === undefined ? undefined : state.sessions.get(managedBy)
  if (keeper?.status === "live" && keeper.agent !== actor.agent)
    return refuse("not_owner", `session ${id} is kept by ${keeper.agent} (${keeper.id})`, "Wait until that supervisor has ended.", {
      session: id,
      managedBy: keeper.id,
    })
  return [{ type: "session.adopted", data: { id, by: actor.session, ...learnt } }]
}

/** Whoever asks may have been let in by a hub that had not read yet that its session is over: what it takes would be kept by nobody. */
function keeperGone(state: Workspace, id: SessionId | null): Refusal | null {
  if (id === null || (state.sessions.get(id)?.status ?? "ended") !== "ended") return null
  return refuse("wrong_status", `session ${id} has ended, and keeps no other`, "Start another with session.start.", { session: id, status: "ended" })
}

export function decideEndSession(
  state: Workspace,
  actor: Actor,
  { session: id, reason }: EndSession,
): (AgentEvent | TaskEvent | FilesEvent | DirectiveEvent)[] | Refusal {
  const session = state.sessions.get(id)
  if (session === undefined) return refuse("not_found", `there is no session ${id}`, "`skein agent show` lists an agent's sessions.", { session: id })
  if (actor.agent !== session.agent && actor.role !== "supervisor" && actor.role !== "operator") {
    return refuse("forbidden", `${actor.agent} cannot end a session of ${session.agent}`, "Only the agent itself, its supervisor or the operator can.", {
      session: id,
    })
  }
  if (session.status === "ended") return []
  const files = filesEnded(state.board.holdings.ofSession(id), "session_ended")
  return [...leasesEnded(state, state.board.heldBySession(id), "session_ended", actor.agent), ...files, { type: "session.ended", data: { id, reason } }]
}

/** An agent that may act: known and not retired. */
export function presentAgent(state: Workspace, name: AgentId): Agent | Refusal {
  const agent = state.agents.get(name)
  if (agent === undefined) {
    const remedy =
      name === OPERATOR ? "The director becomes one with its first claim, session or lease on files: skein session start" : `Add it: skein agent add ${name}`
    return refuse("not_found", `there is no agent ${name}`, remedy, { agent: name })
  }
  if (agent.status === "retired")
    return refuse("retired", `agent ${name} is retired`, "A retired agent does not come back: add one with another name.", { agent: name })
  return agent
}

export function evolveAgent(state: Workspace, event: AgentEvent, atMs: number): void {
  const { agents, sessions } = state
  switch (event.type) {
    case "agent.added": {
      const { name, profile } = event.data
      agents.put(name, { name, status: "present", addedAtMs: atMs, credentials: {}, ...profile, ...(state.threads.size === 0 ? {} : { addedSeq: state.seq }) })
      break
    }
    case "agent.edited": {
      const agent = agents.get(event.data.name) as Agent
      agents.put(agent.name, { ...agent, ...event.data.changes })
      break
    }
    case "agent.retired": {
      const agent = agents.get(event.data.name) as Agent
      agents.put(agent.name, { ...agent, status: "retired", credentials: {} })
      for (const notice of state.board.noticesTo(inboxOf({ agent: agent.name }))) state.notices.delete(String(notice.seq))
      break
    }
    case "agent.credential_issued": {
      const agent = agents.get(event.data.agent) as Agent
      agents.put(agent.name, { ...agent, credentials: { ...agent.credentials, [event.data.id]: event.data.hash } })
      break
    }
    case "agent.credential_revoked": {
      const agent = agents.get(event.data.agent) as Agent
      const { [event.data.id]: _, ...credentials } = agent.credentials
      agents.put(agent.name, { ...agent, credentials })
      break
    }
    case "session.started": {
      const { id, agent, runtime, resumeId, owned, heartbeatMs, managedBy, trigger } = event.data
      for (const old of state.board.sessionsOf(agent)) {
        if (old.endedAtMs !== null && old.endedAtMs + FORGET_SESSION_MS < atMs) sessions.delete(old.id)
      }
      const kept = { ...(managedBy === undefined ? {} : { managedBy }), ...(trigger === undefined ? {} : { trigger }) }
      sessions.put(id, { id, agent, status: "live", runtime, resumeId, owned, heartbeatMs, startedAtMs: atMs, endedAtMs: null, reason: null, ...kept })
      break
    }
    case "session.adopted": {
      const { id, by, resumeId } = event.data
      const session = sessions.get(id) as Session
      sessions.put(id, { ...session, managedBy: by, resumeId: resumeId ?? session.resumeId })
      break
    }
    case "session.lost":
      sessions.put(event.data.id, { ...(sessions.get(event.data.id) as Session), status: "lost", endedAtMs: atMs })
      break
    case "session.returned":
      sessions.put(event.data.id, { ...(sessions.get(event.data.id) as Session), status: "live", endedAtMs: null })
      break
    case "session.ended":
      state.supervisors.delete(event.data.id)
      sessions.put(event.data.id, { ...(sessions.get(event.data.id) as Session), status: "ended", endedAtMs: atMs, reason: event.data.reason })
      break
    default:
      throw unknownType(event)
  }
}
