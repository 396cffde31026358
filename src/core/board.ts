import type { Agent, Session, Skills } from "./agent.ts"
import { Heap, type HeapNode } from "./heap.ts"
import type { AgentId, PlanId, SessionId, TaskId } from "./ids.ts"
import { isActive, isHeld, PRIORITIES, type Task, type TaskSpec, type TaskStatus } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** A task that can be claimed, in the heap of its bucket. */
export type ReadyNode = HeapNode & { id: TaskId; rank: number; path: number; addedSeq: number; bucket: Bucket }

/** Ready tasks that are alike in all that a claim asks about, best first. */
export type Bucket = { key: string; plan: PlanId | null; requires: Skills; prefers: AgentId | null; filler: boolean; labels: readonly string[]; heap: Heap<ReadyNode> }

type LeaseNode = HeapNode & { id: TaskId; endsAtMs: number }
type PlanCounts = Record<TaskStatus, number>

/** A task without an estimate counts as this long when chains of tasks are compared. */
export const UNESTIMATED_MS = 60_000

const none: ReadonlySet<never> = new Set()

export function newCounts(): PlanCounts {
  return { pending: 0, claimed: 0, in_progress: 0, blocked: 0, review: 0, completed: 0, failed: 0, cancelled: 0 }
}

/** Ready order within a bucket: priority, then the longest remaining chain of dependents, then age. */
export function goesBefore(a: ReadyNode, b: ReadyNode): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank
  if (a.path !== b.path) return a.path > b.path
  return a.addedSeq < b.addedSeq
}

/**
 * All that follows from the tables and is kept beside them because commands ask for it: which tasks are ready, waiting or unreachable, who holds
 * what, which lease ends first. Never recorded, never in the digest; each change of a record moves it, an undo moves it back.
 */
export class Board {
  readonly #state: Workspace
  readonly #dependents = new Map<TaskId, Set<TaskId>>()
  /** Dependencies that are not completed yet, by task. */
  readonly #waiting = new Map<TaskId, number>()
  /** Dependencies that failed, were cancelled or can themselves never complete, by task. */
  readonly #dead = new Map<TaskId, number>()
  readonly #ready = new Map<TaskId, ReadyNode>()
  readonly #buckets = new Map<string, Bucket>()
  readonly #leases = new Map<TaskId, LeaseNode>()
  readonly #leaseHeap = new Heap<LeaseNode>((a, b) => a.endsAtMs < b.endsAtMs || (a.endsAtMs === b.endsAtMs && a.id < b.id))
  readonly #heldByAgent = new Map<AgentId, Set<TaskId>>()
  readonly #heldBySession = new Map<SessionId, Set<TaskId>>()
  readonly #active = new Map<AgentId, number>()
  readonly #fillers = new Map<AgentId, Set<TaskId>>()
  readonly #atWork = new Map<PlanId, Map<AgentId, number>>()
  readonly #sessionsOf = new Map<AgentId, Set<SessionId>>()
  readonly #blockedOn = new Map<string, Set<TaskId>>()
  readonly #counts = newCounts()
  readonly #countsByPlan = new Map<PlanId, PlanCounts>()
  readonly #tasksByPlan = new Map<PlanId, Set<TaskId>>()
  /** Longest chain of dependents that is left behind each task, its own estimate included, in ms. */
  readonly #path = new Map<TaskId, number>()
  /** Tasks whose chain may have changed since paths were last settled. */
  readonly #unsettled = new Set<TaskId>()

  constructor(state: Workspace) {
    this.#state = state
  }

  // What others ask

  get counts(): Readonly<PlanCounts> {
    return this.#counts
  }

  countsOf(plan: PlanId): Readonly<PlanCounts> {
    return this.#countsByPlan.get(plan) ?? newCounts()
  }

  tasksOf(plan: PlanId): ReadonlySet<TaskId> {
    return this.#tasksByPlan.get(plan) ?? none
  }

  get readyCount(): number {
    return this.#ready.size
  }

  isReady(id: TaskId): boolean {
    return this.#ready.has(id)
  }

