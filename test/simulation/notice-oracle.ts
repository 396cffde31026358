import type { Target } from "../../src/core/directive.ts"
import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; actor: Actor; commandId: string | null; data: Readonly<Record<string, unknown>> }>
/** `weight`: 0 of what an agent sent, 2 of what the hub's rules told, 1 of the rest. The least gives way first. */
type Waiting = { to: Target; from: AgentId; weight: number; acked: Set<AgentId> }

/** What one inbox holds, and of one agent's own that nobody has acknowledged. */
const INBOX = 200
const OF_ONE = 20

/**
 * Notices that ask for an acknowledgement, without the core: each waits for whom it is for until that one acknowledges it, which nobody else can, and once; or until it gives
 * way in a full inbox (docs/how-to/talk-in-threads.md).
 */
export class NoticeOracle {
  readonly #waiting = new Map<Seq, Waiting>()
  readonly #isLed: () => boolean

  /** `isLed`: whether there is an orchestrator. Where there is none the operator stands in. */
  constructor(isLed: () => boolean) {
    this.#isLed = isLed
  }

  /** What waits for an agent, oldest first: for the operator also what no orchestrator has acknowledged before the last of them was retired. */
  open(agent: AgentId, role: Actor["role"]): Seq[] {
    const isLeft = ({ to, acked }: Waiting): boolean =>
      acked.size === 0 && role === "operator" && isFor(to, "", "orchestrator") && "role" in to && !this.#isLed()
    return [...this.#waiting].flatMap(([seq, one]) => ((isFor(one.to, agent, role) && !one.acked.has(agent)) || isLeft(one) ? [seq] : []))
  }

  /** Whether of the agent's own as much waits there as may. */
  isFull(agent: AgentId, to: Target): boolean {
    return this.#in(to).filter(([, { from, weight, acked }]) => from === agent && weight === 0 && acked.size === 0).length >= OF_ONE
  }

  /** Reads an entry. Gives what is wrong, or null. */
  read(said: Said): string | null {
    const { type, actor, data } = said
    if (type === "event.sent" && data["requiresAck"] === true) return this.#sent(said)
    // Nobody is there any more who could.
    if (type === "agent.retired") for (const [at, { to }] of this.#waiting) if ("agent" in to && to.agent === data["name"]) this.#waiting.delete(at)
    if (type !== "event.acked") return null
    const of = data["seq"] as Seq
    const notice = this.#waiting.get(of)
    if (notice === undefined) return `of ${of}, which waits for nobody`
    const standsIn = actor.role === "operator" && "role" in notice.to && notice.to.role === "orchestrator" && !this.#isLed()
    if (!standsIn && !isFor(notice.to, actor.agent, actor.role)) return `of ${of}, which is somebody else's`
    if (notice.acked.has(actor.agent)) return `of ${of} for the second time`
    notice.acked.add(actor.agent)
    if ("agent" in notice.to) this.#waiting.delete(of)
    return null
  }

  #sent({ seq, actor, commandId, data }: Said): string | null {
    const to = data["to"] as Target
    const directs = data["kind"] === "directive" || data["kind"] === "task_assign"
    const bySomebody = commandId?.startsWith("event.send-") === true
    const weight = bySomebody ? (directs || actor.role === "operator" ? 1 : 0) : directs ? 2 : 1
    const wasFull = weight === 0 && this.isFull(actor.agent, to)
    const there = this.#in(to)
    // The oldest of the least; whatever somebody has acknowledged comes before all.
    const rank = ([, one]: [Seq, Waiting]): number => (one.acked.size > 0 ? -1 : one.weight)
    const [least] = there.length < INBOX ? [] : there.sort((a, b) => rank(a) - rank(b) || a[0] - b[0])
    if (least !== undefined) this.#waiting.delete(least[0])
    this.#waiting.set(seq, { to, from: actor.agent, weight, acked: new Set() })
    return wasFull ? `who has ${OF_ONE} waiting there already` : null
  }

  #in(to: Target): [Seq, Waiting][] {
    return [...this.#waiting].filter(([, one]) => inbox(one.to) === inbox(to))
  }
}

function inbox(to: Target): string {
  return JSON.stringify(to)
}

function isFor(to: Target, agent: AgentId, role: Actor["role"]): boolean {
  return "agent" in to ? to.agent === agent : "role" in to ? to.role === role : true
}
