import type { Command } from "commander"
import type { Output } from "../contract/operations.ts"
import { SkeinError } from "../contract/errors.ts"
import { act, asText, type Context, examples, integer, oneOf } from "./context.ts"
import { UsageError } from "./failure.ts"
import { faultLines, readCases, readPolicy, shownPolicy } from "./policy-file.ts"
import { printable, printableLines } from "./printable.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

type Decision = Output<"policy.log">["decisions"][number]

/** `skein policy`: show | set | check | test | log. */
export function register(program: Command): void {
  const policy = program.command("policy").description("Rules in Cedar that say who may do what, within what their roles allow.")
  policy
    .command("show")
    .description("Print the policy in force.")
    .option("--shipped", "the policy that Skein comes with, whatever is in force")
    .option("--at <seq>", "the policy that this entry of the ledger set", integer(1, Number.MAX_SAFE_INTEGER))
    .option("--history", "who changed it, when and why, and not the text")
    .option("--schema", "what rules can speak of, as a Cedar schema, and not the text")
    .addHelpText(
      "after",
      examples(
        ["skein policy show > team.cedar", "begin a policy of your own"],
        ["skein policy show --schema > skein.cedarschema", "for editors that know Cedar"],
      ),
    )
    .action(act(show))
  policy
    .command("set [file]")
    .description("Set the policy of the workspace. It is checked first: a policy with a fault changes nothing.")
    .option("--shipped", "go back to the policy that Skein comes with")
    .requiredOption("--reason <text>", "why; the ledger keeps it")
    .addHelpText("after", examples(["skein policy set team.cedar --reason 'nobody ships at night'", "it holds for the next command"]))
    .action(act(set))
  policy
    .command("check <file>")
    .description("Check a policy without setting it: every fault with its place and what to do. Exit status 1 where it has one.")
    .addHelpText("after", examples(["skein policy check team.cedar", "parsed, and validated against the schema"]))
    .action(act(check))
  policy
    .command("test [file]")
    .description("Try a policy (default: the one in force): nothing is decided by it. Exit status 1 where a case is not as expected.")
    .option("--cases <file>", "cases in YAML: principal, action, resource, expect", asText)
    .option("--last <n>", "which of the last so many entries of the ledger it would deny", integer(1, 10_000))
    .addHelpText(
      "after",
      examples(
        ["skein policy test team.cedar --last 1000", "what of the work so far it would have denied"],
        ["skein policy test team.cedar --cases cases.yaml", "whether it decides as you mean it"],
      ),
    )
    .action(act(test))
  policy
    .command("log")
    .description("Show what the policy decided lately, newest first, with the rule that did.")
    .option("--limit <n>", "at the most so many", integer(1, 1_000), 50)
    .option("--decision <decision>", "allow or deny", oneOf(["allow", "deny"] as const))
    .option("--agent <name>", "only of this agent", asText)
    .addHelpText("after", examples(["skein policy log --decision deny", "who was denied what, and by which rule"]))
    .action(act(log))
}

type Show = { shipped?: boolean; at?: number; history?: boolean; schema?: boolean }

async function show(context: Context, { shipped = false, at, history = false, schema = false }: Show): Promise<void> {
  const { terminal } = context
  if ([shipped, at !== undefined, history, schema].filter(Boolean).length > 1)
    throw new UsageError("only one of --shipped, --at, --history and --schema can be shown", "Leave the others out.")
  const answer = await (await context.hub()).call("policy.show", { shipped, schema, seq: at ?? null })
  terminal.record(answer)
  if (terminal.json) return
  if (schema) return terminal.print(printableLines((answer.schema ?? "").trimEnd()))
  if (!history) return terminal.print(shownPolicy(answer.text))
  if (answer.history.length === 0) return terminal.print("nobody ever set one: the shipped policy holds")
  const rows = answer.history
    .toReversed()
    .map(({ seq, atMs, by, reason, shipped: back }) => [seq, showTime(atMs), by, `${back ? "(the shipped one) " : ""}${reason}`])
  terminal.print(renderTable(terminal, [{ head: "seq", right: true }, { head: "when" }, { head: "who", max: 30 }, { head: "why", max: 80 }], rows))
}

