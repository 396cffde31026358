import { type Recorded, unknownType } from "./entry.ts"
import type { Seq } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Workspace } from "./workspace.ts"

/** Whose money it is: `workspace`, `plan/ID`, `task/ID`, `agent/NAME` or `account/NAME`. */
export type Scope = string
/** A scope, and before it the length of its window where it has one: `86400000@agent/ann`. */
export type BudgetId = string

/** How a budget behaves. Amounts are whole micro-USD. */
export type BudgetRules = {
  /** Null: what the plan or the task says of itself. */
  limitMicroUsd: number | null
  /** What a claim without a cap or an estimate of its own reserves; null: a tenth of the limit. */
  perClaimMicroUsd: number | null
  /** Percent of the limit at which the operator is told, ascending. */
  warnPercent: number[]
  /** How long whoever went beyond its reservation may take to hand over, in ms. */
  graceMs: number
  /** Whether usage beyond a reservation is taken from what is free; else it closes the budget at once. */
  absorb: boolean
}

/**
 * What became of a limit: every micro-USD is free, reserved, settled or overrun, and each booking moves it from one of these to another, so
 * `free + reserved + settled + overrun = limit` always; only an overrun can make `free` negative, or a limit that was lowered.
 */
export type Budget = BudgetRules & {
  id: BudgetId
  scope: Scope
  /** Counted anew in every window of this length, from 1970 in UTC; null: for good. */
  windowMs: number | null
  /** The window that the sums are of. */
  window: number
  addedMicroUsd: number
  reservedMicroUsd: number
  settledMicroUsd: number
  overrunMicroUsd: number
  refundedMicroUsd: number
  /** The highest of `warnPercent` that was reached; 0 for none. */
  warnedPercent: number
  /** Since when nothing is reserved any more, because of an overrun. */
  closedAtMs: number | null
}

export type SetBudget = { scope: Scope; windowMs: number | null; reason: string } & BudgetRules
export type TopUpBudget = { scope: Scope; windowMs: number | null; amountMicroUsd: number; reason: string }

export type BudgetEvent =
  | Recorded<"budget.set", SetBudget>
  | Recorded<"budget.removed", { scope: Scope; windowMs: number | null; reason: string }>
  | Recorded<"budget.topped_up", TopUpBudget>

export const DEFAULT_RULES: BudgetRules = { limitMicroUsd: null, perClaimMicroUsd: null, warnPercent: [80, 95], graceMs: 300_000, absorb: false }

function budgetId(scope: Scope, windowMs: number | null): BudgetId {
  return windowMs === null ? scope : `${windowMs}@${scope}`
}

/** What a plan or a task says of itself; null for all other scopes. */
function ownLimit(state: Workspace, scope: Scope): number | null {
  if (scope.startsWith("plan/")) return state.plans.get(scope.slice(5))?.budgetMicroUsd ?? null
  return scope.startsWith("task/") ? (state.specs.get(scope.slice(5))?.budgetMicroUsd ?? null) : null
}

/** The limit with all that was added to it; null where there is none (any more). */
export function limitOf(state: Workspace, { scope, limitMicroUsd, addedMicroUsd }: Budget): number | null {
  const limit = limitMicroUsd ?? ownLimit(state, scope)
  return limit === null ? null : limit + addedMicroUsd
}

/** What can still be reserved; below zero after an overrun, or where the limit was lowered. */
export function freeOf(budget: Budget, limit: number): number {
  return limit - budget.reservedMicroUsd - budget.settledMicroUsd - budget.overrunMicroUsd
}

/** The budget in the window of `atMs`: in a new one nothing is spent yet, and what is reserved stays reserved. */
export function rolled(budget: Budget, atMs: number): Budget {
  const window = windowAt(budget.windowMs, atMs)
  if (window <= budget.window) return budget
  return { ...budget, window, addedMicroUsd: 0, settledMicroUsd: 0, overrunMicroUsd: 0, refundedMicroUsd: 0, warnedPercent: 0, closedAtMs: null }
}

function windowAt(windowMs: number | null, atMs: number): number {
  return windowMs === null ? 0 : Math.floor(atMs / windowMs)
}

/** When the sums of a budget start anew; null where they never do. */
export function windowEndMs({ windowMs, window }: Budget): number | null {
  return windowMs === null ? null : (window + 1) * windowMs
}

/** The budget as it stands at `atMs`: its record, or what a plan or task has by itself before anything was reserved in it; null where there is none. */
export function budgetAt(state: Workspace, id: BudgetId, atMs: number): Budget | null {
  const record = state.budgets.get(id)
  if (record !== undefined) return rolled(record, atMs)
  return ownLimit(state, id) === null ? null : fresh(state, id, null, DEFAULT_RULES, atMs)
}

function fresh(state: Workspace, scope: Scope, windowMs: number | null, rules: BudgetRules, atMs: number): Budget {
  const id = budgetId(scope, windowMs)
  const settledMicroUsd = windowMs === null ? spentSoFar(state, scope) : 0
  const { limitMicroUsd, perClaimMicroUsd, warnPercent, graceMs, absorb } = rules
  const window = windowAt(windowMs, atMs)
  // prettier-ignore
  return { id, scope, windowMs, limitMicroUsd, perClaimMicroUsd, warnPercent, graceMs, absorb, window, addedMicroUsd: 0, reservedMicroUsd: 0, settledMicroUsd, overrunMicroUsd: 0, refundedMicroUsd: 0, warnedPercent: 0, closedAtMs: null }
}

