import type { Output } from "../contract/operations.ts"
import { assignmentsOf, fencesOf } from "../core/claims-view.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import type { TaskView } from "../core/view.ts"

/** Who got a task and why, read from the claims' own entries. */
export async function whyAssigned(task: TaskView, bytesOf: (seq: Seq) => Promise<string | undefined>): Promise<Output<"task.whyAssigned">> {
  const claims: Entry[] = []
  for (const fence of fencesOf(task)) {
    const bytes = await bytesOf(fence)
    if (bytes !== undefined) claims.push(decodeEntry(bytes))
  }
  return { task: task.id, requires: task.requires, assignments: assignmentsOf(task, claims) }
}
