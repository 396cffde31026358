import { type AccountEvent, decideRestoreAccount } from "./account.ts"
import { type Recorded, unknownType } from "./entry.ts"
import type { AgentId, Seq, TaskId } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Workspace } from "./workspace.ts"

/** What a breaker protects: `agent/NAME`, `account/NAME`, `model/NAME`, or `kind/LABEL`, the kind of a task being its labels. */
export type BreakerId = string
export type BreakerCause = "failures" | "rate" | "throttled" | "manual"
type OutcomeRow = { atMs: number; ok: boolean; agent: AgentId }

/** What went wrong lately, and whether that keeps work away. A breaker of which nothing is known is closed and has no record. */
export type Breaker = {
  id: BreakerId
  /** The last outcomes, oldest first, from the first failure on. */
  recent: readonly OutcomeRow[]
  /** Null: closed. Open before `untilMs`, half-open from then on; `untilMs` null: open until somebody resets it. */
  open: { cause: BreakerCause; untilMs: number | null; sinceMs: number; reason: string } | null
  /** Times that it opened for failures since it was closed, and times that it was throttled since something succeeded: each makes the next wait twice as long. */
  opened: number
  throttled: number
  /** The claim that is let through while it is half-open: its outcome decides. */
  probe: { task: TaskId; fence: Seq } | null
}
export type BreakerPhase = "closed" | "open" | "half_open"

/** Every number by which breakers open. `min` and `max` are what an operator may set; times are in ms. */
export const BREAKER_NUMBERS = {
  consecutive: { is: 5, min: 0, max: 100, means: "failures in a row that open it; 0: never" },
  outcomes: { is: 10, min: 2, max: 100, means: "outcomes that its error rate is of; with fewer there is none" },
  ratePercent: { is: 60, min: 0, max: 100, means: "share of failures that opens it; 0: never" },
  windowMs: { is: 600_000, min: 1_000, max: 86_400_000, means: "outcomes that are older count no more" },
  openMs: { is: 60_000, min: 100, max: 3_600_000, means: "how long it is open at first, doubled with each probe that fails" },
  openMaxMs: { is: 900_000, min: 100, max: 86_400_000, means: "and at the most" },
  throttleMs: { is: 30_000, min: 100, max: 3_600_000, means: "how long it is open when throttled without a time of reset, doubled each time" },
} as const
export type BreakerNumber = keyof typeof BREAKER_NUMBERS
export type BreakerPolicy = Readonly<Record<BreakerNumber, number>>
const DEFAULTS = Object.fromEntries(Object.entries(BREAKER_NUMBERS).map(([name, { is }]) => [name, is])) as BreakerPolicy

/** What a breaker is told. `fence`: of the claim that it is the outcome of. `neutral`: the claim ended without one. */
export type Signal =
  | { kind: "claimed"; task: TaskId; fence: Seq }
  | { kind: "success" | "failure"; agent: AgentId; fence: Seq; reason: string }
  | { kind: "throttled"; fence: Seq; untilMs: number | null; reason: string }
  | { kind: "neutral"; fence: Seq }
  | { kind: "trip"; untilMs: number | null; reason: string }

export type TripBreaker = { breaker: BreakerId; untilMs: number | null; reason: string }
export type ResetBreaker = { breaker: BreakerId; reason: string }
export type SetBreakerPolicy = { changes: Partial<Record<BreakerNumber, number>>; reason: string }
export type BreakerEvent =
  | Recorded<"breaker.tripped", TripBreaker>
  | Recorded<"breaker.reset", ResetBreaker>
  /** The claim that was its probe ended without a word to it: the next claim is its probe. */
  | Recorded<"breaker.probe_ended", { breaker: BreakerId }>
  | Recorded<"breaker.policy_changed", SetBreakerPolicy>

/** A reset that is further away than this is not believed: a clock is wrong. */
const RESET_MAX_MS = 31 * 24 * 3_600_000

