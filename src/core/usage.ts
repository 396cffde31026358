import { type Actor, type Recorded, unknownType } from "./entry.ts"
import type { AgentId, Seq, SessionId, TaskId } from "./ids.ts"
import { ATTEMPTS_KEPT } from "./judgement.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { aRole, permits } from "./role.ts"
import { isHeld, type Task } from "./task.ts"
import type { Workspace } from "./workspace.ts"

/** Micro-USD for a token of each kind: the same number as dollars for a million tokens. */
export type Price = { input: number; output: number; cacheRead: number; cacheWrite: number }

/** What model calls took. Input counts neither what was read from a cache nor what was written to one. */
export type Tokens = { inputTokens: number; outputTokens: number; cacheReadTokens: number; cacheWriteTokens: number }

/** Model calls that belong together. `costMicroUsd`: null where nobody knows a price; an integer, worked out before it is recorded. */
export type Spent = Tokens & { requests: number; costMicroUsd: number | null }

export type ReportUsage = Spent & {
  /** Whose calls they were: the caller's own unless a supervisor, orchestrator or operator says. */
  agent: AgentId | null
  session: SessionId | null
  /** The task that they were for; null: the one that the session, or else the agent, is at work on. */
  task: TaskId | null
  model: string | null
}

/** Sums of one day, agent, session, task and model. */
export type UsageSum = Tokens & {
  /** Days since 1970 in UTC, of the entry's time. */
  day: number
  agent: AgentId
  session: SessionId | null
  task: TaskId | null
  model: string | null
  requests: number
  costMicroUsd: number
  /** Model calls without a known price: their cost is missing from the sum. */
  unpriced: number
  lastSeq: Seq
}

/** Money that came back, or was never spent. It is counted on the day of its entry. */
export type RefundUsage = { agent: AgentId; task: TaskId | null; costMicroUsd: number; reason: string }

export type UsageEvent =
  | Recorded<"usage.reported", Spent & { agent: AgentId; session: SessionId | null; task: TaskId | null; model: string | null }>
  | Recorded<"usage.refunded", RefundUsage>

const DAY_MS = 86_400_000

/** What tokens cost in whole micro-USD, rounded to the nearest. */
export function costOf({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }: Tokens, price: Price): number {
  return Math.round(inputTokens * price.input + outputTokens * price.output + cacheReadTokens * price.cacheRead + cacheWriteTokens * price.cacheWrite)
}

/** The price of a model: by its name, else by the longest beginning of it that has one; null where none has. */
export function priceOf(prices: ReadonlyMap<string, Price>, model: string | null): Price | null {
  if (model === null) return null
  for (let length = model.length; length > 0; length--) {
    const price = prices.get(model.slice(0, length))
    if (price !== undefined) return price
  }
  return null
}

/** Records what model calls took. Late reports count too: money that was spent was spent. */
export function decideReportUsage(
  state: Workspace,
  actor: Actor,
  { agent: of, session: given, task: on, model, ...spent }: ReportUsage,
): UsageEvent[] | Refusal {
  const name = of ?? actor.agent
  // A supervisor stands beside the ladder of roles: it works on nothing, but tells what its agents used.
  if (actor.role !== "supervisor" && !permits("worker", actor.role))
    return refuse("forbidden", `${aRole(actor.role)} uses nothing that is counted`, "Report as a worker, or have the supervisor report it.", {
      role: actor.role,
    })
  if (name !== actor.agent && actor.role === "worker")
    return refuse("forbidden", `${actor.agent} cannot report what ${name} used`, "Report your own usage; a supervisor reports that of others.", { agent: name })
  if (!state.agents.has(name) && name !== actor.agent)
    return refuse("not_found", `there is no agent ${name}`, "`skein agent list` lists the agents.", { agent: name })
  const session = given ?? (name === actor.agent ? actor.session : null)
  if (session !== null && state.sessions.get(session)?.agent !== name)
    return refuse("not_found", `session ${session} is not one of ${name}'s`, "Leave the session out, or name one of the agent's own.", { session })
  if (on !== null && !state.tasks.has(on)) return refuse("not_found", `there is no task ${on}`, "`skein task list` lists the tasks.", { task: on })
  const task = on ?? taskOf(state, name, session)
  return [{ type: "usage.reported", data: { agent: name, session, task, model, ...spent } }]
}

/** What an agent is at work on: the one task that its session holds, else the one that it holds at all; null where that is none or many. */
function taskOf(state: Workspace, agent: AgentId, session: SessionId | null): TaskId | null {
  const inSession = session === null ? [] : state.board.heldBySession(session).filter(({ status }) => isHeld(status))
  const held = inSession.length > 0 ? inSession : state.board.heldBy(agent).filter(({ status }) => isHeld(status))
  return held.length === 1 ? (held[0]?.id ?? null) : null
}

