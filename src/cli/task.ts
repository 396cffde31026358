import type { Command } from "commander"
import type { TaskState, TaskView } from "../core/view.ts"
import { showUsd } from "../core/money.ts"
import { act, collect, examples, integer, oneOf, type Context } from "./context.ts"
import { printable, printableLines } from "./printable.ts"
import { pagedTo } from "./paging.ts"
import { showDuration, showSkills } from "./quantity.ts"
import { showTime } from "./local-time.ts"
import { renderFields, renderTable, stateCell } from "./table.ts"
import { registerSpec } from "./task-spec.ts"
import { registerWork } from "./task-work.ts"

const STATES = ["pending", "claimed", "in_progress", "blocked", "review", "completed", "failed", "cancelled", "ready", "waiting", "unreachable"] as const

/** `skein task`: what there is to do, and doing it. */
export function register(program: Command): void {
  const task = program.command("task").description("Add, list and change tasks; claim them, work on them, complete them.")
  registerSpec(task)
  task
    .command("list")
    .description("List tasks, oldest first. Filters join with `and`.")
    .option("--state <state>", `one of ${STATES.join(", ")}; may be repeated`, collect(oneOf(STATES)))
    .option("--plan <id>", "of this plan, such as release.1")
    .option("--owner <agent>", "held or completed by this agent")
    .option("--label <label>", "with this label")
    .option("--text <text>", "with this in id or title")
    .option("--limit <n>", "at the most so many", integer(1, 1_000_000), 1_000)
    .addHelpText(
      "after",
      examples(["skein task list --state ready", "what can be claimed now"], ["skein task list --json --state failed | jq -r .reason", "why tasks failed"]),
    )
    .action(act(listTasks))
  task
    .command("show <task>")
    .description("Show one task whole, with what it waits for and what waits for it.")
    .addHelpText("after", examples(["skein task show release.1/build", "title, state, owner, deliverable"]))
    .action(act(showTask))
  registerWork(task)
  for (const [name, done, description, operation] of [
    [
      "reset",
      "is open again",
      "Open a task again, whatever became of it: attempts and deliverable start anew, whoever holds it is told to stop.",
      "task.reset",
    ],
    ["cancel", "is cancelled", "Close a task for good: what depends on it becomes unreachable, whoever holds it is told to stop.", "task.cancel"],
  ] as const) {
    task
      .command(`${name} <task>`)
      .description(description)
      .requiredOption("--reason <text>", "why: it is kept on the ledger")
      .addHelpText("after", examples([`skein task ${name} fix-login --reason 'the cause is mended'`, description.split(":")[0] ?? ""]))
      .action(
        act(async (context: Context, id: string, { reason }: { reason: string }) => {
          const answer = await (await context.hub()).call(operation, { task: id, reason })
          context.terminal.answer({ task: id, ...answer }, `${printable(id)} ${done} (entry ${answer.seq})`)
        }),
      )
  }
}

type ListOptions = { state?: TaskState[]; plan?: string; owner?: string; label?: string; text?: string; limit: number }

async function listTasks(
  context: Context,
  { state = [], plan = undefined, owner = undefined, label = undefined, text = undefined, limit }: ListOptions,
): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const filter = { state, plan: plan ?? null, owner: owner ?? null, label: label ?? null, text: text ?? null }
  const { items: tasks, more } = await pagedTo(limit, async (cursor: number | null) => {
    const page = await hub.call("task.list", { ...filter, cursor, limit: Math.min(limit, 1_000) })
    return { items: page.tasks, cursor: page.cursor }
  })
  for (const task of tasks) terminal.record(task)
  if (terminal.json) return
  const rows = tasks.map((task) => [
    task.id,
    stateCell(terminal, task.state),
    task.priority === "normal" ? "" : task.priority,
    task.owner ?? "",
    task.status === "in_progress" && task.progress > 0 ? `${Math.round(task.progress * 100)} %` : "",
    task.title,
  ])
  terminal.print(
    tasks.length === 0
      ? "no task is like that"
      : renderTable(
          terminal,
          [{ head: "task" }, { head: "state" }, { head: "priority" }, { head: "owner" }, { head: "progress", right: true }, { head: "title", max: 60 }],
          rows,
        ),
  )
  if (more) terminal.print(`only the first ${tasks.length} are shown: --limit shows more`)
}

async function showTask(context: Context, id: string): Promise<void> {
  const { terminal } = context
  const found = await (await context.hub()).call("task.show", { task: id })
  terminal.record(found)
  if (terminal.json) return
  const { task, waitsFor, dependents } = found
  const tried = task.history.map(({ agent, end, reason, note }) => `  ${agent}, ${end}: ${reason}${note === null ? "" : ` (last said: ${note})`}`)
  const more = [
    tried.length === 0 ? "" : `\n${terminal.colours.bold("earlier attempts")}\n${printableLines(tried.join("\n"))}`,
    task.body === "" ? "" : `\n${printableLines(task.body)}`,
    task.deliverable === null ? "" : `\n${terminal.colours.bold("deliverable")}\n${printableLines(task.deliverable.text.trimEnd())}`,
  ]
  terminal.print([renderFields(terminal, fieldsOf(task, waitsFor, dependents)), ...more].filter((part) => part !== "").join("\n"))
}

function fieldsOf(task: TaskView, waitsFor: readonly { id: string; status: string }[], dependents: readonly string[]): [string, string | number | null][] {
  const few = (ids: readonly string[]): string => (ids.length > 12 ? `${ids.slice(0, 12).join(", ")} and ${ids.length - 12} more` : ids.join(", "))
  const evidence = task.deliverable?.evidence
  return [
    ["task", task.id],
    ["title", task.title],
    ["state", task.reason === null ? task.state : `${task.state} (${task.reason})`],
    ["plan", task.plan],
    ["priority", task.priority],
    ["owner", task.owner],
    ["lease", task.leaseEndsAtMs === null ? null : `fence ${task.fence}, until ${showTime(task.leaseEndsAtMs)}`],
    ["progress", task.progress === 0 ? null : `${Math.round(task.progress * 100)} %${task.note === null ? "" : `: ${task.note}`}`],
    ["blocked on", task.blockedOn === null ? null : `${task.blockedOn.kind} ${task.blockedOn.ref}: ${task.blockedOn.reason}`],
    [
      "help wanted",
      task.helpWanted === null ? null : `${task.helpWanted.reason}${task.helpWanted.helper === null ? "" : ` (${task.helpWanted.helper} helps)`}`,
    ],
    ["waits for", few(waitsFor.map((other) => other.id))],
    ["waited for by", few(dependents)],
    ["requires", showSkills(task.requires)],
    ["prefers", task.prefers],
    ["touches", few(task.touches)],
    [
      "run",
      task.run === null
        ? null
        : "command" in task.run
          ? task.run.command
          : "argv" in task.run
            ? task.run.argv.join(" ")
            : `stand-in of ${showDuration(task.run.standIn.ms)}`,
    ],
    ["gates", task.gates.join("; ")],
    ["estimate", task.estimateMs === null ? null : showDuration(task.estimateMs)],
    ["attempts", `${task.attempts} of ${task.maxAttempts} failed`],
    ["cost", task.usage.costMicroUsd === 0 ? null : showUsd(task.usage.costMicroUsd)],
    ["labels", task.labels.join(", ")],
    ["tests pass", evidence?.testsPass === null || evidence === undefined ? null : String(evidence.testsPass)],
    ["commit", evidence?.commit ?? null],
    ["links", evidence?.links.join(" ") ?? null],
  ]
}
