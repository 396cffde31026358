import type { Skills } from "./agent.ts"
import { Heap, type HeapNode } from "./heap.ts"
import type { AgentId, PlanId, Seq, TaskId } from "./ids.ts"
import { PRIORITIES, type TaskSpec } from "./task.ts"

/** A task that can be claimed, with all that the order among such tasks asks for. */
type ReadyTask = { id: TaskId; rank: number; pathMs: number; addedSeq: Seq; spec: TaskSpec; shelf: Shelf; places: Place[] }
/** A task's place in one heap. */
type Place = HeapNode & { task: ReadyTask; heap: Heap<Place> }

/** Tasks that differ only in whom they prefer. One that prefers somebody stands in two heaps: in that agent's own, and among all that prefer anybody. */
type Rack = { plain: Heap<Place>; preferring: Heap<Place>; byAgent: Map<AgentId, Heap<Place>> }

/** Tasks of one plan that require the same; each stands once more under each of its labels, for claims that ask for one. */
type Shelf = { key: string; plan: PlanId | null; filler: boolean; requires: Skills; size: number; all: Rack; byLabel: Map<string, Rack> }

export type ReadyQuery = {
  count: number
  agent: AgentId
  /** Null: whatever a task requires, the caller may take it. */
  capabilities: Skills | null
  plan: PlanId | null
  labels: readonly string[]
  filler: boolean
  hasRoom(plan: PlanId | null): boolean
}

/** Where a search stands in one heap: all below a place come after it. */
type Step = HeapNode & { heap: Heap<Place>; index: number; place: Place; preference: number }

/** Within a heap: priority, then the longest remaining chain of dependents, then age. No two tasks are equal in it. */
function goesBefore({ task: a }: Place, { task: b }: Place): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank
  if (a.pathMs !== b.pathMs) return a.pathMs > b.pathMs
  return a.addedSeq < b.addedSeq
}

/** Among heaps, for one caller: whom a task prefers comes before age. */
function isBetter(a: Step, b: Step): boolean {
  const x = a.place.task
  const y = b.place.task
  if (x.rank !== y.rank) return x.rank < y.rank
  if (x.pathMs !== y.pathMs) return x.pathMs > y.pathMs
  if (a.preference !== b.preference) return a.preference < b.preference
  return x.addedSeq < y.addedSeq
}

/**
 * The tasks that are ready. A claim looks at the top of three heaps for each set of requirements that it meets, however many tasks there are
 * and whatever they prefer or are labelled with.
 */
export class ReadyTasks {
  readonly #byTask = new Map<TaskId, ReadyTask>()
  readonly #shelves = new Map<string, Shelf>()

  get size(): number {
    return this.#byTask.size
  }

  has(id: TaskId): boolean {
    return this.#byTask.has(id)
  }

  add(id: TaskId, plan: PlanId | null, spec: TaskSpec, pathMs: number, addedSeq: Seq): void {
    const key = shelfKey(plan, spec)
    let shelf = this.#shelves.get(key)
    if (shelf === undefined) {
      shelf = { key, plan, filler: spec.filler, requires: spec.requires, size: 0, all: newRack(), byLabel: new Map() }
      this.#shelves.set(key, shelf)
    }
    shelf.size += 1
    const task: ReadyTask = { id, rank: PRIORITIES.indexOf(spec.priority), pathMs, addedSeq, spec, shelf, places: [] }
    this.#byTask.set(id, task)
    put(task, shelf.all)
    for (const label of new Set(spec.labels)) {
      const rack = shelf.byLabel.get(label) ?? newRack()
      shelf.byLabel.set(label, rack)
      put(task, rack)
    }
  }

