import { waitsOn } from "./blocker.ts"
import { directive, type DirectiveEvent, inVain } from "./directive.ts"
import { freeOf } from "./budget.ts"
import type { Actor } from "./entry.ts"
import { conflictsWith, filesConflict } from "./file-conflict.ts"
import { isTaskId, type PlanId, type Seq, type TaskId } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { DEFAULT_SPEC, isClosed, isHeld, type Task, type TaskEvent, type TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

export type AddTask = { id: TaskId; title: string } & Partial<Omit<TaskSpec, "title">>
export type EditTask = { task: TaskId; reason: string; changes: Partial<TaskSpec> }
/** `reset` opens a task again, whatever became of it; `cancel` closes it for good. */
export type ResetTask = { task: TaskId; reason: string }
export type CancelTask = { task: TaskId; reason: string }

export function decideAddTask(state: Workspace, actor: Actor, { id, ...given }: AddTask): TaskEvent[] | Refusal {
  if (!isTaskId(id))
    return refuse("invalid", `"${id}" cannot be a task's id`, "Use up to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit.", { task: id })
  if (id.includes("/"))
    return refuse("invalid", `"${id}" would be a task of a plan`, "Leave the slash out: tasks of a plan come with `plan.add`.", { task: id })
  if (state.tasks.has(id)) return refuse("already_exists", `there is a task ${id} already`, "Choose another id, or edit the task that is there.", { task: id })
  if (given.gates !== undefined && given.gates.length > 0 && actor.role === "worker")
    return refuse("forbidden", "a worker cannot set gates", "Ask an orchestrator or the operator.", { task: id })
  const spec = { ...DEFAULT_SPEC, ...given }
  const wrong = wrongDependencies(state, id, spec.dependsOn)
  if (wrong !== null) return wrong
  return [{ type: "task.added", data: { id, plan: null, spec } }]
}

export function decideEditTask(state: Workspace, _actor: Actor, { task: id, reason, changes }: EditTask): (TaskEvent | DirectiveEvent)[] | Refusal {
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (isClosed(task.status))
    return refuse("wrong_status", `task ${id} is ${task.status}`, "Reset it first: `skein task reset`.", { task: id, status: task.status })
  if (task.status !== "pending" && (changes.filler !== undefined || changes.dependsOn !== undefined)) {
    return refuse(
      "wrong_status",
      `task ${id} is ${task.status}: what it depends on, and whether it is filler, can change only while nobody holds it`,
      "End its lease first.",
      { task: id, status: task.status },
    )
  }
  const { maxAttempts } = changes
  if (maxAttempts !== undefined && maxAttempts <= task.attempts)
    return refuse(
      "invalid",
      `task ${id} has had ${task.attempts} attempt${task.attempts === 1 ? "" : "s"}: ${maxAttempts} at the most leaves it none`,
      "Allow more, reset it first, or cancel it: `skein task cancel`.",
      { task: id, attempts: task.attempts, maxAttempts },
    )
  const wrong = changes.dependsOn === undefined ? null : wrongDependencies(state, id, changes.dependsOn)
  if (wrong !== null) return wrong
  const conflicts = changes.touches === undefined || task.owner === null ? [] : conflictsWith(state, task.owner, changes.touches, "exclusive", id)
  if (conflicts.length > 0) return filesConflict(conflicts, "Leave those files out, or wait until they are free.", { task: id })
  const reopens = givesMoney(state, id, changes) ? ({ reopens: true } as const) : {}
  const edited: TaskEvent = { type: "task.edited", data: { id, changes, reason, ...reopens } }
  if (task.owner === null || !isHeld(task.status)) return [edited]
  return [edited, directive("replan", { agent: task.owner }, id, `${id} was edited: ${reason}`, task.fence)]
}

/** Whether the task's own budget is closed and has money again with what it is given now. */
function givesMoney(state: Workspace, id: TaskId, { budgetMicroUsd = null }: Partial<TaskSpec>): boolean {
  const budget = budgetMicroUsd === null ? undefined : state.budgets.get(`task/${id}`)
  if (budgetMicroUsd === null || budget === undefined || budget.closedAtMs === null || budget.limitMicroUsd !== null) return false
  return freeOf(budget, budgetMicroUsd + budget.addedMicroUsd) > 0
}

export function decideResetTask(state: Workspace, _actor: Actor, { task: id, reason }: ResetTask): (TaskEvent | DirectiveEvent)[] | Refusal {
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (task.status === "pending" && task.attempts === 0)
    return refuse("wrong_status", `task ${id} is pending and fresh`, "There is nothing to reset.", { task: id })
  // What is closed waits for nothing; open again it may wait for what has come to wait for it meanwhile.
  const path = isClosed(task.status) ? findCycle([id], (from) => (from === id || isOpen(state, from) ? waitsOn(state, from) : [])) : null
  if (path !== null)
    return refuse("cycle", `task ${id} would wait for itself: ${path.join(" -> ")}`, "Unblock or edit one of these first, or add a new task in its place.", {
      path,
    })
  const reset: TaskEvent = { type: "task.reset", data: { id, reason }, causedBy: task.lastSeq }
  const told = task.status === "completed" ? undone(state, id, reason, task.lastSeq) : []
  if (task.owner === null || !isHeld(task.status)) return [reset, ...told]
  return [reset, directive("stop", { agent: task.owner }, id, `${id} was reset: ${reason}`, task.fence)]
}

function isOpen(state: Workspace, id: TaskId): boolean {
  return !isClosed(state.tasks.get(id)?.status ?? "cancelled")
}

/** Tells whoever works on what depends on a task that is open again. */
function undone(state: Workspace, id: TaskId, reason: string, causedBy: Seq): DirectiveEvent[] {
  return [...state.board.dependents(id)].sort().flatMap((dependent) => {
    const { owner, status } = state.tasks.get(dependent) as Task
    return owner === null || !isHeld(status)
      ? []
      : [directive("replan", { agent: owner }, dependent, `${id}, which ${dependent} builds on, was reset: ${reason}`, causedBy)]
  })
}

export function decideCancelTask(state: Workspace, _actor: Actor, { task: id, reason }: CancelTask): (TaskEvent | DirectiveEvent)[] | Refusal {
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (isClosed(task.status))
    return refuse("wrong_status", `task ${id} is ${task.status} already`, "There is nothing to cancel.", { task: id, status: task.status })
  return cancelled(state, id, reason)
}

/** Cancels an open task and stops whoever holds it. */
export function cancelled(state: Workspace, id: TaskId, reason: string): (TaskEvent | DirectiveEvent)[] {
  const task = state.tasks.get(id)
  const event: TaskEvent = { type: "task.cancelled", data: { id, reason }, causedBy: task?.lastSeq ?? null }
  const told = inVain(state, id, "cancelled", task?.lastSeq ?? null)
  if (!task || task.owner === null || !isHeld(task.status)) return [event, ...told]
  return [event, ...told, directive("stop", { agent: task.owner }, id, `${id} was cancelled: ${reason}`, task.fence)]
}

/** Dependencies must exist, be named once, and make no circle. */
function wrongDependencies(state: Workspace, id: TaskId, dependsOn: readonly TaskId[]): Refusal | null {
  const unknown = dependsOn.find((dependency) => dependency !== id && !state.tasks.has(dependency))
  if (unknown !== undefined)
    return refuse("unknown_dependency", `task ${id} depends on ${unknown}, which does not exist`, "Add that task first, or leave it out.", {
      task: id,
      dependency: unknown,
    })
  if (new Set(dependsOn).size < dependsOn.length) return refuse("invalid", `task ${id} names a dependency twice`, "Name each once.", { task: id })
  // Nothing waits yet for a task that is new: only itself could close a circle.
  if (!state.tasks.has(id) && !dependsOn.includes(id)) return null
  const path = findCycle([id], (from) => waitsOn(state, from, from === id ? [...dependsOn] : undefined))
  if (path !== null) return refuse("cycle", `task ${id} would wait for itself: ${path.join(" -> ")}`, "Take one of these dependencies out.", { path })
  return null
}

/** The first circle that is reached from `roots`, as the path that makes it, or null. Without recursion: a chain may be long. */
export function findCycle(roots: Iterable<string>, dependsOn: (id: string) => readonly string[]): string[] | null {
  const done = new Set<string>()
  for (const root of roots) {
    const path: string[] = []
    const onPath = new Set<string>()
    const stack: { id: string; next: number }[] = done.has(root) ? [] : [{ id: root, next: 0 }]
    while (stack.length > 0) {
      const step = stack.at(-1) as { id: string; next: number }
      if (step.next === 0) {
        path.push(step.id)
        onPath.add(step.id)
      }
      const dependency = dependsOn(step.id)[step.next]
      step.next += 1
      if (dependency === undefined) {
        stack.pop()
        path.pop()
        onPath.delete(step.id)
        done.add(step.id)
      } else if (onPath.has(dependency)) return [...path.slice(path.indexOf(dependency)), dependency]
      else if (!done.has(dependency)) stack.push({ id: dependency, next: 0 })
    }
  }
  return null
}

/** Id of a plan's task in the workspace. */
export function planTaskId(plan: PlanId, local: string): TaskId {
  return `${plan}/${local}`
}
