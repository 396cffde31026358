import type { Agent } from "./agent.ts"
import type { AgentId } from "./ids.ts"
import { beliefsOf } from "./judgement.ts"
import { deviationOf, hasSkill, meanOf, prior } from "./posterior.ts"
import type { Workspace } from "./workspace.ts"

/** A skill of an agent: what it says, what was seen, and what follows. */
export type ManifestSkill = {
  skill: string
  /** The level that it declares, 1 to 5; null where it declares none. */
  declared: number | null
  /** The highest level on which it succeeded where it counts as learned; null where it does not. */
  learned: number | null
  /** The expected chance of success, and its standard deviation. */
  mean: number
  deviation: number
  /** Outcomes so far. */
  seen: number
}

/** What an agent is, can, costs and may hold: its profile, with what its work has shown of it. */
export type Manifest = Omit<Agent, "credentials" | "addedSeq" | "capabilities" | "heartbeatMs"> & { skills: ManifestSkill[] }

/** Derived whenever it is asked for: it documents itself, and cannot be out of date. Null for an agent that does not exist. */
export function manifestOf(state: Workspace, agent: AgentId): Manifest | null {
  const found = state.agents.get(agent)
  if (found === undefined) return null
  const { credentials: _, addedSeq: __, heartbeatMs: ___, capabilities, ...profile } = found
  const beliefs = beliefsOf(state, agent)
  const names = new Set([...Object.keys(capabilities), ...(state.seen.of(agent)?.keys() ?? [])])
  const skills = [...names].sort().map((skill): ManifestSkill => {
    const declared = Object.hasOwn(capabilities, skill) ? (capabilities[skill] as number) : null
    const belief = beliefs(skill) ?? prior(declared !== null, found.baseWeight)
    const learned = belief.level > 0 && hasSkill({}, () => belief, skill, belief.level) ? belief.level : null
    return { skill, declared, learned, mean: meanOf(belief), deviation: deviationOf(belief), seen: belief.seen }
  })
  return { ...profile, skills }
}
