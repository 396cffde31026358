import type { Skills } from "./agent.ts"
import type { Beliefs } from "./match.ts"
import { chanceOf, meanOf, prior } from "./posterior.ts"

/** What a success is worth, and what a failure costs beyond its own price: in units of the mean cost of a task. */
const SUCCESS_WORTH = 4
const FAILURE_HARM = 0.5

const DECLARED_MEAN = meanOf(prior(true))
const UNDECLARED_MEAN = meanOf(prior(false))

/** The mean belief in each required skill, in the order of `requires`. */
export function meansOf(capabilities: Skills, beliefs: Beliefs, requires: Skills): number[] {
  const means: number[] = []
  for (const skill in requires) {
    const belief = beliefs(skill)
    if (belief !== undefined) means.push(meanOf(belief))
    else means.push(Object.hasOwn(capabilities, skill) && (capabilities[skill] as number) >= (requires[skill] as number) ? DECLARED_MEAN : UNDECLARED_MEAN)
  }
  return means
}

/** `chance`: of success, 0 to 1. `cost`: expected, in units of the mean cost. Ranges from −FAILURE_HARM − cost to SUCCESS_WORTH − cost. */
export function scoreOf(chance: number, cost: number): number {
  return SUCCESS_WORTH * chance - cost - FAILURE_HARM * (1 - chance)
}

/** The score of an agent for what a task requires. */
export function scoreFor(capabilities: Skills, beliefs: Beliefs, requires: Skills, cost: number): number {
  return scoreOf(chanceOf(meansOf(capabilities, beliefs, requires)), cost)
}

/** The first of the best scores; -1 of none. */
export function bestOf(scores: readonly number[]): number {
  let best = -1
  scores.forEach((score, at) => {
    if (best < 0 || score > (scores[best] as number)) best = at
  })
  return best
}
