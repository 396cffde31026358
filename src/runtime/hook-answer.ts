import type { HookCall } from "./hook-call.ts"

/** What Skein has to say at a hook. Nothing at all lets the agent work on. */
export type HookAnswer = {
  /** Why the edit is refused, for the model. */
  deny?: string
  /** What is put before the model. */
  context?: string
  /** At `stop`: what the agent is to go on with. */
  again?: string
  /** For the person at the terminal. */
  warning?: string
}

/** The answer in the agent's own dialect, for its standard output; the empty text where there is nothing to say. */
export function writeAnswer(call: HookCall, answer: HookAnswer): string {
  const fields = call.kind === "opencode" ? opencodeFields(answer) : fieldsOf(call, answer)
  return Object.keys(fields).length === 0 ? "" : `${JSON.stringify(fields)}\n`
}

function fieldsOf(call: HookCall, { deny, context, again, warning }: HookAnswer): Record<string, unknown> {
  const shown = warning === undefined ? {} : { systemMessage: warning }
  if (deny !== undefined) {
    if (call.kind === "gemini") return { decision: "deny", reason: deny, ...shown }
    return { hookSpecificOutput: { hookEventName: call.event, permissionDecision: "deny", permissionDecisionReason: deny }, ...shown }
  }
  if (again !== undefined) return { decision: call.kind === "gemini" ? "deny" : "block", reason: again, ...shown }
  if (context !== undefined && takesContext(call)) return { hookSpecificOutput: { hookEventName: call.event, additionalContext: context }, ...shown }
  return shown
}

/** Events whose answer reaches the model without stopping anything. */
function takesContext({ moment }: HookCall): boolean {
  return moment === "start" || moment === "prompt" || moment === "after"
}

/** What the plugin that `skein init` writes understands. */
function opencodeFields({ deny, context, again }: HookAnswer): Record<string, unknown> {
  return { ...(deny === undefined ? {} : { deny }), ...(context === undefined ? {} : { context }), ...(again === undefined ? {} : { again }) }
}
