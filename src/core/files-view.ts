import { type Holder, holderOf } from "./file-conflict.ts"
import type { FileLease } from "./file-lease.ts"
import type { Holding } from "./holdings.ts"
import type { AgentId, Seq } from "./ids.ts"
import type { Task } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** Files that somebody holds, as everybody may see it. `fence`: the entry of the lease, or of the claim. */
export type HoldingView = Holder & { globs: string[]; fence: Seq; sinceMs: number }

/** Who holds which files, by leases and by tasks, oldest first. `path`: only what covers it. */
export function holdingViews(state: Workspace, { agent, path }: { agent: AgentId | null; path: string | null }, nowMs: number): HoldingView[] {
  const { holdings } = state.board
  const found = path === null ? holdings.all() : holdings.at(path).map(({ holding }) => holding)
  return found
    .filter((holding) => (agent === null || holding.agent === agent) && isStanding(state, holding, nowMs))
    .map((holding) => viewOf(state, holding))
    .sort((a, b) => a.fence - b.fence)
}

/** A lease that has run out binds nobody, also before the sweep has ended it. */
export function isStanding(state: Workspace, holding: Holding, nowMs: number): boolean {
  const { endsAtMs } = holderOf(state, holding)
  return endsAtMs === null || endsAtMs > nowMs
}

function viewOf(state: Workspace, holding: Holding): HoldingView {
  const holder = holderOf(state, holding)
  if (holding.lease !== null) {
    const { globs, fence, reservedAtMs } = state.files.get(holding.lease) as FileLease
    return { ...holder, globs, fence, sinceMs: reservedAtMs }
  }
  const { fence, claimedAtMs, updatedAtMs } = state.tasks.get(holding.task as string) as Task
  return { ...holder, globs: holding.globs.map(({ text }) => text), fence: fence as number, sinceMs: claimedAtMs ?? updatedAtMs }
}
