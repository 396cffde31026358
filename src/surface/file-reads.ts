import { SkeinError } from "../contract/errors.ts"
import type { Output, Parsed } from "../contract/operations.ts"
import type { Actor } from "../core/entry.ts"
import { holderOf } from "../core/file-conflict.ts"
import { holdingViews, isStanding } from "../core/files-view.ts"
import { pathFault } from "../core/glob.ts"
import { CHECK_EFFORT_MAX } from "../core/glob-automaton.ts"
import { newEffort } from "../core/glob-match.ts"
import { isActive } from "../core/task.ts"
import type { Workspace } from "../core/workspace.ts"

/** Who holds which files, by leases and by tasks, oldest first. */
export function listFiles(state: Workspace, { agent, path, limit, cursor }: Parsed<"files.list">, nowMs: number): Output<"files.list"> {
  if (path !== null) checkPath(path, "path")
  const listed = holdingViews(state, { agent, path }, nowMs).filter(({ fence }) => fence > (cursor ?? 0))
  const page = listed.slice(0, limit)
  return { holdings: page, cursor: listed.length > limit ? (page.at(-1)?.fence ?? null) : null, seq: state.seq }
}

/** Whether the caller's agent may edit these paths, and who stands against it. */
export function checkFiles(state: Workspace, actor: Actor, { paths, write }: Parsed<"files.check">, nowMs: number): Output<"files.check"> {
  const effort = newEffort(CHECK_EFFORT_MAX)
  const checked = paths.map((path, index): Output<"files.check">["paths"][number] => {
    checkPath(path, `paths[${index}]`)
    const found = state.board.holdings.at(path, effort).filter(({ holding }) => isStanding(state, holding, nowMs))
    // Who holds a file in a folder does not hold the folder.
    const covering = path.endsWith("/") ? state.board.holdings.at(path.slice(0, -1), effort) : found
    const mine = covering.some(({ holding }) => holding.agent === actor.agent && isStanding(state, holding, nowMs))
    const others = found.filter(({ holding }) => holding.agent !== actor.agent)
    const against = others.find(({ holding }) => holding.mode === "exclusive") ?? (mine ? undefined : others[0])
    const heldBy = against === undefined ? null : { ...holderOf(state, against.holding), glob: against.glob.text }
    return { path, allowed: !write || heldBy === null, heldBy, mine }
  })
  const claimed = state.board.heldBy(actor.agent).filter(({ status }) => isActive(status))
  return { allowed: checked.every(({ allowed }) => allowed), paths: checked, claimed: claimed.map(({ id }) => id), seq: state.seq }
}

/** A folder has a slash at its end. */
function checkPath(path: string, where: string): void {
  const fault = pathFault(path.replace(/(?<=[^/])\/$/, ""))
  if (fault === null) return
  const details = { path: path.slice(0, 600), position: fault.at }
  throw new SkeinError(fault.fault === "outside" ? "outside_repository" : "invalid", `${where}: ${fault.message}`, fault.remedy, details)
}
