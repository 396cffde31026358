import { type Agent, presentAgent, type Skills } from "./agent.ts"
import { type Bucket, meets, type ReadyNode } from "./board.ts"
import type { Actor } from "./entry.ts"
import type { AgentId, PlanId, Seq, TaskId } from "./ids.ts"
import { LEASE_OWNED_MS, LEASE_UNOWNED_MS, leaseEnded } from "./lease.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { isHeld, type Task, type TaskEvent, type TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

export type Claim = { task: TaskId }
/** `filler`: only (true) or never (false) filler work; by default filler is offered where nothing else is ready. */
export type ClaimNext = { plan: PlanId | null; labels: readonly string[]; filler: boolean | null; max: number }

/**
 * Claims one task. Of any number of callers exactly one wins: the hub decides one after the other, and every decision sees the ones before it.
 * Holding it already is no error: the same claim is answered again.
 */
export function decideClaim(state: Workspace, actor: Actor, { task: id }: Claim, nowMs: number): TaskEvent[] | Refusal {
  const agent = presentAgent(state, actor.agent)
  if ("refused" in agent) return agent
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  const over = isHeld(task.status) && task.leaseEndsAtMs !== null && nowMs >= task.leaseEndsAtMs
  if (holds(task, actor) && !over) return []
  const denied = deniedBy(state, task, over)
  if (denied !== null) return denied
  const spec = state.specs.get(id) as TaskSpec
  if (!mayTake(actor, agent, spec.requires)) {
    const missing = Object.entries(spec.requires).filter(([skill, level]) => (agent.capabilities[skill] ?? 0) < level)
    const named = missing.map(([skill, level]) => `${skill} ${level}`).join(", ")
    return refuse("not_eligible", `${agent.name} lacks what task ${id} requires: ${named}`, "Claim the next task that fits, or give the agent these capabilities.", { task: id, missing: Object.fromEntries(missing) })
  }
  const full = overLimit(state, agent, task, spec)
  if (full !== null) return full
  const ended = over ? leaseEnded(state, task, "expired", actor.agent) : []
  return [...freed(state, agent, spec), ...ended, claimed(state, actor, id, spec, nowMs)]
}

/**
 * Claims the best task that is ready and fits: by priority, then the longest remaining chain of dependents, then those that prefer the caller, then age; filler
 * work only where nothing else is ready. A session that is at its limit gets its current claim again.
 */
export function decideClaimNext(state: Workspace, actor: Actor, filter: ClaimNext, nowMs: number): TaskEvent[] | Refusal {
  const agent = presentAgent(state, actor.agent)
  if ("refused" in agent) return agent
  const room = Math.min(filter.max, agent.maxActive - state.board.activeOf(agent.name))
  if (room <= 0) return currentClaims(state, actor).length > 0 ? [] : atLimit(agent)
  const real = filter.filler === true ? [] : choose(state, actor, agent, filter, false, room)
  if (real.length > 0) {
    const first = state.specs.get(real[0] as TaskId) as TaskSpec
    return [...freed(state, agent, first), ...real.map((id) => claimed(state, actor, id, state.specs.get(id) as TaskSpec, nowMs))]
  }
  const fillers = state.board.fillersOf(agent.name)
  if (filter.filler !== false && fillers.length === 0) {
    const chosen = choose(state, actor, agent, filter, true, room)
    if (chosen.length > 0) return chosen.map((id) => claimed(state, actor, id, state.specs.get(id) as TaskSpec, nowMs))
  }
  if (filter.filler !== false && fillers.length > 0) return []
  const { pending } = state.board.counts
  return refuse("nothing_ready", "no task that fits is ready", "Wait for one with `wait`, or look at `skein status` for what is blocked.", { pending, ready: state.board.readyCount })
}

/** What the caller holds and works on already: `claim_next` answers with it where there is no room for more. */
export function currentClaims(state: Workspace, actor: Actor): Task[] {
  return state.board.heldBy(actor.agent).filter((task) => holds(task, actor) && (task.status === "claimed" || task.status === "in_progress"))
}

/** Whether the caller's own session holds the task. Two sessions of one agent are two workers. */
function holds(task: Task, actor: Actor): boolean {
  return isHeld(task.status) && task.owner === actor.agent && task.session === actor.session
}

/** Directors take what they like; everybody else takes what they are able to do. */
function mayTake(actor: Actor, agent: Agent, requires: Skills): boolean {
  return actor.role === "operator" || actor.role === "orchestrator" || meets(agent, requires)
}

function deniedBy(state: Workspace, task: Task, over: boolean): Refusal | null {
  const { id, status, owner } = task
  if (isHeld(status)) {
    const retryAtMs = task.leaseEndsAtMs as number
    const { maxAttempts } = state.specs.get(id) as TaskSpec
    if (over && task.attempts + 1 < maxAttempts) return null
    const directive = { kind: "claim_denied", task: id, heldBy: owner, session: task.session, fence: task.fence, retryAtMs }
    return refuse("claim_denied", `task ${id} is held by ${owner}`, "Claim another task; this one is free again when its lease ends, if its owner falls silent.", { task: id, heldBy: owner, retryAtMs, directive })
  }
  if (status !== "pending") return refuse("wrong_status", `task ${id} is ${status}`, status === "review" ? "It waits for its review." : "Nothing is left to do on it; `skein task reset` opens it again.", { task: id, status })
  if (state.board.isReady(id)) return null
  const open = (state.specs.get(id) as TaskSpec).dependsOn.filter((dependency) => state.tasks.get(dependency)?.status !== "completed")
  const dead = state.board.isUnreachable(id)
  const remedy = dead ? "Reset or replace what failed before it: `skein doctor` names it." : "Claim one of those, or wait: it is ready the moment the last of them completes."
  return refuse("not_ready", `task ${id} ${dead ? "cannot be reached" : "waits"}: ${open.slice(0, 5).join(", ")} not completed`, remedy, { task: id, waitsFor: open.slice(0, 100), unreachable: dead })
}

