import type { Actor } from "./entry.ts"
import type { AgentId, Seq, TaskId } from "./ids.ts"
import { directive, type DirectiveEvent } from "./directive.ts"
import { underLease } from "./lease.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { type BlockedOn, isClosed, isHeld, isLeaseOver, type Task, type TaskEvent } from "./task.ts"
import type { Workspace } from "./workspace.ts"

export type Block = { task: TaskId; fence: Seq; on: { kind: BlockedOn["kind"]; ref: string }; reason: string }
export type Unblock = { task: TaskId; reason: string }

/**
 * The owner says what the task waits for. It keeps owner and lease, does not count as active, and everyone it concerns gets a `replan`
 * directive: whoever holds what it waits for, and the owners of what waits for it.
 */
export function decideBlock(state: Workspace, actor: Actor, { task: id, fence, on, reason }: Block, nowMs: number): (TaskEvent | DirectiveEvent)[] | Refusal {
  const task = underLease(state, actor, id, fence, nowMs)
  if ("refused" in task) return task
  if (task.status === "review") return refuse("wrong_status", `task ${id} is in review`, "Wait for the review.", { task: id })
  const wrong = wrongBlocker(state, task, on)
  if (wrong !== null) return wrong
  const start: TaskEvent[] = task.status === "claimed" ? [{ type: "task.started", data: { id }, causedBy: fence }] : []
  const blocked: TaskEvent = { type: "task.blocked", data: { id, kind: on.kind, ref: on.ref, reason }, causedBy: fence }
  const text = `${id} is blocked on ${on.kind} ${on.ref}: ${reason}`
  return [...start, blocked, ...concerned(state, task, on).map((agent) => directive("replan", { agent }, id, text, fence))]
}

export function decideUnblock(state: Workspace, actor: Actor, { task: id, reason }: Unblock, nowMs: number): (TaskEvent | DirectiveEvent)[] | Refusal {
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (task.status !== "blocked")
    return refuse("wrong_status", `task ${id} is ${task.status}, not blocked`, "There is nothing to unblock.", { task: id, status: task.status })
  if (task.owner !== actor.agent && actor.role === "worker")
    return refuse("not_owner", `task ${id} is held by ${task.owner}`, "Its owner, an orchestrator or the operator can unblock it.", {
      task: id,
      heldBy: task.owner,
    })
  // It would begin anew with the unblocking, for somebody who is gone.
  if (isLeaseOver(task, nowMs)) {
    return refuse("wrong_status", `the lease on task ${id} is over: it is no longer ${task.owner}'s`, "There is nothing to unblock; claim the task.", {
      task: id,
      status: task.status,
    })
  }
  return unblocked(state, task, reason, task.blockedOn?.sinceSeq ?? null, null, nowMs)
}

/** The blocker is gone: the task goes on, its owner is called back from filler work in the same breath. `done`: what is completed just now, and may have been filler itself. */
function unblocked(state: Workspace, task: Task, reason: string, causedBy: Seq | null, done: TaskId | null, nowMs: number): (TaskEvent | DirectiveEvent)[] {
  const owner = task.owner as AgentId
  const others = state.board.fillersOf(owner).filter((filler) => filler.id !== done && !isLeaseOver(filler, nowMs))
  const fillers: TaskEvent[] = others.map((filler) => ({
    type: "task.released",
    data: { id: filler.id, reason: `${task.id} goes on` },
    causedBy: filler.fence,
  }))
  return [
    { type: "task.unblocked", data: { id: task.id, reason }, causedBy },
    ...fillers,
    directive("resume", { agent: owner }, task.id, `${task.id} is no longer blocked: ${reason}`, causedBy),
  ]
}

/** All tasks that waited for what is now done, unblocked; those whose lease is over are for the next sweep. */
export function unblockedBy(state: Workspace, ref: string, reason: string, causedBy: Seq | null, nowMs: number): (TaskEvent | DirectiveEvent)[] {
  const freed = new Set<TaskId>()
  return state.board
    .blockedOn(ref)
    .filter((task) => task.status === "blocked" && task.blockedOn?.kind === "task" && !isLeaseOver(task, nowMs))
    .flatMap((task) => unblocked(state, task, reason, causedBy, ref, nowMs))
    .filter((event) => {
      // One owner may have two tasks unblocked at once: its filler is released once.
      if (event.type !== "task.released") return true
      return freed.has(event.data.id) ? false : freed.add(event.data.id)
    })
}

