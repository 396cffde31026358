import { LeaseEnds, type LeaseEnd } from "./lease-ends.ts"
import type { AgentId, PlanId, TaskId } from "./ids.ts"
import { Paths } from "./paths.ts"
import { type ReadyTask, ReadyTasks } from "./ready.ts"
import type { Table } from "./table.ts"
import { isActive, isClosed, type Task, type TaskSpec, type TaskStatus } from "./task.ts"
import type { Workspace } from "./workspace.ts"

export type PlanCounts = Record<TaskStatus, number>

/** What follows for one task: one look-up for all of it. Its lease is the row itself. */
type Row = LeaseEnd<TaskId> & {
  dependents: Set<TaskId> | null
  /** Dependencies that are not completed yet. */
  waiting: number
  /** Dependencies that failed, were cancelled or can themselves never complete. */
  dead: number
  /** Its place among the ready tasks; null while it is none of them. */
  ready: ReadyTask | null
}

const none: ReadonlySet<never> = new Set()

export function newCounts(): PlanCounts {
  return { pending: 0, claimed: 0, in_progress: 0, blocked: 0, review: 0, completed: 0, failed: 0, cancelled: 0 }
}

/** How tasks stand, as only decisions ask: the fold itself never does. Made of the records there are, and moved by each change of one from then on. */
export class Standing {
  readonly #state: Workspace
  /** The tasks that are followed already. */
  #seen: Pick<Table<Task>, "get" | "has">
  readonly rows = new Map<TaskId, Row>()
  readonly ready = new ReadyTasks()
  readonly leases = new LeaseEnds<TaskId>()
  readonly active = new Map<AgentId, number>()
  readonly fillers = new Map<AgentId, Set<TaskId>>()
  readonly atWork = new Map<PlanId, Map<AgentId, number>>()
  readonly blockedOn = new Map<string, Set<TaskId>>()
  readonly counts = newCounts()
  readonly countsByPlan = new Map<PlanId, PlanCounts>()
  readonly tasksByPlan = new Map<PlanId, Set<TaskId>>()
  readonly paths: Paths

  /** Follows record by record, as if each came anew: specs before tasks. What is closed and has to do with no other task is only counted: most tasks of an old ledger are. */
  constructor(state: Workspace) {
    this.#state = state
    this.paths = new Paths(
      state,
      (id) => this.dependents(id),
      (id, pathMs) => {
        const ready = this.rows.get(id)?.ready ?? null
        if (ready !== null) this.ready.moved(ready, pathMs)
      },
    )
    const seen = new Map<TaskId, Task>()
    this.#seen = seen
    for (const [id, spec] of state.specs.entries()) if (spec.dependsOn.length > 0) this.followSpec(id, undefined, spec)
    for (const [id, task] of state.tasks.entries()) {
      if (isClosed(task.status) && task.leaseEndsAtMs === null && !this.rows.has(id)) {
        this.#countTask(task, undefined, task.status)
        continue
      }
      seen.set(id, task)
      this.followTask(id, undefined, task)
    }
    this.#seen = state.tasks
  }

  dependents(id: TaskId): ReadonlySet<TaskId> {
    return this.rows.get(id)?.dependents ?? none
  }

  followSpec(id: TaskId, before: TaskSpec | undefined, after: TaskSpec | undefined): void {
    const row = this.#row(id)
    if (before === undefined || after === undefined || before.dependsOn !== after.dependsOn) this.#rewire(row, before?.dependsOn ?? [], after?.dependsOn ?? [])
    const task = this.#seen.get(id)
    if (task !== undefined) this.paths.changed(id)
    // After an edit the task may belong elsewhere among the ready ones.
    this.#unready(row)
    this.#place(row, task)
    this.#tidy(row)
  }

  followTask(id: TaskId, before: Task | undefined, after: Task | undefined): void {
    const was = before?.status
    const is = after?.status
    const row = this.#row(id)
    if (was !== is) this.#moveStatus(row, before, after)
    const activeWas = before !== undefined && isActive(before.status)
    const activeIs = after !== undefined && isActive(after.status)
    if (activeWas !== activeIs || before?.owner !== after?.owner) {
      if (activeWas) this.#moveActive(before, -1)
      if (activeIs) this.#moveActive(after, 1)
    }
    if (before?.leaseEndsAtMs !== after?.leaseEndsAtMs) this.leases.move(row, after?.leaseEndsAtMs ?? null)
    if (before?.blockedOn !== after?.blockedOn) {
      if (before?.blockedOn) drop(this.blockedOn, before.blockedOn.ref, id)
      if (after?.blockedOn) add(this.blockedOn, after.blockedOn.ref, id)
    }
    if (after === undefined) this.#tidy(row)
  }

