import type { Command } from "commander"
import { USAGE_BY, type UsageBy, type UsageRow } from "../core/usage.ts"
import { showUsd } from "../core/money.ts"
import { act, type Context, examples, integer, oneOf, usd } from "./context.ts"
import { UsageError } from "./failure.ts"
import { untilInterrupted } from "./interrupt.ts"
import { renderTable } from "./table.ts"

type Report = { agent?: string; task?: string; model?: string; input: number; output: number; cacheRead: number; cacheWrite: number; cost?: number }

const tokens = integer(0, 1_000_000_000_000)

/** `skein cost`: what the agents' model calls took. */
export function register(program: Command): void {
  const cost = program
    .command("cost")
    .description("Show what the agents' model calls took, added up by one thing.")
    .option("--by <what>", USAGE_BY.join(", "), oneOf(USAGE_BY), "agent" as UsageBy)
    .option("--limit <n>", "at the most so many rows", integer(1, 1_000), 100)
    .option("--follow", "stay, and show the sums again whenever something was spent")
    .addHelpText(
      "after",
      examples(
        ["skein cost --by task", "the dearest task first"],
        ["skein cost --by day", "what each day cost (UTC)"],
        ["skein cost --follow --by model", "as it is spent, until Ctrl-C"],
      ),
    )
    .action(act(showCost))
  cost
    .command("report")
    .description("Report usage by hand, for an agent that sends no telemetry. Without --cost it is priced by .skein/config.yaml.")
    .option("--agent <name>", "whose it was (default: your own)")
    .option("--task <id>", "the task that it was for (default: the one that the agent is at work on)")
    .option("--model <name>", "the model")
    .option("--input <n>", "input tokens, those from and to a cache left out", tokens, 0)
    .option("--output <n>", "output tokens", tokens, 0)
    .option("--cache-read <n>", "tokens read from a cache", tokens, 0)
    .option("--cache-write <n>", "tokens written to a cache", tokens, 0)
    .option("--cost <usd>", "what it cost, in US dollars", usd)
    .addHelpText("after", examples(["skein cost report --model gpt-5 --input 12000 --output 800", "counts for the task at hand"]))
    .action(act(reportCost))
  cost
    .command("refund")
    .argument("<usd>", "", usd)
    .description("Take back money that was not spent after all: it is free again in the budgets that it counted in.")
    .requiredOption("--agent <name>", "whose it was")
    .option("--task <id>", "the task that it was for")
    .option("--reason <text>", "why")
    .addHelpText("after", examples(["skein cost refund 0.40 --agent claude --task t1 --reason 'the call failed'", "the sums and the budgets have it back"]))
    .action(act(refundCost))
}

type Shown = { by: UsageBy; limit: number; follow?: boolean }

/** Entries after which the sums are others. */
const SPENDING: ReadonlySet<string> = new Set(["usage.reported", "usage.refunded"])

async function showCost(context: Context, shown: Shown): Promise<void> {
  if (shown.follow !== true) return showSums(context, shown)
  const hub = await context.hub()
  const from = (await hub.call("ledger.head", {})).seq + 1
  await showSums(context, shown)
  const signal = untilInterrupted(context.terminal)
  try {
    for await (const { type, seq } of hub.events({ from, signal })) {
      if (!SPENDING.has(type)) continue
      if (!context.terminal.json) context.terminal.print(`\nat entry ${seq}:`)
      await showSums(context, shown, { signal })
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

async function refundCost(context: Context, costMicroUsd: number, { agent, task, reason }: { agent: string; task?: string; reason?: string }): Promise<void> {
  const hub = await context.hub()
  const answer = await hub.call("usage.refund", { agent, task: task ?? null, costMicroUsd, ...(reason === undefined ? {} : { reason }) })
  context.terminal.answer(answer, `${showUsd(costMicroUsd)} taken back (entry ${answer.seq})`)
}

async function showSums(context: Context, { by, limit }: Shown, options: { signal?: AbortSignal } = {}): Promise<void> {
  const { terminal } = context
  const { rows, total, more } = await (await context.hub()).call("usage.list", { by, limit }, options)
  for (const row of rows) terminal.record(row)
  if (terminal.json) return
  if (rows.length === 0) {
    terminal.print("no usage was reported yet: agents that skein init plugged in report theirs at the end of each turn, others by skein cost report")
    return
  }
  const columns = [{ head: by, max: 60 }, ...["calls", "input", "output", "cached", "cost"].map((head) => ({ head, right: true }))]
  const table = [...rows.map((row) => cells(row.key ?? "–", row)), cells("all", { key: null, ...total })]
  terminal.print(renderTable(terminal, columns, table))
  if (more) terminal.print(`only the first ${rows.length} are shown: --limit shows more`)
  if (total.unpriced > 0)
    terminal.print(
      `${total.unpriced} calls have no known price and are missing from the cost: give their models (skein cost --by model) one in .skein/config.yaml`,
    )
}

function cells(
  name: string,
  { requests, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, costMicroUsd, unpriced }: UsageRow,
): (string | number)[] {
  const paid = requests > unpriced ? showUsd(costMicroUsd) : "?"
  return [name, requests, inputTokens, outputTokens, cacheReadTokens + cacheWriteTokens, unpriced > 0 && requests > unpriced ? `${paid} + ?` : paid]
}

async function reportCost(context: Context, { agent, task, model, input, output, cacheRead, cacheWrite, cost }: Report): Promise<void> {
  if (input + output + cacheRead + cacheWrite === 0 && cost === undefined)
    throw new UsageError("nothing was used by that", "Say what was: --input, --output, --cache-read and --cache-write in tokens, or --cost in US dollars.")
  const answer = await (
    await context.hub()
  ).call("usage.report", {
    agent: agent ?? null,
    task: task ?? null,
    model: model ?? null,
    inputTokens: input,
    outputTokens: output,
    cacheReadTokens: cacheRead,
    cacheWriteTokens: cacheWrite,
    costMicroUsd: cost ?? null,
  })
  const price = answer.costMicroUsd === null ? "without a known price" : showUsd(answer.costMicroUsd)
  context.terminal.answer(answer, `reported: ${price}${answer.task === null ? "" : `, for ${answer.task}`} (entry ${answer.seq})`)
}
