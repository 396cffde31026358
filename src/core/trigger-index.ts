import type { AgentId } from "./ids.ts"
import type { Permission } from "./permission.ts"
import { isInFlight, isLive, type Supervision, type Trigger, type TriggerId, wakeKey } from "./trigger.ts"
import type { Workspace } from "./workspace.ts"

const nothing: ReadonlySet<never> = new Set()

/** What follows from jobs and supervisions and is asked for. Never recorded; an undo moves it back. */
export class Jobs {
  readonly #state: Workspace
  readonly #live = new Set<TriggerId>()
  readonly #awaiting = new Set<TriggerId>()
  readonly #byTarget = new Map<AgentId, Set<TriggerId>>()
  readonly #byPair = new Map<string, Set<TriggerId>>()
  readonly #covered = new Map<AgentId, number>()
  readonly #permissions = new Set<string>()
  readonly #permissionsOf = new Map<AgentId, Set<string>>()

  constructor(state: Workspace) {
    this.#state = state
  }

  get liveCount(): number {
    return this.#live.size
  }

  /** Whether the hub has nothing to look for in its sweeps for the sake of waking. */
  get isQuiet(): boolean {
    return this.#live.size === 0 && this.#state.supervisors.size === 0 && this.#permissions.size === 0
  }

  /** What agents ask leave for and have no answer to, the oldest first. */
  openPermissions(): Permission[] {
    return this.#asked(this.#permissions)
  }

  /** What one agent asked leave for, as far as it is kept, the oldest first. */
  permissionsOf(agent: AgentId): Permission[] {
    return this.#asked(this.#permissionsOf.get(agent) ?? nothing)
  }

  /** Jobs that are not over, the oldest first. */
  live(): Trigger[] {
    return this.#records(this.#live)
  }

  /** Jobs whose text is with the agent, and which wait for a sign of it. */
  awaiting(): Trigger[] {
    return this.#records(this.#awaiting)
  }

  get awaitingCount(): number {
    return this.#awaiting.size
  }

  /** Live jobs of one agent, the oldest first. */
  liveOf(target: AgentId): Trigger[] {
    return this.#records(this.#byTarget.get(target) ?? nothing)
  }

  /** Every job that is kept of one agent in one thread (`wakeKey`), the oldest first. */
  of(pair: string): Trigger[] {
    return this.#records(this.#byPair.get(pair) ?? nothing)
  }

  /** Whether somebody is at a job of this agent, or a text is on its way to it; never two at once. */
  isBeingWoken(target: AgentId): boolean {
    return this.liveOf(target).some(isInFlight)
  }

  /** Agents that some supervisor wakes, by name. */
  covered(): AgentId[] {
    return [...this.#covered.keys()].sort()
  }

  isCovered(agent: AgentId): boolean {
    return this.#covered.has(agent)
  }

  onTrigger = (id: TriggerId, before: Trigger | undefined, after: Trigger | undefined): void => {
    const { target, thread } = (after ?? before) as Trigger
    toggle(this.#live, id, after !== undefined && isLive(after))
    toggle(this.#awaiting, id, after?.status === "awaiting_ack")
    toggleIn(this.#byTarget, target, id, after !== undefined && isLive(after))
    toggleIn(this.#byPair, wakeKey(thread, target), id, after !== undefined)
  }

  onSupervision = (_session: string, before: Supervision | undefined, after: Supervision | undefined): void => {
    for (const agent of before?.agents ?? []) this.#count(agent, -1)
    for (const agent of after?.agents ?? []) this.#count(agent, 1)
  }

  onPermission = (key: string, before: Permission | undefined, after: Permission | undefined): void => {
    toggle(this.#permissions, key, after?.status === "open")
    toggleIn(this.#permissionsOf, ((after ?? before) as Permission).agent, key, after !== undefined)
  }

  #count(agent: AgentId, by: number): void {
    const count = (this.#covered.get(agent) ?? 0) + by
    if (count === 0) this.#covered.delete(agent)
    else this.#covered.set(agent, count)
  }

  #asked(keys: ReadonlySet<string>): Permission[] {
    return [...keys].map((key) => this.#state.permissions.get(key) as Permission).sort((a, b) => a.id - b.id)
  }

  #records(ids: ReadonlySet<TriggerId>): Trigger[] {
    const jobs = [...ids].map((id) => this.#state.triggers.get(id) as Trigger)
    return jobs.sort((a, b) => a.createdSeq - b.createdSeq)
  }
}

function toggle<Item>(set: Set<Item>, item: Item, there: boolean): void {
  if (there) set.add(item)
  else set.delete(item)
}

function toggleIn<Item>(sets: Map<string, Set<Item>>, key: string, item: Item, there: boolean): void {
  const set = sets.get(key) ?? new Set()
  toggle(set, item, there)
  if (set.size === 0) sets.delete(key)
  else sets.set(key, set)
}
