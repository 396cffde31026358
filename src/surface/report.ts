import type { Output } from "../contract/operations.ts"
import { longestChain } from "../core/critical-path.ts"
import type { PlanId } from "../core/ids.ts"
import { taskState, viewPlan } from "../core/view.ts"
import type { Workspace } from "../core/workspace.ts"

type Report = Output<"plan.report">

/** A plan's report as far as the state has it, or null where there is no such plan. */
export function reportOf(state: Workspace, id: PlanId, nowMs: number): Report | null {
  const plan = viewPlan(state, id)
  if (plan === null) return null
  const tasks = [...state.board.tasksOf(id)].map((task) => ({ ...state.specs.get(task)!, ...state.tasks.get(task)! })).sort((a, b) => a.addedSeq - b.addedSeq)
  const usage = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
  const agents = new Map<string, Report["agents"][number]>()
  let estimateMs = 0
  let attempts = 0
  let lastMs = plan.addedAtMs
  for (const task of tasks) {
    usage.costMicroUsd += task.usage.costMicroUsd
    usage.inputTokens += task.usage.inputTokens
    usage.outputTokens += task.usage.outputTokens
    estimateMs += task.estimateMs ?? 0
    attempts += task.attempts + (task.status === "completed" ? 1 : 0)
    lastMs = Math.max(lastMs, task.closedAtMs ?? 0)
    if (task.owner === null || task.status !== "completed") continue
    const row = agents.get(task.owner) ?? { agent: task.owner, completed: 0, fillers: 0, busyMs: 0 }
    agents.set(task.owner, row)
    row[task.filler ? "fillers" : "completed"] += 1
    row.busyMs += (task.closedAtMs ?? nowMs) - (task.claimedAtMs ?? task.closedAtMs ?? nowMs)
  }
  return {
    plan,
    makespanMs: (plan.finished ? lastMs : nowMs) - plan.addedAtMs,
    criticalPathMs: longestChain(state, state.board.tasksOf(id), (task) => state.specs.get(task)?.estimateMs ?? 0).ms,
    estimateMs,
    usage,
    attempts,
    agents: [...agents.values()].sort((a, b) => (a.agent < b.agent ? -1 : 1)),
    tasks: tasks.map(({ id: task, title, status, owner, filler, attempts: tries, estimateMs: estimate, claimedAtMs, closedAtMs, usage: used, reason }) => ({
      id: task,
      title,
      state: taskState(state, { id: task, status }),
      owner,
      filler,
      attempts: tries,
      estimateMs: estimate,
      claimedAtMs,
      closedAtMs,
      usage: used,
      reason,
    })),
  }
}
