import { accountOf } from "./account.ts"
import { type Budget, budgetAt, type BudgetId, freeOf, limitOf, percentReached, reopened, rolled, type Scope } from "./budget.ts"
import type { AgentId, PlanId, Seq, TaskId } from "./ids.ts"
import { instant } from "./instant.ts"
import { exactUsd } from "./money.ts"
import { isHeld, type Task } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** What a claim has set aside in each budget that it falls under. It goes with the claim. */
export type Reservation = {
  task: TaskId
  fence: Seq
  agent: AgentId
  account: string
  /** What is left of it, by budget. */
  left: Readonly<Record<BudgetId, number>>
  /** What the tightest of them was at first, and what has been used since. */
  capMicroUsd: number
  usedMicroUsd: number
  /** It went beyond what it had reserved: it has until then to hand over. */
  stopAtMs: number | null
}

/** Money that was spent: by whom, and on what. */
export type Spending = { agent: AgentId; task: TaskId | null; costMicroUsd: number }
/** What one spending does to the books. */
export type Booking = { budgets: Budget[]; reservation: Reservation | null }

/** Budgets by scope, and claims that have to hand over: asked at every claim and sweep, never recorded. */
export class Books {
  readonly #state: Workspace
  readonly #byScope = new Map<Scope, BudgetId[]>()
  readonly #stopping = new Set<TaskId>()

  constructor(state: Workspace) {
    this.#state = state
  }

