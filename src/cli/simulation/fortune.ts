import type { Skills } from "../../core/agent.ts"
import { fnv1a } from "../../core/fnv.ts"
import type { PlanTask } from "../../core/plan.ts"
import { chanceOf } from "../../core/posterior.ts"
import { Chance } from "./chance.ts"
import { type Member, plannedMs, type Scenario } from "./scenario.ts"

/** How one attempt goes: it ends so after `ms`. `resetMs`: how long the provider asks to be left alone. */
export type Fortune = { end: "done" | "failed" | "crashed" | "throttled"; ms: number; resetMs: number; reason: string }

/** A time in which one model, or one account, answers nobody. */
export type Outage = { what: "model" | "account"; name: string; fromMs: number; toMs: number }

/** What somebody succeeds with at a skill that it has not: as the governor expects it of whoever does not declare it. */
const UNSKILLED = 0.25
const MINUTE_MS = 60_000

/**
 * The true chance that an attempt succeeds: the geometric mean over the skills asked for. Who just meets a level fails with the chance `fail`, who stands one level above
 * it with half of that, and so on.
 */
export function successChance({ capabilities = {}, success = {} }: Member, requires: Skills, fail: number): number {
  const chances = Object.entries(requires).map(([skill, level]) => {
    const known = success[skill]
    if (known !== undefined) return known
    const above = (capabilities[skill] ?? 0) - level
    return above < 0 ? UNSKILLED : 1 - fail / (1 + above)
  })
  return chances.length === 0 ? 1 - fail : chanceOf(chances)
}

/**
 * Draws how an attempt goes. What is drawn follows from the seed, the task and the number of the attempt, and not from who makes it or when: two teams
 * are compared under the same luck.
 */
export function drawFortune(scenario: Scenario, member: Member, task: PlanTask, seed: number, attempt: number): Fortune {
  const chance = new Chance(seed, fnv1a(`${task.id} ${attempt}`))
  const ms = Math.round(plannedMs(task, scenario) * factor(chance, scenario.spread))
  const luck = chance.below(1_000_000) / 1_000_000
  const mishap = chance.below(1_000_000) / 1_000_000
  const partMs = Math.round((ms * chance.between(1, 99)) / 100)
  const resetMs = chance.between(5, 60) * MINUTE_MS
  const { crash, throttle, fail } = task.filler === true ? { crash: 0, throttle: 0, fail: 0 } : scenario.faults
  if (mishap < crash) return { end: "crashed", ms: partMs, resetMs: 0, reason: "" }
  if (mishap < crash + throttle) return { end: "throttled", ms: partMs, resetMs, reason: "HTTP 429" }
  if (luck < successChance(member, task.requires ?? {}, fail)) return { end: "done", ms, resetMs: 0, reason: "" }
  return { end: "failed", ms, resetMs: 0, reason: "its tests do not pass" }
}

/** An attempt while what it needs answers nobody: it fails within a minute. */
export function inOutage({ name }: Outage, { ms }: Fortune): Fortune {
  return { end: "failed", ms: Math.min(ms, MINUTE_MS), resetMs: 0, reason: `HTTP 503: ${name} does not answer` }
}

/** The time of the outage that a seed brings: it begins in the first half of the plan's work, and hits a model where any is named, else an account. */
export function drawOutage(scenario: Scenario, seed: number, aboutMs: number): Outage | null {
  if (scenario.faults.outage === 0) return null
  const chance = new Chance(seed, 0)
  const models = new Set([...scenario.plan.tasks, ...scenario.team].flatMap(({ model }) => model ?? []))
  const accounts = new Set(scenario.team.map(({ name, account }) => account ?? `agent/${name}`))
  const fromMs = chance.below(Math.max(1, Math.floor(aboutMs / 2)))
  const what = models.size > 0 ? "model" : "account"
  return { what, name: chance.pick([...(models.size > 0 ? models : accounts)].sort()), fromMs, toMs: fromMs + scenario.faults.outage }
}

/** What an estimate is out by: log-normal with a median of 1. The normal variate is a sum of twelve, so that no seed lasts for ever. */
function factor(chance: Chance, spread: number): number {
  let normal = -6
  for (let at = 0; at < 12; at += 1) normal += chance.below(1_000_000) / 1_000_000
  return Math.exp(spread * normal)
}
