import type { TaskId } from "./ids.ts"
import type { Task } from "./task.ts"
import { NOTHING_USED, type UsageBy, usageBy, type UsageRow } from "./usage.ts"
import type { Workspace } from "./workspace.ts"

/** What one agent, task, model or day cost, and what claims of it still have set aside. `key` null: nobody said. */
export type SpendingRow = UsageRow & { reservedMicroUsd: number }

/**
 * All money of a workspace, spent and reserved, by one thing; the dearest first, days in their order. What was reported by the call, and what deliveries
 * said besides: those name no model and no day, and count for whoever had the task. A claim has still reserved what the tightest of its budgets has left.
 */
export function spendingBy(state: Workspace, by: UsageBy): SpendingRow[] {
  const rows = new Map<string | null, SpendingRow>(usageBy(state, by).map((row) => [row.key, { ...row, reservedMicroUsd: 0 }]))
  const rowOf = (key: string | null): SpendingRow => {
    const row = rows.get(key) ?? { key, ...NOTHING_USED, reservedMicroUsd: 0 }
    rows.set(key, row)
    return row
  }
  for (const [{ id, owner }, costMicroUsd] of deliveredCosts(state)) {
    const key = by === "task" ? id : by === "agent" ? owner : null
    rowOf(key).costMicroUsd += costMicroUsd
  }
  for (const { task, agent, left } of state.reservations.values()) {
    const key = by === "task" ? task : by === "agent" ? agent : by === "model" ? (state.specs.get(task)?.model ?? null) : undefined
    if (key !== undefined) rowOf(key).reservedMicroUsd += Math.max(0, Math.min(...Object.values(left)))
  }
  const sorted = [...rows.values()]
  if (by === "day") return sorted.sort((a, b) => (String(a.key) < String(b.key) ? -1 : 1))
  return sorted.sort((a, b) => b.costMicroUsd - a.costMicroUsd || b.reservedMicroUsd - a.reservedMicroUsd || (String(a.key) < String(b.key) ? -1 : 1))
}

/** What tasks cost beyond what was reported for them call by call: it came with their deliveries. */
export function* deliveredCosts(state: Workspace): Iterable<[task: Task, costMicroUsd: number]> {
  // Most tasks of a long ledger have nothing reported: no table of them all is made.
  const reported = new Map<TaskId, number>()
  for (const { task, costMicroUsd } of state.usage.values()) if (task !== null) reported.set(task, (reported.get(task) ?? 0) + costMicroUsd)
  for (const task of state.tasks.values()) {
    const besides = task.usage.costMicroUsd - (reported.get(task.id) ?? 0)
    if (besides !== 0) yield [task, besides]
  }
}
