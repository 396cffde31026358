import type { Entry } from "../../src/core/entry.ts"
import type { AgentId, PlanId, TaskId } from "../../src/core/ids.ts"
import type { TaskStatus } from "../../src/core/task.ts"

type Work = { id: TaskId; status: TaskStatus; held: { owner: AgentId } | null }

const CLOSED: ReadonlySet<TaskStatus> = new Set(["completed", "failed", "cancelled"])

/** The rules of plans, once more and without the core: one run of a file on a commit, never more agents at work than it allows, nothing open when it is cancelled. */
export class PlanOracle {
  readonly #maxActive = new Map<PlanId, number | null>()
  readonly #runs = new Map<string, PlanId>()
  readonly #planOf = new Map<TaskId, PlanId>()
  /** What was cancelled by the entry before the ones that cancel its tasks, and by whose command. */
  #cancelled: { plan: PlanId; by: string } | null = null

  get running(): Iterable<PlanId> {
    return this.#runs.values()
  }

  planOf(task: TaskId): PlanId | null {
    return this.#planOf.get(task) ?? null
  }

  /** Whether one more agent may be at work in the plan of the task. */
  hasRoom(task: TaskId, agent: AgentId, tasks: ReadonlyMap<TaskId, Work>): boolean {
    const plan = this.#planOf.get(task)
    const most = plan === undefined ? null : (this.#maxActive.get(plan) ?? null)
    if (most === null) return true
    const atWork = new Set<AgentId>()
    for (const [id, { status, held }] of tasks)
      if (held !== null && (status === "claimed" || status === "in_progress") && this.#planOf.get(id) === plan) atWork.add(held.owner)
    return atWork.has(agent) || atWork.size < most
  }

  /** Reads an entry before it is folded. Gives what is wrong, or null. */
  read({ type, actor, commandId, data: given }: Entry<string, Record<string, never>>, tasks: ReadonlyMap<TaskId, Work>): string | null {
    const data = given as Record<string, unknown>
    const id = data["id"] as string
    const by = `${actor.agent} ${commandId}`
    const ended = this.#cancelled
    if (ended !== null && ended.by !== by) {
      this.#cancelled = null
      const open = [...tasks.values()].find((task) => this.#planOf.get(task.id) === ended.plan && !CLOSED.has(task.status))
      if (open !== undefined) return `after plan ${ended.plan} was cancelled with ${open.id} still ${open.status}`
    }
    if (type === "plan.added") {
      const run = `${String(data["name"])} ${String(data["digest"])} ${String(data["commit"])}`
      if (this.#runs.has(run)) return `which is plan ${this.#runs.get(run)} already`
      this.#runs.set(run, id)
      this.#maxActive.set(id, data["maxActiveAgents"] as number | null)
    } else if (type === "plan.cancelled") {
      for (const [run, plan] of this.#runs) if (plan === id) this.#runs.delete(run)
      this.#cancelled = { plan: id, by }
    } else if (type === "task.added" && typeof data["plan"] === "string") this.#planOf.set(id, data["plan"])
    else if (type === "task.claimed" && !this.hasRoom(id, actor.agent, tasks)) return "whose plan has its agents at work already"
    return null
  }
}
