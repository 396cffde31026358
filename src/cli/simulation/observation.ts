import { breakersOf } from "../../core/breaker-outcome.ts"
import { phaseOf } from "../../core/breaker.ts"
import { freeOf, limitOf } from "../../core/budget.ts"
import type { Reserves } from "../../core/claim-gate.ts"
import type { Entry } from "../../core/entry.ts"
import type { TaskId } from "../../core/ids.ts"
import type { Task, TaskSpec, Usage } from "../../core/task.ts"
import type { RunRecord } from "../run-record.ts"

/** A task that was let go of so often for being throttled will never be done: at 98 % of all attempts one in 25,000 that would. */
export const THROTTLED_MAX = 500

/** What a simulated run shows besides what every run's record holds, from the entries alone. */
export class Observation {
  wastedMicroUsd = 0
  unpriced = false
  waitingMs = 0
  conflictMs = 0
  breakersOpened = 0
  intoOpenBreaker = 0
  /** Claims after which more was settled and reserved in a budget than its limit: never one. */
  overReserved = 0
  failed = 0
  crashed = 0
  throttled = 0
  /** The task that was throttled so often that the run is given up. */
  hopeless: TaskId | null = null
  readonly #throttledOf = new Map<TaskId, number>()
  /** Tasks that were ready while somebody else held their files. */
  readonly conflicts = new Set<TaskId>()
  readonly #record: RunRecord
  /** When each entry was made, by its seq. */
  readonly #atMs: number[] = [0]
  /** Tasks of the plan that touch files; and since when they are ready and cannot be taken for that. */
  readonly #touching: TaskId[] = []
  readonly #keptSinceMs = new Map<TaskId, number>()

  constructor(record: RunRecord) {
    this.#record = record
  }

  /** Takes the next entry, and hands it to the run's record. */
  take(entry: Entry): void {
    this.#atMs[entry.seq] = entry.atMs
    this.#before(entry)
    const openBefore = this.#open()
    this.#record.take(entry)
    const openAfter = this.#open()
    for (const id of openAfter) if (!openBefore.has(id)) this.breakersOpened += 1
    if (entry.type === "task.claimed") this.#budgets(entry)
    this.#files(entry)
  }

  #budgets({ data }: Entry): void {
    const { state } = this.#record
    for (const id of Object.keys((data as Reserves).reserves ?? {})) {
      const budget = state.budgets.get(id)
      const limit = budget === undefined ? null : limitOf(state, budget)
      if (budget !== undefined && limit !== null && freeOf(budget, limit) < 0) this.overReserved += 1
    }
  }

  /** Breakers that have opened, whether their time is up or not. */
  #open(): Set<string> {
    const { breakers } = this.#record.state
    const ids = new Set<string>()
    for (const { id, open } of breakers.values()) if (open !== null) ids.add(`${id} ${open.sinceMs}`)
    return ids
  }

  #before({ type, data, atMs, actor, causedBy }: Entry): void {
    const { state, plan } = this.#record
    const { id, usage, throttled, task: spentOn, costMicroUsd } = data as Said
    if (type === "usage.reported") {
      if (costMicroUsd === null) this.unpriced = true
      // Only attempts that failed report apart from their end.
      if (typeof spentOn === "string") this.wastedMicroUsd += costMicroUsd ?? 0
      return
    }
    if (typeof id !== "string") return
    const task = type === "task.added" ? undefined : state.tasks.get(id)
    const spec = state.specs.get(id)
    if (type === "task.added" && (data as { spec: TaskSpec }).spec.touches.length > 0) this.#touching.push(id)
    if (task?.plan !== plan || spec === undefined || spec.filler) return
    switch (type) {
      case "task.claimed":
        this.waitingMs += atMs - (this.#atMs[causedBy ?? 0] ?? atMs)
        for (const breaker of state.breakers.size === 0 ? [] : breakersOf(state, actor.agent, spec))
          if (phaseOf(state.breakers.get(breaker), atMs) === "open") this.intoOpenBreaker += 1
        return
      case "task.retried":
      case "task.failed":
        if (!isHeldBy(task)) return
        this.failed += 1
        this.wastedMicroUsd += usage?.costMicroUsd ?? 0
        return
      case "task.released":
        if (throttled !== undefined) this.#throttle(id)
        return
      case "lease.ended":
        this.crashed += 1
        return
    }
  }

  #throttle(id: TaskId): void {
    this.throttled += 1
    const times = (this.#throttledOf.get(id) ?? 0) + 1
    this.#throttledOf.set(id, times)
    if (times >= THROTTLED_MAX) this.hopeless ??= id
  }

  #files({ atMs }: Entry): void {
    const { board, specs } = this.#record.state
    for (const id of this.#touching) {
      const sinceMs = this.#keptSinceMs.get(id)
      const isKept = board.isReady(id) && board.holdings.obstruct((specs.get(id) as TaskSpec).touches, "")
      if (isKept && sinceMs === undefined) {
        this.#keptSinceMs.set(id, atMs)
        this.conflicts.add(id)
      } else if (!isKept && sinceMs !== undefined) {
        this.conflictMs += atMs - sinceMs
        this.#keptSinceMs.delete(id)
      }
    }
  }
}

type Said = { id?: unknown; usage?: Usage; throttled?: object; task?: unknown; costMicroUsd?: number | null }

/** The failure of a task whose last lease has ended is no attempt of its own. */
function isHeldBy({ fence }: Task): boolean {
  return fence !== null
}