function wrongBlocker(state: Workspace, { id, owner }: Task, on: Block["on"]): Refusal | null {
  if (on.kind === "external") return null
  if (on.kind === "agent") {
    const agent = state.agents.get(on.ref)
    const remedy = "Block on an agent that is present, a task, or `external`."
    if (agent === undefined) return refuse("not_found", `there is no agent ${on.ref}`, remedy, { agent: on.ref })
    if (agent.status === "retired") return refuse("retired", `agent ${on.ref} is retired: it would be waited for in vain`, remedy, { agent: on.ref })
    const path = way(on.ref, owner as AgentId, (name) => agentsWaitedFor(state, name))
    if (path === null) return null
    const why = path.length === 1 ? "who holds it" : `who waits for ${owner}: ${path.join(" -> ")}`
    return refuse("cycle", `${id} cannot wait for ${on.ref}, ${why}`, `Do what ${on.ref} waits for first, or block on the task that ${id} needs.`, { path })
  }
  const other = state.tasks.get(on.ref)
  if (other === undefined) return refuse("not_found", `there is no task ${on.ref}`, "Block on a known task, an agent, or `external`.", { task: on.ref })
  if (isClosed(other.status))
    return refuse("wrong_status", `task ${on.ref} is ${other.status} already`, "Nothing is left to wait for there.", { task: on.ref, status: other.status })
  const path = waitsFor(state, on.ref, id)
  if (path !== null)
    return refuse("cycle", `${id} cannot wait for ${on.ref}, which waits for it: ${path.join(" -> ")}`, "Break the circle: complete one of them first.", {
      path,
    })
  return null
}

/** The way by which `from` waits for `to`, through dependencies and blockers, or null. What is closed waits for nothing. */
function waitsFor(state: Workspace, from: TaskId, to: TaskId): TaskId[] | null {
  return way(from, to, (at) => (isClosed(state.tasks.get(at)?.status ?? "cancelled") ? [] : waitsOn(state, at)))
}

/** The agents that an agent has said it waits for. One that waits for a task can still answer. */
function agentsWaitedFor(state: Workspace, name: AgentId): AgentId[] {
  return state.board.heldBy(name).flatMap(({ blockedOn }) => (blockedOn?.kind === "agent" ? [blockedOn.ref] : []))
}

/** The shortest way along `next`, both ends included. */
function way(from: string, to: string, next: (at: string) => readonly string[]): string[] | null {
  const cameFrom = new Map<string, string | null>([[from, null]])
  const queue = [from]
  for (const at of queue) {
    if (at === to) {
      const path: string[] = []
      for (let step: string | null = at; step !== null; step = cameFrom.get(step) ?? null) path.unshift(step)
      return path
    }
    for (const id of next(at)) {
      if (cameFrom.has(id)) continue
      cameFrom.set(id, at)
      queue.push(id)
    }
  }
  return null
}

/** What a task waits for itself: its dependencies, and the task that it is blocked on. */
export function waitsOn(state: Workspace, id: TaskId, dependsOn = state.specs.get(id)?.dependsOn ?? []): readonly TaskId[] {
  const blockedOn = state.tasks.get(id)?.blockedOn
  return blockedOn?.kind === "task" ? [...dependsOn, blockedOn.ref] : dependsOn
}

function concerned(state: Workspace, task: Task, on: Block["on"]): AgentId[] {
  const agents = new Set<AgentId>()
  if (on.kind === "agent") agents.add(on.ref)
  if (on.kind === "task") {
    const owner = state.tasks.get(on.ref)?.owner
    if (owner) agents.add(owner)
  }
  for (const dependent of state.board.dependents(task.id)) {
    const other = state.tasks.get(dependent)
    if (other !== undefined && isHeld(other.status) && other.owner !== null) agents.add(other.owner)
  }
  for (const { blockedOn, owner } of state.board.blockedOn(task.id)) if (blockedOn?.kind === "task" && owner !== null) agents.add(owner)
  agents.delete(task.owner as AgentId)
  // Whoever delivered it may be retired while its review waits.
  return [...agents].filter((agent) => state.agents.get(agent)?.status === "present").sort()
}
