import type { Command } from "commander"
import { act, examples, integer, type Context } from "./context.ts"
import { printable } from "./printable.ts"
import { heldTask } from "./task-work.ts"

/** `skein assist`: help wanted, and help given. */
export function register(program: Command): void {
  const assist = program.command("assist").description("Ask for help with a held task, or join one that asks for it.")
  assist
    .command("want [task]")
    .description("Ask for help: idle agents that match are told, and the first to answer joins. You keep the lease.")
    .option("--fence <n>", "the claim's fence", integer(1, Number.MAX_SAFE_INTEGER))
    .requiredOption("--reason <text>", "with what")
    .addHelpText("after", examples(["skein assist want fix-login --reason 'who knows OAuth?'", "tells how many were asked"]))
    .action(
      act(async (context: Context, id: string | undefined, { fence, reason }: { fence?: number; reason: string }) => {
        const held = await heldTask(context, id, fence)
        const answer = await (await context.hub()).call("help.want", { ...held, reason })
        context.terminal.answer(
          { task: held.task, ...answer },
          `${answer.told} idle ${answer.told === 1 ? "agent was" : "agents were"} told (entry ${answer.seq})`,
        )
      }),
    )
  assist
    .command("answer <task>")
    .description("Join a task as its helper.")
    .addHelpText("after", examples(["skein assist answer fix-login", "or exit status 1 where another was first"]))
    .action(
      act(async (context: Context, task: string) => {
        const answer = await (await context.hub()).call("help.answer", { task })
        context.terminal.answer({ task, ...answer }, `you help ${printable(answer.owner)} with ${printable(task)} (entry ${answer.seq})`)
      }),
    )
}
