import { type Alert, ALERTS_PER_KIND } from "../core/alerts.ts"
import type { Loop } from "../hub/loop.ts"

/** Whom the policy denied something within the hour, counted: what this hub remembers, since no entry tells of it. */
export function policyAlerts({ policy }: Pick<Loop, "policy">, nowMs: number): Alert[] {
  const denials = policy.log.denials(nowMs).slice(0, ALERTS_PER_KIND)
  return denials.map(({ agent, action, rule, fault, count }) => {
    const by = fault !== null ? `a fault of the policy (${fault})` : rule === null ? "the policy, of which no rule permits it" : `rule ${rule} of the policy`
    const text = `${agent} was denied ${action} ${count === 1 ? "once" : `${count} times`} lately by ${by}`
    return {
      kind: fault === null ? "policy_denied" : "policy_failed",
      text,
      remedy: "See which: skein policy log --decision deny",
      task: null,
      agent,
      about: rule === null ? action : `${action} ${rule}`,
    }
  })
}
