import { accountOf } from "./account.ts"
import { type Breaker, type BreakerId, breakerPolicy, type Signal, step } from "./breaker.ts"
import type { AgentId, Seq } from "./ids.ts"
import { isHeld, type Task, type TaskEvent, type TaskSpec } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** A provider asked to be left alone, until then where it said when. */
export type Throttled = { untilMs: number | null }

/** Texts of the known agents and providers that mean quota or rate, not failure. */
const QUOTA_TEXTS =
  /exit status 75\b|(?:http|status|error|code)\W{0,3}(?:code\W{0,3})?[45]29\b|\b429 too many|too many requests|rate.?limit(?:ed|.exceeded|.reached|_error)|usage limit reached|hit your (?:usage )?limit|insufficient_quota|quota (?:exceeded|exhausted)|exhausted your (?:daily )?quota|RESOURCE_EXHAUSTED|overloaded_error/i

/** Whether the words of a failure say that it was throttled: decided once, and recorded. */
export function throttledBy(reason: string): Throttled | null {
  return QUOTA_TEXTS.test(reason) ? { untilMs: null } : null
}

/** Ledgers from before breakers count nothing, so that they fold as they did. */
export function areBreakersOn(state: Workspace): boolean {
  return state.meta.get("workspace")?.breakers === true
}

/** The breakers that one agent's work on one task concerns. */
export function breakersOf(state: Workspace, agent: AgentId, spec: TaskSpec): BreakerId[] {
  const model = spec.model ?? state.agents.get(agent)?.model ?? null
  const ids = [
    `agent/${agent}`,
    `account/${accountOf(state, agent)}`,
    ...(model === null ? [] : [`model/${model}`]),
    ...spec.labels.map((label) => `kind/${label}`),
  ]
  return [...new Set(ids)]
}

/** What an entry about a task, which was `before`, tells its breakers; null where nothing. */
function signalOf(event: TaskEvent, before: Task): Signal | null {
  const { fence, owner } = before
  if (fence === null || owner === null) return null
  switch (event.type) {
    case "task.submitted":
    case "task.completed":
      // Whose review is passed has had its success already.
      return before.status === "review" ? null : { kind: "success", agent: owner, fence, reason: "" }
    case "task.failed":
    case "task.retried":
    case "task.released": {
      const { throttled, reason } = event.data
      if (throttled !== undefined) return { kind: "throttled", fence, untilMs: throttled.untilMs, reason }
      return event.type === "task.released" ? { kind: "neutral", fence } : { kind: "failure", agent: owner, fence, reason }
    }
    case "lease.ended":
      return event.data.reason === "expired" || event.data.reason === "lost"
        ? { kind: "failure", agent: owner, fence, reason: `the lease on ${before.id} ended: ${event.data.reason}` }
        : { kind: "neutral", fence }
    case "task.cancelled":
    case "task.reset":
      return { kind: "neutral", fence }
    default:
      return null
  }
}

/** What becomes of the breakers by an entry about a task. Throttling is the account's: neither the agent nor the kind of work is to blame. */
export function breakersAfter(
  state: Workspace,
  event: TaskEvent,
  before: Task,
  atMs: number,
  known: (id: BreakerId) => Breaker | undefined,
): Map<BreakerId, Breaker | undefined> {
  const after = new Map<BreakerId, Breaker | undefined>()
  const signal = signalOf(event, before)
  if (signal === null) return after
  // Most work ends well, and nothing is known against anybody: then there is nothing to take back.
  if (state.breakers.size === 0 && signal.kind !== "failure" && signal.kind !== "throttled") return after
  const policy = breakerPolicy(state)
  for (const id of breakersOf(state, before.owner as AgentId, state.specs.get(before.id) as TaskSpec)) {
    const was = known(id)
    const ends: Signal = signal.kind === "throttled" && !id.startsWith("account/") ? { kind: "neutral", fence: signal.fence } : signal
    const is = step(id, was, ends, atMs, policy)
    if (is !== was) after.set(id, is)
  }
  return after
}

export function foldOutcome(state: Workspace, event: TaskEvent, before: Task, atMs: number): void {
  for (const [id, breaker] of breakersAfter(state, event, before, atMs, (one) => state.breakers.get(one))) {
    if (breaker === undefined) state.breakers.delete(id)
    else state.breakers.put(id, breaker)
  }
}

/**
 * Whether the claim that is a breaker's probe has ended without a word to it: its task's labels or model, or its agent's model or account, were edited
 * meanwhile, and its outcome went to other breakers.
 */
export function isProbeGone(state: Workspace, { probe }: Breaker): boolean {
  const task = probe === null ? undefined : state.tasks.get(probe.task)
  return task !== undefined && (task.fence !== probe?.fence || !isHeld(task.status))
}

/** A claim is the probe of every breaker on its way that is half-open. */
export function foldProbe(state: Workspace, task: Task, fence: Seq, agent: AgentId, atMs: number): void {
  const policy = breakerPolicy(state)
  for (const id of breakersOf(state, agent, state.specs.get(task.id) as TaskSpec)) {
    const was = state.breakers.get(id)
    const is = step(id, was, { kind: "claimed", task: task.id, fence }, atMs, policy)
    if (is !== was) state.breakers.put(id, is as Breaker)
  }
}
