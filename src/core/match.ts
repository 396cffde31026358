import type { Skills } from "./agent.ts"
import type { Posterior } from "./posterior.ts"
import { hasSkill } from "./posterior.ts"

/** An agent is eligible for a task from this share of the required skills on. */
const ELIGIBLE_MATCH = 0.7

/** What is believed of an agent in a skill; undefined where nothing was seen yet. */
export type Beliefs = (skill: string) => Posterior | undefined

/** The share of the required skills, each at its level, that the agent has by its word or by what it learned: 0 to 1; 1 where nothing is required. */
export function matchOf(capabilities: Skills, beliefs: Beliefs, requires: Skills): number {
  let asked = 0
  let had = 0
  for (const skill in requires) {
    asked += 1
    if (hasSkill(capabilities, beliefs, skill, requires[skill] as number)) had += 1
  }
  return asked === 0 ? 1 : had / asked
}

export function isEligible(capabilities: Skills, beliefs: Beliefs, requires: Skills): boolean {
  return matchOf(capabilities, beliefs, requires) >= ELIGIBLE_MATCH
}
