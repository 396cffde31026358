import { meets } from "../core/ready.ts"
import { ClaimGate } from "../core/claim-gate.ts"
import { isActive, type TaskSpec } from "../core/task.ts"
import { taskState } from "../core/view.ts"
import { showSkills } from "./quantity.ts"
import type { RunRecord } from "./run-record.ts"

/** Reasons that are told at the most. */
const TOLD_MAX = 5
/** Nothing has moved for so long, in ms: then it is asked why. */
const STALL_MS = 1_500

/**
 * Why nothing moves although the plan is not finished, one sentence each with what to do; empty while something does. A plan is not given up for it:
 * somebody from outside may review, unblock or help.
 */
export function whyStalled(record: RunRecord, nowMs = Date.now()): string[] {
  const { state, plan, agents } = record
  const tasks = record.tasks()
  if (tasks.some(({ status }) => isActive(status))) return []
  const present = [...agents.values()].flatMap(({ name, mode }) => (mode === "offline" ? [] : [state.agents.get(name)])).filter((agent) => agent !== undefined)
  // They are still on their way.
  if (present.length === 0) return []
  const reasons: string[] = []
  for (const task of tasks) {
    const requires = state.specs.get(task.id)?.requires ?? {}
    switch (taskState(state, task)) {
      case "ready": {
        // It will be claimed in a moment.
        const able = present.filter((agent) => meets(agent, requires))
        const kept = able.map((agent) => {
          const gate = new ClaimGate(state, agent, nowMs)
          return gate.shut() ?? gate.admit(task.id, state.specs.get(task.id) as TaskSpec)
        })
        if (kept.includes(null)) return []
        if (kept[0] !== undefined && kept[0] !== null) {
          reasons.push(`${task.id} is ready, but ${kept[0].message}. ${kept[0].remedy}`)
          break
        }
        reasons.push(
          `${task.id} is ready and requires ${showSkills(requires) || "an agent"}, which none of the agents here has: skein agent edit NAME --capability … --reason …`,
        )
        break
      }
      case "blocked":
        reasons.push(`${task.id} is blocked on ${task.blockedOn?.kind} ${task.blockedOn?.ref}: skein task unblock ${task.id} --reason …`)
        break
      case "review":
        reasons.push(`${task.id} waits for its review: skein task review ${task.id} --approve --reason …`)
        break
      default:
    }
  }
  const more = reasons.length - TOLD_MAX
  return more > 0 ? [...reasons.slice(0, TOLD_MAX), `and ${more} more: skein task list --plan ${plan}`] : reasons
}

/** Tells why nothing moves, once for each state of things. */
export class StallTeller {
  readonly #tell: (line: string) => void
  readonly #record: RunRecord
  #timer: NodeJS.Timeout | null = null
  #told = ""

  constructor(tellLine: (line: string) => void, record: RunRecord) {
    this.#tell = tellLine
    this.#record = record
  }

  moved(): void {
    this.stop()
    this.#timer = setTimeout(() => {
      const reasons = whyStalled(this.#record)
      if (reasons.length === 0 || reasons.join() === this.#told) return
      this.#told = reasons.join()
      for (const reason of reasons) this.#tell(`nothing moves: ${reason}`)
    }, STALL_MS)
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }
}
