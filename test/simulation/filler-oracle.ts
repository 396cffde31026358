import type { Actor } from "../../src/core/entry.ts"
import type { AgentId, Seq, TaskId } from "../../src/core/ids.ts"

type Said = Readonly<{ seq: Seq; type: string; atMs: number; actor: Actor; commandId: string | null; data: Readonly<Record<string, unknown>> }>
type Work = {
  id: TaskId
  spec: { filler: boolean; requires: Readonly<Record<string, number>> }
  status: string
  held: { owner: AgentId; fence: Seq; leaseEndsAtMs: number | null } | null
}
type Tasks = ReadonlyMap<TaskId, Work>
/** What has to have happened by the end of the command of an entry. */
type Owed = { by: string; where: string; what: Map<string, (tasks: Tasks) => boolean> }

/** What an agent works on now: its fillers, or all else. */
export function atWork(tasks: Tasks, agent: AgentId, filler: boolean): Work[] {
  return [...tasks.values()].filter(
    ({ spec, status, held }) => held?.owner === agent && spec.filler === filler && (status === "claimed" || status === "in_progress"),
  )
}

/**
 * Fillers and help, without the core (docs/decisions/0003, docs/explanation/architecture.md): whoever takes real work, or whose task goes on, lets go of its filler in the same command;
 * who may help is told at once, and the first to answer joins, unless it is the owner.
 */
export class FillerOracle {
  /** Of tasks that ask for help: who has joined. */
  readonly wanted = new Map<TaskId, AgentId | null>()
  readonly #retired = new Set<AgentId>()
  #owed: Owed | null = null

  /** Whether an entry that lets go of a filler is by the command that had its owner's task go on. */
  givesWay(task: TaskId, { actor, commandId }: Said): boolean {
    return this.#owed?.by === `${actor.agent} ${commandId}` && this.#owed.what.has(`${task} is still the filler`)
  }

  /** Reads an entry before it is folded; `mayHelp`: the agents that work on nothing and are able to do a task. Gives what is wrong, or null. */
  read(said: Said, tasks: Tasks, mayHelp: (task: Work) => AgentId[]): string | null {
    const { seq, type, atMs, actor, commandId, data } = said
    const by = `${actor.agent} ${commandId}`
    const owed = this.#owed
    if (owed !== null && owed.by !== by) {
      this.#owed = null
      for (const [what, isSo] of owed.what) if (isSo(tasks)) return `${owed.where}, and ${what}`
    }
    const task = tasks.get(data["id"] as TaskId)
    const owner = task?.held?.owner ?? null
    const owe = (): Owed["what"] => {
      if (this.#owed?.by !== by) this.#owed = { by, where: `entry ${seq}: ${type} of ${task?.id} by ${actor.agent}`, what: new Map() }
      return this.#owed.what
    }
    if (type === "agent.retired") this.#retired.add(data["name"] as AgentId)
    else if (type === "event.sent" && data["kind"] === "help_wanted") return this.#told(said, owed)
    else if (task === undefined) return null
    else if (type === "task.claimed" && !task.spec.filler) {
      const [kept] = atWork(tasks, actor.agent, true)
      if (kept !== undefined) return `takes real work and keeps its filler ${kept.id}`
    } else if (type === "task.unblocked" && owner !== null) {
      for (const { id, held } of atWork(tasks, owner, true)) {
        const isOver = held?.leaseEndsAtMs !== null && atMs >= (held?.leaseEndsAtMs ?? 0)
        if (!isOver) owe().set(`${id} is still the filler`, (now) => now.get(id)?.held?.fence === held?.fence)
      }
    } else if (type === "task.help_wanted") {
      if (this.wanted.has(task.id) && !this.#isGone(this.wanted.get(task.id))) return "which asks for help already"
      this.wanted.set(task.id, null)
      for (const agent of mayHelp(task)) if (agent !== owner) owe().set(`${agent} is not told`, () => true)
    } else if (type === "task.help_joined") return this.#joined(task.id, owner, said)
    else if (/^task\.(claimed|submitted|completed|failed|cancelled|released|retried|reset)$|^lease\.ended$/.test(type)) this.wanted.delete(task.id)
    return null
  }

  #told({ data }: Said, owed: Owed | null): string | null {
    const agent = (data["to"] as { agent: AgentId }).agent
    return owed?.what.delete(`${agent} is not told`) === true ? null : `which tells ${agent} that help is wanted: it was told, or is not the one to help`
  }

  #joined(task: TaskId, owner: AgentId | null, { actor, data }: Said): string | null {
    const helper = this.wanted.get(task)
    if (data["helper"] !== actor.agent) return `in the name of ${String(data["helper"])}`
    if (helper === undefined) return "which asks for no help"
    if (owner === actor.agent) return "who owns it"
    if (this.#retired.has(actor.agent)) return "who is retired"
    if (helper !== null && !this.#isGone(helper)) return `which ${helper} helps with already`
    this.wanted.set(task, actor.agent)
    return null
  }

  #isGone(helper: AgentId | null | undefined): boolean {
    return typeof helper === "string" && this.#retired.has(helper)
  }
}