function atLimit(agent: Agent): Refusal {
  return refuse("at_limit", `${agent.name} works on ${agent.maxActive} task${agent.maxActive === 1 ? "" : "s"} already`, "Complete, release or block what it holds first.", { agent: agent.name, maxActive: agent.maxActive })
}

function overLimit(state: Workspace, agent: Agent, task: Task, spec: TaskSpec): Refusal | null {
  if (spec.filler ? state.board.fillersOf(agent.name).length > 0 : state.board.activeOf(agent.name) >= agent.maxActive) return atLimit(agent)
  if (spec.filler && state.board.activeOf(agent.name) >= agent.maxActive) return atLimit(agent)
  if (!planHasRoom(state, task.plan, agent.name) && !spec.filler) {
    const plan = task.plan as PlanId
    return refuse("at_limit", `plan ${plan} has its ${state.plans.get(plan)?.maxActiveAgents} agents at work already`, "Wait until one of them is done.", { plan })
  }
  return null
}

function planHasRoom(state: Workspace, plan: PlanId | null, agent: AgentId): boolean {
  const most = plan === null ? null : (state.plans.get(plan)?.maxActiveAgents ?? null)
  if (plan === null || most === null) return true
  const atWork = state.board.agentsAtWork(plan)
  return atWork.has(agent) || atWork.size < most
}

/** Whoever takes real work lets go of its filler in the same breath. */
function freed(state: Workspace, agent: Agent, taken: TaskSpec): TaskEvent[] {
  if (taken.filler) return []
  return state.board.fillersOf(agent.name).map((task) => ({ type: "task.released", data: { id: task.id, reason: "real work was ready" }, causedBy: task.fence }))
}

function claimed(state: Workspace, actor: Actor, id: TaskId, spec: TaskSpec, nowMs: number): TaskEvent {
  const owned = actor.session !== null && state.sessions.get(actor.session)?.owned === true
  const leaseMs = spec.leaseMs ?? (owned ? LEASE_OWNED_MS : LEASE_UNOWNED_MS)
  const task = state.tasks.get(id) as Task
  return { type: "task.claimed", data: { id, leaseMs, leaseEndsAtMs: nowMs + leaseMs }, causedBy: readySince(state, task, spec) }
}

/** The entry that made the task ready: its own last one, or the completion of the last that it waited for. */
function readySince(state: Workspace, task: Task, spec: TaskSpec): Seq {
  return spec.dependsOn.reduce((seq, dependency) => Math.max(seq, state.tasks.get(dependency)?.lastSeq ?? 0), task.lastSeq)
}

/** The `room` best ready tasks that fit. One is the usual case, and then no heap is touched. */
function choose(state: Workspace, actor: Actor, agent: Agent, filter: ClaimNext, filler: boolean, room: number): TaskId[] {
  const fitting: Bucket[] = []
  for (const bucket of state.board.buckets()) {
    if (bucket.filler !== filler || (filter.plan !== null && bucket.plan !== filter.plan)) continue
    if (filter.labels.length > 0 && !filter.labels.every((label) => bucket.labels.includes(label))) continue
    if (mayTake(actor, agent, bucket.requires) && (filler || planHasRoom(state, bucket.plan, agent.name))) fitting.push(bucket)
  }
  const better = (a: ReadyNode, b: ReadyNode): boolean => compare(a, b, agent.name) < 0
  if (room === 1) {
    let best: ReadyNode | undefined
    for (const { heap } of fitting) if (heap.top !== undefined && (best === undefined || better(heap.top, best))) best = heap.top
    return best === undefined ? [] : [best.id]
  }
  const candidates = fitting.flatMap(({ heap }) => (heap.size <= room ? [...heap.nodes] : smallest(heap.nodes, room, (a, b) => compare(a, b, agent.name))))
  return candidates.sort((a, b) => compare(a, b, agent.name)).slice(0, room).map((node) => node.id)
}

/** Priority, then the longest remaining chain, then whom the task prefers, then age. */
function compare(a: ReadyNode, b: ReadyNode, agent: AgentId): number {
  return a.rank - b.rank || b.path - a.path || preference(a.bucket, agent) - preference(b.bucket, agent) || a.addedSeq - b.addedSeq
}

function preference({ prefers }: Bucket, agent: AgentId): number {
  return prefers === agent ? 0 : prefers === null ? 1 : 2
}

/** The k smallest nodes of a heap, found from the top down: at most O(k²) with k ≤ 100, whatever the heap's size. */
function smallest(nodes: readonly ReadyNode[], k: number, order: (a: ReadyNode, b: ReadyNode) => number): ReadyNode[] {
  const found: ReadyNode[] = []
  const frontier = [0]
  while (found.length < k && frontier.length > 0) {
    let best = 0
    for (let at = 1; at < frontier.length; at += 1) {
      if (order(nodes[frontier[at] as number] as ReadyNode, nodes[frontier[best] as number] as ReadyNode) < 0) best = at
    }
    const [place] = frontier.splice(best, 1) as [number]
    found.push(nodes[place] as ReadyNode)
    for (const child of [2 * place + 1, 2 * place + 2]) if (child < nodes.length) frontier.push(child)
  }
  return found
}
