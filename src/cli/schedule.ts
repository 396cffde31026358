import { meets } from "../core/ready.ts"
import type { AddPlan, PlanAgent, PlanTask } from "../core/plan.ts"
import { showDuration } from "./quantity.ts"

/** Plans with more tasks than this are not scheduled on paper: it is advice, and must not cost minutes. */
const TASKS_MAX = 2_000
/** Agents that are advised on top of each other at the most. */
const STEPS_MAX = 3

type Job = { ms: number; requires: Readonly<Record<string, number>>; dependsOn: string[]; pathMs: number; prefers: string | null }

/** Which agents to add to get further: each step is the one more agent that shortens the plan most, by a list schedule of its estimates. */
export function adviseTeam({ tasks, maxActiveAgents }: AddPlan, team: readonly PlanAgent[]): string[] {
  const jobs = jobsOf(tasks)
  if (jobs === null) return []
  const advice: string[] = []
  const now = [...team]
  let beforeMs = listSchedule(jobs, now, maxActiveAgents)
  const boundMs = Math.max(...[...jobs.values()].map(({ pathMs }) => pathMs))
  for (let step = 0; step < STEPS_MAX && beforeMs > boundMs; step += 1) {
    let best: { like: PlanAgent; ms: number } | null = null
    for (const like of team) {
      const most = maxActiveAgents === null ? null : Math.max(maxActiveAgents, now.length + 1)
      const ms = listSchedule(jobs, [...now, like], most)
      if (ms < (best?.ms ?? beforeMs)) best = { like, ms }
    }
    if (best === null) break
    now.push(best.like)
    advice.push(
      `${step === 0 ? "add" : "and"} a further ${best.like.name}: ${showDuration(best.ms)} instead of ${showDuration(beforeMs)} by its estimates (--add ${best.like.name})`,
    )
    beforeMs = best.ms
  }
  return advice
}

/** Null where estimates are missing, or there are too many tasks. */
function jobsOf(tasks: readonly PlanTask[]): Map<string, Job> | null {
  const real = tasks.filter(({ filler }) => filler !== true)
  if (real.length === 0 || real.length > TASKS_MAX || real.some(({ estimateMs }) => estimateMs === undefined || estimateMs === null)) return null
  const jobs = new Map(
    real.map(({ id, estimateMs, requires = {}, dependsOn = [], prefers = null }) => [id, { ms: estimateMs ?? 0, requires, dependsOn, pathMs: 0, prefers }]),
  )
  // From the ends towards the beginnings, as often as the longest chain has links.
  for (let changed = true; changed;) {
    changed = false
    for (const job of jobs.values()) {
      job.pathMs = Math.max(job.pathMs, job.ms)
      for (const dependency of job.dependsOn) {
        const before = jobs.get(dependency)
        if (before !== undefined && before.pathMs < before.ms + job.pathMs) {
          before.pathMs = before.ms + job.pathMs
          changed = true
        }
      }
    }
  }
  return jobs
}

/** The makespan in ms when each agent that is free takes the ready task with the longest chain behind it; Infinity where somebody is missing. */
function listSchedule(jobs: ReadonlyMap<string, Job>, team: readonly PlanAgent[], maxActive: number | null): number {
  const endsMs = new Map<string, number>()
  const open = new Set(jobs.keys())
  const busyUntilMs = team.map(() => 0)
  let nowMs = 0
  for (;;) {
    const ready = [...open].filter((id) => (jobs.get(id)?.dependsOn ?? []).every((dependency) => (endsMs.get(dependency) ?? Infinity) <= nowMs))
    ready.sort((a, b) => (jobs.get(b)?.pathMs ?? 0) - (jobs.get(a)?.pathMs ?? 0))
    for (const id of ready) {
      const job = jobs.get(id) as Job
      if (busyUntilMs.filter((until) => until > nowMs).length >= (maxActive ?? Infinity)) break
      const free = team.flatMap((agent, at) => ((busyUntilMs[at] ?? 0) <= nowMs && meets({ capabilities: agent.capabilities ?? {} }, job.requires) ? [at] : []))
      // Whoever knows the least else is the one to spare.
      free.sort(
        (a, b) =>
          Number(team[b]?.name === job.prefers) - Number(team[a]?.name === job.prefers) ||
          Object.keys(team[a]?.capabilities ?? {}).length - Object.keys(team[b]?.capabilities ?? {}).length,
      )
      const [at] = free
      if (at === undefined) continue
      open.delete(id)
      busyUntilMs[at] = nowMs + job.ms
      endsMs.set(id, nowMs + job.ms)
    }
    if (open.size === 0) return Math.max(0, ...endsMs.values())
    const next = Math.min(...[...endsMs.values()].filter((until) => until > nowMs))
    if (next === Infinity) return Infinity
    nowMs = next
  }
}
