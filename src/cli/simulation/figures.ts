import { isCalm, parseFaults } from "./faults.ts"
import type { Scenario } from "./scenario.ts"
import { runTrial, type Trial } from "./trial.ts"

/** Of many runs: a tenth was at or under the first, half, and nine tenths. */
export type Quantiles = { p10: number; p50: number; p90: number }

/** What runs of one team came to; times in ms, money in micro-USD. Quantiles are of the runs that finished, and null where none did. */
export type Figures = {
  runs: number
  finished: number
  makespanMs: Quantiles | null
  costMicroUsd: Quantiles | null
  wastedMicroUsd: Quantiles | null
  waitingMs: Quantiles | null
  conflicts: Quantiles | null
  conflictMs: Quantiles | null
  idleMs: Quantiles | null
  /** How many times as fast as one agent alone that takes as long for each task. */
  speedup: Quantiles | null
}

export function figuresOf(trials: readonly Trial[]): Figures {
  const done = trials.filter(({ finished }) => finished)
  const of = (figure: (trial: Trial) => number): Quantiles | null => quantiles(done.map(figure))
  return {
    runs: trials.length,
    finished: done.length,
    makespanMs: of(({ makespanMs }) => makespanMs),
    costMicroUsd: of(({ costMicroUsd }) => costMicroUsd),
    wastedMicroUsd: of(({ wastedMicroUsd }) => wastedMicroUsd),
    waitingMs: of(({ waitingMs }) => waitingMs),
    conflicts: of(({ conflicts }) => conflicts),
    conflictMs: of(({ conflictMs }) => conflictMs),
    idleMs: of(({ idleMs }) => idleMs),
    speedup: of(speedupOf),
  }
}

/** How many times as fast as one agent alone. */
export function speedupOf({ workMs, makespanMs }: Pick<Trial, "workMs" | "makespanMs">): number {
  return makespanMs === 0 ? 1 : workMs / makespanMs
}

/** The same with everything as estimated and nothing that goes wrong. */
export function calmed(scenario: Scenario): Scenario {
  return { ...scenario, spread: 0, faults: parseFaults("none"), team: scenario.team.map(({ success: _, ...member }) => member) }
}

/** Whether every seed gives the same run. */
export function isCertain({ spread, faults, team }: Scenario): boolean {
  return spread === 0 && isCalm(faults) && team.every(({ success }) => success === undefined)
}

/** By the nearest rank: each is a value that occurred. */
export function quantiles(values: readonly number[]): Quantiles | null {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): number => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] as number
  return { p10: at(0.1), p50: at(0.5), p90: at(0.9) }
}

/** One run for each seed. */
export async function runTrials(scenario: Scenario, seeds: readonly number[]): Promise<Trial[]> {
  const trials: Trial[] = []
  for (const seed of seeds) trials.push(await runTrial(scenario, seed))
  return trials
}