export function breakerPolicy(state: Workspace): BreakerPolicy {
  const changed = state.breakerPolicy.get("breaker")
  return changed === undefined ? DEFAULTS : { ...DEFAULTS, ...changed }
}

/** Half-open *at* the end of its time, not after it. */
export function phaseOf(breaker: Breaker | undefined, nowMs: number): BreakerPhase {
  if (breaker === undefined || breaker.open === null) return "closed"
  const { untilMs } = breaker.open
  return untilMs === null || nowMs < untilMs ? "open" : "half_open"
}

/**
 * One step of a breaker: the whole of its rules. `undefined` is closed with nothing known. While it is open or half-open only the probe counts: what began before says
 * nothing new.
 */
export function step(id: BreakerId, breaker: Breaker | undefined, signal: Signal, atMs: number, policy: BreakerPolicy): Breaker | undefined {
  const now: Breaker = breaker ?? { id, recent: [], open: null, opened: 0, throttled: 0, probe: null }
  if (signal.kind === "trip") return { ...now, open: { cause: "manual", untilMs: signal.untilMs, sinceMs: atMs, reason: signal.reason }, probe: null }
  const phase = phaseOf(breaker, atMs)
  if (signal.kind === "claimed") return phase === "half_open" && now.probe === null ? { ...now, probe: { task: signal.task, fence: signal.fence } } : breaker
  const isProbe = now.probe !== null && now.probe.fence === signal.fence
  if (signal.kind === "throttled") return throttled(now, signal, phase === "closed" || isProbe, atMs, policy)
  if (phase !== "closed" && !isProbe) return breaker
  switch (signal.kind) {
    case "neutral":
      return isProbe ? { ...now, probe: null } : breaker
    case "success": {
      if (isProbe || breaker === undefined) return undefined
      const recent = kept([...now.recent, { atMs, ok: true, agent: signal.agent }], atMs, policy)
      return recent.every(({ ok }) => ok) ? undefined : { ...now, recent, throttled: 0 }
    }
    case "failure": {
      const recent = kept([...now.recent, { atMs, ok: false, agent: signal.agent }], atMs, policy)
      const cause = isProbe ? "failures" : causeToOpen(id, recent, policy)
      if (cause === null) return { ...now, recent }
      const untilMs = atMs + Math.min(policy.openMaxMs, doubled(policy.openMs, now.opened))
      return { ...now, recent, open: { cause, untilMs, sinceMs: atMs, reason: signal.reason }, opened: now.opened + 1, probe: null }
    }
  }
}

function throttled(
  now: Breaker,
  { untilMs: reset, reason, fence }: Signal & { kind: "throttled" },
  opens: boolean,
  atMs: number,
  policy: BreakerPolicy,
): Breaker {
  const untilMs =
    reset !== null && reset > atMs ? Math.min(reset, atMs + RESET_MAX_MS) : atMs + Math.min(policy.openMaxMs, doubled(policy.throttleMs, now.throttled))
  const probe = now.probe?.fence === fence ? null : now.probe
  if (opens) return { ...now, open: { cause: "throttled", untilMs, sinceMs: atMs, reason }, throttled: now.throttled + 1, probe }
  // Open already: a reset that the provider names is heeded, whatever was thought before. What is tripped by hand stays so.
  const { open } = now
  if (open === null || open.cause === "manual" || open.untilMs === null || reset === null || untilMs <= open.untilMs) return now
  return { ...now, open: { ...open, untilMs }, probe: null }
}

function doubled(firstMs: number, times: number): number {
  let ms = firstMs
  for (let at = 0; at < times && at < 40; at += 1) ms *= 2
  return ms
}

function kept(rows: readonly OutcomeRow[], atMs: number, { windowMs, consecutive, outcomes }: BreakerPolicy): OutcomeRow[] {
  return rows.filter((row) => row.atMs > atMs - windowMs).slice(-Math.max(consecutive, outcomes))
}

