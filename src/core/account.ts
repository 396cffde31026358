import type { Agent } from "./agent.ts"
import { type Actor, type Recorded, unknownType } from "./entry.ts"
import type { AgentId, Seq } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Trigger, TriggerEvent } from "./trigger.ts"
import type { Workspace } from "./workspace.ts"

/** An account that is out of quota: nobody of it is woken before its reset. */
export type Exhausted = { account: string; untilMs: number; reason: string; by: AgentId; atMs: number }

export type ExhaustAccount = { account: string; untilMs: number; reason: string }
export type RestoreAccount = { account: string; reason: string }

export type AccountEvent =
  | Recorded<"account.exhausted", { account: string; untilMs: number; reason: string }>
  | Recorded<"account.restored", { account: string; reason: string }>

/** A reset that is further away than this is not believed: a clock is wrong. */
export const RESET_MAX_MS = 31 * 24 * 3_600_000

/** The account that an agent's quota is counted on: its own where its profile names none. */
export function accountOf(state: Workspace, name: AgentId): string {
  return state.agents.get(name)?.account ?? `agent/${name}`
}

/** Until when an agent is paused, or null where it is not. */
export function pausedUntilMs(state: Workspace, name: AgentId, nowMs: number): number | null {
  const untilMs = state.accounts.get(accountOf(state, name))?.untilMs
  return untilMs !== undefined && nowMs < untilMs ? untilMs : null
}

/** Pauses every agent of the account. Texts that are with an agent of it count as not sent: no attempt is burnt. */
export function decideExhaustAccount(state: Workspace, { account, untilMs, reason }: ExhaustAccount, nowMs: number): (AccountEvent | TriggerEvent)[] | Refusal {
  if (!isKnown(state, account))
    return refuse("not_found", `no agent has account ${account}`, "`skein agent list` shows accounts; agent/NAME stands for an agent without one.", { account })
  if (untilMs > nowMs + RESET_MAX_MS) return tooFar(account, untilMs)
  if (untilMs <= nowMs || (state.accounts.get(account)?.untilMs ?? 0) === untilMs) return []
  const waiting = state.jobs.awaiting().filter((job) => accountOf(state, job.target) === account)
  return [{ type: "account.exhausted", data: { account, untilMs, reason } }, ...waiting.map((job) => putBack(job, reason, nowMs))]
}

/** The refusal of a reset that is not believed. */
export function tooFar(account: string, untilMs: number): Refusal {
  return refuse("invalid", `the reset of ${account} is more than 31 days away`, "Give the reset in ms since 1970.", { account, untilMs })
}

export function decideRestoreAccount(state: Workspace, { account, reason }: RestoreAccount): AccountEvent[] {
  return state.accounts.has(account) ? [{ type: "account.restored", data: { account, reason } }] : []
}

/** A job whose agent could not take its text for want of quota: it waits, and nothing is counted against it. */
export function putBack(job: Trigger, reason: string, nowMs: number): TriggerEvent {
  const status = job.hop === "live" ? "deferred" : job.hop === "resume" ? "fallback_resume" : "fallback_spawn"
  const next = { status, hop: job.hop, notBeforeMs: nowMs } as const
  return { type: "trigger.deferred", data: { id: job.id, fence: job.fence, code: "QUOTA_EXHAUSTED", detail: reason, next }, causedBy: job.fence as Seq }
}

export function evolveAccount(state: Workspace, event: AccountEvent, { atMs, actor }: { atMs: number; actor: Actor }): void {
  switch (event.type) {
    case "account.exhausted":
      state.accounts.put(event.data.account, { ...event.data, by: actor.agent, atMs })
      break
    case "account.restored":
      state.accounts.delete(event.data.account)
      break
    default:
      throw unknownType(event)
  }
}

function isKnown(state: Workspace, account: string): boolean {
  const own = account.startsWith("agent/") ? state.agents.get(account.slice(6)) : undefined
  return own !== undefined || [...state.agents.values()].some((agent: Agent) => agent.account === account)
}
