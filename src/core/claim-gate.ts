import { accountOf, pausedUntilMs } from "./account.ts"
import type { Agent } from "./agent.ts"
import { type Breaker, type BreakerEvent, type BreakerId, phaseOf } from "./breaker.ts"
import { areBreakersOn, breakersAfter, breakersOf, isProbeGone } from "./breaker-outcome.ts"
import { type Budget, budgetAt, type BudgetId, freeOf, limitOf, windowEndMs } from "./budget.ts"
import type { PlanId, Seq, TaskId } from "./ids.ts"
import { instant } from "./instant.ts"
import { exactUsd } from "./money.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { isLeaseOver, type Task, type TaskEvent, type TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** What a claim sets aside, by budget; absent where it falls under none. */
export type Reserves = { reserves?: Readonly<Record<BudgetId, number>> }

/** Why a task may not be claimed, or null where it may. Of many tasks the first one's refusal may stand for all: it alone is told. */
export type Forbids = (id: TaskId) => Refusal | null

const NOTHING: { amounts: [BudgetId, number][] } = { amounts: [] }
const NO_RESERVES: Reserves = {}

/**
 * Whether policy, money and breakers let an agent claim, and what each claim reserves. One gate is for one decision: it counts what it let through, so that two
 * tasks of one claim never reserve the same money, and never both are the probe.
 */
export class ClaimGate {
  readonly #state: Workspace
  readonly #agent: Agent
  readonly #nowMs: number
  /** These are made when there is something to count: most claims concern no budget and no breaker. */
  #reserved: Map<BudgetId, number> | null = null
  #probing: Set<BreakerId> | null = null
  #probesGone: Set<BreakerId> | null = null
  /** Breakers as the claims that end in the same decision leave them. */
  #after: Map<BreakerId, Breaker | undefined> | null = null
  #taken: Map<TaskId, [BudgetId, number][]> | null = null
  readonly #forbids: Forbids | null
  /** The answer where nothing is left: why the one was kept out that may be let in first, of those without a time the first. */
  refusal: Refusal | null = null

  /** `ending`: tasks whose claims end in the same decision, before it takes anything: what they reserved is free, and their breakers know of it. */
  constructor(state: Workspace, agent: Agent, nowMs: number, ending: readonly Task[] = [], forbids: Forbids | null = null) {
    this.#forbids = forbids
    this.#state = state
    this.#agent = agent
    this.#nowMs = nowMs
    if (ending.length > 0 && areBreakersOn(state)) for (const task of ending) this.#end(task)
    if (state.reservations.size === 0) return
    for (const { id } of ending) {
      for (const [budget, left] of Object.entries(state.reservations.get(id)?.left ?? {})) this.#count(budget, -left)
    }
  }

