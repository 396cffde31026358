import { presentAgent } from "./agent.ts"
import { type DirectiveEvent, directorOf, sent } from "./directive.ts"
import type { AgentId } from "./ids.ts"
import { instant } from "./instant.ts"
import type { Refusal } from "./refusal.ts"
import type { Workspace } from "./workspace.ts"

/** A person worked in an agent's terminal until then, in ms since 1970: what it was told there, the ledger has not heard. */
export type HandledAgent = { agent: AgentId; untilMs: number }

/** Tells those who direct, before automation goes on with that agent: the orchestrators, and the operator where there is none. */
export function decideHandled(state: Workspace, { agent: name, untilMs: saidMs }: HandledAgent, nowMs: number): DirectiveEvent[] | Refusal {
  const agent = presentAgent(state, name)
  if ("refused" in agent) return agent
  const untilMs = Math.min(saidMs, nowMs)
  const role = directorOf(state)
  const tasks = state.board.heldBy(name).map(({ id }) => id)
  const holding = tasks.length === 0 ? "It holds no task." : `It holds ${tasks.join(", ")}.`
  const text = `A person worked in the terminal of ${name} until ${instant(untilMs)}. ${holding} What was agreed there is not on the ledger: ask it where it stands.`
  return [
    sent(
      { kind: "info", directive: null, to: { role }, task: null, priority: "normal", text, payload: { agent: name, untilMs }, requiresAck: false },
      null,
      "hub",
    ),
  ]
}
