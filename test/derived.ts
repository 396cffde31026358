import type { AgentId, SessionId, TaskId } from "../src/core/ids.ts"
import { UNESTIMATED_MS } from "../src/core/paths.ts"
import type { Task, TaskSpec, TaskStatus } from "../src/core/task.ts"
import type { Workspace } from "../src/core/workspace.ts"

/**
 * All that `Board` keeps beside the tables, from nothing but the tables and as slow as it is: each rule said once more, in other words. Compared
 * with `kept`, which asks the board.
 */
export type Derived = {
  counts: Record<TaskStatus, number>
  plans: Record<string, { counts: Record<TaskStatus, number>; tasks: TaskId[]; atWork: Record<AgentId, number> }>
  tasks: Record<TaskId, { ready: boolean; unreachable: boolean; dependents: TaskId[]; pathMs: number; blockedBy: TaskId[] }>
  readyCount: number
  agents: Record<AgentId, { held: TaskId[]; active: number; fillers: TaskId[]; sessions: SessionId[]; notices: number[] }>
  sessions: Record<SessionId, TaskId[]>
  leases: TaskId[]
  nextLeaseEndMs: number | null
  silent: TaskId[]
}

const OPEN = new Set<TaskStatus>(["pending", "claimed", "in_progress", "blocked", "review"])
const ACTIVE = new Set<TaskStatus>(["claimed", "in_progress"])
const OWNED = new Set<TaskStatus>(["claimed", "in_progress", "blocked", "review"])

export function derive(state: Workspace): Derived {
  const tasks = [...state.tasks.values()].sort((a, b) => a.addedSeq - b.addedSeq)
  const ids = (of: Task[]): TaskId[] => of.map((task) => task.id)
  const spec = (id: TaskId): TaskSpec => state.specs.get(id) as TaskSpec
  const at = (id: TaskId): Task => state.tasks.get(id) as Task
  const dependents = new Map<TaskId, TaskId[]>(tasks.map((task) => [task.id, []]))
  for (const task of tasks) for (const dependency of spec(task.id).dependsOn) dependents.get(dependency)?.push(task.id)
  const dead = memo((id: TaskId): boolean => {
    const { status } = at(id)
    return status === "failed" || status === "cancelled" || (status === "pending" && spec(id).dependsOn.some(dead))
  })
  const pathMs = memo((id: TaskId): number => {
    if (!OPEN.has(at(id).status)) return 0
    return (spec(id).estimateMs ?? UNESTIMATED_MS) + Math.max(0, ...(dependents.get(id) ?? []).map(pathMs))
  })
  const ready = (task: Task): boolean => task.status === "pending" && spec(task.id).dependsOn.every((id) => at(id).status === "completed")
  const active = tasks.filter((task) => ACTIVE.has(task.status))
  const leases = tasks.filter((task) => task.leaseEndsAtMs !== null)
  return {
    counts: countsOf(tasks),
    plans: Object.fromEntries(
      [...state.plans.keys()].map((plan) => {
        const of = tasks.filter((task) => task.plan === plan)
        const atWork: Record<AgentId, number> = {}
        for (const task of of) if (ACTIVE.has(task.status) && !spec(task.id).filler) atWork[task.owner as string] = (atWork[task.owner as string] ?? 0) + 1
        return [plan, { counts: countsOf(of), tasks: ids(of).sort(), atWork }]
      }),
    ),
    tasks: Object.fromEntries(
      tasks.map((task) => {
        const blockedBy = ids(tasks.filter((other) => other.blockedOn?.ref === task.id))
        const unreachable = task.status === "pending" && spec(task.id).dependsOn.some(dead)
        return [task.id, { ready: ready(task), unreachable, dependents: (dependents.get(task.id) ?? []).sort(), pathMs: pathMs(task.id), blockedBy }]
      }),
    ),
    readyCount: tasks.filter(ready).length,
    agents: Object.fromEntries(
      [...state.agents.keys()].map((agent) => {
        const mine = active.filter((task) => task.owner === agent)
        const fillers = mine.filter((task) => spec(task.id).filler)
        const held = tasks.filter((task) => OWNED.has(task.status) && task.owner === agent)
        const sessions = [...state.sessions.values()].filter((session) => session.agent === agent)
        sessions.sort((a, b) => a.startedAtMs - b.startedAtMs || (a.id < b.id ? -1 : 1))
        const notices = [...state.notices.values()].filter((notice) => "agent" in notice.to && notice.to.agent === agent).map((notice) => notice.seq)
        return [
          agent,
          {
            held: ids(held),
            active: mine.length - fillers.length,
            fillers: ids(fillers),
            sessions: sessions.map((s) => s.id),
            notices: notices.sort((a, b) => a - b),
          },
        ]
      }),
    ),
    sessions: Object.fromEntries(
      [...state.sessions.keys()].sort().map((id) => [id, ids(tasks.filter((task) => OWNED.has(task.status) && task.session === id))]),
    ),
    leases: ids(leases.sort((a, b) => (a.leaseEndsAtMs as number) - (b.leaseEndsAtMs as number) || (a.id < b.id ? -1 : 1))),
    nextLeaseEndMs: leases.length === 0 ? null : Math.min(...leases.map((task) => task.leaseEndsAtMs as number)),
    silent: ids(active),
  }
}