  #moveActive(task: Task, by: 1 | -1): void {
    const owner = task.owner as AgentId
    if (this.#state.specs.get(task.id)?.filler === true) {
      if (by === 1) add(this.fillers, owner, task.id)
      else drop(this.fillers, owner, task.id)
      return
    }
    count(this.active, owner, by)
    if (task.plan === null) return
    const agents = this.atWork.get(task.plan) ?? new Map<AgentId, number>()
    this.atWork.set(task.plan, agents)
    count(agents, owner, by)
  }

  #moveStatus(row: Row, before: Task | undefined, after: Task | undefined): void {
    const { id } = row
    const was = before?.status
    const is = after?.status
    this.#countTask((after ?? before) as Task, was, is)
    const dead = row.dead > 0
    if (is === undefined || was === undefined || isClosed(was) !== isClosed(is)) this.paths.changed(id)
    if ((was === "completed") !== (is === "completed")) {
      const by = is === "completed" ? -1 : 1
      for (const behind of row.dependents ?? none) {
        const dependent = this.#row(behind)
        dependent.waiting += by
        this.#place(dependent, this.#seen.get(behind))
      }
    }
    if (isDeadEnd(was, dead) !== isDeadEnd(is, dead)) this.#spread(row, isDeadEnd(is, dead))
    if (was === "pending" || is === "pending") this.#place(row, after)
  }

  #countTask({ id, plan }: Task, was: TaskStatus | undefined, is: TaskStatus | undefined): void {
    this.#count(this.counts, was, is)
    if (plan === null) return
    const counts = this.countsByPlan.get(plan) ?? newCounts()
    this.countsByPlan.set(plan, counts)
    this.#count(counts, was, is)
    if (was === undefined) add(this.tasksByPlan, plan, id)
    if (is === undefined) drop(this.tasksByPlan, plan, id)
  }

  /** A task has new dependencies: counts anew how many it waits for, and how many of them are dead ends. */
  #rewire(row: Row, before: readonly TaskId[], after: readonly TaskId[]): void {
    const tasks = this.#seen
    for (const id of before) {
      const dependency = this.#row(id)
      dependency.dependents?.delete(row.id)
      if (dependency.dependents?.size === 0) dependency.dependents = null
      this.#tidy(dependency)
      this.paths.touch(id)
    }
    row.waiting = 0
    let deadEnds = 0
    for (const id of after) {
      const dependency = this.#row(id)
      dependency.dependents = (dependency.dependents ?? new Set()).add(row.id)
      this.paths.touch(id)
      const status = tasks.get(id)?.status
      if (status !== "completed") row.waiting += 1
      if (isDeadEnd(status, dependency.dead > 0)) deadEnds += 1
    }
    const status = tasks.get(row.id)?.status
    const was = isDeadEnd(status, row.dead > 0)
    row.dead = deadEnds
    const is = isDeadEnd(status, deadEnds > 0)
    if (was !== is) this.#spread(row, is)
  }

  /** A task has become a dead end, or is one no longer: so have those behind it. Without recursion: a chain may be long. */
  #spread(row: Row, dead: boolean): void {
    const queue = [row]
    for (let from = queue.pop(); from !== undefined; from = queue.pop()) {
      for (const id of from.dependents ?? none) {
        const dependent = this.#row(id)
        const was = dependent.dead
        dependent.dead = Math.max(0, was + (dead ? 1 : -1))
        const { status } = this.#seen.get(id) ?? {}
        if (isDeadEnd(status, was > 0) !== isDeadEnd(status, dependent.dead > 0)) queue.push(dependent)
      }
    }
  }

  #count(counts: PlanCounts, was: TaskStatus | undefined, is: TaskStatus | undefined): void {
    if (was !== undefined) counts[was] -= 1
    if (is !== undefined) counts[is] += 1
  }

  /** Puts a task among the ready ones, or takes it out, as its status and its dependencies say. */
  #place(row: Row, task: Task | undefined): void {
    const { id } = row
    const spec = task?.status === "pending" && row.waiting === 0 ? this.#state.specs.get(id) : undefined
    if (task === undefined || spec === undefined) this.#unready(row)
    else row.ready ??= this.ready.add(id, task.plan, spec, this.paths.of(id), task.addedSeq)
  }

  /** Lets go of the row of a task that is gone, once nothing depends on it. */
  #tidy({ id, dependents }: Row): void {
    const { specs, tasks } = this.#state
    if (dependents === null && !specs.has(id) && !tasks.has(id)) this.rows.delete(id)
  }

  #unready(row: Row): void {
    if (row.ready === null) return
    this.ready.delete(row.ready)
    row.ready = null
  }

  #row(id: TaskId): Row {
    let row = this.rows.get(id)
    if (row === undefined) {
      row = { id, at: -1, endsAtMs: Number.POSITIVE_INFINITY, dependents: null, waiting: 0, dead: 0, ready: null }
      this.rows.set(id, row)
    }
    return row
  }
}

/** Whether what depends on a task can never become ready: it failed, was cancelled, or waits itself for such a one. */
function isDeadEnd(status: TaskStatus | undefined, hasDeadDependency: boolean): boolean {
  return status === "failed" || status === "cancelled" || (status === "pending" && hasDeadDependency)
}

export function add<Key, Item>(sets: Map<Key, Set<Item>>, key: Key, item: Item): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([item]))
  else set.add(item)
}

export function drop<Key, Item>(sets: Map<Key, Set<Item>>, key: Key, item: Item): void {
  const set = sets.get(key)
  if (set === undefined) return
  set.delete(item)
  if (set.size === 0) sets.delete(key)
}

function count<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  const now = (counts.get(key) ?? 0) + by
  if (now === 0) counts.delete(key)
  else counts.set(key, now)
}