/** What many share is not opened by the failures of one: that one has a breaker of its own. */
function causeToOpen(id: BreakerId, recent: readonly OutcomeRow[], { consecutive, outcomes, ratePercent }: BreakerPolicy): "failures" | "rate" | null {
  const ofMany = (rows: readonly OutcomeRow[]): boolean => id.startsWith("agent/") || new Set(rows.flatMap(({ ok, agent }) => (ok ? [] : [agent]))).size > 1
  const last = recent.slice(-consecutive)
  if (consecutive > 0 && last.length === consecutive && last.every(({ ok }) => !ok) && ofMany(last)) return "failures"
  const rated = recent.slice(-outcomes)
  const failures = rated.filter(({ ok }) => !ok).length
  return ratePercent > 0 && rated.length === outcomes && failures * 100 >= ratePercent * outcomes && ofMany(rated) ? "rate" : null
}

export function decideTripBreaker(_state: Workspace, { breaker, untilMs, reason }: TripBreaker, nowMs: number): BreakerEvent[] | Refusal {
  if (untilMs !== null && (untilMs <= nowMs || untilMs > nowMs + RESET_MAX_MS))
    return refuse("invalid", `${breaker} cannot be open until then`, "Give a time within the next 31 days, in ms since 1970, or null: until it is reset.", {
      breaker,
      untilMs,
    })
  return [{ type: "breaker.tripped", data: { breaker, untilMs, reason } }]
}

/** An account that is out of quota is shown as an open breaker, and is restored as one. */
export function decideResetBreaker(state: Workspace, { breaker, reason }: ResetBreaker, nowMs: number): (BreakerEvent | AccountEvent)[] | Refusal {
  const known: BreakerEvent[] = state.breakers.has(breaker) ? [{ type: "breaker.reset", data: { breaker, reason } }] : []
  const account = breaker.startsWith("account/") ? breaker.slice("account/".length) : null
  const isPaused = account !== null && nowMs < (state.accounts.get(account)?.untilMs ?? 0)
  if (known.length === 0 && !isPaused)
    return refuse("not_found", `breaker ${breaker} is closed`, "`skein breaker list` lists those of which something is known.", { breaker })
  return isPaused ? [...known, ...decideRestoreAccount(state, { account, reason })] : known
}

export function decideSetBreakerPolicy(state: Workspace, { changes, reason }: SetBreakerPolicy): BreakerEvent[] | Refusal {
  for (const [name, value] of Object.entries(changes) as [BreakerNumber, number][]) {
    const { min, max } = BREAKER_NUMBERS[name]
    if (value < min || value > max) return refuse("invalid", `${name} cannot be ${value}`, `Give ${min} to ${max}.`, { name, value, min, max })
  }
  const policy = breakerPolicy(state)
  const differing = Object.entries(changes).filter(([name, value]) => policy[name as BreakerNumber] !== value)
  return differing.length === 0 ? [] : [{ type: "breaker.policy_changed", data: { changes: Object.fromEntries(differing), reason } }]
}

export function evolveBreaker(state: Workspace, event: BreakerEvent, { atMs }: { atMs: number }): void {
  switch (event.type) {
    case "breaker.tripped": {
      const { breaker: id, untilMs, reason } = event.data
      state.breakers.put(id, step(id, state.breakers.get(id), { kind: "trip", untilMs, reason }, atMs, breakerPolicy(state)) as Breaker)
      break
    }
    case "breaker.reset":
      state.breakers.delete(event.data.breaker)
      break
    case "breaker.probe_ended": {
      const breaker = state.breakers.get(event.data.breaker)
      if (breaker !== undefined) state.breakers.put(breaker.id, { ...breaker, probe: null })
      break
    }
    case "breaker.policy_changed": {
      const all = { ...state.breakerPolicy.get("breaker"), ...event.data.changes }
      state.breakerPolicy.put("breaker", Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1))))
      break
    }
    default:
      throw unknownType(event)
  }
}
