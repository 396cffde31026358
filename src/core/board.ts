import type { Session, Skills } from "./agent.ts"
import { inboxOf, type OpenNotice } from "./directive.ts"
import { type LeaseEnd, LeaseEnds } from "./lease-ends.ts"
import { Holdings } from "./holdings.ts"
import type { AgentId, PlanId, Seq, SessionId, TaskId } from "./ids.ts"
import type { Beliefs } from "./match.ts"
import { Paths } from "./paths.ts"
import { type ReadyQuery, type ReadyTask, ReadyTasks } from "./ready.ts"
import { isActive, isClosed, isHeld, type Task, type TaskSpec, type TaskStatus } from "./task.ts"
import type { Workspace } from "./workspace.ts"

type PlanCounts = Record<TaskStatus, number>

/** What follows for one task: one look-up for all of it. Its lease is the row itself. */
type Row = LeaseEnd<TaskId> & {
  dependents: Set<TaskId> | null
  /** Dependencies that are not completed yet. */
  waiting: number
  /** Dependencies that failed, were cancelled or can themselves never complete. */
  dead: number
  /** Its place among the ready tasks; null while it is none of them. */
  ready: ReadyTask | null
}

const none: ReadonlySet<never> = new Set()

function newCounts(): PlanCounts {
  return { pending: 0, claimed: 0, in_progress: 0, blocked: 0, review: 0, completed: 0, failed: 0, cancelled: 0 }
}

/**
 * All that follows from the tables and is kept beside them because commands ask for it: which tasks are ready, waiting or unreachable, who holds
 * what, which lease ends first. Never recorded, never in the digest; each change of a record moves it, an undo moves it back.
 */
export class Board {
  readonly #state: Workspace
  readonly #rows = new Map<TaskId, Row>()
  readonly #ready = new ReadyTasks()
  readonly #leases = new LeaseEnds<TaskId>()
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
  readonly #notices = new Map<string, Set<Seq>>()
  readonly #paths: Paths
  /** Who holds which files. */
  readonly holdings = new Holdings()

  constructor(state: Workspace) {
    this.#state = state
    this.#paths = new Paths(
      state,
      (id) => this.dependents(id),
      (id, pathMs) => {
        const ready = this.#rows.get(id)?.ready ?? null
        if (ready !== null) this.#ready.moved(ready, pathMs)
      },
    )
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
    return (this.#rows.get(id)?.ready ?? null) !== null
  }

