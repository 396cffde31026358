import { type Command, InvalidArgumentError } from "commander"
import { act, asText, type Context, duration, examples, integer, number } from "./context.ts"
import { UsageError } from "./failure.ts"
import type { SimulateOptions } from "./simulation/simulate-plan.ts"

/** `skein simulate`: what a plan would come to with a team, before anything is spent on it. */
export function register(program: Command): void {
  program
    .command("simulate <plan>")
    .description(
      "Run a plan on a virtual clock, by the hub's own rules and with simulated agents: how long it takes, what it costs, where it waits, and how many agents are " +
        "worth paying for. Nothing is written, no hub is needed. The same seed gives the same answer. Exit status 1 when no run finishes.",
    )
    .option("--agents <name=n>", "so many of these agents, with commas between: bus=2,cli=0; or coding agents that may take any task: claude=3", list)
    .option("--team <file>", "a team of its own: `agents` as in a plan, each with `count` and `success` (chances by skill)", asText)
    .option("--faults <what>", "none, some or storm; or chances of an attempt: crash=0.05,throttle=0.02,fail=0.1 and outage=MINUTES of one model", "none")
    .option("--runs <n>", "how many runs, each with a seed of its own", integer(1, 10_000), 20)
    .option("--seed <n>", "the first seed", integer(0, 2_147_483_647), 1)
    .option("--spread <n>", "how far estimates are out: the standard deviation of a duration's logarithm, 0 to 2", number(0, 2), 0.25)
    .option("--target <speed-up>", "say whom to add to be so many times as fast as one agent alone: 3x", speedup)
    .option("--worth <percent>", "one more agent is worth it where the plan gets shorter by so much", number(0, 100), 5)
    .option("--estimate <duration>", "how long tasks are taken to last that have no estimate, 30m unless told", duration(1))
    .option("--no-advice", "this team only: try no others")
    .addHelpText(
      "after",
      examples(
        ["skein simulate examples/phase-zero.yaml --target 3x", "what to expect of the team, and whom to add to be three times as fast as one agent"],
        ["skein simulate plan.yaml --agents bus=2,cli=2 --no-advice", "what to expect of that team"],
        ["skein simulate plan.yaml --agents claude=4 --faults storm --runs 100", "four coding agents that may take any task, on a bad day"],
        ["skein simulate plan.yaml --json", "each run, then the whole, one object a line"],
      ),
    )
    .action(
      act(async (context: Context, file: string, options: SimulateOptions) => {
        if (options.agents !== undefined && options.team !== undefined) throw new UsageError("--agents and --team both say who works", "Give one of them.")
        const { simulatePlan } = await import("./simulation/simulate-plan.ts")
        await simulatePlan(context, file, options)
      }),
    )
}

function list(text: string): string[] {
  return text.split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()]))
}

function speedup(text: string): number {
  const value = Number(/^(\d+(?:\.\d+)?)x?$/.exec(text.trim())?.[1] ?? Number.NaN)
  if (!(value >= 1 && value <= 1_000)) throw new InvalidArgumentError("Write how many times as fast, 1 to 1000: 3x")
  return value
}
