import { showUsd } from "../core/money.ts"
import type { Output } from "../contract/operations.ts"
import { printable } from "./printable.ts"
import { showDuration } from "./quantity.ts"
import { type Cell, renderTable, stateCell } from "./table.ts"
import type { Terminal } from "./terminal.ts"
import { widthOf } from "./text-width.ts"

export type Status = Output<"hub.status">
export type Flight = Output<"hub.flight">

/** What the hub said, and when: `heardAtMs` of `performance.now()`, so that leases count down while nothing new is heard. */
export type Sight = { url: string; status: Status; flight: Flight; heardAtMs: number }

const SHOWN: readonly string[] = ["ready", "claimed", "in_progress", "blocked", "review", "completed", "failed", "cancelled"]
/** Of what others wait for, the first few: a terminal has not many lines. */
const OBSTACLES_SHOWN = 5
const WORDS_MAX = 70

/** The page's Flight view for a terminal: what needs somebody, where the tasks stand, what is held up by whom, who does what, and the open plans. */
export function flightLines(terminal: Terminal, sight: Sight): string[] {
  return [
    ...headLines(terminal, sight),
    ...alertLines(terminal, sight.status),
    ...heldUpLines(terminal, sight.flight),
    ...agentLines(terminal, sight),
    ...planLines(terminal, sight.status),
  ]
}

function headLines(terminal: Terminal, { url, status, flight }: Sight): string[] {
  const { bold, dim } = terminal.colours
  const { workspace, head, checkpoint, counts } = status
  const tasks = SHOWN.flatMap((state) => ((counts[state] ?? 0) > 0 ? [`${counts[state]} ${state.replace("_", " ")}`] : []))
  const waiting = (counts["pending"] ?? 0) - (counts["ready"] ?? 0)
  const ledger = `entry ${head.seq} · ${head.hash.slice(0, 12)} · ${checkpoint === null ? "no checkpoint yet" : `checkpoint of ${checkpoint.size} entries`}`
  const place = `${bold(`workspace ${printable(workspace)}`)}  ${dim(url)}`
  const whole = `${place}${dim(` · ${ledger}`)}`
  return [
    ...(terminal.isLive && widthOf(whole) > terminal.columns ? [place, dim(ledger)] : [whole]),
    `tasks: ${[...tasks, ...(waiting > 0 ? [`${waiting} waiting`] : [])].join(", ") || "none"}${flight.costMicroUsd === 0 ? "" : dim(` · cost ${showUsd(flight.costMicroUsd)}`)}`,
  ]
}

function alertLines({ colours: { red, dim } }: Terminal, { alerts }: Status): string[] {
  return alerts.flatMap(({ text, remedy }) => ["", `${red("!")} ${printable(text)}`, `  ${dim(printable(remedy))}`])
}

function heldUpLines({ colours: { magenta, dim } }: Terminal, { blocked, obstacles }: Flight): string[] {
  const of = (owner: string | null): string => (owner === null ? "" : ` of ${owner}`)
  const lines = blocked.map(({ id, owner, on, by }) => {
    const has = by === null || by === on.ref ? "" : ` (${by} has it)`
    return `${magenta("blocked")} ${printable(`${id}${of(owner)} on ${on.kind} ${on.ref}${has}: ${on.reason}`)}`
  })
  for (const { id, state, owner, waiting } of obstacles.slice(0, OBSTACLES_SHOWN))
    lines.push(`${dim(state.replace("_", " "))} ${printable(`${id}${of(owner)}`)}: ${waiting} ${waiting === 1 ? "task waits" : "tasks wait"} for it`)
  return lines.length === 0 ? [] : ["", ...lines]
}

function agentLines(terminal: Terminal, { status, flight, heardAtMs }: Sight): string[] {
  if (flight.agents.length === 0) return []
  const { green, yellow, red, dim } = terminal.colours
  const paint = { active: green, idle: yellow, lost: red, offline: dim, retired: dim }
  const presence = new Map(status.agents.map((agent) => [agent.name, agent.presence]))
  const nowMs = flight.nowMs + performance.now() - heardAtMs
  const rows = flight.agents.map(({ name, tasks, words, costMicroUsd }): Cell[] => {
    const at = presence.get(name) ?? "offline"
    const [task] = tasks
    const more = tasks.length > 1 ? ` +${tasks.length - 1}` : ""
    const progress = task !== undefined && task.progress > 0 && task.progress < 1 ? ` ${Math.floor(task.progress * 100)} %` : ""
    const state = task === undefined ? "" : stateCell(terminal, task.state)
    return [
      name,
      { text: at, paint: paint[at] },
      task === undefined ? "" : `${task.id}${more}`,
      typeof state === "string" ? state : { ...state, text: `${state.text}${progress}` },
      task === undefined || task.leaseEndsAtMs === null ? "" : leftText(task.leaseEndsAtMs - nowMs),
      words?.text.split("\n", 1)[0] ?? "",
      costMicroUsd === 0 ? "" : showUsd(costMicroUsd),
    ]
  })
  const columns = [
    { head: "agent" },
    { head: "presence" },
    { head: "task", max: 40 },
    { head: "state" },
    { head: "lease left", right: true },
    { head: "last words", max: WORDS_MAX },
    { head: "cost", right: true },
  ]
  return ["", ...renderTable(terminal, columns, rows).split("\n")]
}

function leftText(leftMs: number): string {
  const seconds = Math.round(leftMs / 1_000)
  return seconds <= 0 ? "over" : showDuration(seconds * 1_000)
}

function planLines(terminal: Terminal, { plans }: Status): string[] {
  const open = plans.filter(({ finished }) => !finished)
  if (open.length === 0) return []
  const rows = open.map(({ id, title, counts: of }) => [
    id,
    title,
    of["completed"] ?? 0,
    of["ready"] ?? 0,
    (of["claimed"] ?? 0) + (of["in_progress"] ?? 0),
    of["failed"] ?? 0,
  ])
  const numbers = ["completed", "ready", "at work", "failed"].map((name) => ({ head: name, right: true }))
  return ["", ...renderTable(terminal, [{ head: "open plan" }, { head: "title", max: 50 }, ...numbers], rows).split("\n")]
}
