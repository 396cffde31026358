import type { Command } from "commander"
import { act, examples, type Context } from "./context.ts"
import { renderTable } from "./table.ts"

/** `skein workspace`: list | create. */
export function register(program: Command): void {
  const workspace = program.command("workspace").description("Workspaces of this hub: each has a ledger of its own and shares nothing with the others.")
  workspace
    .command("list")
    .description("List the workspaces.")
    .addHelpText("after", examples(["skein workspace list", "names, and how many entries each has"]))
    .action(
      act(async (context: Context) => {
        const { workspaces } = await (await context.hub()).call("workspace.list", {})
        for (const one of workspaces) context.terminal.record(one)
        if (context.terminal.json) return
        const rows = workspaces.map(({ name, seq }) => [name, seq])
        context.terminal.print(renderTable(context.terminal, [{ head: "workspace" }, { head: "entries", right: true }], rows))
      }),
    )
  workspace
    .command("create <name>")
    .description("Create a workspace.")
    .addHelpText("after", examples(["skein workspace create research", "then: skein -w research run PLAN"]))
    .action(
      act(async (context: Context, name: string) => {
        const answer = await (await context.hub()).call("workspace.create", { name })
        context.terminal.answer(answer, `workspace ${answer.workspace} is there`)
      }),
    )
}
