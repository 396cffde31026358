import { git, gitConfig, gitDone } from "./git.ts"
import type { Repository } from "./instance.ts"
import { worktreeTops } from "./worktree.ts"

const KEY = "skein.agent"

/**
 * Says which agent works in the worktree at `top`: `skein.agent` of the worktree's own configuration, which no other worktree sees; null takes it back.
 * Turns on `extensions.worktreeConfig` where it is off, with what must not be shared moved as git-worktree(1) asks. May be called again.
 */
export async function setWorktreeAgent({ repository, top, agent }: { repository: Repository; top: string; agent: string | null }): Promise<void> {
  if (agent === null) {
    if ((await worktreeAgentOf(top)) !== null) await gitDone(top, ["config", "--worktree", "--unset-all", KEY])
    return
  }
  await ensureWorktreeConfig(repository)
  await gitDone(top, ["config", "--worktree", "--replace-all", KEY, agent])
}

/** The worktrees that belong to an agent, as their configuration says. */
export async function worktreeAgents(repository: Repository): Promise<{ top: string; agent: string }[]> {
  const found: { top: string; agent: string }[] = []
  for (const top of await worktreeTops(repository)) {
    const agent = await worktreeAgentOf(top)
    if (agent !== null) found.push({ top, agent })
  }
  return found
}

async function worktreeAgentOf(top: string): Promise<string | null> {
  // Refused where there are several worktrees and no configuration of their own: then there is none.
  const { status, stdout } = await git(top, ["config", "--worktree", "-z", "--get", KEY])
  return status === 0 ? stdout.slice(0, -1) : null
}

async function ensureWorktreeConfig({ commonDir }: Repository): Promise<void> {
  const get = async (args: readonly string[]): Promise<string | null> => {
    return (await gitConfig(commonDir, ["--local", "-z", ...args]))?.slice(0, -1) ?? null
  }
  if ((await get(["--type=bool", "--get", "extensions.worktreeConfig"])) === "true") return
  // From the moment that the extension is on, linked worktrees would take these two for their own.
  const file = `${commonDir}/config.worktree`
  for (const key of ["core.bare", "core.worktree"]) {
    const value = await get(["--get", key])
    if (value === null || (key === "core.bare" && value !== "true")) continue
    await gitDone(commonDir, ["config", "--file", file, key, value])
    await gitDone(commonDir, ["config", "--local", "--unset", key])
  }
  await gitDone(commonDir, ["config", "--local", "extensions.worktreeConfig", "true"])
}
