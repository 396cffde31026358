import type { Command } from "commander"
import { SkeinError } from "../contract/errors.ts"
import { agentIdentity } from "./agent-identity.ts"
import { briefing, type Standing } from "./briefing.ts"
import { type HubConnection, openConnection } from "./connection.ts"
import { act, examples, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { isAlive, readHubFile } from "./instance.ts"
import { printable } from "./printable.ts"

/** `skein prime`: what an agent reads before it begins. */
export function register(program: Command): void {
  program
    .command("prime")
    .description("Print the briefing of an agent: who it is, its tasks, what is ready, what is unread, which files are held, and how it works. At most 4 KB.")
    .option("--agent <name>", "whose, where neither SKEIN_TOKEN_FILE nor the worktree says it")
    .addHelpText("after", examples(["skein prime --agent claude", "a page for the agent's context; without a hub, one line that says so"]))
    .action(act(prime))
}

async function prime(context: Context, { agent }: { agent?: string }): Promise<void> {
  const { terminal, options, workspace } = context
  const instance = context.instance()
  const identity = agentIdentity({ instance, env: process.env, fallback: agent ?? null, cwd: options.repo ?? process.cwd() })
  if (identity === null)
    throw new UsageError(
      agent === undefined ? "nothing here says which agent you are" : `there is no credential of ${agent} here, or it cannot be read`,
      "Set SKEIN_TOKEN_FILE, or name one that has a credential: skein prime --agent NAME. skein init makes them.",
    )
  const file = readHubFile(instance)
  const url = options.url ?? (process.env["SKEIN_URL"] || (file !== null && isAlive(file.pid) ? file.url : null))
  const away = (): void => {
    const text = `Skein: no hub is running, so nobody knows who does what: you are ${printable(identity.agent)}. Ask for it to be started (skein up) before you edit files that others may hold.`
    terminal.answer({ agent: identity.agent, hub: false, briefing: text }, text)
  }
  if (url === null) return away()
  const hub = openConnection({ url, identity: { credentialFile: identity.file }, workspace })
  try {
    const standing = await standingOf(hub, identity.agent, workspace)
    const text = briefing(standing)
    terminal.answer({ agent: identity.agent, hub: true, briefing: text }, text.trimEnd())
  } catch (error) {
    if (!(error instanceof SkeinError) || error.code !== "hub_unreachable") throw error
    away()
  } finally {
    await hub.close()
  }
}

async function standingOf(hub: HubConnection, name: string, workspace: string): Promise<Standing> {
  const [{ agent }, held, work, unread, { holdings }] = await Promise.all([
    hub.call("agent.show", { name }),
    hub.call("task.list", { owner: name, state: ["claimed", "in_progress", "blocked", "review"], limit: 20 }),
    hub.call("work.wait", { waitMs: 0 }),
    hub.call("message.unread", { limit: 20 }),
    hub.call("files.list", { limit: 100 }),
  ])
  const ready = await Promise.all(work.ready.map(async (task) => (await hub.call("task.show", { task })).task))
  return { workspace, agent, tasks: held.tasks, ready, unread, notices: work.notices.length, holdings }
}
