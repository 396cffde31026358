import type { AgentId, Seq } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; actor: { agent: AgentId }; data: Record<string, unknown> }>

/** What entries may say of threads, without the core: numbers without a gap, cursors that only grow, nothing said in a closed thread. Gives what is wrong, or null. */
export class ThreadOracle {
  /** The ledger seq of each message, by thread. */
  readonly messages = new Map<string, Seq[]>()
  readonly #cursors = new Map<string, number>()
  readonly #status = new Map<string, string>()

  read({ seq, type, actor, data }: Said): string | null {
    const thread = (type === "thread.status_changed" ? data["id"] : data["thread"]) as string | undefined
    if (thread === undefined) return null
    const where = `entry ${seq}: ${type} by ${actor.agent} in ${thread}`
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
}
