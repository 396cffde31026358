import type { AddPlan, PlanAgent, PlanTask } from "../../core/plan.ts"
import { priceOf, type Price, type Tokens } from "../../core/usage.ts"
import type { Faults } from "./faults.ts"

/** One of a simulated team. `success`: its true chance in a skill, 0 to 1, whatever it declares; a skill that is left out follows from its levels. */
export type Member = PlanAgent & { success?: Readonly<Record<string, number>> }

/** All that is simulated, but for the seed. */
export type Scenario = {
  plan: AddPlan
  team: readonly Member[]
  faults: Faults
  /** The standard deviation of a duration's logarithm: 0.25 means that two of three tasks take from 78 % to 128 % of their estimate. */
  spread: number
  prices: ReadonlyMap<string, Price>
  /** What a task is taken to last that says nothing of it, in ms. */
  estimateMs: number
}

/** What an hour at work takes of a model, where only the model's price is known: mostly text that is read again from its cache. */
const TOKENS_PER_HOUR: Tokens = { inputTokens: 100_000, outputTokens: 60_000, cacheReadTokens: 5_000_000, cacheWriteTokens: 400_000 }
const HOUR_MS = 3_600_000

/** How long a task is planned to last, in ms: its estimate, else its stand-in work, else what is assumed of all. */
export function plannedMs({ estimateMs, run }: Pick<PlanTask, "estimateMs" | "run">, { estimateMs: assumedMs }: Pick<Scenario, "estimateMs">): number {
  return estimateMs ?? (run !== undefined && run !== null && "standIn" in run ? run.standIn.ms : assumedMs)
}

/**
 * What `ms` of an agent on a task cost, in whole micro-USD: by the task's planned cost, else by the agent's hour, else by the price of the task's or the agent's
 * model; null where none of them is known.
 */
export function costOf(task: PlanTask, { model, costPerHourMicroUsd = 0 }: Member, ms: number, scenario: Scenario): number | null {
  const { run } = task
  if (run !== undefined && run !== null && "standIn" in run) {
    const wholeMs = plannedMs(task, scenario)
    return wholeMs === 0 ? run.standIn.costMicroUsd : Math.round((run.standIn.costMicroUsd * ms) / wholeMs)
  }
  if (costPerHourMicroUsd > 0) return Math.round((costPerHourMicroUsd * ms) / HOUR_MS)
  const price = priceOf(scenario.prices, task.model ?? model ?? null)
  if (price === null) return null
  const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens } = TOKENS_PER_HOUR
  const perHour = inputTokens * price.input + outputTokens * price.output + cacheReadTokens * price.cacheRead + cacheWriteTokens * price.cacheWrite
  return Math.round((perHour * ms) / HOUR_MS)
}

/** The plan's real work. */
export function realTasks({ tasks }: AddPlan): PlanTask[] {
  return tasks.filter(({ filler }) => filler !== true)
}

/** The longest chain of real work by what is planned, in ms: no team is faster. Tasks MUST be free of cycles, which the check of a plan file sees to. */
export function criticalPathMs(scenario: Pick<Scenario, "plan" | "estimateMs">): number {
  const tasks = new Map(realTasks(scenario.plan).map((task) => [task.id, task]))
  const endsMs = new Map<string, number>()
  const stack = [...tasks.keys()]
  while (stack.length > 0) {
    const task = tasks.get(stack.at(-1) as string) as PlanTask
    const before = (task.dependsOn ?? []).filter((id) => tasks.has(id))
    const open = before.filter((id) => !endsMs.has(id))
    if (open.length > 0) stack.push(...open)
    else endsMs.set(stack.pop() as string, before.reduce((ms, id) => Math.max(ms, endsMs.get(id) ?? 0), 0) + plannedMs(task, scenario))
  }
  return Math.max(0, ...endsMs.values())
}
