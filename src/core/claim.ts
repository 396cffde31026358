import { type Agent, type AgentEvent, presentAgent } from "./agent.ts"
import type { BreakerEvent } from "./breaker.ts"
import { ClaimGate, type Forbids } from "./claim-gate.ts"
import type { DirectiveEvent } from "./directive.ts"
import type { Actor } from "./entry.ts"
import { conflictsWith, filesConflict } from "./file-conflict.ts"
import type { Effort } from "./glob-automaton.ts"
import { newEffort } from "./glob-match.ts"
import type { AgentId, PlanId, Seq, TaskId } from "./ids.ts"
import { LEASE_OWNED_MS, LEASE_UNOWNED_MS, leaseEnded } from "./lease.ts"
import { isFreeToTake, mayDo } from "./dispatch.ts"
import { beliefsOf } from "./judgement.ts"
import { probeFor, type Reasons, reasonsFor } from "./reasons.ts"
import type { ReadyQuery, Walk } from "./ready.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { isActive, isHeld, isLeaseOver, type Task, type TaskEvent, type TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

type Events = (TaskEvent | DirectiveEvent | BreakerEvent | AgentEvent)[]

export type Claim = { task: TaskId }
/** `filler`: only (true) or never (false) filler work; by default filler is offered where nothing else is ready. */
export type ClaimNext = {
  plan: PlanId | null
  labels: readonly string[]
  filler: boolean | null
  max: number
  /** Set by the hub where several waited: how many, and the task that is the caller's among them. */
  turn?: { waiting: number; meant: TaskId | null }
  /** Set by the hub where a policy was set: why the policy keeps the caller from a task, or null where it does not. */
  forbids?: Forbids
  /** Set by the hub where it is not `EFFORT_MAX`: what the decision may compare and have judged before it is `Unfinished`, in steps. */
  steps?: number
  /** Set by the hub where others share it: what is left of that. */
  effort?: Effort
}

/**
 * Claims one task. Of any number of callers exactly one wins: the hub decides one after the other, and every decision sees the ones before it.
 * Holding it already is no error: the same claim is answered again.
 */
