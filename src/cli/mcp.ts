import type { Command } from "commander"
import { act, examples, type Context } from "./context.ts"

/** `skein mcp`: what an agent's MCP settings start. */
export function register(program: Command): void {
  program
    .command("mcp")
    .description("Serve MCP on stdin and stdout for one agent; agents start it, people do not. It finds the hub from where it stands, and ends with its input.")
    .option("--agent <name>", "whose credential to use, where neither SKEIN_TOKEN_FILE nor the worktree says it")
    .addHelpText("after", examples(["skein mcp --agent claude", "as it stands in the MCP settings of an agent"]))
    .action(
      act(async (context: Context, { agent }: { agent?: string }) => {
        const { serveShim } = await import("./mcp-shim.ts")
        const { repo, url, workspace } = context.options
        await serveShim({ instance: () => context.instance(), env: process.env, cwd: repo ?? process.cwd(), agent: agent ?? null, workspace, url })
      }),
    )
}
