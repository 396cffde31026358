import type { Entry } from "./entry.ts"
import type { AgentId, Seq } from "./ids.ts"
import type { Reasons } from "./reasons.ts"
import type { TaskView } from "./view.ts"

/** Who got a task and why. `why` null: a claim of before reasons were kept. `end`: how an attempt ended that did not complete the task. */
export type Assignment = { agent: AgentId; fence: Seq; atMs: number; why: Reasons | null; end: string | null; reason: string | null }

type Claimed = Pick<TaskView, "fence" | "history">

/** The claims of a task: of whoever holds or delivered it, and of the attempts before. */
export function fencesOf({ fence, history }: Claimed): Seq[] {
  const fences = new Set(history.map((attempt) => attempt.fence))
  if (fence !== null) fences.add(fence)
  return [...fences].sort((a, b) => b - a)
}

/** The claims' own entries, and how each of them ended; newest first. */
export function assignmentsOf({ history }: Claimed, claims: readonly Entry[]): Assignment[] {
  const found = claims.map(({ seq, actor, atMs, data }): Assignment => {
    const ended = history.findLast((attempt) => attempt.fence === seq)
    return { agent: actor.agent, fence: seq, atMs, why: (data as { why?: Reasons }).why ?? null, end: ended?.end ?? null, reason: ended?.reason ?? null }
  })
  return found.sort((a, b) => b.fence - a.fence)
}
