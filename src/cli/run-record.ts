import { ClaimGate } from "../core/claim-gate.ts"
import type { Entry } from "../core/entry.ts"
import type { AgentId, PlanId, TaskId } from "../core/ids.ts"
import { isActive, type Task, type TaskSpec } from "../core/task.ts"
import { evolve, Workspace } from "../core/workspace.ts"

/** What an agent does at a moment. `offline`: no session of it lives. */
export type Mode = "offline" | "waiting" | "blocked" | "filler" | "work"

/** What the record holds of one agent of the plan; times in ms of the ledger's clock. */
export type AgentRecord = {
  name: AgentId
  mode: Mode
  sinceMs: number
  spentMs: Record<Mode, number>
  completed: number
  fillers: number
  /** Attempts that did not end in a delivery. */
  lost: number
  /** Since when work that it could do was ready and it had none, or only filler; null: it does not. */
  idleSinceMs: number | null
}

/** A stretch in which an agent stood idle, or did filler work, although a task that it is eligible for was ready. */
export type Idle = { agent: AgentId; task: TaskId; fromMs: number; ms: number }

/** How long a claim may take to get through before an agent counts as idle, in ms. */
export const IDLE_TOLERANCE_MS = 500

/**
 * What a plan's run was like, from the entries of the ledger alone: it folds them as the hub does, and measures on the way. The same entries give the
 * same record, so that a report can be made again at any time.
 */
export class RunRecord {
  readonly state = new Workspace()
  readonly plan: PlanId
  readonly agents = new Map<AgentId, AgentRecord>()
  /** From the moment a task was ready and its taker free to the claim, in ms; one for each claim of real work. */
  readonly claimLatenciesMs: number[] = []
  readonly idle: Idle[] = []
  longestIdleMs = 0
  leasesEnded = 0
  releases = 0
  /** Time in which at least one agent of the plan was there: a run that was stopped overnight is no longer for it. */
  #upMs = 0
  #isUp = false
  #lastMs = 0
  #firstClaimUpMs: number | null = null
  #lastDoneUpMs = 0
  readonly #readySinceMs = new Map<TaskId, number>()
  readonly #further: readonly AgentId[]

  /** `further`: agents that work on the plan besides those that it names. */
  constructor(plan: PlanId, further: readonly AgentId[] = []) {
    this.plan = plan
    this.#further = further
  }

  /** From the first claim to the last delivery of real work, without stretches in which no agent was there. */
  get makespanMs(): number {
    return this.#firstClaimUpMs === null ? 0 : Math.max(0, this.#lastDoneUpMs - this.#firstClaimUpMs)
  }

  /** Folds the next entry. Entries MUST come from 1 on, without a gap. */
  take(entry: Entry): void {
    const { state } = this
    if (this.#isUp) this.#upMs += entry.atMs - this.#lastMs
    this.#lastMs = entry.atMs
    const before = this.#taskBefore(entry)
    evolve(state, entry)
    state.journal.drain()
    if (entry.type === "plan.added" && (entry.data as { id: PlanId }).id === this.plan) this.#addAgents(entry)
    if (!state.plans.has(this.plan)) return
    this.#noteTask(entry, before)
    let up = false
    for (const agent of this.agents.values()) {
      this.#noteMode(agent, entry.atMs)
      this.#noteIdle(agent, entry.atMs)
      up ||= agent.mode !== "offline"
    }
    this.#isUp = up
  }

  /** The time that agents spent up to now in what they are doing, counted in. */
  settle(): void {
    for (const agent of this.agents.values()) this.#spend(agent, this.#lastMs)
  }

  /** The plan's tasks, oldest first. */
  tasks(): Task[] {
    const { state } = this
    return [...state.board.tasksOf(this.plan)].map((id) => state.tasks.get(id) as Task).sort((a, b) => a.addedSeq - b.addedSeq)
  }

  isFiller(id: TaskId): boolean {
    return this.state.specs.get(id)?.filler === true
  }

  #addAgents(entry: Entry): void {
    const named = (entry.data as { agents: { name: AgentId }[] }).agents.map(({ name }) => name)
    for (const name of new Set([...named, ...this.#further])) {
      const spentMs = { offline: 0, waiting: 0, blocked: 0, filler: 0, work: 0 }
      this.agents.set(name, { name, mode: "offline", sinceMs: entry.atMs, spentMs, completed: 0, fillers: 0, lost: 0, idleSinceMs: null })
    }
  }

  #taskBefore(entry: Entry): Task | undefined {
    const { id } = entry.data as { id?: unknown }
    return typeof id === "string" && (entry.type.startsWith("task.") || entry.type.startsWith("lease.")) ? this.state.tasks.get(id) : undefined
  }

  #noteTask({ type, data, atMs, actor }: Entry, before: Task | undefined): void {
    const { id } = data as { id?: unknown }
    if (typeof id !== "string" || this.state.tasks.get(id)?.plan !== this.plan) return
    const owner = this.agents.get(before?.owner ?? "")
    const filler = this.isFiller(id)
    switch (type) {
      case "task.claimed":
        if (!filler) this.#noteClaim(id, actor.agent, atMs)
        this.#readySinceMs.delete(id)
        return
      case "task.completed":
        if (!filler) this.#lastDoneUpMs = this.#upMs
        if (owner !== undefined) owner[filler ? "fillers" : "completed"] += 1
        for (const dependent of this.state.board.dependents(id)) this.#noteReady(dependent, atMs)
        return
      case "lease.ended":
        this.leasesEnded += 1
        if (owner !== undefined) owner.lost += 1
        break
      case "task.retried":
      case "task.failed":
        if (owner !== undefined) owner.lost += 1
        break
      case "task.released":
        if (!filler) this.releases += 1
        break
    }
    this.#noteReady(id, atMs)
  }

