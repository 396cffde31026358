import type { Command } from "commander"
import type { Output } from "../contract/operations.ts"
import { act, asText, type Context, examples, integer } from "./context.ts"
import { UsageError } from "./failure.ts"
import { printable } from "./printable.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

type Row = Output<"permission.list">["permissions"][number]

/** `skein permission`: what agents ask leave for in the middle of a turn. */
export function register(program: Command): void {
  const permission = program.command("permission").description("What agents without a terminal ask leave for, and your answers.")
  permission
    .command("list")
    .description("List what waits for an answer, the newest first.")
    .option("--all", "also what has its answer, is refused or withdrawn")
    .option("--agent <name>", "of this agent", asText)
    .addHelpText("after", examples(["skein permission list", "each with its number and the answers that it offers"]))
    .action(act(list))
  permission
    .command("answer")
    .argument("<request>", "", integer(1, Number.MAX_SAFE_INTEGER))
    .argument("[option]")
    .description(
      "Give leave by one of the options that the agent offers, or refuse it. Who waits longer than `permissionMs` (skein trigger policy) is refused.",
    )
    .option("--refuse", "choose none of them")
    .option("--reason <text>", "why; it is recorded", asText)
    .addHelpText(
      "after",
      examples(
        ["skein permission answer 71 allow_once", "as `skein permission list` names it"],
        ["skein permission answer 71 --refuse --reason 'not on main'", ""],
      ),
    )
    .action(act(answer))
}

async function list(context: Context, { all = false, agent }: { all?: boolean; agent?: string }): Promise<void> {
  const { terminal } = context
  const { permissions } = await (await context.hub()).call("permission.list", { open: !all, agent: agent ?? null })
  for (const one of permissions) terminal.record(one)
  if (terminal.json) return
  const rows = permissions.map((one) => [String(one.id), one.agent, one.title, stateOf(one), one.options.map(({ id, name }) => `${id} (${name})`).join(", ")])
  const columns = [{ head: "request" }, { head: "agent" }, { head: "asks leave", max: 60 }, { head: "status", max: 60 }, { head: "options", max: 80 }]
  terminal.print(permissions.length === 0 ? "nobody asks leave for anything" : renderTable(terminal, columns, rows))
}

function stateOf({ status, untilMs, option, by, rule, reason }: Row): string {
  if (status === "open") return `until ${showTime(untilMs)}`
  if (status !== "answered") return `${status}: ${reason}`
  return `${option ?? "refused"} by ${rule === null ? by : `rule ${rule}`}: ${reason}`
}

async function answer(
  context: Context,
  permission: number,
  option: string | undefined,
  { refuse = false, reason }: { refuse?: boolean; reason?: string },
): Promise<void> {
  if ((option === undefined) !== refuse)
    throw new UsageError("an answer is one option, or --refuse", "Write skein permission answer 71 allow_once, or: skein permission answer 71 --refuse")
  const answered = await (await context.hub()).call("permission.answer", { permission, option: option ?? null, ...(reason === undefined ? {} : { reason }) })
  context.terminal.answer({ permission, ...answered }, `request ${permission}: ${option === undefined ? "refused" : printable(option)} (entry ${answered.seq})`)
}
