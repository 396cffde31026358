import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq, SessionId, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; atMs: number; actor: Actor; data: Readonly<Record<string, unknown>> }>
type Work = { status: string; held: { owner: AgentId; session: SessionId | null } | null }
type Owed = { task: TaskId; to: string; where: string }

/** So long may nobody hear of what somebody works on, in ms. */
const STALE_MS = 900_000
/** What says nothing of how the work goes: its lease, and what it costs. */
const SAYS_NOTHING = /^task\.(edited|flagged|help_joined)$|^lease\.renewed$/

/**
 * Work of which nothing is heard, without the core (spec of the coordinator, messages of the protocol): flagged to its owner after a quarter of an hour, to the operator after
 * another, each once, and whoever it is flagged to is told with the very next entry. Gives what is wrong, or null.
 */
export class StaleOracle {
  flagged = 0
  readonly #heard = new Map<TaskId, { atMs: number; to: "owner" | "operator" | null }>()
  #owed: Owed | null = null
  /** What the sweep that is read has to flag, for it saw who holds it. */
  readonly #silent = new Set<TaskId>()

  /** Reads an entry before it is folded. */
  read({ seq, type, atMs, actor, data }: Said, tasks: ReadonlyMap<TaskId, Work>): string | null {
    const owed = this.#owed
    this.#owed = null
    const isTold = type === "event.sent" && data["directive"] === "nudge" && data["task"] === owed?.task && JSON.stringify(data["to"]) === owed?.to
    if (owed !== null && !isTold) return `${owed.where}, and ${owed.to} is not told`
    const id = data["id"] as TaskId
    if (actor.agent !== "hub") {
      const missed = [...this.#silent].find((one) => isActive(tasks.get(one)))
      this.#silent.clear()
      if (missed !== undefined) return `nothing is heard of ${missed} for ${atMs - (this.#heard.get(missed)?.atMs ?? 0)} ms, and nobody is told`
    }
    if (type === "leases.renewed") {
      const sessions = data["sessions"] as SessionId[]
      for (const [task, { atMs: heardMs, to }] of this.#heard)
        if (to === null && atMs - heardMs >= STALE_MS && isActive(tasks.get(task)) && sessions.includes(tasks.get(task)?.held?.session ?? ""))
          this.#silent.add(task)
    }
    this.#silent.delete(id)
    if (!/^(task|lease)\./.test(type)) return null
    const heard = this.#heard.get(id)
    if (!SAYS_NOTHING.test(type) || heard === undefined) this.#heard.set(id, { atMs, to: null })
    if (type !== "task.flagged" || heard === undefined) return null
    const where = `entry ${seq}: task.flagged of ${id} by ${actor.agent}`
    const { status = "", held = null } = tasks.get(id) ?? {}
    const to = data["to"] as "owner" | "operator"
    const silentMs = atMs - heard.atMs
    this.flagged += 1
    if (held === null || !isActive({ status, held })) return `${where}, which is ${status}`
    if (to === "operator" && heard.to !== "owner") return `${where} to the operator, and its owner was not told before`
    if (heard.to === to) return `${where} to the ${to} once more`
    if (silentMs < (to === "owner" ? STALE_MS : 2 * STALE_MS)) return `${where} to the ${to} after ${silentMs} ms`
    this.#heard.set(id, { ...heard, to })
    this.#owed = { task: id, to: JSON.stringify(to === "owner" ? { agent: held.owner } : { role: "operator" }), where }
    return null
  }
}

function isActive(task: Work | undefined): boolean {
  return task !== undefined && task.held !== null && (task.status === "claimed" || task.status === "in_progress")
}
