import type { PlanId, TaskId } from "../../core/ids.ts"
import type { Workspace } from "../../core/workspace.ts"

/** Tasks by number, in the order in which they were added, and what each waits for among them. */
export type TaskGraph = {
  /** The same for the same shape: what was laid out once is not laid out again. */
  readonly key: string
  readonly ids: readonly TaskId[]
  readonly numberOf: ReadonlyMap<TaskId, number>
  readonly dependsOn: readonly (readonly number[])[]
  readonly dependents: readonly (readonly number[])[]
  /** Pairs: what is waited for, and who waits. */
  readonly edges: Int32Array
}

type Known = { state: Workspace; plan: PlanId | null; size: number; lists: readonly (readonly TaskId[])[]; graph: TaskGraph }

/** The last graph: most entries change how tasks stand, not what waits for what. */
let known: Known | null = null
/** Tasks outside of plans; tasks only come, so that it holds while there are as many. */
let loose: { state: Workspace; size: number; ids: readonly TaskId[] } | null = null

/** The tasks of a plan, or of none, and what waits for what. The same object again while that stays as it is. */
export function graphOf(state: Workspace, plan: PlanId | null): TaskGraph {
  const ids = plan === null ? looseTasks(state) : [...state.board.tasksOf(plan)]
  const lists = ids.map((id) => state.specs.get(id)?.dependsOn ?? [])
  // A list of dependencies is never changed in place.
  if (known !== null && known.state === state && known.plan === plan && known.size === ids.length && lists.every((list, at) => known?.lists[at] === list))
    return known.graph
  const graph = build(ids, lists)
  known = { state, plan, size: ids.length, lists, graph: known?.plan === plan && known.graph.key === graph.key ? known.graph : graph }
  return known.graph
}

/** Tasks that belong to no plan, oldest first. */
export function looseTasks(state: Workspace): readonly TaskId[] {
  if (loose === null || loose.state !== state || loose.size !== state.tasks.size) {
    const ids: TaskId[] = []
    for (const { id, plan } of state.tasks.values()) if (plan === null) ids.push(id)
    loose = { state, size: state.tasks.size, ids }
  }
  return loose.ids
}

function build(ids: readonly TaskId[], lists: readonly (readonly TaskId[])[]): TaskGraph {
  const numberOf = new Map(ids.map((id, at) => [id, at]))
  const dependsOn = lists.map((list) => list.flatMap((id) => numberOf.get(id) ?? []))
  const dependents: number[][] = ids.map(() => [])
  const pairs: number[] = []
  dependsOn.forEach((list, to) => {
    for (const from of list) {
      dependents[from]?.push(to)
      pairs.push(from, to)
    }
  })
  return { key: `${ids.length}:${ids.join(" ")}:${pairs.join(" ")}`, ids, numberOf, dependsOn, dependents, edges: Int32Array.from(pairs) }
}
