import type { Agent, Skills, Standing } from "./agent.ts"
import type { Beliefs } from "./match.ts"
import { chanceOf, meanOf, prior } from "./posterior.ts"

/** What a success is worth, and what a failure costs beyond its own price: in units of the mean cost of a task. */
const SUCCESS_WORTH = 4
const FAILURE_HARM = 0.5

const DECLARED_MEAN = meanOf(prior(true))
const UNDECLARED_MEAN = meanOf(prior(false))

/** What the coordinator looks at in an agent. */
export type Rated = Pick<Agent, "capabilities"> & Standing

/** The mean belief in each required skill, in the order of `requires`. */
export function meansOf({ capabilities, baseWeight = DECLARED_MEAN }: Rated, beliefs: Beliefs, requires: Skills): number[] {
  const means: number[] = []
  for (const skill in requires) {
    const belief = beliefs(skill)
    if (belief !== undefined) means.push(meanOf(belief))
    else means.push(Object.hasOwn(capabilities, skill) && (capabilities[skill] as number) >= (requires[skill] as number) ? baseWeight : UNDECLARED_MEAN)
  }
  return means
}

/** How many times as much a success of this agent is worth as one of an agent of which nothing is said. */
export function worthOf({ successBonus = 1, tier = 1 }: Standing): number {
  return successBonus * (1 + (tier - 1) / 4)
}

/**
 * `chance`: of success, 0 to 1. `cost`: expected, in units of the mean cost. `worth`: a factor on what a success is worth. Ranges from −FAILURE_HARM − cost to
 * SUCCESS_WORTH × worth − cost.
 */
export function scoreOf(chance: number, cost: number, worth = 1): number {
  return SUCCESS_WORTH * worth * chance - cost - FAILURE_HARM * (1 - chance)
}

/** The score of an agent for what a task requires. */
export function scoreFor(agent: Rated, beliefs: Beliefs, requires: Skills, cost: number): number {
  return scoreOf(chanceOf(meansOf(agent, beliefs, requires)), cost, worthOf(agent))
}

/** The first of the best scores; -1 of none. */
export function bestOf(scores: readonly number[]): number {
  let best = -1
  scores.forEach((score, at) => {
    if (best < 0 || score > (scores[best] as number)) best = at
  })
  return best
}
