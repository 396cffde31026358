import type { ErrorCode } from "../../src/contract/errors.ts"
import type { Target } from "../../src/core/directive.ts"
import type { ClaimNext } from "../../src/core/claim.ts"
import { fitting } from "./choice.ts"
import type { Oracle } from "./oracle.ts"
import type { Request } from "./wire.ts"

const NOTHING: ReadonlySet<ErrorCode> = new Set(["nothing_ready", "budget_spent", "policy_denied", "breaker_open", "at_limit"])
const MOMENT_MS = 500
/** In which statuses of its thread a command is never refused for that. */
const TAKES: ReadonlyMap<string, readonly string[]> = new Map([
  ["message.post", ["active", "resolved"]],
  ["event.send", ["active", "resolved", "closed"]],
  ["thread.escalate", ["active", "blocked"]],
  ["thread.unblock", ["active", "blocked"]],
])

/**
 * Why a refusal is wrong by what the ledger says, or null: the caller has made sure that the hub decided on this very state. What a hub refuses leaves no entry, so nothing
 * else would show that somebody was kept from what nobody has.
 */
export function unjustified(oracle: Oracle, { name, actor, input, waitMs }: Request, code: ErrorCode, nowMs: number): string | null {
  if (code === "budget_spent" && name === "task.claim") {
    const { task } = input as { task: string }
    return oracle.budget.affords(actor.agent, task, nowMs) ? `there is money for ${task}` : null
  }
  if (name === "task.claimNext" && waitMs === 0 && NOTHING.has(code)) {
    // What was ready a moment ago and is now: a pause may have ended in between.
    const before = new Set(fitting(oracle, actor, input as ClaimNext, nowMs - MOMENT_MS))
    for (const task of fitting(oracle, actor, input as ClaimNext, nowMs)) if (before.has(task)) return `${task.id} is ready`
    return null
  }
  if (code === "at_limit" && name === "event.send") {
    const { to } = input as { to: Target }
    return oracle.notices.isFull(actor.agent, to) ? null : `fewer than it may have of ${actor.agent} wait there`
  }
  if (name === "session.adopt" && ["not_owner", "wrong_status", "not_found"].includes(code))
    return oracle.staff.sessions.keepsFrom(actor, (input as { session: string }).session) === null ? "nobody who lives keeps it" : null
  // Whose session is over hears that, whatever it asks for.
  if (code === "wrong_status") return oracle.staff.void.has(actor.session ?? "") ? null : unclosed(oracle, name, actor.role, input)
  if (code !== "files_conflict") return null
  if (name === "files.reserve") {
    const { globs, mode } = input as { globs: readonly string[]; mode: string }
    return oracle.files.denies(actor.agent, globs, mode === "shared") ? null : `nobody holds any of ${globs.join(" ")}`
  }
  const { task: id, changes } = input as { task: string; changes?: { touches?: readonly string[] } }
  const task = oracle.tasks.get(id)
  if (task === undefined) return "there is no such task"
  // Who edits a task that somebody holds asks for that holder.
  const touches = changes?.touches ?? task.spec.touches
  return oracle.files.denies(changes === undefined ? actor.agent : (task.held?.owner ?? actor.agent), touches, false)
    ? null
    : `nobody holds any of ${touches.join(" ")}`
}

/** Nobody posts in what is open to nobody, or continues what is not blocked. */
function unclosed(oracle: Oracle, name: Request["name"], role: Request["actor"]["role"], input: Request["input"]): string | null {
  const { thread, task = null } = input as { thread?: string; task?: string | null }
  const of = name === "event.send" && task !== null ? `task/${task}` : thread
  if (of === undefined || !TAKES.has(name)) return null
  const status = oracle.circles.statusOf(of)
  const goesOn = role === "orchestrator" && status === "blocked"
  return goesOn || TAKES.get(name)?.includes(status) === true ? `${of} is ${status}` : null
}
