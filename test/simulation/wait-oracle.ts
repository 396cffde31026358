import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; atMs: number; actor: Actor; commandId: string | null; data: Readonly<Record<string, unknown>> }>
type Work = {
  spec: { dependsOn: readonly TaskId[] }
  status: string
  held: { owner: AgentId; fence: Seq; leaseEndsAtMs: number | null } | null
}
type Tasks = ReadonlyMap<TaskId, Work>
/** `isSo`: whether it is still as it was at the end of the command that has to see to it. */
type Owed = { what: string; where: string; isSo: (tasks: Tasks) => boolean }

const CLOSED: ReadonlySet<string> = new Set(["completed", "failed", "cancelled"])
const AT_WORK: ReadonlySet<string> = new Set(["claimed", "in_progress", "blocked"])
const GOES_ON = /^(task\.(unblocked|submitted|completed|failed|retried|released|cancelled|reset|claimed)|lease\.ended)$/

/**
 * What waits for what, without the core (spec of the coordinator: tasks, messages of the protocol): nothing waits for itself, through whatever dependencies and blockers; who blocks
 * tells everyone whom it concerns; what waits for a task goes on with the entry that completes it, and whoever waits in vain is told.
 */
export class WaitOracle {
  readonly #on = new Map<TaskId, { kind: string; ref: string }>()
  readonly #agents = new Set<AgentId>()
  #by = ""
  #owed: Owed[] = []
  /** Whom the command that is read has told to plan anew, with the task. */
  readonly #told = new Set<string>()