  #noteReady(id: TaskId, atMs: number): void {
    if (this.state.board.isReady(id) && !this.#readySinceMs.has(id)) this.#readySinceMs.set(id, atMs)
  }

  #noteClaim(id: TaskId, by: AgentId, atMs: number): void {
    this.#firstClaimUpMs ??= this.#upMs
    const agent = this.agents.get(by)
    // Whoever did filler work was as good as free.
    const freeSinceMs = agent === undefined ? atMs : agent.mode === "filler" ? 0 : agent.sinceMs
    this.claimLatenciesMs.push(Math.max(0, atMs - Math.max(this.#readySinceMs.get(id) ?? atMs, freeSinceMs)))
  }

  #noteMode(agent: AgentRecord, atMs: number): void {
    const mode = this.#modeOf(agent.name)
    if (mode === agent.mode) return
    this.#spend(agent, atMs)
    agent.mode = mode
  }

  #spend(agent: AgentRecord, atMs: number): void {
    agent.spentMs[agent.mode] += atMs - agent.sinceMs
    agent.sinceMs = atMs
  }

  #modeOf(name: AgentId): Mode {
    const { board } = this.state
    const held = board.heldBy(name).filter(({ plan }) => plan === this.plan)
    const active = held.filter(({ status }) => isActive(status))
    if (active.some(({ id }) => !this.isFiller(id))) return "work"
    if (active.length > 0) return "filler"
    if (!board.sessionsOf(name).some(({ status }) => status === "live")) return "offline"
    return held.some(({ status }) => status === "blocked") ? "blocked" : "waiting"
  }

  #noteIdle(agent: AgentRecord, atMs: number): void {
    const task = agent.mode === "waiting" || agent.mode === "blocked" || agent.mode === "filler" ? this.#readyFor(agent) : null
    if (task !== null) {
      agent.idleSinceMs ??= atMs
      this.#measureIdle(agent, task, atMs)
    } else if (agent.idleSinceMs !== null) {
      this.#measureIdle(agent, "", atMs)
      agent.idleSinceMs = null
    }
  }

  #measureIdle({ name, idleSinceMs }: AgentRecord, task: TaskId, atMs: number): void {
    const ms = atMs - (idleSinceMs ?? atMs)
    this.longestIdleMs = Math.max(this.longestIdleMs, ms)
    if (ms <= IDLE_TOLERANCE_MS) return
    const last = this.idle.at(-1)
    if (last?.agent === name && last.fromMs === idleSinceMs) last.ms = ms
    else this.idle.push({ agent: name, task, fromMs: idleSinceMs ?? atMs, ms })
  }

  /** A ready task of the plan that the agent could take now in place of what it does, or null. */
  #readyFor({ name, mode }: AgentRecord): TaskId | null {
    const { board, agents, plans } = this.state
    const agent = agents.get(name)
    const most = plans.get(this.plan)?.maxActiveAgents ?? Infinity
    if (agent === undefined || agent.status === "retired") return null
    const query = {
      count: 1,
      agent: name,
      capabilities: agent.capabilities,
      plan: this.plan,
      labels: [],
      isFree: (touches: readonly string[]) => !board.holdings.obstruct(touches, name),
      hasRoom: () => board.agentsAtWork(this.plan).size < most,
      // What money or a breaker keeps it from is no work that it leaves lying.
      admits: (id: TaskId, spec: TaskSpec) => new ClaimGate(this.state, agent, this.#lastMs).admits(id, spec),
    }
    const real = board.chooseReady({ ...query, filler: false })[0]
    if (real !== undefined || mode === "filler") return real ?? null
    return board.chooseReady({ ...query, filler: true, hasRoom: () => true })[0] ?? null
  }
}
