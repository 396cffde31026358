import type { Command } from "commander"
import { USAGE_BY, type UsageBy, type UsageRow } from "../core/usage.ts"
import { act, type Context, examples, integer, oneOf } from "./context.ts"
import { parseUsd, showUsd } from "./quantity.ts"
import { InvalidArgumentError } from "commander"
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
    .addHelpText("after", examples(["skein cost --by task", "the dearest task first"], ["skein cost --by day", "what each day cost (UTC)"]))
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
}

function usd(text: string): number {
  const micro = text.trim() === "" ? Number.NaN : parseUsd(Number(text))
  if (typeof micro !== "number" || Number.isNaN(micro)) throw new InvalidArgumentError("Write US dollars as a number: 0.25")
  return micro
}

async function showCost(context: Context, { by, limit }: { by: UsageBy; limit: number }): Promise<void> {
  const { terminal } = context
  const { rows, total, more } = await (await context.hub()).call("usage.list", { by, limit })
  for (const row of rows) terminal.record(row)
  if (terminal.json) return
  if (rows.length === 0) {
    terminal.print("no usage was reported yet: docs/how-to/see-what-it-costs.md says how agents report it")
    return
  }
  const columns = [{ head: by, max: 60 }, ...["calls", "input", "output", "cached", "cost"].map((head) => ({ head, right: true }))]
  const table = [...rows.map((row) => cells(row.key ?? "–", row)), cells("all", { key: null, ...total })]
  terminal.print(renderTable(terminal, columns, table))
  if (more) terminal.print(`only the first ${rows.length} are shown: --limit shows more`)
  if (total.unpriced > 0)
    terminal.print(`${total.unpriced} calls have no known price and are missing from the cost: give their models one in .skein/config.yaml`)
}

function cells(
  name: string,
  { requests, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, costMicroUsd, unpriced }: UsageRow,
): (string | number)[] {
  const paid = requests > unpriced ? showUsd(costMicroUsd) : "?"
  return [name, requests, inputTokens, outputTokens, cacheReadTokens + cacheWriteTokens, unpriced > 0 && requests > unpriced ? `${paid} + ?` : paid]
}

async function reportCost(context: Context, { agent, task, model, input, output, cacheRead, cacheWrite, cost }: Report): Promise<void> {
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
