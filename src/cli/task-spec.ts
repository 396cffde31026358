import { type Command, InvalidArgumentError } from "commander"
import { PRIORITIES, type TaskSpec } from "../core/task.ts"
import { act, asText, collect, type Context, duration, examples, integer, oneOf, usd } from "./context.ts"
import { printable } from "./printable.ts"

/** What a task asks for, as options say it; each may be left out. */
type SpecOptions = {
  title?: string
  body?: string
  priority?: TaskSpec["priority"]
  dependsOn?: string[]
  requires?: [string, number][]
  budget?: number
  touches?: string[]
  run?: string
  env?: [string, string][]
  estimate?: number
  prefers?: string
  model?: string
  account?: string
  gate?: string[]
  filler?: boolean
  review?: boolean
  lease?: number
  maxAttempts?: number
  label?: string[]
}

/** `skein task add` and `skein task edit`. */
export function registerSpec(task: Command): void {
  withSpec(task.command("add <id> <title>").description("Add a task. It is ready at once when everything that it depends on is completed."))
    .addHelpText(
      "after",
      examples(
        ["skein task add fix-login 'Mend the login' --priority high --requires node:2 --estimate 20m", "a task for whoever knows node"],
        ["skein task add release 'Release' --depends-on fix-login --run 'make release'", "one that a script agent carries out, after the first"],
      ),
    )
    .action(
      act(async (context: Context, id: string, title: string, options: SpecOptions) => {
        const answer = await (await context.hub()).call("task.add", { ...specOf(options), id, title })
        context.terminal.answer(answer, `added ${printable(answer.task)} (entry ${answer.seq})`)
      }),
    )
  withSpec(task.command("edit <task>").description("Change what an open task asks for. Whoever holds it is told to plan anew."))
    .option("--title <text>", "its title")
    .requiredOption("--reason <text>", "why: it is kept on the ledger")
    .addHelpText("after", examples(["skein task edit fix-login --priority critical --reason 'customers are locked out'", "changes the priority alone"]))
    .action(
      act(async (context: Context, id: string, { reason, title, ...options }: SpecOptions & { reason: string }) => {
        const changes = { ...specOf(options), ...(title === undefined ? {} : { title }) }
        const answer = await (await context.hub()).call("task.edit", { task: id, reason, changes })
        context.terminal.answer({ task: id, ...answer }, `${printable(id)} is changed: ${Object.keys(changes).join(", ")} (entry ${answer.seq})`)
      }),
    )
}

function withSpec(command: Command): Command {
  return command
    .option("--body <text>", "what is to be done")
    .option("--priority <word>", PRIORITIES.join(", "), oneOf(PRIORITIES))
    .option("--depends-on <task>", "a task that must be completed first; may be repeated", collect(asText))
    .option("--requires <skill[:level]>", "what whoever takes it must know, level 1 to 5; may be repeated", collect(skill))
    .option("--budget <usd>", "what it may cost, in US dollars", usd)
    .option("--touches <glob>", "paths that it will edit; may be repeated", collect(asText))
    .option("--run <command>", "what a script agent runs for it")
    .option("--env <name=value>", "a variable for that command; may be repeated", collect(variable))
    .option("--estimate <duration>", "how long it takes: 90m, 1.5h", duration())
    .option("--prefers <agent>", "whom it would like; never a lock")
    .option("--model <name>", "the model to use")
    .option("--account <name>", "the account to use")
    .option("--gate <command>", "a command that must pass before it is complete; may be repeated", collect(asText))
    .option("--filler", "low-priority work for whoever is blocked or idle")
    .option("--review", "somebody else must approve it")
    .option("--lease <duration>", "length of its lease, 1s to 1h", duration(1_000, 3_600_000))
    .option("--max-attempts <n>", "how often it is tried before it has failed", integer(1, 1_000))
    .option("--label <word>", "may be repeated", collect(asText))
}

function specOf(options: SpecOptions): Partial<Omit<TaskSpec, "title">> {
  const { body, priority, dependsOn, requires, budget, touches, run, env, estimate, prefers, model, account, gate, filler, review, lease, maxAttempts, label } =
    options
  return {
    ...(body === undefined ? {} : { body }),
    ...(priority === undefined ? {} : { priority }),
    ...(dependsOn === undefined ? {} : { dependsOn }),
    ...(requires === undefined ? {} : { requires: Object.fromEntries(requires) }),
    ...(budget === undefined ? {} : { budgetMicroUsd: budget }),
    ...(touches === undefined ? {} : { touches }),
    ...(run === undefined ? {} : { run: { command: run } }),
    ...(env === undefined ? {} : { env: Object.fromEntries(env) }),
    ...(estimate === undefined ? {} : { estimateMs: estimate }),
    ...(prefers === undefined ? {} : { prefers }),
    ...(model === undefined ? {} : { model }),
    ...(account === undefined ? {} : { account }),
    ...(gate === undefined ? {} : { gates: gate }),
    ...(filler === undefined ? {} : { filler }),
    ...(review === undefined ? {} : { review }),
    ...(lease === undefined ? {} : { leaseMs: lease }),
    ...(maxAttempts === undefined ? {} : { maxAttempts }),
    ...(label === undefined ? {} : { labels: label }),
  }
}

/** `docs` or `docs:3`. */
export function skill(text: string): [string, number] {
  const [, name, level = "1"] = /^([A-Za-z0-9][A-Za-z0-9._-]{0,63})(?::([1-5]))?$/.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError("Write a skill and its level, 1 to 5: docs:3")
  return [name, Number(level)]
}

function variable(text: string): [string, string] {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=([\s\S]*)$/.exec(text) ?? []
  if (name === undefined || value === undefined) throw new InvalidArgumentError("Write NAME=VALUE.")
  return [name, value]
}
