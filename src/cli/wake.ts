import type { Command } from "commander"
import { REASONS } from "../core/trigger.ts"
import { act, type Context, examples } from "./context.ts"
import { printable } from "./printable.ts"

const WAYS = {
  queued: "it goes to its live session",
  resume_session: "its conversation is to be resumed",
  spawn_session: "it is to be started anew",
} as const

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
          const lines = [`trigger ${printable(answer.job)}: ${WAYS[answer.action]} (${answer.mode}/${answer.action}, entry ${answer.seq})`]
          if (answer.code !== null) lines.push(`${answer.code}: ${REASONS[answer.code].means}`)
          if (answer.code === "NO_SUPERVISOR")
            lines.push(
              `start one that runs it: skein up --supervise, skein swarm spawn; or take it back: skein trigger cancel ${printable(answer.job)} --reason …`,
            )
          context.terminal.answer(answer, lines.join("\n"))
        },
      ),
    )
}
