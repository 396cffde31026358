import type { Command } from "commander"
import { act, type Context, examples } from "./context.ts"
import { printable } from "./printable.ts"

/** `skein wake`: one agent, now. */
export function register(program: Command): void {
  program
    .command("wake <agent>")
    .description("Wake an agent: in its live session, else resumed, else anew. Messages alone wake whoever sleeps; this is for what cannot wait.")
    .option("--thread <id>", "in this thread, which it is in (default: its own inbox)")
    .option("--reason <text>", "why, in a line", "the operator asks for it")
    .option("--prompt <text>", "what to tell it besides", "")
    .option("--request <id>", "names this request: the same again wakes nobody twice")
    .addHelpText("after", examples(["skein wake goose --reason 'the build is red'", "then: skein trigger why with the id that it prints"]))
    .action(
      act(
        async (
          context: Context,
          target: string,
          { thread, reason, prompt, request }: { thread?: string; reason: string; prompt: string; request?: string },
        ) => {
          const given = { thread: thread ?? `agent/${target}`, target, reason, prompt, requestId: request ?? null }
          const answer = await (await context.hub()).call("trigger.participant", given)
          const code = answer.code === null ? "" : `, ${answer.code}`
          context.terminal.answer(answer, `trigger ${printable(answer.job)}: ${answer.mode}/${answer.action}, ${answer.status}${code} (entry ${answer.seq})`)
        },
      ),
    )
}
