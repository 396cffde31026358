import type { AgentId, Seq, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; actor: { agent: AgentId }; commandId: string | null; data: Readonly<Record<string, unknown>> }>
/** `set`: what it has set aside in each budget that is there still, as it was when it was claimed. */
type Claim = { agent: AgentId; set: Map<string, number>; used: number }
type Owed = { task: TaskId; agent: AgentId; by: string; where: string; said: string; directive: "nudge" | "resume" }

const NEARLY = 80

/**
 * Whoever has used 80 % of what its claim has set aside is told, without the core, after docs/how-to/keep-within-budget.md: in the command that says so and once, while it
 * works; with what is delivered by then only where changes are asked of it; and never where the limits were taken away, or where it has to hand over and hears that.
 */
export class NearlyOracle {
  readonly #claims = new Map<TaskId, Claim>()
  #owed: Owed | null = null

  /** Reads an entry after it is folded: `statusOf` is as it is then; `hands` says whether a task has to be handed over. Gives what is wrong, or null. */
  read(said: Said, statusOf: (task: TaskId) => string | undefined, hands: (task: TaskId) => boolean): string | null {
    const { seq, type, actor, commandId, data } = said
    const where = `entry ${seq}: ${type} by ${actor.agent}`
    const owed = this.#owed
    const by = `${actor.agent} ${commandId}`
    if (type === "event.sent" && commandId?.startsWith("event.send-") !== true && / has used \S+ of the \S+ that it may/.test(data["text"] as string)) {
      const [told = ""] = /[^\s:]+ has used \S+ of the \S+(?= that it may)/.exec(data["text"] as string) ?? []
      this.#owed = null
      if (owed === null || owed.by !== by) return `${where} tells that ${told}, which was told already or is not so`
      const isIt = (data["to"] as { agent?: AgentId }).agent === owed.agent && data["task"] === owed.task && data["directive"] === owed.directive
      return isIt && told === owed.said ? null : `${where} tells ${JSON.stringify(data["to"])} that ${told}, not ${owed.agent} that ${owed.said}`
    }
    if (owed !== null && owed.by !== by) return `${owed.where}: ${owed.said}, and ${owed.agent} is not told`
    const id = data["id"] as TaskId
    if (type === "task.claimed")
      this.#claims.set(id, { agent: actor.agent, set: new Map(Object.entries((data["reserves"] ?? {}) as Record<string, number>)), used: 0 })
    else if (type === "budget.removed") {
      const { scope, windowMs } = data as { scope: string; windowMs: number | null }
      for (const { set } of this.#claims.values()) set.delete(windowMs === null ? scope : `${windowMs}@${scope}`)
    } else if (type === "usage.reported") {
      const { agent, task, costMicroUsd } = data as { agent: AgentId; task: TaskId | null; costMicroUsd: number }
      const claim = task === null ? undefined : this.#claims.get(task)
      if (task === null || claim?.agent !== agent) return null
      const before = isNearly(claim)
      claim.used += costMicroUsd
      if (!before && isNearly(claim) && isAtWork(statusOf(task)) && !hands(task)) this.#owe(task, claim, said, "nudge", where)
    } else if (type === "task.submitted") {
      const claim = this.#claims.get(id)
      if (claim !== undefined) claim.used += (data["usage"] as { costMicroUsd: number }).costMicroUsd
    } else if (type === "task.changes_requested") {
      const claim = this.#claims.get(id)
      if (claim !== undefined && isNearly(claim) && !hands(id)) this.#owe(id, claim, said, "resume", where)
    } else if (/^(task|lease)\./.test(type) && !isAtWork(statusOf(id)) && statusOf(id) !== "review") {
      this.#claims.delete(id)
      if (owed?.task === id) this.#owed = null
    }
    return null
  }

  #owe(task: TaskId, { agent, set, used }: Claim, { actor, commandId }: Said, directive: Owed["directive"], where: string): void {
    const said = `${task} has used ${usd(used)} of the ${usd(Math.min(...set.values()))}`
    this.#owed = { task, agent, by: `${actor.agent} ${commandId}`, where, said, directive }
  }
}

/** What counts is the tightest of what is left of its limits. */
function isNearly({ set, used }: Claim): boolean {
  return used > 0 && set.size > 0 && used >= (Math.min(...set.values()) * NEARLY) / 100
}

function isAtWork(status: string | undefined): boolean {
  return status === "claimed" || status === "in_progress" || status === "blocked"
}

function usd(microUsd: number): string {
  const [whole, rest = ""] = (microUsd / 1_000_000).toFixed(6).split(".")
  return `$${whole}.${rest.slice(0, 2)}${rest.slice(2).replace(/0+$/, "")}`
}