  onBudget = (id: BudgetId, before: Budget | undefined, after: Budget | undefined): void => {
    if ((before === undefined) === (after === undefined)) return
    const { scope } = (after ?? before) as Budget
    const ids = (this.#byScope.get(scope) ?? []).filter((other) => other !== id)
    if (after !== undefined) ids.push(id)
    if (ids.length === 0) this.#byScope.delete(scope)
    else this.#byScope.set(scope, ids.sort())
  }

  onReservation = (task: TaskId, _: Reservation | undefined, after: Reservation | undefined): void => {
    if (after === undefined || after.stopAtMs === null) this.#stopping.delete(task)
    else this.#stopping.add(task)
  }

  /** The budgets with a record that money of these falls under. */
  under(agent: AgentId, account: string, plan: PlanId | null, task: TaskId | null): BudgetId[] {
    const scopes = ["workspace", `account/${account}`, `agent/${agent}`, ...(plan === null ? [] : [`plan/${plan}`]), ...(task === null ? [] : [`task/${task}`])]
    return scopes.flatMap((scope) => this.#byScope.get(scope) ?? [])
  }

  ofScope(scope: Scope): readonly BudgetId[] {
    return this.#byScope.get(scope) ?? []
  }

  /** Claims whose time to hand over is up, oldest first. */
  overdue(nowMs: number): Reservation[] {
    return this.#held().filter(({ stopAtMs }) => (stopAtMs as number) <= nowMs)
  }

  /** When the first such time is up; null where nobody has to hand over. */
  get nextStopMs(): number | null {
    if (this.#stopping.size === 0) return null
    return this.#held().reduce<number | null>((first, { stopAtMs }) => (first === null || (stopAtMs as number) < first ? stopAtMs : first), null)
  }

  #held(): Reservation[] {
    const found = [...this.#stopping].flatMap((id) =>
      isHeld((this.#state.tasks.get(id) as Task).status) ? [this.#state.reservations.get(id) as Reservation] : [],
    )
    return found.sort((a, b) => a.fence - b.fence)
  }
}

/** A claim sets aside what its decision recorded. */
export function bookClaim(state: Workspace, task: TaskId, reserves: Readonly<Record<BudgetId, number>>, fence: Seq, agent: AgentId, atMs: number): void {
  const left: Record<BudgetId, number> = {}
  for (const id of Object.keys(reserves).sort()) {
    const budget = budgetAt(state, id, atMs)
    if (budget === null) continue
    const amount = reserves[id] as number
    left[id] = amount
    state.budgets.put(id, { ...budget, reservedMicroUsd: budget.reservedMicroUsd + amount })
  }
  const capMicroUsd = Math.min(...Object.values(left))
  state.reservations.put(task, { task, fence, agent, account: accountOf(state, agent), left, capMicroUsd, usedMicroUsd: 0, stopAtMs: null })
}

/**
 * What a spending moves: within the claim's reservation from reserved to settled; beyond it to overrun, which closes the budget. Spending that nothing was
 * reserved for (late reports, talk without a task) is settled from what is free, and is overrun where nothing is.
 */
export function bookingOf(state: Workspace, { agent, task, costMicroUsd }: Spending, atMs: number): Booking {
  const reservation = task === null ? undefined : state.reservations.get(task)
  const own = reservation?.agent === agent ? reservation : null
  const plan = task === null ? null : (state.tasks.get(task)?.plan ?? null)
  const left = { ...own?.left }
  let stopAtMs = own?.stopAtMs ?? null
  const budgets: Budget[] = []
  for (const id of state.books.under(agent, own?.account ?? accountOf(state, agent), plan, task)) {
    const before = rolled(state.budgets.get(id) as Budget, atMs)
    const limit = limitOf(state, before)
    const reserved = own?.left[id]
    const within = Math.min(reserved ?? 0, costMicroUsd)
    const beyond = costMicroUsd - within
    const free = limit === null ? beyond : Math.max(0, freeOf(before, limit))
    const absorbed = reserved === undefined || before.absorb || limit === null ? Math.min(beyond, free) : 0
    const over = beyond - absorbed
    if (reserved !== undefined) left[id] = reserved - within
    if (over > 0 && own !== null) stopAtMs = Math.min(stopAtMs ?? Number.POSITIVE_INFINITY, atMs + before.graceMs)
    const settledMicroUsd = before.settledMicroUsd + within + absorbed
    const overrunMicroUsd = before.overrunMicroUsd + over
    const reached = limit === null ? 0 : percentReached(before.warnPercent, settledMicroUsd + overrunMicroUsd, limit)
    budgets.push({
      ...before,
      settledMicroUsd,
      overrunMicroUsd,
      reservedMicroUsd: before.reservedMicroUsd - within,
      warnedPercent: Math.max(before.warnedPercent, reached),
      closedAtMs: over > 0 ? (before.closedAtMs ?? atMs) : before.closedAtMs,
    })
  }
  return { budgets, reservation: own === null ? null : { ...own, left, usedMicroUsd: own.usedMicroUsd + costMicroUsd, stopAtMs } }
}

export function bookSpending(state: Workspace, spending: Spending, atMs: number): void {
  if (spending.costMicroUsd <= 0) return
  const { budgets, reservation } = bookingOf(state, spending, atMs)
  for (const budget of budgets) state.budgets.put(budget.id, budget)
  if (reservation !== null) state.reservations.put(reservation.task, reservation)
}

/** The claim is over: what it did not use is free again. */
export function bookRelease(state: Workspace, task: TaskId, atMs: number): void {
  const reservation = state.reservations.get(task)
  if (reservation === undefined) return
  for (const [id, left] of Object.entries(reservation.left)) {
    const budget = state.budgets.get(id)
    if (budget !== undefined && left > 0) state.budgets.put(id, withLess(rolled(budget, atMs), left))
  }
  state.reservations.delete(task)
}

function withLess(budget: Budget, left: number): Budget {
  return { ...budget, reservedMicroUsd: budget.reservedMicroUsd - left }
}

/** Money that came back: first it makes overruns good, then it is free again. What a window or a budget never counted is not given to it. */
export function bookRefund(state: Workspace, { agent, task, costMicroUsd }: Spending, atMs: number): void {
  const plan = task === null ? null : (state.tasks.get(task)?.plan ?? null)
  for (const id of state.books.under(agent, accountOf(state, agent), plan, task)) {
    const budget = rolled(state.budgets.get(id) as Budget, atMs)
    const overrun = Math.min(budget.overrunMicroUsd, costMicroUsd)
    const settled = Math.min(budget.settledMicroUsd, costMicroUsd - overrun)
    const after = {
      ...budget,
      overrunMicroUsd: budget.overrunMicroUsd - overrun,
      settledMicroUsd: budget.settledMicroUsd - settled,
      refundedMicroUsd: budget.refundedMicroUsd + overrun + settled,
    }
    state.budgets.put(id, after.overrunMicroUsd === 0 ? reopened(state, after) : after)
  }
}

/** Percent of its reservation after which a claim is told. */
const NEARLY = 80

/** Whether a claim has used nearly all that it has set aside: never where the budgets of that were taken away. */
export function isNearlyUsed(reservation: Reservation): boolean {
  const cap = capOf(reservation)
  return cap !== null && cap > 0 && reservation.usedMicroUsd * 100 >= NEARLY * cap
}

/** What the tightest of the budgets that are left was at first; null where none is left. Where one is used up, what the tightest of all was. */
export function capOf({ left, usedMicroUsd, capMicroUsd }: Reservation): number | null {
  const least = Math.min(...Object.values(left))
  if (least === Number.POSITIVE_INFINITY) return null
  return least > 0 ? least + usedMicroUsd : capMicroUsd
}

/** What whoever has used nearly all of its reservation hears. */
export function nearlyUsed(task: TaskId, usedMicroUsd: number, capMicroUsd: number): string {
  return `${task} has used ${exactUsd(usedMicroUsd)} of the ${exactUsd(capMicroUsd)} that it may: finish it, or hand it over in time.`
}

/** What whoever went beyond its reservation hears. */
export function handOver(task: TaskId, stopAtMs: number): string {
  const until = instant(stopAtMs)
  return `${task} has used more than it had: hand it over before ${until}. Commit, say in a note where you are, then complete or release it; else it is taken back.`
}
