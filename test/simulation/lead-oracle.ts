import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; actor: Actor; commandId: string | null; data: Readonly<Record<string, unknown>> }>

/** Who directs, without the core: orchestrators, and the operator where there is none. They are asked for reviews, and told where a person worked in a terminal. */
export class LeadOracle {
  readonly #leads = new Set<AgentId>()
  /** A review that has to be asked for next. */
  #owed: { by: string; where: string } | null = null

  /** Whether an orchestrator is there. */
  get isLed(): boolean {
    return this.#leads.size > 0
  }

  /** Who has to see to what a director has to. */
  get director(): Actor["role"] {
    return this.isLed ? "orchestrator" : "operator"
  }

  /** Reads an entry. Gives what is wrong, or null. */
  read({ seq, type, actor, commandId, data }: Said): string | null {
    const by = `${actor.agent} ${commandId}`
    const where = `entry ${seq}: ${type} by ${actor.agent}`
    const owed = this.#owed
    this.#owed = null
    if (type === "agent.added" && (data["profile"] as { role: string }).role === "orchestrator") this.#leads.add(data["name"] as AgentId)
    if (type === "agent.retired") this.#leads.delete(data["name"] as AgentId)
    const asks = type === "event.sent" && data["kind"] === "request_review" && commandId?.startsWith("event.send-") !== true
    if (owed !== null && !(asks && owed.by === by)) return `${owed.where}, and nobody is asked for a review`
    if (type === "task.submitted") this.#owed = { by, where }
    if (!asks && !(type === "event.sent" && commandId?.startsWith("agent.handled-") === true)) return null
    const { role = null } = data["to"] as { role?: string }
    return role === this.director ? null : `${where} to ${JSON.stringify(data["to"])}, which is for the ${this.director} to see to`
  }
}
