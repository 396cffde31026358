import { meansOf } from "./coordinator.ts"
import type { AgentId, TaskId } from "./ids.ts"
import { beliefsOf } from "./judgement.ts"
import { isEligible, matchOf } from "./match.ts"
import { chanceOf } from "./posterior.ts"
import type { Workspace } from "./workspace.ts"

/** How an agent stands to a task: `match` is the share of the required skills that it has, `chance` the expected chance of success, both 0 to 1. */
export type Candidate = { agent: AgentId; isEligible: boolean; match: number; chance: number; tasks: number }

/** Every agent that is there, by how well it fits the task: who may take it first, then by chance. `tasks`: what it works on already. */
export function candidatesFor(state: Workspace, task: TaskId): Candidate[] {
  const requires = state.specs.get(task)?.requires ?? {}
  const found: Candidate[] = []
  for (const agent of state.agents.values()) {
    const { name, status, capabilities } = agent
    if (status !== "present") continue
    const beliefs = beliefsOf(state, name)
    found.push({
      agent: name,
      isEligible: isEligible(capabilities, beliefs, requires),
      match: matchOf(capabilities, beliefs, requires),
      chance: chanceOf(meansOf(agent, beliefs, requires)),
      tasks: state.board.activeOf(name),
    })
  }
  return found.sort((a, b) => Number(b.isEligible) - Number(a.isEligible) || b.chance - a.chance || a.tasks - b.tasks || (a.agent < b.agent ? -1 : 1))
}
