import type { Skills } from "./agent.ts"
import { Heap, type HeapNode } from "./heap.ts"
import type { AgentId, PlanId, Seq, TaskId } from "./ids.ts"
import { type Beliefs, isEligible } from "./match.ts"
import { PRIORITIES, type TaskSpec } from "./task.ts"
import { Unfinished } from "./unfinished.ts"

/** A task that can be claimed. */
export type ReadyTask = { id: TaskId; spec: TaskSpec; shelf: Shelf; places: Place[] }
/** A task's place in one heap, with all that its order there asks for: to look at the task too, anywhere in memory, would take twice as long. */
type Place = HeapNode & { rank: number; pathMs: number; addedSeq: Seq; task: ReadyTask; heap: Heap<Place> }

/** Tasks that differ only in whom they prefer. One that prefers somebody stands in two heaps: in that agent's own, and among all that prefer anybody. */
type Rack = { plain: Heap<Place>; preferring: Heap<Place>; byAgent: Map<AgentId, Heap<Place>> }

/** Tasks of one plan that require the same; each stands once more under each of its labels, for claims that ask for one. */
type Shelf = { key: string; plan: PlanId | null; filler: boolean; requires: Skills; size: number; all: Rack; byLabel: Map<string, Rack> }

export type ReadyQuery = {
  count: number
  agent: AgentId
  /** Null: whatever a task requires, the caller may take it. */
  capabilities: Skills | null
  /** What the caller is known to have learned; without it only its capabilities count. */
  beliefs?: Beliefs
  plan: PlanId | null
  labels: readonly string[]
  filler: boolean
  hasRoom(plan: PlanId | null): boolean
  /** Whether nobody else holds files that a task touches. */
  isFree(touches: readonly string[]): boolean
  /** Whether money and breakers let it be claimed. Asked last, of what is otherwise chosen: a yes counts as taken. */
  admits?(id: TaskId, spec: TaskSpec): boolean
}

/** Where a search stands in one heap: all below a place come after it. */
type Step = HeapNode & { heap: Heap<Place>; index: number; place: Place; preference: number }

/** A search through all heaps at once, and what it has found so far. */
export type Walk = { readonly filler: boolean; readonly frontier: Heap<Step>; readonly found: TaskId[] }

/** Within a heap: priority, then the longest remaining chain of dependents, then age. No two tasks are equal in it. */
function goesBefore(a: Place, b: Place): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank
  if (a.pathMs !== b.pathMs) return a.pathMs > b.pathMs
  return a.addedSeq < b.addedSeq
}

/** Among heaps, for one caller: whom a task prefers (0 the caller, 1 nobody, 2 somebody) comes before age. */
function isBetter(a: Place, preferenceA: number, b: Place, preferenceB: number): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank
  if (a.pathMs !== b.pathMs) return a.pathMs > b.pathMs
  if (preferenceA !== preferenceB) return preferenceA < preferenceB
  return a.addedSeq < b.addedSeq
}

/**
 * The tasks that are ready. A claim looks at the top of three heaps for each set of requirements (and plan) that it meets, however many tasks
 * there are and whatever they prefer or are labelled with.
 */
export class ReadyTasks {
  #size = 0
  readonly #shelves = new Map<string, Shelf>()

  get size(): number {
    return this.#size
  }

  add(id: TaskId, plan: PlanId | null, spec: TaskSpec, pathMs: number, addedSeq: Seq): ReadyTask {
    const key = shelfKey(plan, spec)
    let shelf = this.#shelves.get(key)
    if (shelf === undefined) {
      shelf = { key, plan, filler: spec.filler, requires: spec.requires, size: 0, all: newRack(), byLabel: new Map() }
      this.#shelves.set(key, shelf)
    }
    shelf.size += 1
    const task: ReadyTask = { id, spec, shelf, places: [] }
    this.#size += 1
    put(task, pathMs, addedSeq, shelf.all)
    for (const label of new Set(spec.labels)) {
      const rack = shelf.byLabel.get(label) ?? newRack()
      shelf.byLabel.set(label, rack)
      put(task, pathMs, addedSeq, rack)
    }
    return task
  }

  /** Takes out what `add` answered, once. */
  delete(task: ReadyTask): void {
    this.#size -= 1
    for (const place of task.places) place.heap.remove(place)
    const { shelf, spec } = task
    shelf.size -= 1
    if (shelf.size === 0) {
      this.#shelves.delete(shelf.key)
      return
    }
    forget(shelf.all, spec.prefers)
    for (const label of spec.labels) {
      const rack = shelf.byLabel.get(label)
      if (rack === undefined) continue
      forget(rack, spec.prefers)
      if (rack.plain.size === 0 && rack.preferring.size === 0) shelf.byLabel.delete(label)
    }
  }

  /** The chain behind a task has changed. */
  moved(task: ReadyTask, pathMs: number): void {
    for (const place of task.places) {
      if (place.pathMs === pathMs) return
      place.pathMs = pathMs
      place.heap.moved(place)
    }
  }

