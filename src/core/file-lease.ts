import { type Actor, type Recorded, unknownType } from "./entry.ts"
import type { AgentId, LeaseId, Seq, SessionId, TaskId } from "./ids.ts"
import type { Workspace } from "./workspace.ts"

export type FileMode = "exclusive" | "shared"

/** Files that an agent holds, by globs, whether or not they exist yet. No two agents hold what can meet, unless both hold it shared. */
export type FileLease = {
  id: LeaseId
  agent: AgentId
  /** The session that took or last renewed it; null: somebody at a shell. */
  session: SessionId | null
  mode: FileMode
  globs: string[]
  reason: string
  /** The task that it was taken for, and goes with. */
  task: TaskId | null
  /** The seq of the entry that made it. */
  fence: Seq
  ttlMs: number
  /** It is over at this time, not after it; a sign of life of its session puts it off. */
  endsAtMs: number
  reservedAtMs: number
}

/** Leases named in one `files.ended`, so that an entry stays under its limit. */
const ENDED_PER_ENTRY = 1_500

export type FilesEnd = "expired" | "lost" | "session_ended" | "agent_retired"

export type FilesEvent =
  | Recorded<"files.reserved", { mode: FileMode; globs: string[]; reason: string; task: TaskId | null; ttlMs: number; endsAtMs: number }>
  | Recorded<"files.renewed", { id: LeaseId; ttlMs: number; endsAtMs: number }>
  | Recorded<"files.released", { id: LeaseId; globs: string[]; whole: boolean; reason: string }>
  | Recorded<"files.ended", { leases: LeaseId[]; reason: FilesEnd }>

/** The id of the lease that an entry made. */
export function leaseIdOf(seq: Seq): LeaseId {
  return `f${seq}`
}

/** The entry that made a lease: the lease's fence. */
export function fenceOf(id: LeaseId): Seq {
  return Number(id.slice(1))
}

/** Ends leases on files by the hub's own rules. */
export function filesEnded(leases: readonly LeaseId[], reason: FilesEnd): FilesEvent[] {
  const events: FilesEvent[] = []
  for (let at = 0; at < leases.length; at += ENDED_PER_ENTRY)
    events.push({ type: "files.ended", data: { leases: leases.slice(at, at + ENDED_PER_ENTRY), reason } })
  return events
}

export function evolveFiles(state: Workspace, event: FilesEvent, { seq, atMs, actor }: { seq: Seq; atMs: number; actor: Actor }): void {
  const { files } = state
  switch (event.type) {
    case "files.reserved": {
      const { mode, globs, reason, task, ttlMs, endsAtMs } = event.data
      const id = leaseIdOf(seq)
      files.put(id, { id, agent: actor.agent, session: actor.session, mode, globs, reason, task, fence: seq, ttlMs, endsAtMs, reservedAtMs: atMs })
      break
    }
    case "files.renewed": {
      const { id, ttlMs, endsAtMs } = event.data
      files.put(id, { ...(files.get(id) as FileLease), session: actor.session, ttlMs, endsAtMs })
      break
    }
    case "files.released": {
      const { id, globs, whole } = event.data
      const lease = files.get(id) as FileLease
      if (whole) files.delete(id)
      else files.put(id, { ...lease, globs: lease.globs.filter((glob) => !globs.includes(glob)) })
      break
    }
    case "files.ended":
      for (const id of event.data.leases) files.delete(id)
      break
    default:
      throw unknownType(event)
  }
}

/** Leases that were taken for a task go with it, whichever entry took it from its holder. */
export function dropFilesOf(state: Workspace, task: TaskId): void {
  for (const id of state.board.holdings.ofTask(task)) state.files.delete(id)
}

/** A sign of life of a session, or of a caller without one: what it holds lasts its full length again, once a third of that has gone by. */
export function renewFiles(state: Workspace, { agent, session }: Pick<Actor, "agent" | "session">, atMs: number): void {
  const { holdings } = state.board
  const held = session === null ? holdings.ofAgent(agent) : holdings.ofSession(session)
  for (const id of held) {
    const lease = state.files.get(id) as FileLease
    if (lease.session === session && isFileLeaseDue(lease, atMs)) state.files.put(id, { ...lease, endsAtMs: atMs + lease.ttlMs })
  }
}

/** Whether a lease is to be renewed: a third of it has gone by. One that is over and not ended yet is nobody else's, so a beat in time still counts. */
export function isFileLeaseDue({ endsAtMs, ttlMs }: FileLease, atMs: number): boolean {
  return 3 * (endsAtMs - atMs) <= 2 * ttlMs
}
