import type { AgentId } from "../../src/core/ids.ts"
import type { TaskSpec } from "../../src/core/task.ts"

type Judged = { agent: AgentId; skills: Readonly<Record<string, number>>; success: boolean }
type Tried = { kind: string; capabilities: Readonly<Record<string, number>> }

/** Who may be tried on what it does not declare, and what it has then learned: once more and without the core. */
export class Probation {
  probes = 0
  /** By agent and skill: successes, and the highest level of one. */
  readonly #shown = new Map<string, { successes: number; level: number }>()

  /** Reads what an entry says of an attempt that was judged. */
  read(data: Record<string, unknown>): void {
    const judged = data["judged"] as Judged | undefined
    if (judged?.success !== true) return
    for (const [skill, level] of Object.entries(judged.skills)) {
      const key = `${judged.agent} ${skill}`
      const before = this.#shown.get(key) ?? { successes: 0, level: 0 }
      this.#shown.set(key, { successes: before.successes + 1, level: Math.max(before.level, level) })
    }
  }

  /**
   * Whether it declares what is required, or can have learned it. From a mean of 0.25 no fewer than three successes lead to 0.7; whoever declares the skill at a lower level
   * is believed to that extent already, and one on the higher level is enough.
   */
  meets(agent: AgentId, capabilities: Readonly<Record<string, number>>, requires: Readonly<Record<string, number>>): boolean {
    return Object.entries(requires).every(([skill, level]) => {
      const shown = this.#shown.get(`${agent} ${skill}`)
      return (
        (capabilities[skill] ?? 0) >= level || (shown !== undefined && shown.successes >= (Object.hasOwn(capabilities, skill) ? 1 : 3) && shown.level >= level)
      )
    })
  }

  /** What is wrong with a probe, or null: only what a model runs is tried, on a small task of one skill, that is not critical and has an attempt left. */
  wrongProbe({ kind, capabilities }: Tried, { spec, attempts }: { spec: TaskSpec; attempts: number }): string | null {
    this.probes += 1
    const [required, ...more] = Object.entries(spec.requires)
    if (kind === "script" || kind === "human") return `though it is a ${kind}`
    if (required === undefined || more.length > 0) return "which does not ask for one skill"
    // What it may have learned it may have unlearned by failures since, which are not counted here.
    if ((capabilities[required[0]] ?? 0) >= required[1]) return "which it is able to do"
    if (required[1] > 2) return `which asks for level ${required[1]}`
    if (spec.estimateMs === null || spec.estimateMs > 600_000) return `which may take ${spec.estimateMs} ms`
    if (spec.priority === "critical") return "which is critical"
    return attempts + 1 < spec.maxAttempts ? null : "which has no attempt left after it"
  }
}

export function meets(capabilities: Readonly<Record<string, number>>, requires: Readonly<Record<string, number>>): boolean {
  return Object.entries(requires).every(([skill, level]) => (capabilities[skill] ?? 0) >= level)
}
