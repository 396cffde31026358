import type { Role } from "./entry.ts"
import type { AgentId } from "./ids.ts"

/** To whom something goes: one agent, all of a role, or everyone. */
export type Target = { agent: AgentId } | { role: Role } | { everyone: true }

/** The inbox that a target's notices wait in. */
export function inboxOf(to: Target): string {
  if ("agent" in to) return `agent:${to.agent}`
  return "role" in to ? `role:${to.role}` : "everyone"
}
