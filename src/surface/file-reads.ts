import { SkeinError } from "../contract/errors.ts"
import type { Output, Parsed } from "../contract/operations.ts"
import type { Actor } from "../core/entry.ts"
import { holderOf } from "../core/file-conflict.ts"
import type { FileLease } from "../core/file-lease.ts"
import { pathFault } from "../core/glob.ts"
import { CHECK_EFFORT_MAX } from "../core/glob-automaton.ts"
import { newEffort } from "../core/glob-match.ts"
import type { Holding } from "../core/holdings.ts"
import { isActive, type Task } from "../core/task.ts"
import type { Workspace } from "../core/workspace.ts"

type Listed = Output<"files.list">["holdings"][number]

/** Who holds which files, by leases and by tasks, oldest first. */
export function listFiles(state: Workspace, { agent, path, limit, cursor }: Parsed<"files.list">, nowMs: number): Output<"files.list"> {
  if (path !== null) checkPath(path, "path")
  const { holdings } = state.board
  const found = path === null ? holdings.all() : holdings.at(path).map(({ holding }) => holding)
  const listed = found
    .filter((holding) => (agent === null || holding.agent === agent) && stands(state, holding, nowMs))
    .map((holding) => listedAs(state, holding))
    .filter(({ fence }) => fence > (cursor ?? 0))
    .sort((a, b) => a.fence - b.fence)
  const page = listed.slice(0, limit)
  return { holdings: page, cursor: listed.length > limit ? (page.at(-1)?.fence ?? null) : null, seq: state.seq }
}

/** Whether the caller's agent may edit these paths, and who stands against it. */
export function checkFiles(state: Workspace, actor: Actor, { paths, write }: Parsed<"files.check">, nowMs: number): Output<"files.check"> {
  const effort = newEffort(CHECK_EFFORT_MAX)
  const checked = paths.map((path, index): Output<"files.check">["paths"][number] => {
    checkPath(path, `paths[${index}]`)
    const found = state.board.holdings.at(path, effort).filter(({ holding }) => stands(state, holding, nowMs))
    const mine = found.some(({ holding }) => holding.agent === actor.agent)
    const others = found.filter(({ holding }) => holding.agent !== actor.agent)
    const against = others.find(({ holding }) => holding.mode === "exclusive") ?? (mine ? undefined : others[0])
    const heldBy = against === undefined ? null : { ...holderOf(state, against.holding), glob: against.glob.text }
    return { path, allowed: !write || heldBy === null, heldBy, mine }
  })
  const claimed = state.board.heldBy(actor.agent).filter(({ status }) => isActive(status))
  return { allowed: checked.every(({ allowed }) => allowed), paths: checked, claimed: claimed.map(({ id }) => id), seq: state.seq }
}

/** A lease that has run out binds nobody, also before the sweep has ended it. */
function stands(state: Workspace, holding: Holding, nowMs: number): boolean {
  const { endsAtMs } = holderOf(state, holding)
  return endsAtMs === null || endsAtMs > nowMs
}

function listedAs(state: Workspace, holding: Holding): Listed {
  const holder = holderOf(state, holding)
  if (holding.lease !== null) {
    const { globs, fence, reservedAtMs } = state.files.get(holding.lease) as FileLease
    return { ...holder, globs, fence, sinceMs: reservedAtMs }
  }
  const { fence, claimedAtMs, updatedAtMs } = state.tasks.get(holding.task as string) as Task
  return { ...holder, globs: holding.globs.map(({ text }) => text), fence: fence as number, sinceMs: claimedAtMs ?? updatedAtMs }
}

function checkPath(path: string, where: string): void {
  const fault = pathFault(path)
  if (fault === null) return
  const details = { path: path.slice(0, 600), position: fault.at }
  throw new SkeinError(fault.fault === "outside" ? "outside_repository" : "invalid", `${where}: ${fault.message}`, fault.remedy, details)
}
