import type { Command } from "commander"
import { showUsd } from "../core/money.ts"
import type { Output } from "../contract/operations.ts"
import { act, examples, type Context } from "./context.ts"
import type { Fault } from "./plan-document.ts"
import { readPlanFile } from "./plan-source.ts"
import { printable } from "./printable.ts"
import { showCount, showDuration } from "./quantity.ts"
import { showTime } from "./local-time.ts"
import { renderFields, renderTable, stateCell } from "./table.ts"
import { paged } from "./paging.ts"

type Plan = Output<"plan.list">["plans"][number]

/** `skein plan`: check | add | list | show | cancel. */
export function register(program: Command): void {
  const plan = program.command("plan").description("Check and add plan files; list, show and cancel plans.")
  plan
    .command("check <file>")
    .description("Check a plan file whole: every fault with its line and column, nothing written. Exit status 2 when there are any.")
    .addHelpText("after", examples(["skein plan check release.yaml", "tell every fault, or that there is none"]))
    .action(act(checkPlan))
  plan
    .command("add <file>")
    .description("Add a plan without running it: agents that are there already may take its tasks. The same file on the same commit is added once.")
    .option("--commit <hash>", "the commit that it is for")
    .addHelpText("after", examples(["skein plan add release.yaml", "then each agent: skein task next --plan release.1"]))
    .action(act(addPlan))
  plan
    .command("list")
    .description("List the plans of the workspace.")
    .addHelpText("after", examples(["skein plan list --json", "one plan a line"]))
    .action(act(listPlans))
  plan
    .command("show <plan>")
    .description("Show a plan and its tasks. PLAN is an id such as release.1, or a name: its last run.")
    .addHelpText("after", examples(["skein plan show release", "where the last run of `release` stands"]))
    .action(act(showPlan))
  plan
    .command("cancel <plan>")
    .description(
      "Cancel a plan: every open task of it is cancelled, and whoever holds one is told to stop. Its file then makes a new run, also where it was finished.",
    )
    .requiredOption("--reason <text>", "why: it is kept on the ledger")
    .addHelpText("after", examples(["skein plan cancel release.1 --reason 'wrong branch'", "close what is open; start the file again for a new run"]))
    .action(act(cancelPlan))
}

async function checkPlan({ terminal }: Context, file: string): Promise<void> {
  const { plan, warnings, report } = await readPlanFile(file)
  const { digest, tasks, agents } = plan
  terminal.record({
    ok: true,
    plan: plan.name,
    title: plan.title,
    digest,
    tasks: tasks.length,
    agents: agents.map(({ name }) => name),
    worktrees: plan.worktrees,
    report,
    warnings,
  })
  const { green, yellow } = terminal.colours
  terminal.print(`${green("ok")}  ${plan.name}: ${showCount(tasks.length, "task")}, ${showCount(agents.length, "agent")}`)
  for (const warning of warnings) terminal.print(`${yellow("warning")}  ${faultLine(file, warning)}\n         ${printable(warning.remedy)}`)
}

async function addPlan(context: Context, file: string, { commit }: { commit?: string }): Promise<void> {
  const { plan } = await readPlanFile(file)
  const answer = await (await context.hub()).call("plan.add", { ...plan, commit: commit ?? null })
  context.terminal.answer(answer, answer.created ? `added ${answer.plan}: ${answer.tasks} tasks (entry ${answer.seq})` : `${answer.plan} is there already`)
}

function faultLine(file: string, { line, column, message }: Fault): string {
  return `${printable(file)}:${line}:${column}: ${printable(message)}`
}

async function listPlans(context: Context): Promise<void> {
  const { terminal } = context
  const plans = await readPlans(context)
  for (const plan of plans) terminal.record(plan)
  if (terminal.json) return
  const rows = plans.map(({ id, title, counts, taskCount, finished, cancelled, addedAtMs }) => [
    id,
    title,
    cancelled !== null && counts.cancelled > 0 ? "cancelled" : finished ? "finished" : "open",
    `${counts.completed}/${taskCount}`,
    counts.failed,
    showTime(addedAtMs),
  ])
  terminal.print(
    plans.length === 0
      ? "there are no plans: skein run PLAN brings one"
      : renderTable(
          terminal,
          [
            { head: "plan" },
            { head: "title", max: 50 },
            { head: "state" },
            { head: "completed", right: true },
            { head: "failed", right: true },
            { head: "added" },
          ],
          rows,
        ),
  )
}

async function showPlan(context: Context, wanted: string): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const report = await hub.call("plan.report", { plan: (await findPlan(context, wanted))?.id ?? wanted })
  const { plan, makespanMs, criticalPathMs, usage, attempts, tasks } = report
  terminal.record(report)
  if (terminal.json) return
  const fields: [string, string | number | null][] = [
    ["plan", plan.id],
    ["title", plan.title],
    ["state", stateOf(plan)],
    ["commit", plan.commit],
    ["added", showTime(plan.addedAtMs)],
    [plan.finished ? "took" : "so far", showDuration(makespanMs)],
    ["critical path", criticalPathMs === 0 ? null : showDuration(criticalPathMs)],
    ["attempts", attempts],
    ["cost", usage.costMicroUsd === 0 ? null : showUsd(usage.costMicroUsd)],
  ]
  const rows = tasks.map(({ id, title, state, owner, attempts: tries, reason }) => [
    id.slice(id.indexOf("/") + 1),
    stateCell(terminal, state),
    owner ?? "",
    tries,
    title,
    reason ?? "",
  ])
  const columns = [
    { head: "task" },
    { head: "state" },
    { head: "owner" },
    { head: "failed tries", right: true },
    { head: "title", max: 50 },
    { head: "reason", max: 60 },
  ]
  terminal.print(`${renderFields(terminal, fields)}\n\n${renderTable(terminal, columns, rows)}`)
}

async function cancelPlan(context: Context, wanted: string, { reason }: { reason: string }): Promise<void> {
  const hub = await context.hub()
  const found = await findPlan(context, wanted)
  const plan = found?.id ?? wanted
  const done = await hub.call("plan.cancel", { plan, reason })
  const how = found?.finished === true ? "was finished, and its file now makes a new run" : "is cancelled"
  context.terminal.answer({ plan, ...done }, `${plan} ${how} (entry ${done.seq})`)
}

/** What was finished when it was cancelled is so still: its file then makes a new run. */
function stateOf({ cancelled, counts, finished }: Plan): string {
  if (cancelled === null) return finished ? "finished" : "open"
  return `${counts.cancelled > 0 ? "cancelled" : "finished, then cancelled"}: ${cancelled}`
}

/** A plan by its id, or the last run of that name. */
async function findPlan(context: Context, wanted: string): Promise<Plan | undefined> {
  return (await readPlans(context)).findLast(({ id, name }) => id === wanted || name === wanted)
}

async function readPlans(context: Context): Promise<Plan[]> {
  const hub = await context.hub()
  return paged(async (cursor: number | null) => {
    const page = await hub.call("plan.list", { cursor })
    return { items: page.plans, cursor: page.cursor }
  })
}
