import { deliveredCosts } from "./spending-view.ts"
import { type AgentId, byName, type Seq, type TaskId } from "./ids.ts"
import type { BlockedOn, Task } from "./task.ts"
import { type TaskState, taskState } from "./view.ts"
import type { Workspace } from "./workspace.ts"

/** What an agent said last of its work: a note, why it is blocked, what it delivered, or why it failed. */
export type LastWords = { text: string; atMs: number; task: TaskId }
/** A task that somebody holds. */
export type HeldTask = { id: TaskId; title: string; state: TaskState; progress: number; leaseEndsAtMs: number | null }
export type FlightAgent = { name: AgentId; kind: string; tasks: HeldTask[]; words: LastWords | null; costMicroUsd: number }
/** A task that says that it is blocked. `by`: whoever can end that, where it is known: the agent that it names, or who holds the task that it names. `updatedAtMs`: when it was heard of last. */
export type BlockedTask = {
  id: TaskId
  title: string
  owner: AgentId | null
  on: Omit<BlockedOn, "sinceSeq">
  by: AgentId | null
  sinceSeq: Seq
  updatedAtMs: number
}
/** A task that others wait for, and that waits for none itself: work, or an end to it, begins here. `waiting`: how many depend on it. */
export type Obstacle = { id: TaskId; title: string; state: TaskState; owner: AgentId | null; waiting: number }

export type Flight = {
  /** Agents that are present, by name. */
  agents: FlightAgent[]
  /** Tasks that are blocked, the longest first. */
  blocked: BlockedTask[]
  /** What most wait for, the most first; `OBSTACLES_MAX` at the most. */
  obstacles: Obstacle[]
  /** What all of it has cost, whoever did it. */
  costMicroUsd: number
}

export const OBSTACLES_MAX = 20

/** What is going on, at a glance: who does what and said what last, and what is held up by whom. O(tasks). */
export function flightOf(state: Workspace): Flight {
  const words = new Map<AgentId, LastWords>()
  const costs = costsOf(state)
  const blocked: BlockedTask[] = []
  for (const task of state.tasks.values()) {
    const { id, owner, status } = task
    if (owner !== null) {
      const text = wordsOf(task)
      if (text !== null && task.updatedAtMs >= (words.get(owner)?.atMs ?? 0)) words.set(owner, { text, atMs: task.updatedAtMs, task: id })
    }
    if (status === "blocked") blocked.push(blockedTask(state, task))
  }
  const agents = [...state.agents.values()].filter(({ status }) => status === "present").sort((a, b) => byName(a.name, b.name))
  return {
    agents: agents.map(({ name, kind }) => {
      const tasks = state.board.heldBy(name).map((task) => heldTask(state, task))
      return { name, kind, tasks, words: words.get(name) ?? null, costMicroUsd: costs.byAgent.get(name) ?? 0 }
    }),
    blocked: blocked.sort((a, b) => a.sinceSeq - b.sinceSeq),
    obstacles: obstaclesOf(state),
    costMicroUsd: costs.total,
  }
}

function wordsOf({ status, note, blockedOn, deliverable, reason }: Task): string | null {
  if (status === "blocked" && blockedOn !== null) return blockedOn.reason
  if (status === "failed") return reason
  return status === "completed" || status === "review" ? (deliverable?.text ?? note) : note
}

function heldTask(state: Workspace, task: Task): HeldTask {
  const { id, progress, leaseEndsAtMs } = task
  return { id, title: state.specs.get(id)?.title ?? "", state: taskState(state, task), progress, leaseEndsAtMs }
}

function blockedTask(state: Workspace, { id, owner, blockedOn, updatedAtMs, lastSeq }: Task): BlockedTask {
  const { kind, ref, reason, sinceSeq } = blockedOn ?? { kind: "external", ref: "", reason: "", sinceSeq: lastSeq }
  const by = kind === "agent" ? ref : kind === "task" ? (state.tasks.get(ref)?.owner ?? null) : null
  return { id, title: state.specs.get(id)?.title ?? "", owner, on: { kind, ref, reason }, by, sinceSeq, updatedAtMs }
}

/** A task of which at the most so many wait: to count those that do takes as long as there are of them. */
type Candidate = { id: TaskId; task: Task; state: TaskState; waiting: number }

function obstaclesOf(state: Workspace): Obstacle[] {
  const candidates: Candidate[] = []
  for (const task of state.tasks.values()) {
    const { id } = task
    const waiting = task.status === "completed" ? 0 : state.board.dependents(id).size
    const at = waiting === 0 ? "waiting" : taskState(state, task)
    if (at !== "waiting") candidates.push({ id, task, state: at, waiting })
  }
  const most: Candidate[] = []
  for (const candidate of candidates.sort(byWaiting)) {
    const last = most.at(-1)
    // Nobody from here on is waited for by more.
    if (last !== undefined && most.length === OBSTACLES_MAX && byWaiting(last, candidate) < 0) break
    let waiting = 0
    for (const dependent of state.board.dependents(candidate.id)) if (state.tasks.get(dependent)?.status === "pending") waiting += 1
    if (waiting > 0) most.push({ ...candidate, waiting })
    most.sort(byWaiting).splice(OBSTACLES_MAX)
  }
  return most.map(({ id, task: { owner }, state: at, waiting }) => ({ id, title: state.specs.get(id)?.title ?? "", state: at, owner, waiting }))
}

function byWaiting(a: Candidate, b: Candidate): number {
  return b.waiting - a.waiting || (a.id < b.id ? -1 : 1)
}

/** What agents have cost: what was reported for them, and for whoever holds or did a task what it cost besides. */
function costsOf(state: Workspace): { byAgent: Map<AgentId, number>; total: number } {
  const byAgent = new Map<AgentId, number>()
  let total = 0
  const add = (agent: AgentId | null, costMicroUsd: number): void => {
    total += costMicroUsd
    if (agent !== null) byAgent.set(agent, (byAgent.get(agent) ?? 0) + costMicroUsd)
  }
  for (const { agent, costMicroUsd } of state.usage.values()) add(agent, costMicroUsd)
  for (const [{ owner }, besides] of deliveredCosts(state)) add(owner, besides)
  return { byAgent, total }
}
