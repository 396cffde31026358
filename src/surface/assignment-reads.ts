import type { Output } from "../contract/operations.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import type { Reasons } from "../core/reasons.ts"
import type { TaskView } from "../core/view.ts"

/** Who got a task and why, read from the claims' own entries: of whoever holds or delivered it, and of the attempts before. */
export async function whyAssigned(task: TaskView, bytesOf: (seq: Seq) => Promise<string | undefined>): Promise<Output<"task.whyAssigned">> {
  const fences = new Set(task.history.map(({ fence }) => fence))
  if (task.fence !== null) fences.add(task.fence)
  const assignments: Output<"task.whyAssigned">["assignments"] = []
  for (const fence of fences) {
    const bytes = await bytesOf(fence)
    if (bytes === undefined) continue
    const { actor, atMs, data } = decodeEntry(bytes) as Entry<"task.claimed", { why?: Reasons }>
    const ended = task.history.findLast((attempt) => attempt.fence === fence)
    assignments.push({ agent: actor.agent, fence, atMs, why: data.why ?? null, end: ended?.end ?? null, reason: ended?.reason ?? null })
  }
  return { task: task.id, requires: task.requires, assignments: assignments.sort((a, b) => b.fence - a.fence) }
}
