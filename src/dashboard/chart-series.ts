import type { Entry } from "../core/entry.ts"
import { spendingOf } from "../core/governor-notice.ts"
import type { TaskEvent } from "../core/task.ts"
import type { UsageEvent } from "../core/usage.ts"
import type { Workspace } from "../core/workspace.ts"

/** One line of a chart: its value in each bucket; null where nothing is known. */
export type Line = { name: string; values: (number | null)[] }
/** `times`: where each bucket begins, in s since 1970, as charts take it. */
export type Chart = { id: string; title: string; unit: "count" | "usd" | "ms" | "s"; times: number[]; lines: Line[] }

/** From `fromMs` to `toMs` in `buckets` steps of the same length. */
export type Span = { fromMs: number; toMs: number; buckets: number }

/** What became of tasks, leases, money and heartbeats over a span, from the ledger's own entries: as true of the past as of now. */
export function chartsOf(entries: readonly Entry[], state: Workspace, span: Span): Chart[] {
  const { fromMs, toMs, buckets } = span
  const stepMs = (toMs - fromMs) / buckets
  const times = Array.from({ length: buckets }, (_, at) => Math.round((fromMs + at * stepMs) / 1_000))
  const zeros = (): number[] => times.map(() => 0)
  const completed = zeros()
  const failed = zeros()
  const all = zeros()
  const claimed = zeros()
  const lost = zeros()
  const cost = zeros()
  const beats = zeros()
  const silent = zeros()
  const opened = zeros()
  const waits: number[][] = times.map(() => [])
  const freed = new Map<string, number>()
  for (const entry of entries) {
    const { atMs, type, data } = entry
    if (atMs > toMs) break
    const at = Math.min(buckets - 1, Math.floor((atMs - fromMs) / stepMs))
    const { id = "" } = data as { id?: string }
    if (type === "task.claimed") {
      const readyMs = readyAtMs(state, id, atMs, freed)
      if (at >= 0 && readyMs !== null) waits[at]?.push(Math.max(0, atMs - readyMs))
    } else if (type === "task.released" || type === "lease.ended" || type === "task.retried" || type === "task.reset") freed.set(id, atMs)
    // A few entries from before the span are read too, for what they freed.
    if (at < 0) continue
    add(all, at)
    const spent = spendingOf(entry as unknown as TaskEvent | UsageEvent, entry.actor)
    if (spent !== null) add(cost, at, spent.costMicroUsd / 1e6)
    if (type === "task.completed") add(completed, at)
    else if (type === "task.failed") add(failed, at)
    else if (type === "task.claimed") add(claimed, at)
    else if (type === "lease.ended" || type === "task.released" || type === "task.retried") add(lost, at)
    else if (type === "leases.renewed") add(beats, at, (data as { sessions: string[] }).sessions.length)
    else if (type === "session.lost") add(silent, at)
    if (type === "task.added") add(opened, at)
    else if (type === "task.completed" || type === "task.failed" || type === "task.cancelled") add(opened, at, -1)
  }
  const chart = (id: string, title: string, unit: Chart["unit"], lines: Line[]): Chart => ({ id, title, unit, times, lines })
  return [
    chart("queue", "Tasks that are not over", "count", [{ name: "open", values: levels(opened, openAt(state)) }]),
    chart("claim", "How long a task stood ready before it was claimed", "s", [
      { name: "half of them at most", values: waits.map((some) => quantile(some, 0.5)) },
      { name: "95 % at most", values: waits.map((some) => quantile(some, 0.95)) },
    ]),
    chart("throughput", "Tasks that ended", "count", [
      { name: "completed", values: completed },
      { name: "failed", values: failed },
    ]),
    chart("churn", "Leases", "count", [
      { name: "claimed", values: claimed },
      { name: "lost or given back", values: lost },
    ]),
    chart("cost", "Cost", "usd", [{ name: "USD", values: cost }]),
    chart("beats", "Sessions that beat, by sweep", "count", [
      { name: "renewed", values: beats },
      { name: "lost", values: silent },
    ]),
    chart("entries", "Entries of the ledger", "count", [{ name: "entries", values: all }]),
  ]
}

/** When a task could be claimed: added, all that it depends on over, and nobody had it. Null where the state does not know the task. */
function readyAtMs(state: Workspace, id: string, claimedMs: number, freed: ReadonlyMap<string, number>): number | null {
  const task = state.tasks.get(id)
  if (task === undefined) return null
  const after = (state.specs.get(id)?.dependsOn ?? []).map((name) => state.tasks.get(name)?.closedAtMs ?? 0)
  // What was closed only later has been opened again since: it tells nothing of this claim.
  return Math.max(task.addedAtMs, freed.get(id) ?? 0, ...after.filter((atMs) => atMs <= claimedMs))
}

function openAt({ board: { counts } }: Workspace): number {
  return counts.pending + counts.claimed + counts.in_progress + counts.blocked + counts.review
}

/** A level at the end of each bucket, told from the level at the last one and what changed since. */
function levels(changes: readonly number[], last: number): number[] {
  const values: number[] = []
  let level = last
  for (const change of changes.toReversed()) {
    values.push(Math.max(0, level))
    level -= change
  }
  return values.reverse()
}

function quantile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number) / 1_000
}

function add(values: number[], at: number, by = 1): void {
  values[at] = (values[at] ?? 0) + by
}

/** A sample of the hub's own counters, as `hub.metrics` gives it. */
export type Sample = { atMs: number } & Readonly<Record<string, number>>

/** What only the hub knows, from its samples: nothing of it is in the ledger. */
export function hubChartsOf(samples: readonly Sample[]): Chart[] {
  const times = samples.map(({ atMs }) => Math.round(atMs / 1_000))
  const gauge = (name: string, field: string): Line => ({ name, values: samples.map((sample) => sample[field] ?? null) })
  const rate = (name: string, field: string): Line => ({ name, values: perSecond(samples, field) })
  const batchMs = samples.map((sample, at) => {
    const before = samples[at - 1]
    const batches = before === undefined ? 0 : (sample["batches"] ?? 0) - (before["batches"] ?? 0)
    return before === undefined || batches <= 0 ? null : ((sample["flushMs"] ?? 0) - (before["flushMs"] ?? 0)) / batches
  })
  return [
    { id: "hub-queue", title: "Commands that wait in the hub", unit: "count", times, lines: [gauge("waiting", "queue"), gauge("parked claims", "parked")] },
    { id: "hub-batch", title: "How long the hub takes to decide and keep a batch", unit: "ms", times, lines: [{ name: "a batch", values: batchMs }] },
    { id: "hub-commands", title: "Commands a second", unit: "count", times, lines: [rate("decided", "commands"), rate("refused", "refused")] },
    { id: "hub-beats", title: "Heartbeats a second", unit: "count", times, lines: [rate("heartbeats", "beats")] },
  ]
}

function perSecond(samples: readonly Sample[], field: string): (number | null)[] {
  return samples.map((sample, at) => {
    const before = samples[at - 1]
    if (before === undefined) return null
    const change = (sample[field] ?? 0) - (before[field] ?? 0)
    // A hub that started again counts from 0.
    return change < 0 ? null : (change * 1_000) / Math.max(1, sample.atMs - before.atMs)
  })
}
