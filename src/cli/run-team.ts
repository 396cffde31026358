import { SkeinError } from "../contract/errors.ts"
import type { AddPlan, PlanAgent } from "../core/plan.ts"
import type { HubConnection } from "./connection.ts"
import { UsageError } from "./failure.ts"
import type { PlanFile } from "./plan-file.ts"
import type { RunOptions } from "./run.ts"

/** The agents to start: those of the plan that it starts, fewer with --agents, more with --add. */
export function teamOf({ plan }: PlanFile, { agents, add = [] }: RunOptions): PlanAgent[] {
  const known = plan.agents.map(({ name }) => name)
  for (const name of [...(agents ?? []), ...add])
    if (!known.includes(name)) throw new UsageError(`the plan has no agent ${JSON.stringify(name)}`, `Its agents are ${known.join(", ")}.`)
  const team = plan.agents.filter(({ name, start }) => (agents === undefined ? start : agents.includes(name)))
  for (const name of add) {
    const like = plan.agents.find((agent) => agent.name === name)
    if (like === undefined) continue
    let number = 2
    while (known.includes(`${name}-${number}`)) number += 1
    known.push(`${name}-${number}`)
    team.push({ ...like, name: `${name}-${number}`, start: true })
  }
  if (team.length === 0) throw new UsageError("no agent would be started", "Set `start: true` for one in the plan, or name some with --agents.")
  return team
}

/** Told of a plan that is finished. */
export function nothingToDo(plan: string): string {
  return `${plan} is finished already: there is nothing to do. For a new run: skein plan cancel ${plan} --reason TEXT, then this command`
}

/** Adds the plan, or finds it; agents that were there already get the profile that the plan gives them. */
export async function addPlan(hub: HubConnection, plan: AddPlan, team: readonly PlanAgent[]): Promise<{ plan: string; created: boolean }> {
  const added = await hub.call("plan.add", plan)
  for (const { name, start: _, ...wanted } of [...plan.agents, ...team]) {
    const { role: __, ...profile } = wanted
    const present = await hub.call("agent.show", { name }).then(
      ({ agent }) => agent,
      (error: unknown) => {
        if (error instanceof SkeinError && error.code === "not_found") return null
        throw error
      },
    )
    if (present === null) {
      await hub.call("agent.add", { ...wanted, name }).catch((error: unknown) => {
        // Whoever runs the same plan at this moment was faster, and gave it the same profile.
        if (!(error instanceof SkeinError) || error.code !== "already_exists") throw error
      })
    } else {
      const changed = Object.entries(profile).filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(present[key as keyof typeof present]))
      if (changed.length > 0) await hub.call("agent.edit", { ...Object.fromEntries(changed), name, reason: `as plan ${added.plan} says` })
    }
  }
  return added
}
