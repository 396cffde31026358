import type { AgentEvent } from "./agent.ts"
import { claimant, returned } from "./claim.ts"
import type { Actor } from "./entry.ts"
import { conflictsWith, filesConflict } from "./file-conflict.ts"
import type { FileLease, FileMode, FilesEvent } from "./file-lease.ts"
import { isGlobFault, parseGlob } from "./glob.ts"
import type { LeaseId, Seq, TaskId } from "./ids.ts"
import { underLease } from "./lease.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { isHeld, type Task } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** Leases on files that one agent may hold at once. */
export const FILE_LEASES_MAX = 256
/** `fence`: the claim of `task`, where the caller wants it checked. */
export type ReserveFiles = { globs: string[]; mode: FileMode; ttlMs: number; reason: string; task: TaskId | null; fence: Seq | null }
/** `lease` null: of all that the agent holds; `globs` null: all of them. */
export type ReleaseFiles = { lease: LeaseId | null; globs: string[] | null; reason: string }
export type RenewFiles = { lease: LeaseId }

/**
 * Reserves all of the globs or none. Refused where one of them can match a path that another agent's lease or held task can match too, unless both are
 * shared. The same request again renews the lease that it made.
 */
export function decideReserve(state: Workspace, actor: Actor, wanted: ReserveFiles, nowMs: number): (FilesEvent | AgentEvent)[] | Refusal {
  const agent = claimant(state, actor)
  if ("refused" in agent) return agent
  const globs = [...new Set(wanted.globs)]
  for (const [index, text] of globs.entries()) {
    const fault = faultOf(text, index)
    if (fault !== null) return fault
  }
  const task = wanted.task === null ? null : heldTask(state, actor, wanted.task, wanted.fence, nowMs)
  if (task !== null && "refused" in task) return task
  const conflicts = conflictsWith(state, actor.agent, globs, wanted.mode)
  if (conflicts.length > 0) return filesConflict(conflicts, "Work on other files, wait until it ends, or ask its holder to release it.")
  const { mode, ttlMs, reason } = wanted
  const endsAtMs = nowMs + ttlMs
  const own = state.board.holdings.ofAgent(actor.agent).map((id) => state.files.get(id) as FileLease)
  const same = own.find((lease) => lease.mode === mode && lease.task === wanted.task && lease.globs.join("\n") === globs.join("\n") && lease.endsAtMs > nowMs)
  if (same !== undefined) return [...returned(state, actor), { type: "files.renewed", data: { id: same.id, ttlMs, endsAtMs }, causedBy: same.fence }]
  if (own.length >= FILE_LEASES_MAX) {
    return refuse("at_limit", `${agent.name} holds ${own.length} leases on files already`, "Release what it no longer needs: `skein files release`.", {
      agent: agent.name,
      limit: FILE_LEASES_MAX,
    })
  }
  return [
    ...returned(state, actor),
    { type: "files.reserved", data: { mode, globs, reason, task: wanted.task, ttlMs, endsAtMs }, causedBy: task?.fence ?? null },
  ]
}

/** Releases a lease, all of the caller's, or some globs of them. An operator may release anybody's by its id. */
export function decideReleaseFiles(state: Workspace, actor: Actor, { lease: id, globs, reason }: ReleaseFiles): FilesEvent[] | Refusal {
  const leases = id === null ? state.board.holdings.ofAgent(actor.agent).map((own) => state.files.get(own) as FileLease) : [state.files.get(id)]
  const released: FilesEvent[] = []
  for (const lease of leases) {
    if (lease === undefined) return absentLease(id as LeaseId)
    if (lease.agent !== actor.agent && actor.role !== "operator") return notOwnLease(lease, actor)
    const given = globs === null ? lease.globs : lease.globs.filter((glob) => globs.includes(glob))
    if (given.length === 0) continue
    const whole = given.length === lease.globs.length
    released.push({ type: "files.released", data: { id: lease.id, globs: given, whole, reason }, causedBy: lease.fence })
  }
  const missing = (globs ?? []).filter((glob) => !leases.some((lease) => lease?.globs.includes(glob)))
  if (missing.length === 0) return released
  return refuse("not_found", `${actor.agent} has no lease on ${missing[0]}`, "Give globs as they were reserved: `skein files list` shows them.", {
    globs: missing,
  })
}

/** Puts the end off by the lease's own length, and makes it the caller's session's: an agent that came back goes on with what it held. */
export function decideRenewFiles(state: Workspace, actor: Actor, { lease: id }: RenewFiles, nowMs: number): (FilesEvent | AgentEvent)[] | Refusal {
  const agent = claimant(state, actor)
  if ("refused" in agent) return agent
  const lease = state.files.get(id)
  if (lease === undefined) return absentLease(id)
  if (lease.agent !== actor.agent) return notOwnLease(lease, actor)
  if (nowMs >= lease.endsAtMs) {
    return refuse("stale_fence", `lease ${id} is over since ${nowMs - lease.endsAtMs} ms`, "Reserve the files again: somebody else may hold them by now.", {
      lease: id,
      endedAtMs: lease.endsAtMs,
    })
  }
  return [...returned(state, actor), { type: "files.renewed", data: { id, ttlMs: lease.ttlMs, endsAtMs: nowMs + lease.ttlMs }, causedBy: lease.fence }]
}

/** Why a text cannot be reserved, as a refusal that names the glob and the place in it; null where it can. */
function faultOf(text: string, index: number): Refusal | null {
  const glob = parseGlob(text)
  if (!isGlobFault(glob)) return null
  const { fault, at, message, remedy } = glob
  const details = { glob: text.slice(0, 600), index, position: at }
  if (fault === "outside") return refuse("outside_repository", `globs[${index}]: ${message}`, remedy, details)
  return refuse("invalid_glob", `globs[${index}]: at character ${at + 1}: ${message}`, remedy, details)
}

/** The task that files are taken for: the caller's agent MUST hold it, and under this fence where one is given. */
function heldTask(state: Workspace, actor: Actor, id: TaskId, fence: Seq | null, nowMs: number): Task | Refusal {
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (!isHeld(task.status) || task.fence === null)
    return refuse("wrong_status", `task ${id} is ${task.status}: nobody works on it`, "Claim it first, or reserve the files without a task.", {
      task: id,
      status: task.status,
    })
  return underLease(state, actor, id, fence ?? task.fence, nowMs)
}

function absentLease(id: LeaseId): Refusal {
  return refuse("not_found", `there is no lease ${id}`, "It has ended, or never was: `skein files list` shows those that stand.", { lease: id })
}

function notOwnLease({ id, agent }: FileLease, actor: Actor): Refusal {
  return refuse("not_owner", `lease ${id} is ${agent}'s, not ${actor.agent}'s`, "Only its holder can do this; the operator can release it.", {
    lease: id,
    heldBy: agent,
  })
}
