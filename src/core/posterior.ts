import type { Skills } from "./agent.ts"

/**
 * What is believed of one agent and one skill: a Beta distribution over the chance that it succeeds (`good`, `bad`), and the evidence that it has lately
 * become better than believed (`rise`, a likelihood ratio; see `bloomer.ts`). Built of + − × ÷ alone, so that every hub folds it to the same bits.
 */
export type Posterior = {
  good: number
  bad: number
  /** 1 or more: how many times likelier the latest outcomes are if it has bloomed. */
  rise: number
  /** The highest level of a task on which it succeeded, 0 before the first: what it learned holds up to there. */
  level: number
  /** Outcomes so far. */
  seen: number
  /** The entry of the latest outcome; 0 before the first. */
  lastSeq: number
}

/** What a declaration is worth before anything was seen: a mean of 0.8, and 0.25 without one. Each weighs as much as three outcomes. */
const DECLARED = { good: 2.4, bad: 0.6 }
const UNDECLARED = { good: 0.75, bad: 2.25 }
const PRIOR_OUTCOMES = 3
/** Each outcome takes this much from the weight of those before it: what an agent can do changes. */
export const DISCOUNT = 0.998
/** A skill counts as learned from this mean on. */
export const LEARNED_MEAN = 0.7

/** `mean`: what is believed of a declared skill of this agent; as of anybody's where nobody said. */
export function prior(declared: boolean, mean?: number): Posterior {
  const known = !declared ? UNDECLARED : mean === undefined ? DECLARED : { good: PRIOR_OUTCOMES * mean, bad: PRIOR_OUTCOMES * (1 - mean) }
  return { ...known, rise: 1, level: 0, seen: 0, lastSeq: 0 }
}

/** The expected chance of success, above 0 and below 1. */
export function meanOf({ good, bad }: Pick<Posterior, "good" | "bad">): number {
  return good / (good + bad)
}

/** The standard deviation of the chance: how much is still unknown. */
export function deviationOf({ good, bad }: Pick<Posterior, "good" | "bad">): number {
  const weight = good + bad
  return Math.sqrt((good * bad) / (weight * weight * (weight + 1)))
}

/** The chance of success on a task that asks for several skills: the geometric mean; 1 where it asks for none. */
export function chanceOf(means: readonly number[]): number {
  if (means.length === 1) return means[0] as number
  let product = 1
  for (const mean of means) product *= mean
  return means.length === 2 ? Math.sqrt(product) : rootOf(product, means.length)
}

/** The root of that degree out of square roots, one for each binary digit of 1 / degree: `pow` differs from machine to machine. */
function rootOf(value: number, degree: number): number {
  if (degree === 0) return 1
  let root = 1
  let factor = value
  let left = 1 / degree
  for (let digit = 0; digit < 50 && left > 0; digit += 1) {
    factor = Math.sqrt(factor)
    left *= 2
    if (left < 1) continue
    root *= factor
    left -= 1
  }
  return root
}

/** How the blame for one failure is split over its skills, in proportion to 1 − mean: the weakest is the likeliest cause. Sums to 1. */
export function blameOf(means: readonly number[]): number[] {
  let total = 0
  for (const mean of means) total += 1 - mean
  return means.map((mean) => (1 - mean) / total)
}

/** `weight`: the share of the outcome that this skill answers for, 0 to 1; all of a success, its part of the blame for a failure. */
export type Observation = { success: boolean; weight: number; level: number; seq: number }

/** The belief after one more outcome. */
export function observed(before: Posterior, { success, weight, level, seq }: Observation): Posterior {
  return {
    ...before,
    good: before.good * DISCOUNT + (success ? weight : 0),
    bad: before.bad * DISCOUNT + (success ? 0 : weight),
    level: success && level > before.level ? level : before.level,
    seen: before.seen + 1,
    lastSeq: seq,
  }
}

/** Whether an agent counts as having a skill at a level: because it says so, or because it was seen to. */
export function hasSkill(capabilities: Skills, learned: (skill: string) => Posterior | undefined, skill: string, level: number): boolean {
  return (Object.hasOwn(capabilities, skill) && (capabilities[skill] as number) >= level) || isLearned(learned(skill), level)
}

function isLearned(learned: Posterior | undefined, level: number): boolean {
  return learned !== undefined && learned.level >= level && meanOf(learned) >= LEARNED_MEAN
}
