import type { Command } from "commander"
import type { Output } from "../contract/operations.ts"
import { BREAKER_NUMBERS, type BreakerNumber } from "../core/breaker.ts"
import { act, type Context, duration, examples, integer } from "./context.ts"
import { UsageError } from "./failure.ts"
import { showTime } from "./local-time.ts"
import { renderTable } from "./table.ts"

type View = Output<"breaker.list">["breakers"][number]

/** `skein breaker`: list | trip | reset | policy. */
export function register(program: Command): void {
  const breaker = program
    .command("breaker")
    .description("Circuit breakers of agents, accounts, models and kinds of task: what fails is left alone for a while.")
  breaker
    .command("list")
    .description("Show the breakers of which something is known; the others are closed.")
    .option("--limit <n>", "at the most so many", integer(1, 1_000), 100)
    .addHelpText("after", examples(["skein breaker list", "what keeps work away, and until when"]))
    .action(act(list))
  breaker
    .command("trip <breaker>")
    .description("Open one by hand: agent/NAME, account/NAME, model/NAME or kind/LABEL. What is claimed already goes on.")
    .option("--for <duration>", "then one claim is let through (default: until it is reset)", duration())
    .option("--reason <text>", "why", "tripped by hand")
    .addHelpText("after", examples(["skein breaker trip model/gpt-5 --for 30m --reason 'answers nonsense'", "no task is claimed with it for so long"]))
    .action(act(trip))
  breaker
    .command("reset <breaker>")
    .description("Close one by hand; what was known against it is forgotten.")
    .option("--reason <text>", "why", "reset by hand")
    .addHelpText("after", examples(["skein breaker reset agent/claude", "it may claim again at once"]))
    .action(act(reset))
  breaker
    .command("policy [change...]")
    .description(`Show when breakers open, or change it: NUMBER=VALUE, times in ms. ${Object.keys(BREAKER_NUMBERS).join(", ")}.`)
    .option("--reason <text>", "why", "changed by hand")
    .addHelpText(
      "after",
      examples(["skein breaker policy", "every number"], ["skein breaker policy consecutive=3 openMs=30000", "open sooner, for half a minute"]),
    )
    .action(act(policy))
}

async function list(context: Context, { limit }: { limit: number }): Promise<void> {
  const { terminal } = context
  const { breakers, more } = await (await context.hub()).call("breaker.list", { limit })
  for (const one of breakers) terminal.record(one)
  if (terminal.json) return
  if (breakers.length === 0) return terminal.print("every breaker is closed")
  const columns = [{ head: "breaker", max: 50 }, { head: "state" }, { head: "until" }, { head: "failures", right: true }, { head: "why", max: 60 }]
  terminal.print(renderTable(terminal, columns, breakers.map(cells)))
  if (more) terminal.print(`only the first ${breakers.length} are shown: --limit shows more`)
}

function cells({ breaker, phase, cause, untilMs, reason, outcomes, failures, probe }: View): string[] {
  const until =
    phase === "half_open"
      ? probe === null
        ? "the next claim"
        : `${probe} is its probe`
      : phase === "closed"
        ? ""
        : untilMs === null
          ? "it is reset"
          : showTime(untilMs)
  return [breaker, phase.replace("_", "-"), until, `${failures} of ${outcomes}`, cause === null ? "" : `${cause}: ${reason ?? ""}`]
}

async function trip(context: Context, breaker: string, { for: forMs, reason }: { for?: number; reason: string }): Promise<void> {
  const hub = await context.hub()
  const { nowMs } = await hub.call("hub.status", {})
  const untilMs = forMs === undefined ? null : nowMs + forMs
  const answer = await hub.call("breaker.trip", { breaker, untilMs, reason })
  context.terminal.answer(answer, `${breaker} is open until ${untilMs === null ? "it is reset" : showTime(untilMs)}`)
}

async function reset(context: Context, breaker: string, { reason }: { reason: string }): Promise<void> {
  const answer = await (await context.hub()).call("breaker.reset", { breaker, reason })
  context.terminal.answer(answer, `${breaker} is closed`)
}

async function policy(context: Context, given: string[], { reason }: { reason: string }): Promise<void> {
  const { terminal } = context
  const hub = await context.hub()
  const changes: Partial<Record<BreakerNumber, number>> = {}
  for (const text of given) {
    const [name = "", value = ""] = text.split("=")
    if (!Object.hasOwn(BREAKER_NUMBERS, name) || !/^\d{1,12}$/.test(value))
      throw new UsageError(`"${text}" is no change`, `Write NUMBER=VALUE, with one of ${Object.keys(BREAKER_NUMBERS).join(", ")}.`)
    changes[name as BreakerNumber] = Number(value)
  }
  if (given.length > 0) {
    const answer = await hub.call("breaker.setPolicy", { changes, reason })
    return terminal.answer(answer, `changed: ${given.join(" ")}`)
  }
  const { policy: numbers } = await hub.call("breaker.list", {})
  terminal.record(numbers)
  if (terminal.json) return
  const rows = (Object.keys(BREAKER_NUMBERS) as BreakerNumber[]).map((name) => [name, numbers[name], BREAKER_NUMBERS[name].means])
  terminal.print(renderTable(terminal, [{ head: "number" }, { head: "is", right: true }, { head: "means", wraps: true }], rows))
}