  /** A task that can never become ready, because something that it depends on failed or was cancelled. */
  isUnreachable(id: TaskId): boolean {
    return (this.#dead.get(id) ?? 0) > 0
  }

  dependents(id: TaskId): ReadonlySet<TaskId> {
    return this.#dependents.get(id) ?? none
  }

  /** The tasks that an agent owns under a lease or in review. */
  heldBy(agent: AgentId): Task[] {
    return this.#tasks(this.#heldByAgent.get(agent))
  }

  heldBySession(session: SessionId): Task[] {
    return this.#tasks(this.#heldBySession.get(session))
  }

  sessionsOf(agent: AgentId): Session[] {
    const sessions = [...(this.#sessionsOf.get(agent) ?? none)].map((id) => this.#state.sessions.get(id) as Session)
    return sessions.sort((a, b) => a.startedAtMs - b.startedAtMs || (a.id < b.id ? -1 : 1))
  }

  /** Tasks that say they are blocked on `ref` (a task or an agent). */
  blockedOn(ref: string): Task[] {
    return this.#tasks(this.#blockedOn.get(ref))
  }

  /** How many tasks the agent works on right now, fillers left out; a blocked one, or one in review, does not count. */
  activeOf(agent: AgentId): number {
    return this.#active.get(agent) ?? 0
  }

  /** The fillers that the agent works on right now. */
  fillersOf(agent: AgentId): Task[] {
    return this.#tasks(this.#fillers.get(agent))
  }

  /** The agents that work on a plan right now. */
  agentsAtWork(plan: PlanId): ReadonlyMap<AgentId, number> {
    return this.#atWork.get(plan) ?? new Map()
  }

  /** When the first lease ends, or null where there is none. */
  get nextLeaseEndMs(): number | null {
    return this.#leaseHeap.top?.endsAtMs ?? null
  }

  /** Tasks whose lease is over at `nowMs`, earliest first. O(k log k) for k leases that are over. */
  overdue(nowMs: number): Task[] {
    const found: LeaseNode[] = []
    const nodes = this.#leaseHeap.nodes
    const visit = (at: number): void => {
      const node = nodes[at]
      if (node === undefined || node.endsAtMs > nowMs) return
      found.push(node)
      visit(2 * at + 1)
      visit(2 * at + 2)
    }
    visit(0)
    found.sort((a, b) => a.endsAtMs - b.endsAtMs || (a.id < b.id ? -1 : 1))
    return found.map((node) => this.#state.tasks.get(node.id) as Task)
  }

  /** All tasks that somebody works on right now, oldest first. */
  active(): Task[] {
    const found: Task[] = []
    for (const held of this.#heldByAgent.values()) {
      for (const id of held) {
        const task = this.#state.tasks.get(id) as Task
        if (isActive(task.status)) found.push(task)
      }
    }
    return found.sort((a, b) => a.addedSeq - b.addedSeq)
  }

  /** All buckets that hold a ready task, their heaps in order. */
  buckets(): IterableIterator<Bucket> {
    this.#settlePaths()
    return this.#buckets.values()
  }

  /** The longest chain of work that is left from this task on, in ms of estimates. */
  pathMs(id: TaskId): number {
    this.#settlePaths()
    return this.#path.get(id) ?? 0
  }

  // How it is kept true

  onSpec = (id: TaskId, before: TaskSpec | undefined, after: TaskSpec | undefined): void => {
    if (before !== undefined && after !== undefined && before.dependsOn === after.dependsOn) {
      this.#rebucket(id)
      this.#unsettled.add(id)
      return
    }
    for (const dependency of before?.dependsOn ?? []) {
      drop(this.#dependents, dependency, id)
      this.#unsettled.add(dependency)
    }
    let waiting = 0
    let dead = 0
    for (const dependency of after?.dependsOn ?? []) {
      add(this.#dependents, dependency, id)
      this.#unsettled.add(dependency)
      const status = this.#state.tasks.get(dependency)?.status
      if (status !== "completed") waiting += 1
      if (status === "failed" || status === "cancelled" || this.isUnreachable(dependency)) dead += 1
    }
    this.#unsettled.add(id)
    this.#setDead(id, dead)
    if (after === undefined) {
      this.#waiting.delete(id)
      this.#path.delete(id)
    } else this.#waiting.set(id, waiting)
    this.#place(id)
  }

  onTask = (id: TaskId, before: Task | undefined, after: Task | undefined): void => {
    const was = before?.status
    const is = after?.status
    if (was !== is) this.#moveStatus(id, was, is, (after ?? before) as Task)
    const heldWas = before !== undefined && (isHeld(before.status) || before.status === "review")
    const heldIs = after !== undefined && (isHeld(after.status) || after.status === "review")
    if (heldWas !== heldIs || before?.owner !== after?.owner || before?.session !== after?.session) {
      if (heldWas && before.owner !== null) drop(this.#heldByAgent, before.owner, id)
      if (heldWas && before.session !== null) drop(this.#heldBySession, before.session, id)
      if (heldIs && after.owner !== null) add(this.#heldByAgent, after.owner, id)
      if (heldIs && after.session !== null) add(this.#heldBySession, after.session, id)
    }
    const activeWas = before !== undefined && isActive(before.status)
    const activeIs = after !== undefined && isActive(after.status)
    if (activeWas !== activeIs || before?.owner !== after?.owner) {
      if (activeWas) this.#moveActive(before, -1)
      if (activeIs) this.#moveActive(after, 1)
    }
    if (before?.leaseEndsAtMs !== after?.leaseEndsAtMs) this.#moveLease(id, after?.leaseEndsAtMs ?? null)
    if (before?.blockedOn !== after?.blockedOn) {
      if (before?.blockedOn) drop(this.#blockedOn, before.blockedOn.ref, id)
      if (after?.blockedOn) add(this.#blockedOn, after.blockedOn.ref, id)
    }
  }

  onSession = (id: SessionId, before: Session | undefined, after: Session | undefined): void => {
    if (before !== undefined && after === undefined) drop(this.#sessionsOf, before.agent, id)
    if (before === undefined && after !== undefined) add(this.#sessionsOf, after.agent, id)
  }

  #tasks(ids: ReadonlySet<TaskId> | undefined): Task[] {
    const tasks: Task[] = []
    for (const id of ids ?? none) tasks.push(this.#state.tasks.get(id) as Task)
    // Sets may have been refilled by an undo: no decision may depend on their order.
    return tasks.length > 1 ? tasks.sort((a, b) => a.addedSeq - b.addedSeq) : tasks
  }

  #moveActive(task: Task, by: 1 | -1): void {
    const owner = task.owner as AgentId
    if (this.#state.specs.get(task.id)?.filler === true) {
      if (by === 1) add(this.#fillers, owner, task.id)
      else drop(this.#fillers, owner, task.id)
      return
    }
    count(this.#active, owner, by)
    if (task.plan === null) return
    const agents = this.#atWork.get(task.plan) ?? new Map<AgentId, number>()
    this.#atWork.set(task.plan, agents)
    count(agents, owner, by)
  }

  #moveStatus(id: TaskId, was: TaskStatus | undefined, is: TaskStatus | undefined, task: Task): void {
    this.#count(this.#counts, was, is)
    if (task.plan !== null) {
      const counts = this.#countsByPlan.get(task.plan) ?? newCounts()
      this.#countsByPlan.set(task.plan, counts)
      this.#count(counts, was, is)
      if (was === undefined) add(this.#tasksByPlan, task.plan, id)
      if (is === undefined) drop(this.#tasksByPlan, task.plan, id)
    }
    const doneWas = was === "completed"
    const doneIs = is === "completed"
    const deadWas = was === "failed" || was === "cancelled"
    const deadIs = is === "failed" || is === "cancelled"
    for (const dependent of this.dependents(id)) {
      if (doneWas !== doneIs) this.#waiting.set(dependent, (this.#waiting.get(dependent) ?? 0) + (doneIs ? -1 : 1))
      if (deadWas !== deadIs && !this.isUnreachable(id)) this.#setDead(dependent, (this.#dead.get(dependent) ?? 0) + (deadIs ? 1 : -1))
      if (doneWas !== doneIs) this.#place(dependent)
    }
    if (was === "cancelled" || is === "cancelled") this.#unsettled.add(id)
    this.#place(id)
  }

  /** A dependent counts a dependency as dead once, whether it failed itself or cannot be reached. */
  #setDead(id: TaskId, dead: number): void {
    const was = this.#dead.get(id) ?? 0
    if (dead > 0) this.#dead.set(id, dead)
    else this.#dead.delete(id)
    if (was > 0 === dead > 0) return
    const status = this.#state.tasks.get(id)?.status
    if (status === "failed" || status === "cancelled") return
    for (const dependent of this.dependents(id)) this.#setDead(dependent, (this.#dead.get(dependent) ?? 0) + (dead > 0 ? 1 : -1))
  }

  #count(counts: PlanCounts, was: TaskStatus | undefined, is: TaskStatus | undefined): void {
    if (was !== undefined) counts[was] -= 1
    if (is !== undefined) counts[is] += 1
  }

  #moveLease(id: TaskId, endsAtMs: number | null): void {
    const node = this.#leases.get(id)
    if (endsAtMs === null) {
      if (node !== undefined) this.#leaseHeap.remove(node)
      this.#leases.delete(id)
    } else if (node === undefined) {
      const fresh = { id, endsAtMs, at: -1 }
      this.#leases.set(id, fresh)
      this.#leaseHeap.push(fresh)
    } else {
      node.endsAtMs = endsAtMs
      this.#leaseHeap.moved(node)
    }
  }

  /** Puts a task among the ready ones, or takes it out, as its status and its dependencies say. */
  #place(id: TaskId): void {
    const task = this.#state.tasks.get(id)
    const ready = task?.status === "pending" && this.#waiting.get(id) === 0
    const node = this.#ready.get(id)
    if (ready === (node !== undefined)) return
    if (node !== undefined) this.#unready(node)
    else if (task !== undefined) this.#makeReady(task)
  }

  #makeReady(task: Task): void {
    const spec = this.#state.specs.get(task.id) as TaskSpec
    const key = bucketKey(task, spec)
    let bucket = this.#buckets.get(key)
    if (bucket === undefined) {
      bucket = { key, plan: task.plan, requires: spec.requires, prefers: spec.prefers, filler: spec.filler, labels: spec.labels, heap: new Heap(goesBefore) }
      this.#buckets.set(key, bucket)
    }
    const node: ReadyNode = { at: -1, id: task.id, rank: PRIORITIES.indexOf(spec.priority), path: this.#path.get(task.id) ?? 0, addedSeq: task.addedSeq, bucket }
    this.#ready.set(task.id, node)
    bucket.heap.push(node)
  }

  #unready(node: ReadyNode): void {
    node.bucket.heap.remove(node)
    if (node.bucket.heap.size === 0) this.#buckets.delete(node.bucket.key)
    this.#ready.delete(node.id)
  }

  /** After an edit: the task may belong elsewhere. */
  #rebucket(id: TaskId): void {
    const node = this.#ready.get(id)
    if (node !== undefined) this.#unready(node)
    this.#place(id)
  }

  /**
   * Paths are settled when somebody asks: a plan of n tasks costs one pass over its edges and not one pass a task. Only what lies upstream of a
   * change is computed again.
   */
  #settlePaths(): void {
    if (this.#unsettled.size === 0) return
    const affected = new Set<TaskId>()
    const queue = [...this.#unsettled]
    this.#unsettled.clear()
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      if (affected.has(id)) continue
      affected.add(id)
      for (const dependency of this.#state.specs.get(id)?.dependsOn ?? []) queue.push(dependency)
    }
    const stack = [...affected]
    const settled = new Set<TaskId>()
    while (stack.length > 0) {
      const id = stack.at(-1) as TaskId
      if (settled.has(id)) {
        stack.pop()
        continue
      }
      let longest = 0
      let open = false
      for (const dependent of this.dependents(id)) {
        if (affected.has(dependent) && !settled.has(dependent)) {
          stack.push(dependent)
          open = true
        } else longest = Math.max(longest, this.#path.get(dependent) ?? 0)
      }
      if (open) continue
      stack.pop()
      settled.add(id)
      this.#settlePath(id, longest)
    }
  }

  #settlePath(id: TaskId, longest: number): void {
    const spec = this.#state.specs.get(id)
    if (spec === undefined) return
    const own = this.#state.tasks.get(id)?.status === "cancelled" ? 0 : (spec.estimateMs ?? UNESTIMATED_MS)
    const path = own + longest
    this.#path.set(id, path)
    const node = this.#ready.get(id)
    if (node !== undefined && node.path !== path) {
      node.path = path
      node.bucket.heap.moved(node)
    }
  }
}

function bucketKey(task: Task, spec: TaskSpec): string {
  const requires = Object.keys(spec.requires).sort()
  return JSON.stringify([task.plan, spec.filler, spec.prefers, requires.map((skill) => [skill, spec.requires[skill]]), spec.labels])
}

function add<Key, Item>(sets: Map<Key, Set<Item>>, key: Key, item: Item): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([item]))
  else set.add(item)
}

function drop<Key, Item>(sets: Map<Key, Set<Item>>, key: Key, item: Item): void {
  const set = sets.get(key)
  if (set === undefined) return
  set.delete(item)
  if (set.size === 0) sets.delete(key)
}

function count<Key>(counts: Map<Key, number>, key: Key, by: number): void {
  const now = (counts.get(key) ?? 0) + by
  if (now === 0) counts.delete(key)
  else counts.set(key, now)
}

/** Whether the agent has every skill that is asked for, at its level at least. */
export function meets(agent: Pick<Agent, "capabilities">, requires: Skills): boolean {
  for (const skill in requires) if ((agent.capabilities[skill] ?? 0) < (requires[skill] as number)) return false
  return true
}