/** What a workspace, plan or task had used before its budget: that counts. An agent's and an account's count from the moment they are set. */
function spentSoFar(state: Workspace, scope: Scope): number {
  if (scope.startsWith("task/")) return state.tasks.get(scope.slice(5))?.usage.costMicroUsd ?? 0
  let sum = 0
  if (scope.startsWith("plan/")) for (const id of state.board.tasksOf(scope.slice(5))) sum += state.tasks.get(id)?.usage.costMicroUsd ?? 0
  if (scope !== "workspace") return sum
  for (const { usage } of state.tasks.values()) sum += usage.costMicroUsd
  for (const { task, costMicroUsd } of state.usage.values()) if (task === null) sum += costMicroUsd
  return sum
}

function isKnown(state: Workspace, scope: Scope): boolean {
  const name = scope.slice(scope.indexOf("/") + 1)
  if (scope.startsWith("plan/")) return state.plans.has(name)
  if (scope.startsWith("task/")) return state.tasks.has(name)
  return scope.startsWith("agent/") ? state.agents.has(name) : true
}

function unknownBudget({ scope, windowMs }: { scope: Scope; windowMs: number | null }): Refusal {
  const which = windowMs === null ? "that is never counted anew" : `that is counted anew each ${windowMs} ms`
  const remedy = "`skein budget show` lists the budgets: one that is counted anew is named with its window (--window). `skein budget set` makes one."
  return refuse("not_found", `${scope} has no budget ${which}`, remedy, { budget: budgetId(scope, windowMs) })
}

/** Sets a limit, or takes it away (null, where there is a record). What is spent and reserved stays; a budget that has money again is open again. */
export function decideSetBudget(state: Workspace, input: SetBudget): BudgetEvent[] | Refusal {
  const { scope, windowMs, reason, limitMicroUsd } = input
  if (!isKnown(state, scope)) return unknownScope(scope)
  const id = budgetId(scope, windowMs)
  if (limitMicroUsd !== null) return [{ type: "budget.set", data: input }]
  if (!state.budgets.has(id)) return unknownBudget(input)
  return [{ type: "budget.removed", data: { scope, windowMs, reason } }]
}

export function decideTopUpBudget(state: Workspace, input: TopUpBudget, nowMs: number): BudgetEvent[] | Refusal {
  const id = budgetId(input.scope, input.windowMs)
  if (budgetAt(state, id, nowMs) === null) return unknownBudget(input)
  return [{ type: "budget.topped_up", data: input }]
}

function unknownScope(scope: Scope): Refusal {
  const remedy = "Give `workspace`, or plan/ID, task/ID, agent/NAME of one that exists, or account/NAME."
  return refuse("not_found", `there is no ${scope}`, remedy, { scope })
}

export function evolveBudget(state: Workspace, event: BudgetEvent, { atMs }: { seq: Seq; atMs: number }): void {
  const { scope, windowMs } = event.data
  const id = budgetId(scope, windowMs)
  switch (event.type) {
    case "budget.set": {
      const { limitMicroUsd, perClaimMicroUsd, warnPercent, graceMs, absorb } = event.data
      const rules = { limitMicroUsd, perClaimMicroUsd, warnPercent, graceMs, absorb }
      const known = budgetAt(state, id, atMs) ?? fresh(state, scope, windowMs, rules, atMs)
      state.budgets.put(id, reopened(state, { ...known, ...rules, addedMicroUsd: 0 }))
      break
    }
    case "budget.removed":
      state.budgets.delete(id)
      for (const reservation of [...state.reservations.values()]) {
        const { [id]: _, ...left } = reservation.left
        if (id in reservation.left) state.reservations.put(reservation.task, { ...reservation, left })
      }
      break
    case "budget.topped_up": {
      const known = budgetAt(state, id, atMs) as Budget
      state.budgets.put(id, reopened(state, { ...known, addedMicroUsd: known.addedMicroUsd + event.data.amountMicroUsd }))
      break
    }
    default:
      throw unknownType(event)
  }
}

/** Open where there is money again; the overrun is then part of what is settled, and warnings start from where it stands. */
export function reopened(state: Workspace, budget: Budget): Budget {
  const limit = limitOf(state, budget)
  if (limit === null || freeOf(budget, limit) <= 0) return budget
  const settledMicroUsd = budget.settledMicroUsd + budget.overrunMicroUsd
  const warnedPercent = percentReached(budget.warnPercent, settledMicroUsd, limit)
  return { ...budget, settledMicroUsd, overrunMicroUsd: 0, warnedPercent, closedAtMs: null }
}

/** The highest threshold that is reached; 0 for none. Only whole numbers are compared. */
export function percentReached(thresholds: readonly number[], spent: number, limit: number): number {
  return thresholds.reduce((highest, percent) => (spent * 100 >= percent * limit && percent > highest ? percent : highest), 0)
}
