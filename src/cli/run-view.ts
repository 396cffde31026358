import type { Entry } from "../core/entry.ts"
import type { TaskId } from "../core/ids.ts"
import type { Task } from "../core/task.ts"
import { taskState, viewPlan, type TaskState } from "../core/view.ts"
import { printable } from "./printable.ts"
import { showDuration } from "./quantity.ts"
import type { RunRecord } from "./run-record.ts"
import { stateCell } from "./table.ts"
import type { Terminal } from "./terminal.ts"
import { widthOf } from "./text-width.ts"

/** The marks of a task's state on the board. */
const MARKS: Record<TaskState, string> = {
  completed: "✓",
  in_progress: "●",
  claimed: "●",
  blocked: "■",
  review: "?",
  failed: "✗",
  cancelled: "-",
  unreachable: "✗",
  ready: "○",
  waiting: "·",
  pending: "·",
}

/** Columns for a task's title: at the most, at the least, and what its line leaves for mark, gaps, owner and note. */
const TITLE_MAX = 48
const TITLE_LEAST = 16
const BESIDE_TITLE = 32

/** A task's name as the plan file has it. */
export function localName(id: TaskId): string {
  return id.slice(id.indexOf("/") + 1)
}

/** The live board of a run: how far it is, what each agent does, where each task stands; as many lines as fit. */
export function boardLines(terminal: Terminal, record: RunRecord, startedMs: number, nowMs: number): string[] {
  const { bold, dim, green, yellow, magenta } = terminal.colours
  const plan = viewPlan(record.state, record.plan)
  if (plan === null) return []
  const tasks = record.tasks()
  const real = tasks.filter(({ id }) => !record.isFiller(id))
  const done = real.filter(({ status }) => status === "completed").length
  const width = 24
  const filled = real.length === 0 ? width : Math.round((width * done) / real.length)
  const head = `${bold(printable(plan.title))}  ${green("█".repeat(filled))}${dim("░".repeat(width - filled))}  ${done}/${real.length}  ${dim(showDuration(performance.now() - startedMs))}`
  const agents = [...record.agents.values()].flatMap((agent) => {
    if (agent.mode === "offline" && agent.completed === 0) return []
    const held = record.state.board.heldBy(agent.name).find(({ plan: of, status }) => of === record.plan && status !== "review")
    const paint = { offline: dim, waiting: dim, blocked: magenta, filler: dim, work: yellow }[agent.mode]
    const what =
      held === undefined
        ? ""
        : `${localName(held.id)}  ${dim(printable(record.state.specs.get(held.id)?.title ?? ""))}  ${showDuration(Math.max(0, nowMs - (held.claimedAtMs ?? nowMs)))}`
    return [`  ${agent.name.padEnd(14)} ${paint(agent.mode.padEnd(8))} ${what}`]
  })
  const room = Math.max(3, terminal.rows - agents.length - 5)
  return [head, "", ...agents, "", ...taskLines(terminal, record, real, room)]
}

/** Open tasks first where not all fit: what is done needs the least attention. */
function taskLines(terminal: Terminal, record: RunRecord, tasks: readonly Task[], room: number): string[] {
  const hidden = tasks.length - room
  const shown = hidden <= 0 ? tasks : [...tasks].sort((a, b) => rank(record, a) - rank(record, b)).slice(0, room - 1)
  const width = Math.max(4, ...shown.map(({ id }) => localName(id).length))
  const titleRoom = Math.min(TITLE_MAX, Math.max(TITLE_LEAST, terminal.columns - width - BESIDE_TITLE))
  const lines = shown.map((task) => {
    const state = taskState(record.state, task)
    const { paint } = stateCell(terminal, state)
    const note =
      task.status === "failed"
        ? (task.reason ?? "")
        : task.attempts > 0 && state !== "completed"
          ? `${task.attempts} failed ${task.attempts === 1 ? "try" : "tries"}`
          : ""
    const title = terminal.clip(record.state.specs.get(task.id)?.title ?? "", titleRoom)
    const gap = " ".repeat(titleRoom - widthOf(title))
    return `  ${paint(MARKS[state])} ${localName(task.id).padEnd(width)}  ${title}${gap}  ${terminal.colours.dim(task.owner ?? "")} ${printable(note)}`
  })
  return hidden <= 0 ? lines : [...lines, terminal.colours.dim(`  and ${hidden + 1} more`)]
}

function rank({ state }: RunRecord, task: Task): number {
  return { failed: 0, blocked: 1, review: 1, in_progress: 1, claimed: 1, ready: 2, waiting: 3, pending: 3, unreachable: 4, completed: 5, cancelled: 6 }[
    taskState(state, task)
  ]
}

/** One line for people who read along without a live terminal; null for what is not worth one. */
export function progressLine(record: RunRecord, { type, data, actor }: Entry): string | null {
  const { id, reason } = data as { id?: string; reason?: string }
  if (id === undefined || record.state.tasks.get(id)?.plan !== record.plan) return null
  const name = printable(localName(id))
  const title = printable(record.state.specs.get(id)?.title ?? "")
  const by = printable(actor.agent)
  const why = reason === undefined ? "" : `: ${printable(reason).slice(0, 300)}`
  switch (type) {
    case "task.claimed":
      return `${by} claimed ${name} (${title})`
    case "task.completed":
      return `${by} completed ${name}`
    case "task.failed":
      return `${name} failed${why}`
    case "task.retried":
      return `${by} failed at ${name}, which is open again${why}`
    case "task.released":
      return `${by} released ${name}${why}`
    case "lease.ended":
      return `the lease on ${name} ended (${printable(reason ?? "")})`
    case "task.blocked":
      return `${by} is blocked at ${name}${why}`
    case "task.submitted":
      return `${by} handed in ${name} for review`
    case "task.cancelled":
      return `${name} was cancelled${why}`
    default:
      return null
  }
}
