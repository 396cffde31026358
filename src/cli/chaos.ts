import type { Entry } from "../core/entry.ts"
import type { AgentId, Seq, TaskId } from "../core/ids.ts"

/** What became of the agent that was killed on purpose; times in ms after the kill. */
export type ChaosReport = {
  agent: AgentId
  task: TaskId
  fence: Seq
  leaseEndedAfterMs: number | null
  reclaimedBy: AgentId | null
  reclaimedAfterMs: number | null
  completedBy: AgentId | null
}

/** How long a task must have been at work before its agent is killed, so that the kill is in the middle of it. */
const RIPE_MS = 150

/** Kills one agent in the middle of a task, once, and watches what becomes of that task. */
export class Chaos {
  readonly #kill: (agent: AgentId) => Promise<void>
  readonly #isAtWork: (task: TaskId, fence: Seq) => boolean
  readonly #told: (line: string) => void
  report: ChaosReport | null = null
  #killedAtMs = 0
  #timer: NodeJS.Timeout | null = null

  constructor({ kill, isAtWork, told }: { kill(agent: AgentId): Promise<void>; isAtWork(task: TaskId, fence: Seq): boolean; told(line: string): void }) {
    this.#kill = kill
    this.#isAtWork = isAtWork
    this.#told = told
  }

  /** Whether nothing is left to watch. */
  get isOver(): boolean {
    return this.report !== null && this.report.completedBy !== null
  }

  /** Each new entry of the plan; `fence` is the task's after it. */
  take({ type, data, actor }: Entry, fence: Seq | null, isFiller: boolean): void {
    const { id, fence: ended } = data as { id: TaskId; fence?: Seq }
    const { report } = this
    if (report === null) {
      if (type === "task.started" && !isFiller && fence !== null && this.#timer === null) this.#ripen(id, actor.agent, fence)
      return
    }
    if (id !== report.task) return
    const afterMs = Math.round(performance.now() - this.#killedAtMs)
    if (type === "lease.ended" && ended === report.fence) {
      report.leaseEndedAfterMs = afterMs
      this.#told(`its lease on ${id} was over ${afterMs} ms after the kill; the task is open again`)
    } else if (type === "task.claimed" && report.leaseEndedAfterMs !== null && report.reclaimedBy === null) {
      report.reclaimedBy = actor.agent
      report.reclaimedAfterMs = afterMs
      this.#told(`${actor.agent} took ${id} over ${afterMs} ms after the kill`)
    } else if (type === "task.completed" && report.leaseEndedAfterMs !== null) {
      report.completedBy = actor.agent
      this.#told(`${actor.agent} completed ${id}: nothing was lost`)
    }
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  /** Kills when the task is still at work a little later; a task that is done by then was too short for it. */
  #ripen(task: TaskId, agent: AgentId, fence: Seq): void {
    this.#timer = setTimeout(() => {
      this.#timer = null
      if (this.report !== null || !this.#isAtWork(task, fence)) return
      this.report = { agent, task, fence, leaseEndedAfterMs: null, reclaimedBy: null, reclaimedAfterMs: null, completedBy: null }
      this.#killedAtMs = performance.now()
      this.#told(`chaos: SIGKILL to ${agent} in the middle of ${task}`)
      void this.#kill(agent)
    }, RIPE_MS)
  }
}
