import type { Command } from "commander"
import { dirname, resolve } from "node:path"
import { act, asText, collect, examples, type Context } from "./context.ts"
import { InvalidArgumentError } from "commander"

export type RunOptions = { agents?: string[]; add?: string[]; chaos?: boolean; speed: number; keepHub?: boolean }

/** `skein run`: a plan taken to its end. */
export function register(program: Command): void {
  program
    .command("run <plan>")
    .description(
      "Take a plan to its end: start the hub where none runs, add the plan, start its script agents, follow the work, and close with a report. " +
        "The same file on the same commit goes on where it stopped; finished, there is nothing to do. Ctrl-C stops it cleanly. " +
        "Exit status 1 when a task has failed, 130 after Ctrl-C, 143 after SIGTERM.",
    )
    .option(
      "--agents <names>",
      "start only these of the plan's agents, with commas between; or coding agents in terminals, so many of each: claude=2,codex=1",
      list,
    )
    .option("--add <agent>", "one agent more, with the profile of this one (bus: bus-2); may be repeated", collect(asText))
    .option("--chaos", "kill an agent in the middle of a task, and see that nothing is lost")
    .option("--speed <n>", "do stand-in work so many times faster; leases and all else keep their pace", speed, 1)
    .option("--keep-hub", "leave a hub that this run started running")
    .addHelpText(
      "after",
      examples(
        ["skein run examples/hello.yaml", "the smallest plan"],
        ["skein run examples/repository-check.yaml --repo ../project --chaos", "checks another repository, and survives the loss of an agent"],
        ["skein run examples/phase-zero.yaml --speed 1000", "18 hours of a team in a minute"],
        ["skein run plan.yaml --agents claude=2,codex=1", "three coding agents in terminals, kept at it until the plan is finished"],
      ),
    )
    .action(
      act(async (context: Context, file: string, options: RunOptions) => {
        if (options.agents?.some((word) => word.includes("=")) === true) {
          const [{ readPlanFile }, { runSwarm }] = await Promise.all([import("./plan-source.ts"), import("./run-swarm.ts")])
          return runSwarm(context, await readPlanFile(file), options.agents)
        }
        const [{ readPlanFile }, { runPlan }] = await Promise.all([import("./plan-source.ts"), import("./run-plan.ts")])
        await runPlan(context, await readPlanFile(file), { ...options, planDirectory: file === "-" ? process.cwd() : dirname(resolve(file)) })
      }),
    )
}

function list(text: string): string[] {
  return text.split(",").flatMap((part) => (part.trim() === "" ? [] : [part.trim()]))
}

function speed(text: string): number {
  const value = Number(text)
  if (text.trim() === "" || !(value >= 0.001 && value <= 1_000_000)) throw new InvalidArgumentError("Write a number from 0.001 to 1000000.")
  return value
}
