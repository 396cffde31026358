import type { Command } from "commander"
import { bearerFor } from "../client/identity.ts"
import { act, examples, namedWorkspace, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"

/** `skein token`: for other programs that speak with the hub. */
export function register(program: Command): void {
  program
    .command("token")
    .description("Print a token for the hub, good for 15 minutes: your own, or as operator an agent's. Whoever has it acts in that name.")
    .option("--agent <name>", "a token of this agent")
    .option("--session <id>", "bound to this session of the agent")
    .addHelpText(
      "after",
      examples([
        'curl -H "Authorization: Bearer $(skein token)" "$(skein status --json | jq -r .url)/api/openapi.json"',
        "any HTTP client can speak with the hub",
      ]),
    )
    .action(
      act(async (context: Context, { agent, session }: { agent?: string; session?: string }) => {
        if (session !== undefined && agent === undefined) throw new UsageError("a session is of an agent", "Say whose it is: --agent NAME.")
        const hub = await context.hub()
        if (agent === undefined) {
          const { token, lastsMs } = await bearerFor(new URL(hub.url), hub.identity, namedWorkspace(context.options))
          context.terminal.answer({ token, lastsMs, url: hub.url }, token)
          return
        }
        const minted = await hub.call("token.mint", { agent, session: session ?? null })
        context.terminal.answer({ ...minted, url: hub.url }, minted.token)
      }),
    )
}