async function set(context: Context, file: string | undefined, { shipped = false, reason }: { shipped?: boolean; reason: string }): Promise<void> {
  if ((file === undefined) !== shipped)
    throw new UsageError(shipped ? "a file and --shipped both say which policy to set" : "nothing says which policy to set", "Name a file, or say --shipped.")
  const hub = await context.hub()
  const text = file === undefined ? null : readPolicy(file)
  try {
    context.terminal.answer(
      await hub.call("policy.set", { text, reason }),
      file === undefined ? "the shipped policy holds" : `${printable(file)} holds from now on`,
    )
  } catch (error) {
    // The hub does not know the file's name, and a terminal has room for all of its faults.
    const faults = error instanceof SkeinError ? (error.details["faults"] as Output<"policy.check">["faults"] | undefined) : undefined
    if (faults === undefined || file === undefined || context.terminal.json) throw error
    const lines = faults.map((fault) => faultLines(file, fault)).join("\n")
    throw new SkeinError(
      "invalid",
      `the policy has ${countOf(faults.length, "fault")}; nothing was changed\n${lines}`,
      "Mend it, then look again: skein policy check.",
    )
  }
}

async function check(context: Context, file: string): Promise<void> {
  const { terminal } = context
  const answer = await (await context.hub()).call("policy.check", { text: readPolicy(file) })
  terminal.record(answer)
  for (const fault of answer.faults) terminal.print(printableLines(faultLines(file, fault)))
  for (const warning of answer.warnings) terminal.print(printableLines(`warning: ${faultLines(file, warning)}`))
  if (answer.ok) terminal.print(`${printable(file)} is sound: ${countOf(answer.rules.length, "rule")}`)
  else process.exitCode = 1
}

async function test(context: Context, file: string | undefined, { cases: path, last = 0 }: { cases?: string; last?: number }): Promise<void> {
  const { terminal } = context
  if (path === undefined && last === 0) throw new UsageError("there is nothing to try it on", "Give --cases FILE, --last N, or both.")
  const given = path === undefined ? [] : readCases(path)
  const hub = await context.hub()
  const { cases, replayed } = await hub.call("policy.test", { text: file === undefined ? null : readPolicy(file), cases: given, last })
  terminal.record({ cases, replayed })
  if (cases.some(({ ok }) => !ok)) process.exitCode = 1
  if (terminal.json) return
  if (cases.length > 0) {
    const { red, green } = terminal.colours
    const rows = cases.map((one, at) => {
      const mark = one.expect === null ? "" : one.ok ? { text: "as expected", paint: green } : { text: `expected ${one.expect}`, paint: red }
      const { principal, action, resource } = given[at] as (typeof given)[number]
      return [at + 1, naming(principal), action, naming(resource ?? "workspace"), one.decision, reasonOf(one), mark]
    })
    const columns = [
      { head: "", right: true },
      { head: "who", max: 30 },
      { head: "action" },
      { head: "on", max: 40 },
      { head: "decision" },
      { head: "by", max: 40 },
      { head: "" },
    ]
    terminal.print(renderTable(terminal, columns, rows))
  }
  if (last === 0) return
  const { entries, judged, denied, more } = replayed
  terminal.print(
    `of the last ${countOf(entries, "entry", "entries")}, ${countOf(judged, "request")} by agents and people: ${denied.length}${more ? " or more" : ""} would be denied now`,
  )
  if (denied.length > 0) terminal.print(decisions(context, denied))
}

async function log(context: Context, { limit, decision, agent }: { limit: number; decision?: "allow" | "deny"; agent?: string }): Promise<void> {
  const { terminal } = context
  const answer = await (await context.hub()).call("policy.log", { limit, decision: decision ?? null, agent: agent ?? null })
  for (const one of answer.decisions) terminal.record(one)
  if (terminal.json) return
  const { allowed, denied } = answer
  terminal.print(`since the hub's start: ${allowed} allowed, ${denied} denied`)
  if (answer.decisions.length > 0) terminal.print(decisions(context, answer.decisions))
}

function decisions({ terminal }: Context, rows: readonly Decision[]): string {
  const columns = [
    { head: "seq", right: true },
    { head: "when" },
    { head: "decision" },
    { head: "who", max: 30 },
    { head: "action" },
    { head: "on", max: 40 },
    { head: "by", max: 60 },
  ]
  const cells = rows.map((one) => [one.seq, showTime(one.atMs), one.decision, `${one.principal} (${one.role})`, one.action, one.resource, reasonOf(one)])
  return renderTable(terminal, columns, cells)
}

function reasonOf({ by, rule, fault }: Pick<Decision, "by" | "rule" | "fault">): string {
  if (by === "fault") return `fault${rule === null ? "" : ` in ${rule}`}: ${fault ?? ""}`
  return by === "rule" ? `rule ${rule}` : by === "role" ? "the role" : "no rule permits it"
}

function naming(given: unknown): string {
  return typeof given === "string" ? given : JSON.stringify(given)
}

function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