  delete(id: TaskId): void {
    const task = this.#byTask.get(id)
    if (task === undefined) return
    this.#byTask.delete(id)
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
  moved(id: TaskId, pathMs: number): void {
    const task = this.#byTask.get(id)
    if (task === undefined) return
    task.pathMs = pathMs
    for (const place of task.places) place.heap.moved(place)
  }

  /** The best that fit: by priority, then the longest remaining chain, then those that prefer the caller, then age. */
  choose(query: ReadyQuery): TaskId[] {
    const steps = this.#tops(query)
    const [, ...otherLabels] = query.labels
    if (query.count === 1 && otherLabels.length === 0) {
      let best = steps[0]
      for (const step of steps) if (best !== undefined && isBetter(step, best)) best = step
      return best === undefined ? [] : [best.place.task.id]
    }
    const frontier = new Heap<Step>(isBetter)
    for (const step of steps) frontier.push(step)
    const found: TaskId[] = []
    for (let step = frontier.top; step !== undefined && found.length < query.count; step = frontier.top) {
      frontier.remove(step)
      const { heap, index, preference } = step
      const { task } = step.place
      // Those that prefer the caller come from its own heap.
      const seen = preference === 2 && task.spec.prefers === query.agent
      if (!seen && otherLabels.every((label) => task.spec.labels.includes(label))) found.push(task.id)
      for (const child of [2 * index + 1, 2 * index + 2]) {
        const place = heap.nodes[child]
        if (place !== undefined) frontier.push({ at: -1, heap, index: child, place, preference })
      }
    }
    return found
  }

  /** The first step into each heap that may hold what is asked for. */
  #tops({ agent, capabilities, plan, labels: [label], filler, hasRoom }: ReadyQuery): Step[] {
    const steps: Step[] = []
    const room = new Map<PlanId | null, boolean>()
    const into = (heap: Heap<Place> | undefined, preference: number): void => {
      if (heap?.top !== undefined) steps.push({ at: -1, heap, index: 0, place: heap.top, preference })
    }
    for (const shelf of this.#shelves.values()) {
      if (shelf.filler !== filler || (plan !== null && shelf.plan !== plan)) continue
      if (capabilities !== null && !meets({ capabilities }, shelf.requires)) continue
      const rack = label === undefined ? shelf.all : shelf.byLabel.get(label)
      if (rack === undefined) continue
      let open = room.get(shelf.plan)
      if (open === undefined) room.set(shelf.plan, (open = hasRoom(shelf.plan)))
      if (!open) continue
      into(rack.plain, 1)
      into(rack.preferring, 2)
      if (rack.preferring.size > 0) into(rack.byAgent.get(agent), 0)
    }
    return steps
  }
}

/** Whether the agent has every skill that is asked for, at its level at least. */
export function meets({ capabilities }: { capabilities: Skills }, requires: Skills): boolean {
  for (const skill in requires) if (!(Object.hasOwn(capabilities, skill) && (capabilities[skill] as number) >= (requires[skill] as number))) return false
  return true
}

function newRack(): Rack {
  return { plain: new Heap(goesBefore), preferring: new Heap(goesBefore), byAgent: new Map() }
}

function put(task: ReadyTask, rack: Rack): void {
  const into = (heap: Heap<Place>): void => {
    const place: Place = { at: -1, task, heap }
    task.places.push(place)
    heap.push(place)
  }
  const { prefers } = task.spec
  if (prefers === null) {
    into(rack.plain)
    return
  }
  into(rack.preferring)
  const own = rack.byAgent.get(prefers) ?? new Heap<Place>(goesBefore)
  rack.byAgent.set(prefers, own)
  into(own)
}

function forget(rack: Rack, prefers: AgentId | null): void {
  if (prefers !== null && rack.byAgent.get(prefers)?.size === 0) rack.byAgent.delete(prefers)
}

function shelfKey(plan: PlanId | null, { filler, requires }: TaskSpec): string {
  let key = `${plan ?? ""} ${filler ? "f" : "-"}`
  for (const skill of Object.keys(requires).sort()) key += `\n${skill} ${requires[skill]}`
  return key
}
