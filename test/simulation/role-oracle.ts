import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, TaskId } from "../../src/core/ids.ts"
import type { TaskStatus } from "../../src/core/task.ts"

type Acted = Readonly<{ type: string; actor: Actor; data: Readonly<Record<string, unknown>> }>

/** Who may act on what others hold, without the core and the contract: of a worker, only the owner calls a task back, and none closes, opens or takes one away. */
export class RoleOracle {
  /** Of tasks that are blocked on another: which. */
  readonly #waitsFor = new Map<TaskId, TaskId>()

  /** What is wrong with an entry on a task that `owner` holds, or null. */
  read({ type, actor, data }: Acted, owner: AgentId | null, statusOf: (task: TaskId) => TaskStatus | undefined): string | null {
    const id = data["id"] as TaskId
    if (type === "task.blocked") {
      if (data["kind"] === "task") this.#waitsFor.set(id, data["ref"] as TaskId)
      else this.#waitsFor.delete(id)
      return null
    }
    const directs = actor.role === "orchestrator" || actor.role === "operator"
    const isLower = (least: string): string => `who is ${actor.role}: that is for ${least}`
    if ((type === "task.cancelled" || type === "task.reset") && !directs) return isLower("orchestrators and the operator")
    if (type === "lease.ended" && data["reason"] === "operator" && actor.role !== "operator") return isLower("the operator")
    const isFreed = statusOf(this.#waitsFor.get(id) ?? "") === "completed"
    if (type === "task.unblocked" && !directs && !isFreed && actor.agent !== owner) return `who is ${actor.role} and does not hold it`
    return null
  }
}
