import type { TaskId } from "./ids.ts"
import { isClosed } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** Tasks of which each waits for the one before it, and how long they take one after the other, in ms. */
export type Chain = { ms: number; tasks: TaskId[] }

/** The longest chain among these tasks, each as long as `msOf` says. Without recursion: a chain may be long. */
export function longestChain({ specs }: Workspace, ids: Iterable<TaskId>, msOf: (id: TaskId) => number): Chain {
  const ends = new Map<TaskId, { ms: number; before: TaskId | null }>()
  const among = new Set(ids)
  const stack = [...among]
  for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
    const depth = stack.length
    let before: { id: TaskId; ms: number } | null = null
    for (const dependency of ends.has(id) ? [] : (specs.get(id)?.dependsOn ?? [])) {
      if (!among.has(dependency)) continue
      const end = ends.get(dependency)
      if (end === undefined) stack.push(dependency)
      else if (before === null || end.ms > before.ms) before = { id: dependency, ms: end.ms }
    }
    if (stack.length > depth) continue
    stack.pop()
    if (!ends.has(id)) ends.set(id, { ms: (before?.ms ?? 0) + msOf(id), before: before?.id ?? null })
  }
  let last: TaskId | null = null
  for (const [id, { ms }] of ends) if (last === null || ms > (ends.get(last)?.ms ?? 0)) last = id
  const tasks: TaskId[] = []
  for (let at = last; at !== null; at = ends.get(at)?.before ?? null) tasks.unshift(at)
  return { ms: last === null ? 0 : (ends.get(last)?.ms ?? 0), tasks }
}

/**
 * The chain that decides when these tasks are done: from the open one with the longest chain of open dependents behind it to the end of that chain, by
 * the very lengths by which claims choose (`Board.pathMs`). Empty where nothing is open.
 */
export function chainLeft({ board, tasks }: Workspace, ids: Iterable<TaskId>): Chain {
  const among = new Set(ids)
  const longestOf = (candidates: Iterable<TaskId>): TaskId | null => {
    let best: { id: TaskId; ms: number; addedSeq: number } | null = null
    for (const id of candidates) {
      const task = tasks.get(id)
      if (task === undefined || isClosed(task.status) || !among.has(id)) continue
      const ms = board.pathMs(id)
      // Sets may be in any order: the older of two that are as long.
      if (best === null || ms > best.ms || (ms === best.ms && task.addedSeq < best.addedSeq)) best = { id, ms, addedSeq: task.addedSeq }
    }
    return best?.id ?? null
  }
  const chain: TaskId[] = []
  for (let at = longestOf(among); at !== null; at = longestOf(board.dependents(at))) chain.push(at)
  return { ms: chain[0] === undefined ? 0 : board.pathMs(chain[0]), tasks: chain }
}
