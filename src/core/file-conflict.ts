import type { FileLease, FileMode } from "./file-lease.ts"
import { globOf, newEffort } from "./glob-match.ts"
import type { Holding } from "./holdings.ts"
import type { AgentId, LeaseId, SessionId, TaskId } from "./ids.ts"
import { instant } from "./instant.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Task } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** A glob that was asked for, and what stands against it: who, which files, and until when. */
export type FileConflict = Holder & {
  /** What was asked for, what the holder has, and an example of a path that both match. */
  glob: string
  theirs: string
  path: string
}

/** Whose files they are, by a lease of their own (`lease`) or by a task that touches them (`lease` is null). */
export type Holder = {
  agent: AgentId
  session: SessionId | null
  mode: FileMode
  lease: LeaseId | null
  task: TaskId | null
  /** Null where it has no end: a task that waits for its review. */
  endsAtMs: number | null
  reason: string
}

/** Conflicts that one refusal names. */
const NAMED_MAX = 20

/** All that stands against an agent's wish. `besides`: a task whose own files do not count, since it is about to change hands. */
export function conflictsWith(state: Workspace, agent: AgentId, globs: readonly string[], mode: FileMode, besides: TaskId | null = null): FileConflict[] {
  const { holdings } = state.board
  if (holdings.size === 0) return []
  const against = (holding: Holding): boolean =>
    holding.agent !== agent && (mode === "exclusive" || holding.mode === "exclusive") && (besides === null || holding.task !== besides)
  const found: FileConflict[] = []
  const effort = newEffort()
  for (const text of globs) {
    const glob = globOf(text)
    if (glob === null) continue
    for (const { holding, glob: theirs, path } of holdings.meeting(glob, against, effort)) {
      if (found.length >= NAMED_MAX) return found
      found.push({ ...holderOf(state, holding), glob: text, theirs: theirs.text, path })
    }
  }
  return found
}

export function holderOf(state: Workspace, { lease, task: id, agent, mode }: Holding): Holder {
  if (lease !== null) {
    const { session, task, endsAtMs, reason } = state.files.get(lease) as FileLease
    return { agent, session, mode, lease, task, endsAtMs, reason }
  }
  const { session, leaseEndsAtMs } = state.tasks.get(id as TaskId) as Task
  return { agent, session, mode, lease: null, task: id, endsAtMs: leaseEndsAtMs, reason: `task ${id} touches them` }
}

/** Names the first conflict in words, all of them for programs. */
export function filesConflict(conflicts: readonly FileConflict[], remedy: string, details: Record<string, unknown> = {}): Refusal {
  const first = conflicts[0] as FileConflict
  const by = first.lease === null ? `for task ${first.task}` : `by lease ${first.lease}`
  const until = first.endsAtMs === null ? "" : ` until ${instant(first.endsAtMs)}`
  const more = conflicts.length > 1 ? ` (and ${conflicts.length - 1} more)` : ""
  const what = first.glob === first.theirs ? first.glob : `${first.glob} meets ${first.theirs} (both match ${first.path}), which`
  const text = `${what} ${first.agent} holds ${first.mode}${until}, ${by}${more}`
  return refuse("files_conflict", text, remedy, { ...details, heldBy: first.agent, retryAtMs: first.endsAtMs, conflicts })
}
