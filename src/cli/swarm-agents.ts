import { existsSync } from "node:fs"
import { SkeinError } from "../contract/errors.ts"
import type { Profile } from "../core/agent.ts"
import { isAgentKind } from "../repo/agent-kinds.ts"
import { planInit } from "../repo/init-plan.ts"
import { findRepository, type Repository } from "../repo/instance.ts"
import { writeChanges } from "../repo/settings-files.ts"
import { addWorktree, listWorktrees } from "../repo/worktree.ts"
import { setWorktreeAgent } from "../repo/worktree-agent.ts"
import { worktreeOf } from "../runtime/crew.ts"
import { type RunBy, type Wanted, WORD_MAX } from "../runtime/supervised.ts"
import { credentialId, credentialPath, issueCredential } from "./agent-credential.ts"
import { readConfig } from "./config.ts"
import type { HubConnection } from "./connection.ts"
import type { Context } from "./context.ts"
import { UsageError } from "./failure.ts"
import { skeinCommand } from "./init-agents.ts"
import { kindNamed } from "./supervisor-drivers.ts"
import { supervisorFolder } from "./supervisor-place.ts"
import { agentNamed } from "./supervisor-process.ts"

export type SwarmMember = {
  agent: string
  /** Name of a preset. */
  preset: string
  by: RunBy
  role: Profile["role"]
  binary: string | null
  args: readonly string[]
  env: Readonly<Record<string, string>>
  passEnv: readonly string[]
  prompt: string | null
  /** In a worktree of its own, at the repository's current commit. */
  worktree: boolean
  account: string | null
  /** What it is to be able to do; unset: as it is. */
  capabilities?: Profile["capabilities"]
}

/** What agents need of the environment to reach their models: passed on where the supervisor has it, and kept in no file. */
const PASSED: Readonly<Record<string, readonly string[]>> = {
  claude: ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN"],
  codex: ["OPENAI_API_KEY", "OPENAI_BASE_URL", "CODEX_HOME"],
  gemini: ["GEMINI_API_KEY", "GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL", "GOOGLE_CLOUD_PROJECT"],
  opencode: ["OPENCODE_CONFIG", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "XDG_CONFIG_HOME", "XDG_DATA_HOME"],
}

/** Names for `count` agents of a kind that no agent of another kind has: `claude-1`, `claude-2`, …; one alone that is free or of the kind goes by the number too. */
export async function memberNames(hub: HubConnection, prefix: string, kind: string, count: number, taken: ReadonlySet<string>): Promise<string[]> {
  const names: string[] = []
  for (let number = 1; names.length < count; number += 1) {
    const name = `${prefix}-${number}`
    const found = await agentNamed(hub, name)
    if (!taken.has(name) && (found === null || (found.status === "present" && found.kind === kind))) names.push(name)
  }
  return names
}

/**
 * Gives the supervisor one agent more to run, or one that it ran before another way of being run: the agent with the hub, its credential, its worktree with
 * Skein in its settings, and last the file by which the supervisor finds it. May be called again.
 */
export async function addMember(context: Context, hub: HubConnection, member: SwarmMember): Promise<Wanted> {
  const { agent, preset, by, role, account } = member
  if (!/^[\w-]{1,64}$/.test(agent)) throw new UsageError(`${JSON.stringify(agent)} cannot name an agent in a terminal`, "Use letters, digits, _ and -.")
  if ([...member.args, ...Object.values(member.env), member.binary ?? ""].some(({ length }) => length > WORD_MAX))
    throw new UsageError(
      `an argument or a variable of ${agent} is longer than ${WORD_MAX} characters`,
      "Put what is long into a file, and give the agent its path.",
    )
  const instance = context.instance()
  if (kindNamed(readConfig(instance.directory), preset) === null)
    throw new UsageError(
      `there is no kind of agent ${JSON.stringify(preset)}`,
      "Write claude, codex, gemini or opencode, or one of `presets` in .skein/config.yaml.",
    )
  const found = await agentNamed(hub, agent)
  const profile = { ...(account === null ? {} : { account }), ...(member.capabilities === undefined ? {} : { capabilities: member.capabilities }) }
  if (found === null) await hub.call("agent.add", { name: agent, kind: preset, role, ...profile })
  else if (found.status === "retired") throw new SkeinError("retired", `agent ${agent} is retired`, "Its name stays taken: choose another.", { agent })
  else if (Object.keys(profile).length > 0) await hub.call("agent.edit", { name: agent, reason: "as it is run from now on", ...profile })
  const credentialFile = credentialPath(instance, context.workspace, agent)
  const id = existsSync(credentialFile) ? credentialId(credentialFile) : null
  if (id === null || found?.credentials.includes(id) !== true) await issueCredential(hub, credentialFile, agent)
  const cwd = await placeOf(context, member)
  const folder = supervisorFolder(instance, context.workspace)
  const before = folder.wantedOf(agent)
  const { binary, args, env, passEnv, prompt } = member
  const passed = [...new Set([...(PASSED[preset] ?? []), ...passEnv])]
  const wanted: Wanted = {
    agent,
    preset,
    by,
    binary,
    args: [...args],
    cwd,
    env: { ...env },
    passEnv: passed,
    credentialFile,
    prompt,
    want: "running",
    reason: "",
    revision: (before?.revision ?? 0) + 1,
  }
  folder.want(wanted)
  return wanted
}

async function placeOf(context: Context, { agent, preset, worktree }: SwarmMember): Promise<string> {
  const instance = context.instance()
  if (instance.repository === null) return process.cwd()
  const repository = await findRepository(instance.repository)
  const top = worktree ? await ownWorktree(repository, worktreeOf(context.workspace, agent), agent) : (repository.top ?? repository.commonDir)
  // Settings that are not committed are not in a new worktree.
  if (worktree && isAgentKind(preset))
    writeChanges(planInit({ top, joining: [{ kind: preset, agent }], command: skeinCommand(process.env), files: [] }).changes)
  return top
}

async function ownWorktree(repository: Repository, name: string, agent: string): Promise<string> {
  // One that is there is the agent's own, with whatever it left in it.
  const left = (await listWorktrees(repository)).find((one) => one.name === name && !one.stale)
  const path = left?.path ?? (await addWorktree({ repository, name, commit: "HEAD" })).path
  await setWorktreeAgent({ repository, top: path, agent })
  return path
}
