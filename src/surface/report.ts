import type { Output } from "../contract/operations.ts"
import { longestChain } from "../core/critical-path.ts"
import type { PlanId } from "../core/ids.ts"
import { taskState, viewPlan } from "../core/view.ts"
import type { Workspace } from "../core/workspace.ts"

type Report = Output<"plan.report">

/** A plan's report as far as the state has it, or null where there is no such plan. Its tasks are as the first step saw them: what comes after it works on that. */
export function* reportOf(state: Workspace, id: PlanId, nowMs: number): Generator<void, Report | null> {
  const plan = viewPlan(state, id)
  if (plan === null) return null
  const ids = [...state.board.tasksOf(id)]
  const seen = ids.map((task) => ({ spec: state.specs.get(task)!, task: state.tasks.get(task)!, at: taskState(state, state.tasks.get(task)!) }))
  seen.sort((a, b) => a.task.addedSeq - b.task.addedSeq)
  yield
  const criticalPathMs = longestChain(state, ids, (task) => state.specs.get(task)?.estimateMs ?? 0).ms
  yield
  const usage = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
  const agents = new Map<string, Report["agents"][number]>()
  let estimateMs = 0
  let attempts = 0
  let lastMs = plan.addedAtMs
  for (const { spec, task } of seen) {
    usage.costMicroUsd += task.usage.costMicroUsd
    usage.inputTokens += task.usage.inputTokens
    usage.outputTokens += task.usage.outputTokens
    estimateMs += spec.estimateMs ?? 0
    attempts += task.attempts + (task.status === "completed" ? 1 : 0)
    lastMs = Math.max(lastMs, task.closedAtMs ?? 0)
    if (task.owner === null || task.status !== "completed") continue
    const row = agents.get(task.owner) ?? { agent: task.owner, completed: 0, fillers: 0, busyMs: 0 }
    agents.set(task.owner, row)
    row[spec.filler ? "fillers" : "completed"] += 1
    row.busyMs += (task.closedAtMs ?? nowMs) - (task.claimedAtMs ?? task.closedAtMs ?? nowMs)
  }
  return {
    plan,
    makespanMs: (plan.finished ? lastMs : nowMs) - plan.addedAtMs,
    criticalPathMs,
    estimateMs,
    usage,
    attempts,
    agents: [...agents.values()].sort((a, b) => (a.agent < b.agent ? -1 : 1)),
    tasks: seen.map(({ spec: { title, filler, estimateMs: estimate }, task, at }) => ({
      id: task.id,
      title,
      state: at,
      owner: task.owner,
      filler,
      attempts: task.attempts,
      estimateMs: estimate,
      claimedAtMs: task.claimedAtMs,
      closedAtMs: task.closedAtMs,
      usage: task.usage,
      reason: task.reason,
    })),
  }
}
