import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq } from "../../src/core/ids.ts"
import { isMade } from "./talk.ts"

type Said = Readonly<{ seq: Seq; type: string; actor: Actor; data: Record<string, unknown> }>
/** `read`: the last message that it need not read any more. */
type Place = { isIn: boolean; read: number }

/** The least role that may change a status, 0 for workers, 1 for orchestrators, 2 for the operator; what is not here nobody may. */
const CHANGES: Readonly<Record<string, number>> = {
  "active blocked": 0,
  "active resolved": 0,
  "active closed": 1,
  "blocked active": 1,
  "blocked resolved": 1,
  "blocked closed": 2,
  "resolved active": 0,
  "resolved closed": 0,
  "closed active": 1,
}

/**
 * What entries may say of threads, without the core: numbers without a gap, cursors that only grow, nothing said in a closed thread. Of those that somebody made: who is
 * in them, from where on each has to read, and that each message names all of them but its sender. Gives what is wrong, or null.
 */
export class ThreadOracle {
  /** The ledger seq of each message, by thread. */
  readonly messages = new Map<string, Seq[]>()
  readonly #senders = new Map<string, (AgentId | null)[]>()
  readonly #cursors = new Map<string, number>()
  readonly #status = new Map<string, string>()
  readonly #places = new Map<string, Map<AgentId, Place>>()

  /** What an agent has to read in the threads that somebody made: how many messages, by thread. */
  unread(agent: AgentId): Map<string, number> {
    const unread = new Map<string, number>()
    for (const [thread, places] of this.#places) {
      const place = places.get(agent)
      if (place?.isIn !== true || this.#status.get(thread) === "closed") continue
      const count = (this.#senders.get(thread) ?? []).slice(place.read).filter((sender) => sender !== agent).length
      if (count > 0) unread.set(thread, count)
    }
    return unread
  }

  read({ seq, type, actor, data }: Said): string | null {
    const thread = (data["thread"] ?? data["id"]) as string | undefined
    if (thread === undefined || !/^(thread|message|event)\./.test(type)) return null
    const where = `entry ${seq}: ${type} by ${actor.agent} in ${thread}`
    const wrong = isMade(thread) ? this.#gathered(thread, { type, actor, data }) : null
    if (wrong !== null) return `${where}, ${wrong}`
    const seqs = this.messages.get(thread) ?? []
    if (type === "message.acked") {
      const read = data["lastReadSeq"] as number
      const before = this.#cursors.get(`${thread} ${actor.agent}`) ?? 0
      if (read > seqs.length) return `${where} up to ${read}, beyond its head ${seqs.length}`
      if (read <= before) return `${where} up to ${read}, after ${before}`
      this.#cursors.set(`${thread} ${actor.agent}`, read)
      return null
    }
    if (type !== "message.posted" && type !== "event.sent" && type !== "thread.status_changed") return null
    this.messages.set(thread, seqs)
    seqs.push(seq)
    if (type !== "event.sent" && data["message"] !== seqs.length) return `${where} is message ${String(data["message"])}, not ${seqs.length}`
    if (type === "message.posted" && this.#status.get(thread) === "closed") return `${where}, which is closed`
    if (type === "thread.status_changed") this.#status.set(thread, data["to"] as string)
    return null
  }

  #gathered(thread: string, { type, actor, data }: Omit<Said, "seq">): string | null {
    const rank = actor.role === "operator" ? 2 : actor.role === "orchestrator" ? 1 : 0
    const known = this.#places.get(thread)
    if (type === "thread.created") {
      if (known !== undefined) return "which is there already"
      this.#status.set(thread, "active")
      this.#places.set(thread, new Map((data["participants"] as AgentId[]).map((agent) => [agent, { isIn: true, read: 0 }])))
      return (data["participants"] as AgentId[]).includes(actor.agent) ? null : "who is not in it"
    }
    if (known === undefined) return "which nobody made"
    const senders = this.#senders.get(thread) ?? []
    this.#senders.set(thread, senders)
    const isIn = known.get(actor.agent)?.isIn === true
    const status = this.#status.get(thread) as string
    switch (type) {
      case "thread.joined": {
        const agents = data["agents"] as AgentId[]
        const isInvited = agents.length > 1 || agents[0] !== actor.agent
        if (isInvited && !isIn && rank === 0) return "who is not in it"
        if (isInvited && status === "closed") return "which is closed"
        for (const agent of agents) {
          if (known.get(agent)?.isIn === true) return `where ${agent} is already`
          // Whoever comes by itself is not asked to read what was said before; who was there goes on where it was.
          known.set(agent, { isIn: true, read: known.get(agent)?.read ?? (isInvited || data["fromSeq"] === 0 ? 0 : senders.length) })
        }
        return null
      }
      case "thread.left":
        known.set(actor.agent, { read: 0, ...known.get(actor.agent), isIn: false })
        return isIn ? null : "who is not in it"
      case "message.acked": {
        const read = data["lastReadSeq"] as number
        const place = known.get(actor.agent)
        if (place === undefined || !isIn) return "who is not in it"
        if (read < place.read) return `up to ${read}, after ${place.read}`
        known.set(actor.agent, { ...place, read })
        return null
      }
      case "thread.status_changed": {
        const change = `${String(data["from"])} ${String(data["to"])}`
        const isAuto = data["auto"] === true
        if (data["from"] !== status) return `which is ${status}, not ${String(data["from"])}`
        if (!isAuto && rank < (CHANGES[change] ?? 3)) return `who is ${actor.role}: ${change}`
        if (!isAuto && !isIn && rank === 0) return "who is not in it"
        return this.#told(thread, known, isAuto ? null : actor.agent, data["audience"] as string[])
      }
      case "message.posted": {
        if (status === "blocked" && rank === 0) return "which is blocked"
        const wrong = this.#told(thread, known, actor.agent, data["audience"] as string[])
        known.set(actor.agent, { read: senders.length - 1, ...known.get(actor.agent), isIn: true })
        return wrong
      }
      default:
        return null
    }
  }

  #told(thread: string, places: Map<AgentId, Place>, sender: AgentId | null, audience: readonly string[]): string | null {
    const senders = this.#senders.get(thread) as (AgentId | null)[]
    const all = [...places].flatMap(([agent, { isIn }]) => (isIn && agent !== sender ? [`agent:${agent}`] : [])).sort()
    if (sender !== null && !places.has(sender)) places.set(sender, { isIn: false, read: senders.length })
    senders.push(sender)
    return audience.join(" ") === all.join(" ") ? null : `which tells ${audience.join(" ") || "nobody"}, not ${all.join(" ") || "nobody"}`
  }
}
