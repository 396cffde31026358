import { longestChain } from "../core/critical-path.ts"
import type { AgentId, TaskId } from "../core/ids.ts"
import type { Task, TaskStatus } from "../core/task.ts"
import { viewPlan } from "../core/view.ts"
import type { Mode, RunRecord } from "./run-record.ts"

export type Spread = { count: number; p50Ms: number; p99Ms: number; maxMs: number }

/** A run in figures. All times in ms as they passed. */
export type RunMeasure = {
  plan: string
  title: string
  commit: string | null
  finished: boolean
  counts: Record<TaskStatus, number> & { unreachable: number }
  makespanMs: number
  /** The longest chain of dependent tasks, each as long as it took: no team could have been faster. */
  criticalPathMs: number
  criticalPath: TaskId[]
  /** What one agent alone would have worked. */
  workMs: number
  claims: Spread
  attempts: { delivered: number; lost: number; leasesEnded: number; released: number }
  costMicroUsd: number
  budgetMicroUsd: number | null
  agents: { agent: AgentId; completed: number; fillers: number; lost: number; workMs: number; fillerMs: number; blockedMs: number; waitingMs: number }[]
  idle: { longestMs: number; toldMs: number; stretches: number; worst: { agent: AgentId; ms: number } | null }
  failed: { task: TaskId; reason: string | null }[]
}

export function measure(record: RunRecord, toleranceMs: number): RunMeasure {
  record.settle()
  const view = viewPlan(record.state, record.plan)
  if (view === null) throw new Error(`the ledger has no plan ${record.plan}`)
  const tasks = record.tasks()
  const real = tasks.filter(({ id }) => !record.isFiller(id))
  const tookMsOf = new Map(real.map((task) => [task.id, tookMs(task)]))
  const path = longestChain(record.state, tookMsOf.keys(), (id) => tookMsOf.get(id) ?? 0)
  const worst = record.idle.toSorted((a, b) => b.ms - a.ms)[0]
  const spent = (spentMs: Record<Mode, number>): { workMs: number; fillerMs: number; blockedMs: number; waitingMs: number } => ({
    workMs: spentMs.work,
    fillerMs: spentMs.filler,
    blockedMs: spentMs.blocked,
    waitingMs: spentMs.waiting,
  })
  const agents = [...record.agents.values()].filter(
    ({ spentMs, completed }) => completed > 0 || spentMs.work + spentMs.waiting + spentMs.filler + spentMs.blocked > 0,
  )
  const lost = [...record.agents.values()].reduce((sum, agent) => sum + agent.lost, 0)
  const { counts } = view
  return {
    plan: view.id,
    title: view.title,
    commit: view.commit,
    finished: view.finished,
    counts: { ...record.state.board.countsOf(record.plan), unreachable: counts.unreachable },
    makespanMs: record.makespanMs,
    criticalPathMs: path.ms,
    criticalPath: path.tasks,
    workMs: real.reduce((sum, task) => sum + tookMs(task), 0),
    claims: spread(record.claimLatenciesMs),
    attempts: { delivered: real.filter(({ status }) => status === "completed").length, lost, leasesEnded: record.leasesEnded, released: record.releases },
    costMicroUsd: tasks.reduce((sum, { usage }) => sum + usage.costMicroUsd, 0),
    budgetMicroUsd: view.budgetMicroUsd,
    agents: agents.map(({ name, completed, fillers, lost: given, spentMs }) => ({ agent: name, completed, fillers, lost: given, ...spent(spentMs) })),
    idle: {
      longestMs: record.longestIdleMs,
      toldMs: toleranceMs,
      stretches: record.idle.length,
      worst: worst === undefined ? null : { agent: worst.agent, ms: worst.ms },
    },
    failed: tasks.flatMap(({ id, status, reason }) => (status === "failed" ? [{ task: id, reason }] : [])),
  }
}

/** From the claim that led to the delivery to that delivery. */
function tookMs({ status, claimedAtMs, closedAtMs }: Task): number {
  return status === "completed" && claimedAtMs !== null && closedAtMs !== null ? closedAtMs - claimedAtMs : 0
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: sorted.at(-1) ?? 0 }
}
