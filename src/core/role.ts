import type { Role } from "./entry.ts"

/**
 * Which roles may do what the given one may at the least. Workers, orchestrators and the operator form one ladder; a supervisor registers
 * sessions and mints their tokens but overrides nothing, so it stands beside the ladder, as plugins do.
 */
const MAY: Record<Role, readonly Role[]> = {
  observer: ["observer", "plugin", "worker", "supervisor", "orchestrator", "operator"],
  plugin: ["plugin", "operator"],
  worker: ["worker", "orchestrator", "operator"],
  supervisor: ["supervisor", "operator"],
  orchestrator: ["orchestrator", "operator"],
  operator: ["operator"],
}

export const ROLES = Object.keys(MAY) as Role[]

/** Whether a caller of `role` may do what asks for `least`. */
export function permits(least: Role, role: Role): boolean {
  return MAY[least].includes(role)
}

/** The role in a sentence: `a worker`, `an observer`, `the operator`, of whom there is one. */
export function aRole(role: Role): string {
  return role === "operator" ? "the operator" : `${/^[aeiou]/.test(role) ? "an" : "a"} ${role}`
}
