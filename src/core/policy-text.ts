import type { Entry, Recorded } from "./entry.ts"
import type { AgentId, Seq } from "./ids.ts"
import type { Workspace } from "./workspace.ts"

/** One change of the policy: the entry `seq` holds the text. `shipped`: the shipped policy holds again from there on. */
export type PolicyChange = { seq: Seq; atMs: number; by: AgentId; reason: string; shipped: boolean }

/** The policy in force. Text is Cedar's; null: the shipped policy, which permits what the roles do. It was validated before it was decided. */
export type PolicyText = { text: string | null; history: readonly PolicyChange[] }

export type SetPolicy = { text: string | null; reason: string }
export type PolicyTextEvent = Recorded<"policy.set", SetPolicy>

/** Bytes of UTF-8: with its quotes and line breaks escaped it must fit into one entry. */
export const POLICY_MAX_BYTES = 32_768
/** Older changes are in the ledger alone. */
const HISTORY_MAX = 200
const KEY = "policy"

/** The policy that somebody set, or null where the shipped one holds. */
export function policyText(state: Workspace): PolicyText | null {
  return state.policyTexts.get(KEY) ?? null
}

/** The text is Cedar's business: whoever submits this command MUST have validated it. The same text again is no change. */
export function decideSetPolicy(state: Workspace, { text, reason }: SetPolicy): PolicyTextEvent[] {
  return (policyText(state)?.text ?? null) === text ? [] : [{ type: "policy.set", data: { text, reason } }]
}

export function evolvePolicyText(state: Workspace, { data: { text, reason } }: PolicyTextEvent, { seq, atMs, actor }: Entry): void {
  const change: PolicyChange = { seq, atMs, by: actor.agent, reason, shipped: text === null }
  state.policyTexts.put(KEY, { text, history: [...(policyText(state)?.history ?? []), change].slice(-HISTORY_MAX) })
}
