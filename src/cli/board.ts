import type { Command } from "commander"
import type { TaskState, TaskView } from "../core/view.ts"
import { act, examples, type Context } from "./context.ts"
import { paged } from "./paging.ts"
import { printable } from "./printable.ts"
import { showDuration } from "./quantity.ts"
import { renderTable, stateCell } from "./table.ts"

/** The columns of the board, in the order of a task's life. */
const COLUMNS: readonly { title: string; states: readonly TaskState[] }[] = [
  { title: "Failed", states: ["failed"] },
  { title: "Unreachable", states: ["unreachable"] },
  { title: "Blocked", states: ["blocked"] },
  { title: "In review", states: ["review"] },
  { title: "At work", states: ["claimed", "in_progress"] },
  { title: "Ready", states: ["ready"] },
  { title: "Waiting", states: ["waiting", "pending"] },
  { title: "Done", states: ["completed"] },
  { title: "Cancelled", states: ["cancelled"] },
]

/** Finished tasks that are listed one by one; the others are counted. */
const DONE_SHOWN = 20

/** `skein board`: the tasks by where they stand. */
export function register(program: Command): void {
  program
    .command("board")
    .description("Show the tasks by where they stand.")
    .option("--md", "as Markdown, for people who read it in git")
    .option("--plan <id>", "of this plan only")
    .addHelpText("after", examples(["skein board --md > BOARD.md", "a board to commit"]))
    .action(act(showBoard))
}

async function showBoard(context: Context, { md = false, plan }: { md?: boolean; plan?: string }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const tasks = await paged(async (cursor: number | null) => {
    const page = await hub.call("task.list", { plan: plan ?? null, cursor, limit: 1_000 })
    return { items: page.tasks, cursor: page.cursor }
  })
  const columns = COLUMNS.map(({ title, states }) => ({ title, tasks: tasks.filter(({ state }) => states.includes(state)) }))
  for (const column of columns)
    terminal.record({
      column: column.title,
      tasks: column.tasks.map(({ id, title, state, owner, progress, priority }) => ({ id, title, state, owner, progress, priority })),
    })
  if (terminal.json) return
  if (md) process.stdout.write(markdownBoard(columns))
  else if (tasks.length === 0) terminal.print("there are no tasks")
  else {
    const parts = columns
      .filter((column) => column.tasks.length > 0)
      .map(({ title, tasks: of }) => `${terminal.colours.bold(`${title} (${of.length})`)}\n${columnTable(context, title, of)}`)
    terminal.print(parts.join("\n\n"))
  }
}

function columnTable({ terminal }: Context, column: string, tasks: readonly TaskView[]): string {
  const shown = column === "Done" ? tasks.slice(-DONE_SHOWN) : tasks
  const rows = shown.map((task) => [`  ${task.id}`, stateCell(terminal, task.state), task.owner ?? "", detail(task), task.title])
  const table = renderTable(terminal, [{ head: "" }, { head: "" }, { head: "" }, { head: "", max: 40 }, { head: "", max: 60 }], rows)
  const hidden = tasks.length - shown.length
  return `${table.slice(table.indexOf("\n") + 1)}${hidden > 0 ? `\n  and ${hidden} before them` : ""}`
}

/** What is worth saying of a task in a few words. */
function detail({ status, progress, blockedOn, reason, attempts, estimateMs }: TaskView): string {
  if (blockedOn !== null) return `on ${blockedOn.ref}`
  if (status === "in_progress" && progress > 0) return `${Math.round(progress * 100)} %`
  if (status === "failed") return reason ?? ""
  if (attempts > 0) return `${attempts} failed ${attempts === 1 ? "try" : "tries"}`
  return estimateMs === null || status === "completed" ? "" : showDuration(estimateMs)
}

/** The board as Markdown. The same state gives the same text, so that a commit of it shows what moved. */
export function markdownBoard(columns: readonly { title: string; tasks: readonly TaskView[] }[]): string {
  const parts = columns
    .filter(({ tasks }) => tasks.length > 0)
    .map(({ title, tasks }) => {
      const rows = tasks.map((task) => `| ${[task.id, task.title, task.owner ?? "", detail(task)].map(cell).join(" | ")} |`)
      return `## ${title} (${tasks.length})\n\n| Task | Title | Owner | |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`
    })
  return `# Board\n\n${parts.length === 0 ? "There are no tasks.\n" : parts.join("\n")}`
}

/** A foreign string in a table of Markdown: on one line, and nothing in it is markup. */
function cell(text: string): string {
  return printable(text).replace(/[\\`*_{}[\]<>()#|!~]/g, "\\$&")
}
