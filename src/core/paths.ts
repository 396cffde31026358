import type { TaskId } from "./ids.ts"
import { isClosed } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** A task without an estimate counts as this long when chains of tasks are compared. */
export const UNESTIMATED_MS = 60_000

/**
 * The longest chain of open dependents that is left behind each open task, its own estimate included; 0 for one that is closed.
 *
 * Settled when somebody asks: a plan of n tasks costs one pass over its edges and not one pass a task. Only open tasks upstream of a change are
 * computed again, so that what was done long ago costs nothing.
 */
export class Paths {
  readonly #state: Workspace
  readonly #dependents: (id: TaskId) => ReadonlySet<TaskId>
  readonly #onMoved: (id: TaskId, pathMs: number) => void
  /** Where it is more than the task's own estimate. */
  readonly #ms = new Map<TaskId, number>()
  /** Tasks whose chain may have changed since paths were last settled. */
  readonly #unsettled = new Set<TaskId>()

  constructor(state: Workspace, dependents: (id: TaskId) => ReadonlySet<TaskId>, onMoved: (id: TaskId, pathMs: number) => void) {
    this.#state = state
    this.#dependents = dependents
    this.#onMoved = onMoved
  }

  /** A task was added, opened, closed or edited. Nothing depends on most tasks: theirs is settled at once. */
  changed(id: TaskId): void {
    if (this.#isOpen(id) && this.#dependents(id).size > 0) this.#unsettled.add(id)
    else this.#set(id, 0)
    for (const dependency of this.#state.specs.get(id)?.dependsOn ?? []) this.touch(dependency)
  }

  /** Something that depends on the task, or did, has changed. */
  touch(id: TaskId): void {
    if (this.#isOpen(id)) this.#unsettled.add(id)
  }

  /** In ms of estimates, as of the last `settle`. */
  of(id: TaskId): number {
    return this.#ms.get(id) ?? (this.#isOpen(id) ? this.#own(id) : 0)
  }

  settle(): void {
    if (this.#unsettled.size === 0) return
    const left = this.#affected()
    const stack = [...left]
    for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
      if (!left.has(id)) {
        stack.pop()
        continue
      }
      let longest = 0
      const depth = stack.length
      for (const dependent of this.#dependents(id)) {
        if (left.has(dependent)) stack.push(dependent)
        else longest = Math.max(longest, this.of(dependent))
      }
      if (stack.length > depth) continue
      stack.pop()
      left.delete(id)
      this.#set(id, longest)
    }
  }

  #affected(): Set<TaskId> {
    const affected = new Set<TaskId>()
    const queue = [...this.#unsettled]
    this.#unsettled.clear()
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      if (affected.has(id)) continue
      affected.add(id)
      for (const dependency of this.#state.specs.get(id)?.dependsOn ?? []) if (this.#isOpen(dependency)) queue.push(dependency)
    }
    return affected
  }

  #isOpen(id: TaskId): boolean {
    const task = this.#state.tasks.get(id)
    return task !== undefined && !isClosed(task.status)
  }

  #own(id: TaskId): number {
    return this.#state.specs.get(id)?.estimateMs ?? UNESTIMATED_MS
  }

  #set(id: TaskId, longest: number): void {
    if (longest > 0 && this.#isOpen(id)) this.#ms.set(id, this.#own(id) + longest)
    else this.#ms.delete(id)
    this.#onMoved(id, this.of(id))
  }
}