  /** What keeps the agent from everything: its breaker, its account's, or a budget of its own that is closed. */
  shut(): Refusal | null {
    const { accounts, breakers, budgets } = this.#state
    if (accounts.size === 0 && breakers.size === 0 && this.#after === null && budgets.size === 0) return null
    const { name } = this.#agent
    const account = accountOf(this.#state, name)
    const kept = this.#broken([`agent/${name}`, `account/${account}`], null)
    return kept ?? this.#closed(this.#state.books.under(name, account, null, null))
  }

  /** Whether a plan's budget is open. */
  isOpen(plan: PlanId | null): boolean {
    if (plan === null || this.#state.budgets.size === 0) return true
    return this.#keep(this.#closed(this.#state.books.ofScope(`plan/${plan}`))) === null
  }

  /** Whether this task may be claimed; then it counts as claimed. */
  admits(id: TaskId, spec: TaskSpec): boolean {
    return this.#keep(this.admit(id, spec)) === null
  }

  admit(id: TaskId, spec: TaskSpec): Refusal | null {
    const forbidden = this.#forbids === null ? null : this.#forbids(id)
    if (forbidden !== null) return forbidden
    const areAllClosed = this.#state.breakers.size === 0 && this.#after === null
    const kept = areAllClosed && this.#state.accounts.size === 0 ? null : this.#broken(breakersOf(this.#state, this.#agent.name, spec), id)
    if (kept !== null) return kept
    const wanted = this.#wanted(id, spec)
    if ("refused" in wanted) return wanted
    for (const [budget, amount] of wanted.amounts) this.#count(budget, amount)
    if (wanted.amounts.length > 0) (this.#taken ??= new Map()).set(id, wanted.amounts)
    if (!areAllClosed) for (const breaker of breakersOf(this.#state, this.#agent.name, spec)) this.#probe(breaker)
    return null
  }

  /** What is recorded before the claims that were let through: of breakers whose probe is gone they are the probe. */
  probesEnded(): BreakerEvent[] {
    return this.#probesGone === null ? [] : [...this.#probesGone].map((breaker) => ({ type: "breaker.probe_ended", data: { breaker } }))
  }

  /** What a task that was let through reserves, for its `task.claimed`. */
  reservesOf(id: TaskId): Reserves {
    const amounts = this.#taken?.get(id)
    return amounts === undefined ? NO_RESERVES : { reserves: Object.fromEntries(amounts) }
  }

  #end(task: Task): void {
    const { id, fence } = task
    const event: TaskEvent = isLeaseOver(task, this.#nowMs)
      ? { type: "lease.ended", data: { id, fence: fence as Seq, reason: "expired", by: this.#agent.name, note: null } }
      : { type: "task.released", data: { id, reason: "" } }
    for (const [breaker, after] of breakersAfter(this.#state, event, task, this.#nowMs, (one) => this.#breaker(one)))
      (this.#after ??= new Map()).set(breaker, after)
  }

  #breaker(id: BreakerId): Breaker | undefined {
    return this.#after?.has(id) === true ? this.#after.get(id) : this.#state.breakers.get(id)
  }

  #probe(id: BreakerId): void {
    const breaker = this.#breaker(id)
    if (breaker === undefined || phaseOf(breaker, this.#nowMs) !== "half_open") return
    if (breaker.probe !== null) (this.#probesGone ??= new Set()).add(id)
    ;(this.#probing ??= new Set()).add(id)
  }

  #count(budget: BudgetId, amount: number): void {
    this.#reserved ??= new Map()
    this.#reserved.set(budget, (this.#reserved.get(budget) ?? 0) + amount)
  }

  #keep(refusal: Refusal | null): Refusal | null {
    if (refusal !== null && (this.refusal === null || timeOf(refusal) < timeOf(this.refusal))) this.refusal = refusal
    return refusal
  }

  #broken(ids: readonly string[], task: TaskId | null): Refusal | null {
    const untilMs = pausedUntilMs(this.#state, this.#agent.name, this.#nowMs)
    if (untilMs !== null) return open(`account/${accountOf(this.#state, this.#agent.name)}`, "its quota is used up", untilMs, task)
    for (const id of ids) {
      const breaker = this.#breaker(id)
      const phase = phaseOf(breaker, this.#nowMs)
      if (phase === "open") return open(id, breaker?.open?.reason ?? "", breaker?.open?.untilMs ?? null, task)
      if (phase !== "half_open") continue
      const probe = breaker === undefined || isProbeGone(this.#state, breaker) ? null : (breaker.probe?.task ?? null)
      if (probe !== null || this.#probing?.has(id) === true) return open(id, `${probe ?? "another task of this claim"} is its probe`, null, task)
    }
    return null
  }

  #closed(ids: readonly BudgetId[]): Refusal | null {
    for (const id of ids) {
      const budget = budgetAt(this.#state, id, this.#nowMs)
      if (budget !== null && budget.closedAtMs !== null) return this.#spent(budget, 0, null)
    }
    return null
  }

  /** What the claim of a task reserves in each of its budgets, or the first that has too little. */
  #wanted(id: TaskId, spec: TaskSpec): { amounts: [BudgetId, number][] } | Refusal {
    const { budgets, plans, tasks, books } = this.#state
    const plan = tasks.get(id)?.plan ?? null
    const ofPlan = plan !== null && (plans.get(plan)?.budgetMicroUsd ?? null) !== null
    if (budgets.size === 0 && spec.budgetMicroUsd === null && !ofPlan) return NOTHING
    const { name } = this.#agent
    const ids = new Set(books.under(name, accountOf(this.#state, name), plan, id))
    if (ofPlan) ids.add(`plan/${plan}`)
    if (spec.budgetMicroUsd !== null) ids.add(`task/${id}`)
    const own = [...ids].flatMap((budget) => budgetAt(this.#state, budget, this.#nowMs) ?? [])
    const estimate = expectedCost(this.#agent, spec)
    const caps = own.flatMap((budget) => (budget.scope === `task/${id}` ? (this.#free(budget) ?? []) : []))
    const cap = caps.length === 0 ? null : Math.min(...caps)
    const amounts: [BudgetId, number][] = []
    for (const budget of own) {
      const limit = limitOf(this.#state, budget)
      const free = this.#free(budget)
      if (limit === null || free === null) continue
      const amount = cap ?? estimate ?? budget.perClaimMicroUsd ?? Math.ceil(limit / 10)
      const isDry = amount <= 0 && estimate !== 0
      if (budget.closedAtMs !== null || amount > free || isDry) return this.#spent(budget, Math.max(0, amount), id)
      amounts.push([budget.id, Math.max(0, amount)])
    }
    return { amounts }
  }

  #free(budget: Budget): number | null {
    const limit = limitOf(this.#state, budget)
    return limit === null ? null : freeOf(budget, limit) - (this.#reserved?.get(budget.id) ?? 0)
  }

  #spent(budget: Budget, wantedMicroUsd: number, task: TaskId | null): Refusal {
    const { id, settledMicroUsd, overrunMicroUsd, reservedMicroUsd, closedAtMs } = budget
    const limit = limitOf(this.#state, budget) ?? 0
    const free = Math.max(0, this.#free(budget) ?? 0)
    const what = closedAtMs === null ? `has ${exactUsd(free)} of ${exactUsd(limit)} left` : `is closed: ${exactUsd(overrunMicroUsd)} beyond what was reserved`
    const endsAtMs = windowEndMs(budget)
    const later = endsAtMs === null ? "" : ` It starts anew at ${instant(endsAtMs)}.`
    const wants = task === null || closedAtMs !== null ? "" : `; task ${task} would reserve ${exactUsd(wantedMicroUsd)}`
    const remedy = `Ask the operator for more: skein budget top-up ${budget.scope} USD.${reservedMicroUsd > 0 ? " What others have reserved may become free, too." : ""}${later}`
    const details = {
      budget: id,
      task,
      limitMicroUsd: limit,
      settledMicroUsd,
      overrunMicroUsd,
      reservedMicroUsd,
      freeMicroUsd: free,
      wantedMicroUsd,
      retryAtMs: endsAtMs,
    }
    return refuse("budget_spent", `budget ${id} ${what}${wants}`, remedy, details)
  }
}

/** From when on a refusal may not hold any more. */
function timeOf({ details }: Refusal): number {
  const { retryAtMs } = details
  return typeof retryAtMs === "number" ? retryAtMs : Number.POSITIVE_INFINITY
}

/** What a claim of the task is expected to cost in micro-USD, where anybody can know. */
export function expectedCost({ costPerHourMicroUsd }: Pick<Agent, "costPerHourMicroUsd">, { run, estimateMs }: TaskSpec): number | null {
  if (run !== null && "standIn" in run) return run.standIn.costMicroUsd
  return estimateMs === null || costPerHourMicroUsd === 0 ? null : Math.ceil((estimateMs * costPerHourMicroUsd) / 3_600_000)
}

function open(breaker: string, reason: string, untilMs: number | null, task: TaskId | null): Refusal {
  const until = untilMs === null ? "" : ` until ${instant(untilMs)}`
  const remedy =
    untilMs === null
      ? `Wait for its probe, or ask the operator to reset it: skein breaker reset ${breaker}.`
      : `Do not try before then; the operator can reset it: skein breaker reset ${breaker}.`
  return refuse("breaker_open", `breaker ${breaker} is open${until}: ${reason}`, remedy, { breaker, task, retryAtMs: untilMs })
}
