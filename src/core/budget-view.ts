import { type Budget, budgetAt, freeOf, limitOf, type Scope, windowEndMs } from "./budget.ts"
import type { AgentId, Seq, TaskId } from "./ids.ts"
import type { Workspace } from "./workspace.ts"

/** A budget as everybody may see it. */
export type BudgetView = Omit<Budget, "id" | "window" | "limitMicroUsd" | "addedMicroUsd" | "warnedPercent"> & {
  budget: string
  windowEndsAtMs: number | null
  /** With all that was added. */
  limitMicroUsd: number
  freeMicroUsd: number
  reservations: { task: TaskId; agent: AgentId; fence: Seq; leftMicroUsd: number; usedMicroUsd: number; stopAtMs: number | null }[]
}

/** Budgets with a record, and plans and one asked-for task that have one by themselves; by scope, the workspace first. */
export function budgetViews(state: Workspace, scope: Scope | null, nowMs: number): BudgetView[] {
  const ids = new Set(scope === null ? state.budgets.keys() : [...state.books.ofScope(scope), scope])
  if (scope === null) for (const { id, budgetMicroUsd } of state.plans.values()) if (budgetMicroUsd !== null) ids.add(`plan/${id}`)
  const found = [...ids].flatMap((id) => budgetAt(state, id, nowMs) ?? [])
  return found
    .sort((a, b) => rank(a) - rank(b) || (a.scope < b.scope ? -1 : a.scope > b.scope ? 1 : (a.windowMs ?? 0) - (b.windowMs ?? 0)))
    .flatMap((budget) => viewOf(state, budget) ?? [])
}

const ORDER = ["workspace", "account", "agent", "plan", "task"]

function rank({ scope }: Budget): number {
  return ORDER.indexOf(scope.split("/")[0] as string)
}

function viewOf(state: Workspace, budget: Budget): BudgetView | null {
  const limit = limitOf(state, budget)
  if (limit === null) return null
  const { id, window: _window, addedMicroUsd: _added, warnedPercent: _warned, ...rest } = budget
  const reservations = [...state.reservations.values()]
    .filter(({ left }) => id in left)
    .sort((a, b) => a.fence - b.fence)
    .map(({ task, agent, fence, left, usedMicroUsd, stopAtMs }) => ({ task, agent, fence, leftMicroUsd: left[id] as number, usedMicroUsd, stopAtMs }))
  return { ...rest, budget: id, limitMicroUsd: limit, freeMicroUsd: freeOf(budget, limit), windowEndsAtMs: windowEndMs(budget), reservations }
}
