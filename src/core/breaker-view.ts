import { type Breaker, type BreakerCause, type BreakerPhase, phaseOf } from "./breaker.ts"
import type { TaskId } from "./ids.ts"
import type { Workspace } from "./workspace.ts"

/** A breaker as everybody may see it. */
export type BreakerView = {
  breaker: string
  phase: BreakerPhase
  cause: BreakerCause | null
  /** When it lets a probe through; null where it is closed, or waits for a reset. */
  untilMs: number | null
  sinceMs: number | null
  reason: string | null
  /** Outcomes that still count, failures among them, and how often it was throttled since the last success. */
  outcomes: number
  failures: number
  throttled: number
  probe: TaskId | null
}

/** Every breaker of which something is known, and the accounts that are out of quota; those that keep work away come first. */
export function breakerViews(state: Workspace, nowMs: number): BreakerView[] {
  const views = [...state.breakers.values()].map((breaker) => viewOf(breaker, nowMs))
  for (const { account, untilMs, reason, atMs } of state.accounts.values()) {
    const id = `account/${account}`
    if (untilMs <= nowMs) continue
    const known = views.find(({ breaker }) => breaker === id)
    const paused = { phase: "open" as const, cause: "throttled" as const, untilMs, sinceMs: atMs, reason }
    if (known === undefined) views.push({ breaker: id, ...paused, outcomes: 0, failures: 0, throttled: 1, probe: null })
    else if (known.phase !== "open") Object.assign(known, paused)
  }
  const order: readonly BreakerPhase[] = ["open", "half_open", "closed"]
  return views.sort((a, b) => order.indexOf(a.phase) - order.indexOf(b.phase) || (a.breaker < b.breaker ? -1 : 1))
}

function viewOf(breaker: Breaker, nowMs: number): BreakerView {
  const { id, recent, open, throttled, probe } = breaker
  const { cause = null, untilMs = null, sinceMs = null, reason = null } = open ?? {}
  const failures = recent.filter(({ ok }) => !ok).length
  return {
    breaker: id,
    phase: phaseOf(breaker, nowMs),
    cause,
    untilMs,
    sinceMs,
    reason,
    outcomes: recent.length,
    failures,
    throttled,
    probe: probe?.task ?? null,
  }
}
