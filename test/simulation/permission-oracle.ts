import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; atMs: number; actor: Actor; data: Readonly<Record<string, unknown>> }>
export type Asked = { id: Seq; agent: AgentId; options: readonly string[]; untilMs: number; isOpen: boolean }

/** What an agent may have open at once. */
const OPEN_MAX = 16

/** What agents ask leave for, without the core: an answer is one of those that are offered, comes once and in time, and from the operator or a rule. */
export class PermissionOracle {
  readonly asked = new Map<Seq, Asked>()

  /** A request that should have been refused by now, for nobody answered. */
  overdue(nowMs: number): Asked | null {
    for (const one of this.asked.values()) if (one.isOpen && nowMs >= one.untilMs) return one
    return null
  }

  /** Reads an entry; `isGone`: whether an agent is retired. Gives what is wrong, or null. */
  read({ seq, type, atMs, actor, data }: Said, isGone: (agent: AgentId) => boolean): string | null {
    if (!type.startsWith("permission.")) return null
    const mayAsk = actor.role === "supervisor" || actor.role === "operator"
    if (type === "permission.asked") {
      const agent = data["agent"] as AgentId
      const options = (data["options"] as { id: string }[]).map(({ id }) => id)
      const open = [...this.asked.values()].filter((one) => one.isOpen && one.agent === agent)
      this.asked.set(seq, { id: seq, agent, options, untilMs: data["untilMs"] as number, isOpen: true })
      if (!mayAsk) return `who is ${actor.role}`
      if (isGone(agent)) return `for ${agent}, which is retired`
      if (new Set(options).size !== options.length) return "with one option twice"
      return open.length < OPEN_MAX ? null : `for ${agent}, which waits for ${open.length} answers already`
    }
    const one = this.asked.get(data["id"] as Seq)
    if (one === undefined) return `of ${String(data["id"])}, by which nobody asked`
    if (!one.isOpen) return `of ${one.id}, which is over`
    one.isOpen = false
    if (type === "permission.answered") {
      const option = data["option"] as string | null
      if (option !== null && !one.options.includes(option)) return `of ${one.id} with ${option}, which is not offered`
      if (data["rule"] !== null) return mayAsk ? null : `of ${one.id} by a rule, who is ${actor.role}`
      return actor.role !== "operator"
        ? `of ${one.id}, who is ${actor.role}`
        : atMs < one.untilMs
          ? null
          : `of ${one.id}, ${atMs - one.untilMs} ms after its time`
    }
    if (data["how"] === "expired") return atMs >= one.untilMs ? null : `of ${one.id} (expired) ${one.untilMs - atMs} ms early`
    return mayAsk || isGone(one.agent) ? null : `of ${one.id} (withdrawn), for which ${one.agent} still waits`
  }
}