  /** What somebody waits for besides dependencies and what is outside. */
  awaited(): { kind: string; ref: string }[] {
    return [...this.#on.values()].filter(({ kind }) => kind !== "external")
  }

  /** Reads an entry before it is folded. Gives what is wrong, or null. */
  read(said: Said, tasks: Tasks): string | null {
    const { seq, type, atMs, actor, commandId, data } = said
    const by = `${actor.agent} ${commandId}`
    if (by !== this.#by) {
      const missed = this.#owed.find(({ what, isSo }) => !this.#told.has(what) && isSo(tasks))
      if (missed !== undefined) return `${missed.where}, and ${missed.what}`
      this.#by = by
      this.#owed = []
      this.#told.clear()
    }
    const where = `entry ${seq}: ${type} of ${String(data["id"] ?? data["name"])} by ${actor.agent}`
    const id = data["id"] as TaskId
    if (type === "event.sent" && data["directive"] === "replan") this.#told.add(unheard((data["to"] as { agent: AgentId }).agent, data["task"] as TaskId))
    else if (type === "agent.added") this.#agents.add(data["name"] as AgentId)
    else if (type === "agent.retired") {
      this.#agents.delete(data["name"] as AgentId)
      this.#inVain("agent", data["name"] as AgentId, tasks, where)
    } else if (type === "task.blocked") {
      const wrong = this.#wrong(id, actor.agent, data as { kind: string; ref: string }, tasks)
      if (wrong !== null) return `${where} on ${String(data["ref"])}, ${wrong}`
      this.#on.set(id, data as { kind: string; ref: string })
      for (const agent of this.#concerned(id, actor.agent, data as { kind: string; ref: string }, tasks))
        this.#owed.push({ what: unheard(agent, id), where, isSo: () => this.#agents.has(agent) })
    } else if (GOES_ON.test(type)) {
      if (type === "task.completed") {
        for (const [other, { held }] of this.#waiting("task", id, tasks)) {
          const isOver = held.leaseEndsAtMs !== null && atMs >= held.leaseEndsAtMs
          if (!isOver) this.#owed.push({ what: `${other} still waits for it`, where, isSo: (now) => this.#isStill(other, held.fence, now) })
        }
      } else if (type === "task.failed" || type === "task.cancelled") this.#inVain("task", id, tasks, where)
      this.#on.delete(id)
    }
    const deps = type === "task.added" ? (data["spec"] as Work["spec"]).dependsOn : (data["changes"] as Partial<Work["spec"]> | undefined)?.dependsOn
    if ((type === "task.added" || type === "task.edited") && deps !== undefined) {
      const unknown = deps.find((dependency) => !tasks.has(dependency))
      if (unknown !== undefined && data["plan"] === undefined) return `${where}, which waits for ${unknown}, which is not there`
    }
    const begins = type === "task.edited" ? (deps ?? []) : type === "task.reset" ? (tasks.get(id)?.spec.dependsOn ?? []) : []
    return begins.some((from) => this.#leads(from, id, tasks)) ? `${where}, which then waits for itself` : null
  }

  #wrong(id: TaskId, owner: AgentId, { kind, ref }: { kind: string; ref: string }, tasks: Tasks): string | null {
    if (kind === "task") {
      const status = tasks.get(ref)?.status ?? "not there"
      if (CLOSED.has(status) || status === "not there") return `which is ${status}`
      return this.#leads(ref, id, tasks) ? `which waits for it` : null
    }
    if (kind !== "agent") return null
    if (!this.#agents.has(ref)) return "who is not there"
    const seen = new Set<AgentId>()
    const waits = (agent: AgentId): boolean => {
      if (agent === owner) return true
      if (seen.has(agent)) return false
      seen.add(agent)
      return [...this.#on].some(([task, on]) => on.kind === "agent" && tasks.get(task)?.held?.owner === agent && waits(on.ref))
    }
    return waits(ref) ? "who waits for its owner" : null
  }

  /** Whether a task that is open waits for another in the end. */
  #leads(from: TaskId, to: TaskId, tasks: Tasks, seen = new Set<TaskId>()): boolean {
    if (from === to) return true
    const task = tasks.get(from)
    if (task === undefined || CLOSED.has(task.status) || seen.has(from)) return false
    seen.add(from)
    const on = this.#on.get(from)
    const next = on?.kind === "task" ? [...task.spec.dependsOn, on.ref] : task.spec.dependsOn
    return next.some((id) => this.#leads(id, to, tasks, seen))
  }

  /** Whoever has what it waits for, and the owners of what waits for it. */
  *#concerned(id: TaskId, owner: AgentId, { kind, ref }: { kind: string; ref: string }, tasks: Tasks): Iterable<AgentId> {
    const agents = new Set<AgentId | undefined>([kind === "agent" ? ref : undefined, kind === "task" ? tasks.get(ref)?.held?.owner : undefined])
    for (const [, { held }] of this.#waiting("task", id, tasks)) agents.add(held.owner)
    for (const { spec, status, held } of tasks.values()) if (AT_WORK.has(status) && spec.dependsOn.includes(id)) agents.add(held?.owner)
    for (const agent of agents) if (agent !== undefined && agent !== owner && this.#agents.has(agent)) yield agent
  }

  #inVain(kind: string, ref: string, tasks: Tasks, where: string): void {
    for (const [other, { held }] of this.#waiting(kind, ref, tasks))
      this.#owed.push({ what: unheard(held.owner, other), where, isSo: (now) => this.#agents.has(held.owner) && this.#isStill(other, held.fence, now) })
  }

  *#waiting(kind: string, ref: string, tasks: Tasks): Iterable<[TaskId, Work & { held: NonNullable<Work["held"]> }]> {
    for (const [other, on] of this.#on) {
      const task = tasks.get(other)
      const held = task?.held ?? null
      if (task !== undefined && held !== null && on.kind === kind && on.ref === ref) yield [other, { ...task, held }]
    }
  }

  #isStill(id: TaskId, fence: Seq, tasks: Tasks): boolean {
    const task = tasks.get(id)
    return task?.status === "blocked" && task.held?.fence === fence
  }
}

function unheard(agent: AgentId, task: TaskId): string {
  return `${agent} is not told to plan ${task} anew`
}
