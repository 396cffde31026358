import type { Command } from "commander"
import { act, examples, type Context } from "./context.ts"
import { printable } from "./printable.ts"

/** `skein lease end`: recovery by hand. */
export function register(program: Command): void {
  const lease = program.command("lease").description("End a lease by hand.")
  lease
    .command("end <task>")
    .description("Take a task from its holder: it is open again, an attempt is counted, and what the former holder still writes is refused as stale.")
    .requiredOption("--reason <text>", "why: it is kept on the ledger")
    .addHelpText("after", examples(["skein lease end fix-login --reason 'its agent hangs'", "somebody else may take it at once"]))
    .action(
      act(async (context: Context, task: string, { reason }: { reason: string }) => {
        const answer = await (await context.hub()).call("lease.end", { task, reason })
        context.terminal.answer({ task, ...answer }, `the lease of ${printable(task)} is over: the task is ${answer.status} (entry ${answer.seq})`)
      }),
    )
}
