import type { Target } from "./directive.ts"

/** The inbox that a target's notices wait in. */
export function inboxOf(to: Target): string {
  if ("agent" in to) return `agent:${to.agent}`
  return "role" in to ? `role:${to.role}` : "everyone"
}
