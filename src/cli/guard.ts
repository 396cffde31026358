import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Command } from "commander"
import { isName } from "../core/ids.ts"
import { guardStatus, installGuard, removeGuard, type People } from "../repo/guard.ts"
import { findRepository, type Repository } from "../repo/instance.ts"
import { setWorktreeAgent, worktreeAgents } from "../repo/worktree-agent.ts"
import { act, examples, oneOf, type Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { folderOf, readHubFile } from "./instance.ts"
import { printable } from "./printable.ts"
import { renderFields } from "./table.ts"

const PEOPLE = ["warn", "refuse", "ignore"] as const

/** `skein guard`: git itself refuses what others hold. */
export function register(program: Command): void {
  const guard = program.command("guard").description("The git guard: no commit changes a file that another agent holds.")
  guard
    .command("install")
    .description("Have git ask the hub before a branch moves. Your own hooks go on running; run it again after anything that sets core.hooksPath.")
    .option("--agent <name>", "this worktree belongs to that agent: its commits are the agent's")
    .option("--people <word>", "what becomes of people who change a held file: warn, refuse, ignore", oneOf(PEOPLE), "warn")
    .addHelpText(
      "after",
      examples(["skein guard install", "for all worktrees of this repository"], ["skein guard install --agent goose", "and this one is goose's"]),
    )
    .action(act(install))
  guard
    .command("remove")
    .description("Take the guard away, and give git the hooks path that it had.")
    .addHelpText("after", examples(["skein guard remove", "as if it had never been"]))
    .action(
      act(async (context: Context) => {
        const removed = await removeGuard(await repositoryOf(context))
        context.terminal.answer({ removed }, removed ? "the guard is gone, and git has the hooks path that it had" : "there was no guard")
      }),
    )
  guard
    .command("status")
    .description("Show whether git runs the guard, and what it hands on to.")
    .addHelpText("after", examples(["skein guard status --json", "installed, in force, worktrees and their agents"]))
    .action(act(status))
}

async function install(context: Context, { agent, people }: { agent?: string; people: People }): Promise<void> {
  const repository = await repositoryOf(context)
  if (agent !== undefined) await takeWorktree(context, repository, agent)
  const { changed, ownHooks } = await installGuard({ repository, node: process.execPath, launcher: process.argv[1] ?? "", people })
  context.terminal.answer(
    { installed: true, changed, ownHooks, people, agent: agent ?? null },
    [
      changed ? "git asks the hub before a branch moves, in every worktree of this repository" : "the guard is there already: nothing to change",
      `your own hooks in ${printable(ownHooks)} go on running`,
      ...(agent === undefined ? [] : [`what is committed in ${printable(repository.top ?? "")} counts as ${printable(agent)}'s`]),
    ].join("\n"),
  )
}

/** Only for a name with a credential: a worktree of nobody would be guarded by nothing. */
async function takeWorktree(context: Context, repository: Repository, agent: string): Promise<void> {
  if (repository.top === null) throw new UsageError("this is no worktree that could belong to an agent", "Go into the agent's worktree.")
  const folder = folderOf(context.instance(), context.workspace, "agents")
  if (!isName(agent) || !existsSync(join(folder, `${agent}.credential`))) {
    throw new UsageError(`there is no credential of ${JSON.stringify(agent)} in ${folder}`, `Make the agent: skein agent add ${agent}`)
  }
  await setWorktreeAgent({ repository, top: repository.top, agent })
}

async function status(context: Context): Promise<void> {
  const repository = await repositoryOf(context)
  const found = await guardStatus(repository)
  const agents = await worktreeAgents(repository)
  const hub = readHubFile({ directory: repository.instanceDir, repository: repository.commonDir })
  const { terminal } = context
  terminal.record({ ...found, agents, hub: hub?.url ?? null })
  if (terminal.json) return
  const state = !found.installed ? "not installed: skein guard install" : found.inForce ? "installed, and git runs it" : displaced(found.hooksPath)
  const fields: [string, string | null][] = [
    ["guard", state],
    ["your hooks", `${found.ownHooks}${found.handsOnTo.length === 0 ? " (none there)" : `: ${found.handsOnTo.join(", ")}`}`],
    ["people", { warn: "are warned", refuse: "are refused as agents are", ignore: "are let be" }[found.people]],
    ["hub", hub?.url ?? "none is running: commits pass unchecked"],
    ...agents.map(({ top, agent }): [string, string] => [`worktree of ${agent}`, top]),
    ...found.past.map((top): [string, string] => ["not guarded", `${top}: its own configuration leads past the guard`]),
  ]
  terminal.print(renderFields(terminal, fields))
}

function displaced(hooksPath: string | null): string {
  return `installed, but git does not run it: core.hooksPath is ${hooksPath ?? "not set"}. Put it back: skein guard install`
}

function repositoryOf(context: Context): Promise<Repository> {
  const { repository } = context.instance()
  if (repository === null) throw new UsageError("the global instance belongs to no repository", "Leave out --global, or name a repository: --repo PATH")
  return findRepository(repository)
}