  /** A pending task that can never become ready, because something that it depends on failed or was cancelled. */
  isUnreachable(id: TaskId): boolean {
    return (this.#rows.get(id)?.dead ?? 0) > 0 && this.#state.tasks.get(id)?.status === "pending"
  }

  dependents(id: TaskId): ReadonlySet<TaskId> {
    return this.#rows.get(id)?.dependents ?? none
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

  /** When the first lease on a task or on files ends, or somebody has to have handed over; null where nothing of it is ahead. */
  get nextLeaseEndMs(): number | null {
    const ofTask = this.#leases.firstMs
    const ofFiles = this.holdings.nextEndMs
    const ofLeases = ofTask === null || (ofFiles !== null && ofFiles < ofTask) ? ofFiles : ofTask
    const stopMs = this.#state.books.nextStopMs
    return ofLeases === null || (stopMs !== null && stopMs < ofLeases) ? stopMs : ofLeases
  }

  /** Tasks whose lease is over at `nowMs`, earliest first. O(k log k) for k leases that are over. */
  overdue(nowMs: number): Task[] {
    const found = this.#leases.over(nowMs)
    found.sort((a, b) => a.endsAtMs - b.endsAtMs || (a.id < b.id ? -1 : 1))
    return found.map((node) => this.#state.tasks.get(node.id) as Task)
  }

  /** The tasks that somebody works on and that nothing was heard of since `atMs`, oldest first. */
  silentSince(atMs: number): Task[] {
    const found: Task[] = []
    for (const held of this.#heldByAgent.values()) {
      for (const id of held) {
        const task = this.#state.tasks.get(id) as Task
        if (task.updatedAtMs <= atMs && isActive(task.status)) found.push(task)
      }
    }
    return found.sort((a, b) => a.addedSeq - b.addedSeq)
  }

  /** What waits for a target, oldest first. */
  noticesTo(target: string): OpenNotice[] {
    const seqs = [...(this.#notices.get(target) ?? none)].sort((a, b) => a - b)
    return seqs.map((seq) => this.#state.notices.get(String(seq)) as OpenNotice)
  }

  /** How many notices wait for a target. */
  noticeCount(target: string): number {
    return this.#notices.get(target)?.size ?? 0
  }

  /** Does ahead of time what the next choice needs. */
  settle(): void {
    this.#paths.settle()
  }

  /** The best ready tasks that fit a claim. */
  chooseReady(query: ReadyQuery): TaskId[] {
    this.#paths.settle()
    return this.#ready.choose(query)
  }

  /** Ready tasks of which the agent lacks the one skill that they ask for. */
  beyond(capabilities: Skills, beliefs: Beliefs): ReturnType<ReadyTasks["beyond"]> {
    return this.#ready.beyond(capabilities, beliefs)
  }

  /** The longest chain of work that is left from this task on, in ms of estimates; 0 once it is closed. */
  pathMs(id: TaskId): number {
    this.#paths.settle()
    return this.#paths.of(id)
  }

  // How it is kept true

  onSpec = (id: TaskId, before: TaskSpec | undefined, after: TaskSpec | undefined): void => {
    const row = this.#row(id)
    if (before === undefined || after === undefined || before.dependsOn !== after.dependsOn) this.#rewire(row, before?.dependsOn ?? [], after?.dependsOn ?? [])
    const task = this.#state.tasks.get(id)
    if (task !== undefined) this.#paths.changed(id)
    if (task !== undefined && before?.touches !== after?.touches && isOwned(task)) this.holdings.onTouches(id, task, after)
    // After an edit the task may belong elsewhere among the ready ones.
    this.#unready(row)
    this.#place(row, task)
    this.#tidy(row)
  }

  onTask = (id: TaskId, before: Task | undefined, after: Task | undefined): void => {
    const was = before?.status
    const is = after?.status
    const row = this.#row(id)
    if (was !== is) this.#moveStatus(row, before, after)
    const heldWas = before !== undefined && isOwned(before)
    const heldIs = after !== undefined && isOwned(after)
    if (heldWas !== heldIs || before?.owner !== after?.owner || before?.session !== after?.session) {
      if (heldWas && before.owner !== null) this.#heldByAgent.get(before.owner)?.delete(id)
      if (heldWas && before.session !== null) this.#heldBySession.get(before.session)?.delete(id)
      if (heldIs && after.owner !== null) add(this.#heldByAgent, after.owner, id)
      if (heldIs && after.session !== null) add(this.#heldBySession, after.session, id)
      const spec = this.#state.specs.get(id)
      if (heldWas || (spec !== undefined && spec.touches.length > 0)) this.holdings.onTouches(id, heldIs ? after : undefined, spec)
    }
    const activeWas = before !== undefined && isActive(before.status)
    const activeIs = after !== undefined && isActive(after.status)
    if (activeWas !== activeIs || before?.owner !== after?.owner) {
      if (activeWas) this.#moveActive(before, -1)
      if (activeIs) this.#moveActive(after, 1)
    }
    if (before?.leaseEndsAtMs !== after?.leaseEndsAtMs) this.#leases.move(row, after?.leaseEndsAtMs ?? null)
    if (before?.blockedOn !== after?.blockedOn) {
      if (before?.blockedOn) drop(this.#blockedOn, before.blockedOn.ref, id)
      if (after?.blockedOn) add(this.#blockedOn, after.blockedOn.ref, id)
    }
    if (after === undefined) this.#tidy(row)
  }

  onNotice = (_: string, before: OpenNotice | undefined, after: OpenNotice | undefined): void => {
    if (before !== undefined && after === undefined) drop(this.#notices, inboxOf(before.to), before.seq)
    if (before === undefined && after !== undefined) add(this.#notices, inboxOf(after.to), after.seq)
  }

  onSession = (id: SessionId, before: Session | undefined, after: Session | undefined): void => {
    if (before !== undefined && after === undefined) drop(this.#sessionsOf, before.agent, id)
    if (after === undefined && this.#heldBySession.get(id)?.size === 0) this.#heldBySession.delete(id)
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

  #moveStatus(row: Row, before: Task | undefined, after: Task | undefined): void {
    const { id } = row
    const was = before?.status
    const is = after?.status
    const { plan } = (after ?? before) as Task
    this.#count(this.#counts, was, is)
    if (plan !== null) {
      const counts = this.#countsByPlan.get(plan) ?? newCounts()
      this.#countsByPlan.set(plan, counts)
      this.#count(counts, was, is)
      if (was === undefined) add(this.#tasksByPlan, plan, id)
      if (is === undefined) drop(this.#tasksByPlan, plan, id)
    }
    const dead = row.dead > 0
    if (is === undefined || was === undefined || isClosed(was) !== isClosed(is)) this.#paths.changed(id)
    if ((was === "completed") !== (is === "completed")) {
      const by = is === "completed" ? -1 : 1
      for (const behind of row.dependents ?? none) {
        const dependent = this.#row(behind)
        dependent.waiting += by
        this.#place(dependent, this.#state.tasks.get(behind))
      }
    }
    if (isDeadEnd(was, dead) !== isDeadEnd(is, dead)) this.#spread(row, isDeadEnd(is, dead))
    if (was === "pending" || is === "pending") this.#place(row, after)
  }

  /** A task has new dependencies: counts anew how many it waits for, and how many of them are dead ends. */
  #rewire(row: Row, before: readonly TaskId[], after: readonly TaskId[]): void {
    const { tasks } = this.#state
    for (const id of before) {
      const dependency = this.#row(id)
      dependency.dependents?.delete(row.id)
      if (dependency.dependents?.size === 0) dependency.dependents = null
      this.#tidy(dependency)
      this.#paths.touch(id)
    }
    row.waiting = 0
    let deadEnds = 0
    for (const id of after) {
      const dependency = this.#row(id)
      dependency.dependents = (dependency.dependents ?? new Set()).add(row.id)
      this.#paths.touch(id)
      const status = tasks.get(id)?.status
      if (status !== "completed") row.waiting += 1
      if (isDeadEnd(status, dependency.dead > 0)) deadEnds += 1
    }
    const status = tasks.get(row.id)?.status
    const was = isDeadEnd(status, row.dead > 0)
    row.dead = deadEnds
    const is = isDeadEnd(status, deadEnds > 0)
    if (was !== is) this.#spread(row, is)
  }

  /** A task has become a dead end, or is one no longer: so have those behind it. Without recursion: a chain may be long. */
  #spread(row: Row, dead: boolean): void {
    const queue = [row]
    for (let from = queue.pop(); from !== undefined; from = queue.pop()) {
      for (const id of from.dependents ?? none) {
        const dependent = this.#row(id)
        const was = dependent.dead
        dependent.dead = Math.max(0, was + (dead ? 1 : -1))
        const { status } = this.#state.tasks.get(id) ?? {}
        if (isDeadEnd(status, was > 0) !== isDeadEnd(status, dependent.dead > 0)) queue.push(dependent)
      }
    }
  }

  #count(counts: PlanCounts, was: TaskStatus | undefined, is: TaskStatus | undefined): void {
    if (was !== undefined) counts[was] -= 1
    if (is !== undefined) counts[is] += 1
  }

  /** Puts a task among the ready ones, or takes it out, as its status and its dependencies say. */
  #place(row: Row, task: Task | undefined): void {
    const { id } = row
    const spec = task?.status === "pending" && row.waiting === 0 ? this.#state.specs.get(id) : undefined
    if (task === undefined || spec === undefined) this.#unready(row)
    else row.ready ??= this.#ready.add(id, task.plan, spec, this.#paths.of(id), task.addedSeq)
  }

  /** Lets go of the row of a task that is gone, once nothing depends on it. */
  #tidy({ id, dependents }: Row): void {
    const { specs, tasks } = this.#state
    if (dependents === null && !specs.has(id) && !tasks.has(id)) this.#rows.delete(id)
  }

  #unready(row: Row): void {
    if (row.ready === null) return
    this.#ready.delete(row.ready)
    row.ready = null
  }

  #row(id: TaskId): Row {
    let row = this.#rows.get(id)
    if (row === undefined) {
      row = { id, at: -1, endsAtMs: Number.POSITIVE_INFINITY, dependents: null, waiting: 0, dead: 0, ready: null }
      this.#rows.set(id, row)
    }
    return row
  }
}

/** Whether what depends on a task can never become ready: it failed, was cancelled, or waits itself for such a one. */
function isDeadEnd(status: TaskStatus | undefined, hasDeadDependency: boolean): boolean {
  return status === "failed" || status === "cancelled" || (status === "pending" && hasDeadDependency)
}

/** Whether somebody holds the task, under a lease or while its review waits. */
function isOwned({ status }: Task): boolean {
  return isHeld(status) || status === "review"
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