  /** The best that fit: by priority, then the longest remaining chain, then those that prefer the caller, then age. */
  choose(query: ReadyQuery): TaskId[] {
    if (query.count > 1 || query.labels.length > 1) return this.#several(query)
    const best: { place: Place | null; preference: number } = { place: null, preference: 0 }
    this.#eachHeap(query, ({ top }, preference) => {
      if (top === undefined || (best.place !== null && !isBetter(top, preference, best.place, best.preference))) return
      best.place = top
      best.preference = preference
    })
    if (best.place === null) return []
    const { id, spec } = best.place.task
    // Most tasks name no files, and most of those that do are free: only then is the one search not enough.
    return (spec.touches.length === 0 || query.isFree(spec.touches)) && query.admits?.(id, spec) !== false ? [id] : this.#several(query)
  }

  /**
   * For each single skill that tasks ask for and the agent is not eligible for, the first such task. What is asked of several skills at once tells too
   * little of each.
   */
  *beyond(capabilities: Skills, beliefs: Beliefs): Iterable<{ id: TaskId; spec: TaskSpec; skill: string }> {
    for (const { filler, requires, all } of this.#shelves.values()) {
      const [skill, ...others] = Object.keys(requires)
      if (filler || skill === undefined || others.length > 0 || isEligible(capabilities, beliefs, requires)) continue
      const top = all.plain.top
      if (top !== undefined) yield { id: top.task.id, spec: top.task.spec, skill }
    }
  }

  /** Walks all heaps at once from their tops down, best first. */
  #several(query: ReadyQuery): TaskId[] {
    const frontier = new Heap<Step>((a, b) => isBetter(a.place, a.preference, b.place, b.preference))
    this.#eachHeap(query, (heap, preference) => stepInto(frontier, heap, preference, 0))
    const { found } = this.walkOn(query, { filler: query.filler, frontier, found: [] })
    return found
  }

  /**
   * Goes on with a walk. Where tasks came, went or moved since it began it may pass over some, in another order: what it finds then is no answer. It visits each place
   * of a heap once, so that it ends whatever changes.
   */
  walkOn(query: ReadyQuery, walk: Walk): Walk {
    const { frontier, found } = walk
    const [, ...labels] = query.labels
    try {
      for (let step = frontier.top; step !== undefined && found.length < query.count; step = frontier.top) {
        const { heap, index, preference } = step
        const { id, spec } = step.place.task
        // Those that prefer the caller come from its own heap.
        const seen = preference === 2 && spec.prefers === query.agent
        const fits = !seen && labels.every((label) => spec.labels.includes(label))
        if (fits && (spec.touches.length === 0 || query.isFree(spec.touches)) && query.admits?.(id, spec) !== false) found.push(id)
        frontier.remove(step)
        stepInto(frontier, heap, preference, 2 * index + 1)
        stepInto(frontier, heap, preference, 2 * index + 2)
      }
    } catch (error) {
      if (error instanceof Unfinished) error.walk = walk
      throw error
    }
    return walk
  }

  /** Each heap that may hold what is asked for. */
  #eachHeap(
    { agent, capabilities, beliefs = nothing, plan, labels: [label], filler, hasRoom }: ReadyQuery,
    visit: (heap: Heap<Place>, preference: number) => void,
  ): void {
    let room: Map<PlanId | null, boolean> | null = null
    for (const shelf of this.#shelves.values()) {
      if (shelf.filler !== filler || (plan !== null && shelf.plan !== plan)) continue
      if (capabilities !== null && !isEligible(capabilities, beliefs, shelf.requires)) continue
      const rack = label === undefined ? shelf.all : shelf.byLabel.get(label)
      if (rack === undefined) continue
      let open = room?.get(shelf.plan)
      if (open === undefined) {
        open = hasRoom(shelf.plan)
        // Each plan is asked of once; where there is one shelf, there is nothing to keep.
        if (this.#shelves.size > 1) (room ??= new Map()).set(shelf.plan, open)
      }
      if (!open) continue
      visit(rack.plain, 1)
      if (rack.preferring.size === 0) continue
      visit(rack.preferring, 2)
      const own = rack.byAgent.get(agent)
      if (own !== undefined) visit(own, 0)
    }
  }
}

/** Whether the agent declares enough of the skills that are asked for, at their levels: 70 %, which is all of them up to three. */
export function meets({ capabilities }: { capabilities: Skills }, requires: Skills): boolean {
  return isEligible(capabilities, nothing, requires)
}

function nothing(): undefined {
  return undefined
}

function newRack(): Rack {
  return { plain: new Heap(goesBefore), preferring: new Heap(goesBefore), byAgent: new Map() }
}

function put(task: ReadyTask, pathMs: number, addedSeq: Seq, rack: Rack): void {
  const { prefers, priority } = task.spec
  const rank = PRIORITIES.indexOf(priority)
  const into = (heap: Heap<Place>): void => {
    const place: Place = { at: -1, rank, pathMs, addedSeq, task, heap }
    task.places.push(place)
    heap.push(place)
  }
  if (prefers === null) {
    into(rack.plain)
    return
  }
  into(rack.preferring)
  const own = rack.byAgent.get(prefers) ?? new Heap<Place>(goesBefore)
  rack.byAgent.set(prefers, own)
  into(own)
}

function stepInto(frontier: Heap<Step>, heap: Heap<Place>, preference: number, index: number): void {
  const place = heap.nodes[index]
  if (place !== undefined) frontier.push({ at: -1, heap, index, place, preference })
}

function forget(rack: Rack, prefers: AgentId | null): void {
  if (prefers !== null && rack.byAgent.get(prefers)?.size === 0) rack.byAgent.delete(prefers)
}

function shelfKey(plan: PlanId | null, { filler, requires }: TaskSpec): string {
  let key = `${plan ?? ""} ${filler ? "f" : "-"}`
  for (const skill of Object.keys(requires).sort()) key += `\n${skill} ${requires[skill]}`
  return key
}