export function evolveUsage(state: Workspace, event: UsageEvent, { seq, atMs }: { seq: Seq; atMs: number }): void {
  if (event.type === "usage.refunded") return evolveRefund(state, event.data, seq, atMs)
  if (event.type !== "usage.reported") throw unknownType(event)
  const { agent, session, task: id, model, requests, costMicroUsd, ...tokens } = event.data
  const day = Math.floor(atMs / DAY_MS)
  const key = JSON.stringify([day, agent, session, id, model])
  const before = state.usage.get(key)
  state.usage.put(key, {
    day,
    agent,
    session,
    task: id,
    model,
    requests: (before?.requests ?? 0) + requests,
    inputTokens: (before?.inputTokens ?? 0) + tokens.inputTokens,
    outputTokens: (before?.outputTokens ?? 0) + tokens.outputTokens,
    cacheReadTokens: (before?.cacheReadTokens ?? 0) + tokens.cacheReadTokens,
    cacheWriteTokens: (before?.cacheWriteTokens ?? 0) + tokens.cacheWriteTokens,
    costMicroUsd: (before?.costMicroUsd ?? 0) + (costMicroUsd ?? 0),
    unpriced: (before?.unpriced ?? 0) + (costMicroUsd === null ? requests : 0),
    lastSeq: seq,
  })
  const task = id === null ? undefined : state.tasks.get(id)
  if (task === undefined) return
  const { usage } = task
  // Not the task's last entry: what it cost says nothing of where it stands.
  state.tasks.put(task.id, {
    ...task,
    usage: {
      costMicroUsd: usage.costMicroUsd + (costMicroUsd ?? 0),
      inputTokens: usage.inputTokens + tokens.inputTokens + tokens.cacheReadTokens + tokens.cacheWriteTokens,
      outputTokens: usage.outputTokens + tokens.outputTokens,
    },
  })
}

/** Takes money back out of the sums: never more than the agent has spent on the task, or without one. */
export function decideRefundUsage(state: Workspace, input: RefundUsage): UsageEvent[] | Refusal {
  const { agent, task: id, costMicroUsd } = input
  const task = id === null ? undefined : state.tasks.get(id)
  if (id !== null && task === undefined) return refuse("not_found", `there is no task ${id}`, "`skein task list` lists the tasks.", { task: id })
  if (!state.agents.has(agent)) return refuse("not_found", `there is no agent ${agent}`, "`skein agent list` lists the agents.", { agent })
  const spent = spentBy(state, agent, task ?? null)
  if (costMicroUsd > spent)
    return refuse(
      "invalid",
      `${agent} has spent $${spent / 1e6} ${id === null ? "without a task" : `on ${id}`}, not $${costMicroUsd / 1e6}`,
      "Refund at the most what that agent spent there: `skein cost --by agent`.",
      { spentMicroUsd: spent, costMicroUsd },
    )
  return [{ type: "usage.refunded", data: input }]
}

/**
 * What an agent has spent on a task, or without one. What came with the end of an attempt stands in the task's sum only: it may be that of whoever holds or
 * delivered the task, or tried it; of anybody, where not all of them are known any more.
 */
function spentBy(state: Workspace, agent: AgentId, task: Task | null): number {
  let own = 0
  let all = 0
  for (const sum of state.usage.values()) {
    if (sum.task !== (task?.id ?? null)) continue
    all += sum.costMicroUsd
    if (sum.agent === agent) own += sum.costMicroUsd
  }
  if (task === null) return own
  const attempts = state.attempts.get(task.id) ?? []
  const isKnown = task.owner !== null && attempts.length < ATTEMPTS_KEPT
  const tried = !isKnown || task.owner === agent || attempts.some((attempt) => attempt.agent === agent)
  return Math.min(task.usage.costMicroUsd, own + (tried ? Math.max(0, task.usage.costMicroUsd - all) : 0))
}

function evolveRefund(state: Workspace, { agent, task: id, costMicroUsd }: RefundUsage, seq: Seq, atMs: number): void {
  const day = Math.floor(atMs / DAY_MS)
  const key = JSON.stringify([day, agent, null, id, null])
  const before = state.usage.get(key) ?? {
    ...{ day, agent, session: null, task: id, model: null, requests: 0 },
    ...{ inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costMicroUsd: 0, unpriced: 0, lastSeq: seq },
  }
  // What came with a completion stands in the task's sum only.
  let reported = 0
  for (const sum of state.usage.values()) if (sum.agent === agent && sum.task === id) reported += sum.costMicroUsd
  if (reported > 0) state.usage.put(key, { ...before, costMicroUsd: before.costMicroUsd - Math.min(costMicroUsd, reported), lastSeq: seq })
  const task = id === null ? undefined : state.tasks.get(id)
  if (task !== undefined) state.tasks.put(task.id, { ...task, usage: { ...task.usage, costMicroUsd: task.usage.costMicroUsd - costMicroUsd } })
}

type Sums = Omit<UsageRow, "key">
export const NOTHING_USED: Sums = { requests: 0, inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, costMicroUsd: 0, unpriced: 0 }

/** All of them together. */
export function totalOf(rows: readonly Sums[]): Sums {
  const total = { ...NOTHING_USED }
  for (const row of rows) for (const field of Object.keys(NOTHING_USED) as (keyof Sums)[]) total[field] += row[field]
  return total
}

/** By what sums are added up. */
export const USAGE_BY = ["agent", "task", "session", "model", "day"] as const
export type UsageBy = (typeof USAGE_BY)[number]
export type UsageRow = Tokens & { key: string | null; requests: number; costMicroUsd: number; unpriced: number }

/** All usage of a workspace, added up by one thing; the dearest first. */
export function usageBy(state: Workspace, by: UsageBy): UsageRow[] {
  const rows = new Map<string | null, UsageRow>()
  for (const sum of state.usage.values()) {
    const key = by === "day" ? new Date(sum.day * DAY_MS).toISOString().slice(0, 10) : sum[by]
    rows.set(key, { key, ...totalOf([rows.get(key) ?? NOTHING_USED, sum]) })
  }
  const sorted = [...rows.values()]
  if (by === "day") return sorted.sort((a, b) => (String(a.key) < String(b.key) ? -1 : 1))
  return sorted.sort((a, b) => b.costMicroUsd - a.costMicroUsd || b.inputTokens - a.inputTokens || (String(a.key) < String(b.key) ? -1 : 1))
}
