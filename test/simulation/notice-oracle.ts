import type { Target } from "../../src/core/directive.ts"
import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; actor: Actor; data: Readonly<Record<string, unknown>> }>

/** Notices that ask for an acknowledgement, without the core: each waits for whom it is for until that one acknowledges it, which nobody else can, and once. */
export class NoticeOracle {
  readonly #waiting = new Map<Seq, { to: Target; acked: Set<AgentId> }>()

  /** What waits for an agent, oldest first. */
  open(agent: AgentId, role: Actor["role"]): Seq[] {
    return [...this.#waiting].flatMap(([seq, { to, acked }]) => (isFor(to, agent, role) && !acked.has(agent) ? [seq] : []))
  }

  /** Reads an entry. Gives what is wrong, or null. */
  read({ seq, type, actor, data }: Said): string | null {
    if (type === "event.sent" && data["requiresAck"] === true) this.#waiting.set(seq, { to: data["to"] as Target, acked: new Set() })
    // Nobody is there any more who could.
    if (type === "agent.retired") for (const [at, { to }] of this.#waiting) if ("agent" in to && to.agent === data["name"]) this.#waiting.delete(at)
    if (type !== "event.acked") return null
    const of = data["seq"] as Seq
    const notice = this.#waiting.get(of)
    if (notice === undefined) return `of ${of}, which waits for nobody`
    const standsIn = actor.role === "operator" && "role" in notice.to && notice.to.role === "orchestrator"
    if (!standsIn && !isFor(notice.to, actor.agent, actor.role)) return `of ${of}, which is somebody else's`
    if (notice.acked.has(actor.agent)) return `of ${of} for the second time`
    notice.acked.add(actor.agent)
    if ("agent" in notice.to) this.#waiting.delete(of)
    return null
  }
}

function isFor(to: Target, agent: AgentId, role: Actor["role"]): boolean {
  return "agent" in to ? to.agent === agent : "role" in to ? to.role === role : true
}
