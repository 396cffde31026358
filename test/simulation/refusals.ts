import type { ErrorCode } from "../../src/contract/errors.ts"
import type { Oracle } from "./oracle.ts"
import type { Request } from "./wire.ts"

const NOTHING: ReadonlySet<ErrorCode> = new Set(["nothing_ready", "budget_spent", "policy_denied", "breaker_open", "at_limit"])
const MOMENT_MS = 500

function ready(oracle: Oracle, actor: Request["actor"], { filler }: { filler: boolean | null }, nowMs: number): string[] {
  if (!oracle.agents.has(actor.agent)) return []
  const real = [...oracle.ready(actor, nowMs, false)]
  return [...real, ...(filler === false ? [] : oracle.ready(actor, nowMs, true))].map(({ id }) => id)
}

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
    const before = new Set(ready(oracle, actor, input as { filler: boolean | null }, nowMs - MOMENT_MS))
    const task = ready(oracle, actor, input as { filler: boolean | null }, nowMs).find((id) => before.has(id))
    return task === undefined ? null : `${task} is ready`
  }
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