/** The same as the board says it. */
export function kept(state: Workspace): Derived {
  const { board } = state
  const ids = (of: Task[]): TaskId[] => of.map((task) => task.id)
  const tasks = [...state.tasks.values()].sort((a, b) => a.addedSeq - b.addedSeq)
  return {
    counts: { ...board.counts },
    plans: Object.fromEntries(
      [...state.plans.keys()].map((plan) => [
        plan,
        { counts: { ...board.countsOf(plan) }, tasks: [...board.tasksOf(plan)].sort(), atWork: Object.fromEntries(board.agentsAtWork(plan)) },
      ]),
    ),
    tasks: Object.fromEntries(
      tasks.map(({ id }) => {
        const derived = {
          ready: board.isReady(id),
          unreachable: board.isUnreachable(id),
          dependents: [...board.dependents(id)].sort(),
          pathMs: board.pathMs(id),
        }
        return [id, { ...derived, blockedBy: ids(board.blockedOn(id)) }]
      }),
    ),
    readyCount: board.readyCount,
    agents: Object.fromEntries(
      [...state.agents.keys()].map((agent) => {
        const notices = board.noticesTo(`agent:${agent}`).map((notice) => notice.seq)
        return [
          agent,
          {
            held: ids(board.heldBy(agent)),
            active: board.activeOf(agent),
            fillers: ids(board.fillersOf(agent)),
            sessions: board.sessionsOf(agent).map((s) => s.id),
            notices,
          },
        ]
      }),
    ),
    sessions: Object.fromEntries([...state.sessions.keys()].sort().map((id) => [id, ids(board.heldBySession(id))])),
    leases: ids(board.overdue(Number.POSITIVE_INFINITY)),
    nextLeaseEndMs: board.nextLeaseEndMs,
    silent: ids(board.silentSince(Number.POSITIVE_INFINITY)),
  }
}

function countsOf(tasks: readonly Task[]): Record<TaskStatus, number> {
  const counts = { pending: 0, claimed: 0, in_progress: 0, blocked: 0, review: 0, completed: 0, failed: 0, cancelled: 0 }
  for (const task of tasks) counts[task.status] += 1
  return counts
}

function memo<Answer>(ask: (id: TaskId) => Answer): (id: TaskId) => Answer {
  const known = new Map<TaskId, Answer>()
  return (id) => {
    if (!known.has(id)) known.set(id, ask(id))
    return known.get(id) as Answer
  }
}