export function decideClaim(state: Workspace, actor: Actor, { task: id }: Claim, nowMs: number): Events | Refusal {
  const agent = claimant(state, actor)
  if ("refused" in agent) return agent
  const task = state.tasks.get(id)
  if (task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  const over = isLeaseOver(task, nowMs)
  if (holds(task, actor) && !over) return []
  const denied = deniedBy(state, task, over)
  if (denied !== null) return denied
  const spec = state.specs.get(id) as TaskSpec
  if (!isFreeToTake(actor) && !mayDo(state, agent, spec.requires)) {
    const missing = Object.entries(spec.requires).filter(([skill, level]) => !mayDo(state, agent, { [skill]: level }))
    const named = missing.map(([skill, level]) => `${skill} ${level}`).join(", ")
    return refuse(
      "not_eligible",
      `${agent.name} lacks what task ${id} requires: ${named}`,
      "Claim the next task that fits, or give the agent these capabilities.",
      { task: id, missing: Object.fromEntries(missing) },
    )
  }
  const load = loadOf(state, agent, nowMs)
  const full = overLimit(state, agent, load, task, spec)
  if (full !== null) return full
  const conflicts = spec.touches.length === 0 ? [] : conflictsWith(state, agent.name, spec.touches, "exclusive", id)
  if (conflicts.length > 0) return filesConflict(conflicts, "Claim another task; this one can be claimed when those files are free.", { task: id })
  const isOthers = over && !load.over.includes(task)
  const gate = new ClaimGate(state, agent, nowMs, [...load.over, ...(isOthers ? [task] : []), ...(spec.filler ? [] : load.fillers)])
  const kept = gate.shut() ?? gate.admit(id, spec)
  if (kept !== null) return kept
  const ended = isOthers ? leaseEnded(state, task, "expired", actor.agent) : []
  const before = [...returned(state, actor), ...lapsed(state, actor, load), ...ended, ...freed(load, spec), ...gate.probesEnded()]
  return [...before, claimed(state, actor, id, spec, reasonsFor(state, agent, id, "named"), nowMs, gate)]
}

/**
 * Claims the best task that is ready and fits: by priority, then the longest remaining chain of dependents, then those that prefer the caller, then age; filler
 * work only where nothing else is ready. A session that is at its limit gets its current claims again. Throws `Unfinished`.
 */
export function decideClaimNext(state: Workspace, actor: Actor, filter: ClaimNext, nowMs: number): Events | Refusal {
  const agent = claimant(state, actor)
  if ("refused" in agent) return agent
  const load = loadOf(state, agent, nowMs)
  const room = agent.maxActive - load.active
  // Real work takes the place of what fillers have set aside; another filler would stand beside them.
  const beside = gateOf(state, agent, filter, load, true, nowMs)
  const givesWay = load.fillers.length > 0 && filter.filler !== true
  const gate = givesWay ? gateOf(state, agent, filter, load, false, nowMs) : beside
  const effort = filter.effort ?? newEffort(filter.steps)
  const shut = room <= 0 ? null : gate.shut()
  if (shut !== null) return shut
  const take = (ids: readonly TaskId[], free: TaskEvent[], by = gate, rule: Reasons["rule"] = "order"): Events => {
    const waiting = filter.turn?.waiting
    const claims = ids.map((id) => claimed(state, actor, id, state.specs.get(id) as TaskSpec, reasonsFor(state, agent, id, rule, waiting), nowMs, by))
    const before: Events = [...returned(state, actor), ...by.probesEnded()]
    if (load.over.length === 0 && free.length === 0 && before.length === 0) return claims
    return [...before, ...lapsed(state, actor, load), ...free, ...claims]
  }
  const own = room <= 0 ? null : ownOf(state, actor, agent, filter, gate, effort)
  if (own !== null) return take([own.id], freed(load, state.specs.get(own.id) as TaskSpec), gate, own.rule)
  const real = filter.filler === true || room <= 0 ? [] : state.board.chooseReady(queryOf(state, actor, agent, filter, false, room, gate, effort))
  if (real.length > 0) return take(real, freed(load, state.specs.get(real[0] as TaskId) as TaskSpec))
  const left = room - load.fillers.length
  if (left <= 0 && (room <= 0 || filter.filler !== false)) {
    const over = new Set(load.over.map((task) => task.id))
    return currentClaims(state, actor).some((task) => !over.has(task.id)) ? take([], []) : atLimit(agent)
  }
  const fillers = filter.filler === false ? [] : state.board.chooseReady(queryOf(state, actor, agent, filter, true, left, beside, effort))
  if (fillers.length > 0) return take(fillers, [], beside)
  const kept = gate.refusal ?? beside.refusal
  if (kept !== null) return kept
  const { pending } = state.board.counts
  return refuse("nothing_ready", "no task that fits is ready", "Wait for one with `wait`, or look at `skein status` for what is blocked.", {
    pending,
    ready: state.board.readyCount,
  })
}

/**
 * Goes on with the search of such a decision that threw `Unfinished`, from where it was, and finds out what it asks about. Nothing else comes of it: the state may have
 * changed since, so the decision itself MUST begin anew, and then meets what is known. Throws `Unfinished`.
 */
export function searchOn(state: Workspace, actor: Actor, filter: ClaimNext, nowMs: number, walk: Walk): void {
  const agent = claimant(state, actor)
  if ("refused" in agent) return
  const load = loadOf(state, agent, nowMs)
  const gate = gateOf(state, agent, filter, load, walk.filler, nowMs)
  const effort = filter.effort ?? newEffort(filter.steps)
  state.board.walkOn(queryOf(state, actor, agent, filter, walk.filler, agent.maxActive - load.active, gate, effort), walk)
}

/** `beside`: what it lets in stands beside the fillers that the caller has, and does not take their place. */
function gateOf(state: Workspace, agent: Agent, { forbids }: ClaimNext, { over, fillers }: Load, beside: boolean, nowMs: number): ClaimGate {
  return new ClaimGate(state, agent, nowMs, beside ? over : [...over, ...fillers], forbids)
}

/** What the caller holds and works on already: `claim_next` answers with it where there is no room for more. */
export function currentClaims(state: Workspace, actor: Actor): Task[] {
  return state.board.heldBy(actor.agent).filter((task) => holds(task, actor) && isActive(task.status))
}

/** An agent that may take work: present, and not by a session that is over or forgotten. */
export function claimant(state: Workspace, { agent, session }: Actor): Agent | Refusal {
  if (session !== null && (state.sessions.get(session)?.status ?? "ended") === "ended")
    return refuse("not_found", `session ${session} of ${agent} has ended`, "Start a new session, then claim.", { session })
  return presentAgent(state, agent)
}

/** Who takes something is there: a session that was taken for lost would be forgotten with what it holds. */
export function returned(state: Workspace, { session }: Actor): AgentEvent[] {
  return session !== null && state.sessions.get(session)?.status === "lost" ? [{ type: "session.returned", data: { id: session } }] : []
}

/** What an agent works on, leases that have run out left aside: they end with its next claim, at the latest with the next sweep. */
type Load = { active: number; fillers: Task[]; over: Task[] }

function loadOf(state: Workspace, { name }: Agent, nowMs: number): Load {
  const active = state.board.activeOf(name)
  const fillers = state.board.fillersOf(name)
  if ((state.board.nextLeaseEndMs ?? nowMs + 1) > nowMs) return { active, fillers, over: [] }
  const over = state.board.heldBy(name).filter((task) => isActive(task.status) && isLeaseOver(task, nowMs))
  const real = over.filter((task) => state.specs.get(task.id)?.filler === false)
  return { active: active - real.length, fillers: fillers.filter((task) => !over.includes(task)), over }
}

function lapsed(state: Workspace, actor: Actor, { over }: Load): Events {
  return over.flatMap((task) => leaseEnded(state, task, "expired", actor.agent))
}

/** Whether the caller's own session holds the task. Two sessions of one agent are two workers. */
function holds(task: Task, actor: Actor): boolean {
  return isHeld(task.status) && task.owner === actor.agent && task.session === actor.session
}

/** A task that is the caller's for a reason of its own: a probe that is due, or what it was assigned among all who waited. */
function ownOf(
  state: Workspace,
  actor: Actor,
  agent: Agent,
  filter: ClaimNext,
  gate: ClaimGate,
  effort: Effort,
): { id: TaskId; rule: "probe" | "assigned" } | null {
  if (filter.filler === true || filter.max > 1) return null
  const open = (id: TaskId): boolean => {
    const { plan } = state.tasks.get(id) as Task
    const { touches, labels } = state.specs.get(id) as TaskSpec
    if (filter.plan !== null && plan !== filter.plan) return false
    return (
      filter.labels.every((label) => labels.includes(label)) &&
      !state.board.holdings.obstruct(touches, agent.name, effort) &&
      planHasRoom(state, plan, agent.name) &&
      gate.isOpen(plan)
    )
  }
  const probe = isFreeToTake(actor) ? null : probeFor(state, agent, open)
  if (probe !== null && gate.admits(probe, state.specs.get(probe) as TaskSpec)) return { id: probe, rule: "probe" }
  const meant = filter.turn?.meant ?? null
  if (meant === null || !state.board.isReady(meant) || !open(meant)) return null
  const spec = state.specs.get(meant) as TaskSpec
  const may = isFreeToTake(actor) || mayDo(state, agent, spec.requires)
  return may && gate.admits(meant, spec) ? { id: meant, rule: "assigned" } : null
}

function deniedBy(state: Workspace, task: Task, over: boolean): Refusal | null {
  const { id, status, owner } = task
  if (isHeld(status)) {
    const retryAtMs = task.leaseEndsAtMs as number
    const { maxAttempts } = state.specs.get(id) as TaskSpec
    if (over && task.attempts + 1 < maxAttempts) return notReady(state, id)
    const directive = { kind: "claim_denied", task: id, heldBy: owner, session: task.session, fence: task.fence, retryAtMs }
    return refuse(
      "claim_denied",
      `task ${id} is held by ${owner}`,
      "Claim another task; this one is free again when its lease ends, if its owner falls silent.",
      { task: id, heldBy: owner, retryAtMs, directive },
    )
  }
  if (status !== "pending")
    return refuse(
      "wrong_status",
      `task ${id} is ${status}`,
      status === "review" ? "It waits for its review." : "Nothing is left to do on it; `skein task reset` opens it again.",
      { task: id, status },
    )
  return state.board.isReady(id) ? null : notReady(state, id)
}

/** What a task that nobody holds any more waits for; null where it waits for nothing. Something may have been opened again while it was held. */
function notReady(state: Workspace, id: TaskId): Refusal | null {
  const open = (state.specs.get(id) as TaskSpec).dependsOn.filter((dependency) => state.tasks.get(dependency)?.status !== "completed")
  if (open.length === 0) return null
  const dead = state.board.isUnreachable(id)
  const remedy = dead
    ? "Reset or replace what failed before it: `skein doctor` names it."
    : "Claim one of those, or wait: it is ready the moment the last of them completes."
  return refuse("not_ready", `task ${id} ${dead ? "cannot be reached" : "waits"}: ${open.slice(0, 5).join(", ")} not completed`, remedy, {
    task: id,
    waitsFor: open.slice(0, 100),
    unreachable: dead,
  })
}

function atLimit(agent: Agent): Refusal {
  return refuse(
    "at_limit",
    `${agent.name} works on ${agent.maxActive} task${agent.maxActive === 1 ? "" : "s"} already`,
    "Complete, release or block what it holds first.",
    { agent: agent.name, maxActive: agent.maxActive },
  )
}

function overLimit(state: Workspace, agent: Agent, { active, fillers }: Load, task: Task, spec: TaskSpec): Refusal | null {
  if (active + (spec.filler ? fillers.length : 0) >= agent.maxActive) return atLimit(agent)
  if (spec.filler || planHasRoom(state, task.plan, agent.name, task.owner)) return null
  const plan = task.plan as PlanId
  return refuse("at_limit", `plan ${plan} has its ${state.plans.get(plan)?.maxActiveAgents} agents at work already`, "Wait until one of them is done.", {
    plan,
  })
}

/** `leaving`: whoever lets go of a task of the plan in the same breath. */
function planHasRoom(state: Workspace, plan: PlanId | null, agent: AgentId, leaving: AgentId | null = null): boolean {
  const most = plan === null ? null : (state.plans.get(plan)?.maxActiveAgents ?? null)
  if (plan === null || most === null) return true
  const atWork = state.board.agentsAtWork(plan)
  return atWork.has(agent) || atWork.size - (leaving !== null && atWork.get(leaving) === 1 ? 1 : 0) < most
}

/** Whoever takes real work lets go of its filler in the same breath. */
function freed({ fillers }: Load, taken: TaskSpec): TaskEvent[] {
  if (taken.filler) return []
  return fillers.map((task) => ({ type: "task.released", data: { id: task.id, reason: "real work was ready" }, causedBy: task.fence }))
}

function claimed(state: Workspace, actor: Actor, id: TaskId, spec: TaskSpec, why: Reasons, nowMs: number, gate: ClaimGate): TaskEvent {
  const owned = actor.session !== null && state.sessions.get(actor.session)?.owned === true
  const leaseMs = spec.leaseMs ?? (owned ? LEASE_OWNED_MS : LEASE_UNOWNED_MS)
  const { reserves } = gate.reservesOf(id)
  const causedBy = readySince(state, state.tasks.get(id) as Task, spec)
  const data = { id, leaseMs, leaseEndsAtMs: nowMs + leaseMs, why }
  return { type: "task.claimed", data: reserves === undefined ? data : { ...data, reserves }, causedBy }
}

/** The entry that made the task ready: its own last one, or the completion of the last that it waited for. */
function readySince(state: Workspace, task: Task, spec: TaskSpec): Seq {
  return spec.dependsOn.reduce((seq, dependency) => Math.max(seq, state.tasks.get(dependency)?.lastSeq ?? 0), task.lastSeq)
}

function queryOf(
  state: Workspace,
  actor: Actor,
  agent: Agent,
  { plan, labels, max }: ClaimNext,
  filler: boolean,
  room: number,
  gate: ClaimGate,
  effort: Effort,
): ReadyQuery {
  return {
    count: Math.min(max, room),
    agent: agent.name,
    capabilities: isFreeToTake(actor) ? null : agent.capabilities,
    beliefs: beliefsOf(state, agent.name),
    plan,
    labels,
    filler,
    isFree: (touches) => !state.board.holdings.obstruct(touches, agent.name, effort),
    hasRoom: (of) => (filler || planHasRoom(state, of, agent.name)) && gate.isOpen(of),
    admits: (id, spec) => gate.admits(id, spec),
  }
}
