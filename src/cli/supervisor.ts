import type { Command } from "commander"
import { act, asText, examples, type Context } from "./context.ts"

type SupervisorVerb = { name: string; keepAgents?: boolean }

/** `skein supervisor`: runs agents and wakes them, in the foreground. */
export function register(program: Command): void {
  program
    .command("supervisor")
    .description(
      "Run the agents of this machine and wake them: starts those that are wanted, restarts what dies, delivers wakes. `skein up --supervise` does the same in the background. " +
        "Ctrl-C ends it together with its agents; killed, it leaves agents in their terminals, and the next one adopts them.",
    )
    .option("--name <name>", "what it is called with the hub; each of several machines needs another", asText, "supervisor")
    .option("--keep-agents", "leave agents in their terminals when it ends")
    .addHelpText(
      "after",
      examples(
        ["skein supervisor", "until Ctrl-C"],
        [
          "SKEIN_TOKEN_FILE=lab.credential skein supervisor --name lab --url https://hub.example.org",
          "on another machine; the credential is that of an agent of role supervisor",
        ],
      ),
    )
    .action(
      act(async (context: Context, { name, keepAgents = false }: SupervisorVerb) => {
        const { serveSupervisor } = await import("./supervisor-process.ts")
        await serveSupervisor(context, { name, keepAgents }, () =>
          context.terminal.answer({ supervising: true, pid: process.pid, name }, `${name} supervises this machine's agents; Ctrl-C ends it and them`),
        )
      }),
    )
}
