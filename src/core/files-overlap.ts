import { conflictsWith } from "./file-conflict.ts"
import { globOf, newEffort } from "./glob-match.ts"
import type { AgentId, TaskId } from "./ids.ts"
import type { Workspace } from "./workspace.ts"

/**
 * Files on which two meet. `task`: ready, and kept back by what `other` holds. Without one, `agent` and `other` both hold them shared: both may edit them.
 * `path`: an example of what both globs match.
 */
export type Overlap = { task: TaskId | null; agent: AgentId | null; other: AgentId; glob: string; theirs: string; path: string }

/** So many are told: more are no list that anybody reads. */
const TOLD_MAX = 200

/** What the ledger alone foresees of conflicts: ready tasks that wait for files, and agents that share them. */
export function overlapsOf(state: Workspace): Overlap[] {
  const found: Overlap[] = []
  if (state.board.holdings.size === 0) return found
  for (const { id, status } of state.tasks.values()) {
    if (found.length >= TOLD_MAX) return found
    if (status !== "pending" || !state.board.isReady(id)) continue
    const touches = state.specs.get(id)?.touches ?? []
    if (touches.length === 0) continue
    const [first] = conflictsWith(state, "", touches, "exclusive")
    if (first !== undefined) found.push({ task: id, agent: null, other: first.agent, glob: first.glob, theirs: first.theirs, path: first.path })
  }
  return [...found, ...sharedBy(state, TOLD_MAX - found.length)]
}

/** Each pair of agents once. */
function sharedBy(state: Workspace, most: number): Overlap[] {
  const found: Overlap[] = []
  const effort = newEffort()
  for (const { agent, mode, globs } of state.files.values()) {
    if (mode !== "shared") continue
    for (const text of globs) {
      const glob = globOf(text)
      if (glob === null) continue
      for (const { holding, glob: theirs, path } of state.board.holdings.meeting(
        glob,
        (holding) => holding.mode === "shared" && holding.agent > agent,
        effort,
      )) {
        if (found.length >= most) return found
        found.push({ task: null, agent, other: holding.agent, glob: text, theirs: theirs.text, path })
      }
    }
  }
  return found
}
