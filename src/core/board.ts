import type { Session, Skills } from "./agent.ts"
import { inboxOf, type OpenNotice } from "./directive.ts"
import { Holdings } from "./holdings.ts"
import type { AgentId, PlanId, Seq, SessionId, TaskId } from "./ids.ts"
import type { Beliefs } from "./match.ts"
import type { ReadyQuery, ReadyTasks, Walk } from "./ready.ts"
import { add, drop, newCounts, type PlanCounts, Standing } from "./standing.ts"
import { isActive, isHeld, type Task, type TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** The tasks that somebody holds, in no order, with the seq that added each: one more goes to the end, and one is found along a row of numbers, without a look at any name. */
class Held {
  readonly ids: TaskId[] = []
  readonly #seqs: Seq[] = []

  add({ addedSeq, id }: Task): void {
    this.ids.push(id)
    this.#seqs.push(addedSeq)
  }

  delete({ addedSeq }: Task): void {
    const at = this.#seqs.indexOf(addedSeq)
    if (at < 0) return
    // The last one takes its place.
    this.#seqs[at] = this.#seqs.at(-1) as Seq
    this.ids[at] = this.ids.at(-1) as TaskId
    this.#seqs.pop()
    this.ids.pop()
  }
}

const none: ReadonlySet<never> = new Set()

/**
 * All that follows from the tables and is kept beside them because commands ask for it: which tasks are ready, waiting or unreachable, who holds
 * what, which lease ends first. Never recorded, never in the digest; each change of a record moves it, an undo moves it back.
 */
export class Board {
  readonly #state: Workspace
  readonly #heldByAgent = new Map<AgentId, Held>()
  readonly #heldBySession = new Map<SessionId, Held>()
  /** Tasks under a lease, until there is a standing, which has them in order. */
  readonly #leased = new Set<TaskId>()
  readonly #sessionsOf = new Map<AgentId, Set<SessionId>>()
  readonly #notices = new Map<string, Set<Seq>>()
  #standing: Standing | null = null
  /** Who holds which files. */
  readonly holdings = new Holdings()

  constructor(state: Workspace) {
    this.#state = state
  }

  /** Kept from the first decision on: a replay does without, and a start makes it once. */
  get #asked(): Standing {
    if (this.#standing === null) {
      this.#standing = new Standing(this.#state)
      this.#leased.clear()
    }
    return this.#standing
  }

  // What others ask

  get counts(): Readonly<PlanCounts> {
    return this.#asked.counts
  }

  countsOf(plan: PlanId): Readonly<PlanCounts> {
    return this.#asked.countsByPlan.get(plan) ?? newCounts()
  }

  tasksOf(plan: PlanId): ReadonlySet<TaskId> {
    return this.#asked.tasksByPlan.get(plan) ?? none
  }

  get readyCount(): number {
    return this.#asked.ready.size
  }

  isReady(id: TaskId): boolean {
    return (this.#asked.rows.get(id)?.ready ?? null) !== null
  }

  /** A pending task that can never become ready, because something that it depends on failed or was cancelled. */
  isUnreachable(id: TaskId): boolean {
    return (this.#asked.rows.get(id)?.dead ?? 0) > 0 && this.#state.tasks.get(id)?.status === "pending"
  }

  dependents(id: TaskId): ReadonlySet<TaskId> {
    return this.#asked.dependents(id)
  }

  /** The tasks that an agent owns under a lease or in review. */
  heldBy(agent: AgentId): Task[] {
    return this.#tasks(this.#heldByAgent.get(agent)?.ids)
  }

  heldBySession(session: SessionId): Task[] {
    return this.#tasks(this.#heldBySession.get(session)?.ids)
  }

  sessionsOf(agent: AgentId): Session[] {
    const sessions = [...(this.#sessionsOf.get(agent) ?? none)].map((id) => this.#state.sessions.get(id) as Session)
    return sessions.sort((a, b) => a.startedAtMs - b.startedAtMs || (a.id < b.id ? -1 : 1))
  }

  /** Tasks that say they are blocked on `ref` (a task or an agent). */
  blockedOn(ref: string): Task[] {
    return this.#tasks(this.#asked.blockedOn.get(ref))
  }

  /** How many tasks the agent works on right now, fillers left out; a blocked one, or one in review, does not count. */
  activeOf(agent: AgentId): number {
    return this.#asked.active.get(agent) ?? 0
  }

  /** The fillers that the agent works on right now. */
  fillersOf(agent: AgentId): Task[] {
    return this.#tasks(this.#asked.fillers.get(agent))
  }

  /** The agents that work on a plan right now. */
  agentsAtWork(plan: PlanId): ReadonlyMap<AgentId, number> {
    return this.#asked.atWork.get(plan) ?? new Map()
  }

  /** When the first lease on a task or on files ends, or somebody has to have handed over; null where nothing of it is ahead. */
  get nextLeaseEndMs(): number | null {
    const ofTask = this.#asked.leases.firstMs
    const ofFiles = this.holdings.nextEndMs
    const ofLeases = ofTask === null || (ofFiles !== null && ofFiles < ofTask) ? ofFiles : ofTask
    const stopMs = this.#state.books.nextStopMs
    return ofLeases === null || (stopMs !== null && stopMs < ofLeases) ? stopMs : ofLeases
  }

  /** Tasks whose lease is over at `nowMs`, earliest first. O(k log k) for k leases that are over; of all leases until there is a decision: the fold asks once a hub's start. */
  overdue(nowMs: number): Task[] {
    const { tasks } = this.#state
    const ids = this.#standing === null ? [...this.#leased] : this.#standing.leases.over(nowMs).map(({ id }) => id)
    const found = ids.map((id) => tasks.get(id) as Task & { leaseEndsAtMs: number }).filter(({ leaseEndsAtMs }) => leaseEndsAtMs <= nowMs)
    return found.sort((a, b) => a.leaseEndsAtMs - b.leaseEndsAtMs || (a.id < b.id ? -1 : 1))
  }

  /** The tasks that somebody works on and that nothing was heard of since `atMs`, oldest first. */
  silentSince(atMs: number): Task[] {
    const found: Task[] = []
    for (const held of this.#heldByAgent.values()) {
      for (const id of held.ids) {
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
    this.#asked.paths.settle()
  }

  /** The best ready tasks that fit a claim. */
  chooseReady(query: ReadyQuery): TaskId[] {
    this.#asked.paths.settle()
    return this.#asked.ready.choose(query)
  }

  /** Goes on with a search of `chooseReady` that threw `Unfinished`. What comes of it is no answer. */
  walkOn(query: ReadyQuery, walk: Walk): void {
    this.#asked.paths.settle()
    this.#asked.ready.walkOn(query, walk)
  }

  /** Ready tasks of which the agent lacks the one skill that they ask for. */
  beyond(capabilities: Skills, beliefs: Beliefs): ReturnType<ReadyTasks["beyond"]> {
    return this.#asked.ready.beyond(capabilities, beliefs)
  }

  /** The longest chain of work that is left from this task on, in ms of estimates; 0 once it is closed. */
  pathMs(id: TaskId): number {
    this.#asked.paths.settle()
    return this.#asked.paths.of(id)
  }

  // How it is kept true

  onSpec = (id: TaskId, before: TaskSpec | undefined, after: TaskSpec | undefined): void => {
    const task = this.#state.tasks.get(id)
    if (task !== undefined && before?.touches !== after?.touches && isOwned(task)) this.holdings.onTouches(id, task, after)
    this.#standing?.followSpec(id, before, after)
  }

  onTask = (id: TaskId, before: Task | undefined, after: Task | undefined): void => {
    const heldWas = before !== undefined && isOwned(before)
    const heldIs = after !== undefined && isOwned(after)
    if (heldWas !== heldIs || before?.owner !== after?.owner || before?.session !== after?.session) {
      if (heldWas && before.owner !== null) this.#heldByAgent.get(before.owner)?.delete(before)
      if (heldWas && before.session !== null) this.#heldBySession.get(before.session)?.delete(before)
      if (heldIs && after.owner !== null) hold(this.#heldByAgent, after.owner, after)
      if (heldIs && after.session !== null) hold(this.#heldBySession, after.session, after)
      const spec = this.#state.specs.get(id)
      if (heldWas || (spec !== undefined && spec.touches.length > 0)) this.holdings.onTouches(id, heldIs ? after : undefined, spec)
    }
    if (this.#standing !== null) {
      this.#standing.followTask(id, before, after)
      return
    }
    const leasedWas = (before?.leaseEndsAtMs ?? null) !== null
    const leasedIs = (after?.leaseEndsAtMs ?? null) !== null
    if (leasedIs && !leasedWas) this.#leased.add(id)
    else if (leasedWas && !leasedIs) this.#leased.delete(id)
  }

  onNotice = (_: string, before: OpenNotice | undefined, after: OpenNotice | undefined): void => {
    if (before !== undefined && after === undefined) drop(this.#notices, inboxOf(before.to), before.seq)
    if (before === undefined && after !== undefined) add(this.#notices, inboxOf(after.to), after.seq)
  }

  onSession = (id: SessionId, before: Session | undefined, after: Session | undefined): void => {
    if (before !== undefined && after === undefined) drop(this.#sessionsOf, before.agent, id)
    if (after === undefined && this.#heldBySession.get(id)?.ids.length === 0) this.#heldBySession.delete(id)
    if (before === undefined && after !== undefined) add(this.#sessionsOf, after.agent, id)
  }

  #tasks(ids: Iterable<TaskId> | undefined): Task[] {
    const tasks: Task[] = []
    for (const id of ids ?? none) tasks.push(this.#state.tasks.get(id) as Task)
    // They may have been refilled by an undo: no decision may depend on their order.
    return tasks.length > 1 ? tasks.sort((a, b) => a.addedSeq - b.addedSeq) : tasks
  }
}

/** Whether somebody holds the task, under a lease or while its review waits. */
function isOwned({ status }: Task): boolean {
  return isHeld(status) || status === "review"
}

function hold<Key>(held: Map<Key, Held>, key: Key, task: Task): void {
  let tasks = held.get(key)
  if (tasks === undefined) held.set(key, (tasks = new Held()))
  tasks.add(task)
}
