import { realpathSync } from "node:fs"
import { join } from "node:path"
import { readRegular } from "../client/regular-file.ts"
import { findGitDir, folderOf, type Instance } from "./instance.ts"
import { textOf } from "../repo/text-file.ts"

export type AgentIdentity = {
  /** The agent's name, as its credential or token says it. */
  agent: string
  /** The file that holds the credential or token. */
  file: string
}

export type IdentityQuestion = {
  instance: Instance
  env: NodeJS.ProcessEnv
  /** The name that the agent's own settings say (`--agent NAME`); null: they say none. */
  fallback: string | null
  /** Where the agent stands: decides which worktree it is in. */
  cwd: string
}

/** Also what keeps a name from leaving its folder. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** The secret has a fixed length, so that names may hold underscores. */
const CREDENTIAL = /^skc_([A-Za-z0-9][A-Za-z0-9._-]{0,63})_[A-Za-z0-9]{1,32}_[A-Za-z0-9_-]{43}$/

/**
 * Who the agent is that called: the one rule for hook, MCP shim, guard and briefing. First `SKEIN_TOKEN_FILE`, then `skein.agent` of the worktree's own
 * git configuration, then the fallback; the last two name a credential in `.skein/agents/`. Reads files only, since a hook has no time for a process.
 * Null where none fits. A `SKEIN_TOKEN_FILE` that cannot be read is null too: acting in somebody else's name instead would be worse than not acting.
 */
export function agentIdentity({ instance, env, fallback, cwd }: IdentityQuestion): AgentIdentity | null {
  const given = env["SKEIN_TOKEN_FILE"]
  if (given !== undefined && given !== "") return identityIn(given)
  const workspace = env["SKEIN_WORKSPACE"] ?? "main"
  for (const name of [worktreeAgent(cwd), fallback]) {
    if (name === null || !NAME.test(name)) continue
    const found = identityIn(join(folderOf(instance, workspace, "agents"), `${name}.credential`))
    if (found !== null) return found
  }
  return null
}

function identityIn(file: string): AgentIdentity | null {
  let text: string
  try {
    text = readRegular(file).trim()
  } catch {
    return null
  }
  const agent = CREDENTIAL.exec(text)?.[1] ?? claimedAgent(text)
  return agent === null ? null : { agent, file }
}

/** The agent that a token names. Nobody is believed for it: the hub checks the signature of what it is sent. */
function claimedAgent(token: string): string | null {
  try {
    const { agent } = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")) as { agent?: unknown }
    return typeof agent === "string" && NAME.test(agent) ? agent : null
  } catch {
    return null
  }
}

/** `git config --worktree skein.agent`: the worktree's own file, and in a repository that has none for its worktrees the only configuration there is. */
function worktreeAgent(cwd: string): string | null {
  let gitDir: string | null
  try {
    gitDir = findGitDir(realpathSync(cwd))
  } catch {
    return null
  }
  if (gitDir === null) return null
  const linked = textOf(join(gitDir, "commondir")) !== null
  return agentIn(textOf(join(gitDir, "config.worktree"))) ?? (linked ? null : agentIn(textOf(join(gitDir, "config"))))
}

/** The last value of `skein.agent` in a git configuration, as git takes it. */
function agentIn(config: string | null): string | null {
  let section = ""
  let agent: string | null = null
  for (const line of config?.split("\n") ?? []) {
    const [, head, rest = ""] = /^\s*(?:\[([^\]]+)\])?(.*)$/.exec(line) ?? []
    if (head !== undefined) section = head.trim().toLowerCase()
    if (section !== "skein") continue
    agent = /^\s*agent\s*=\s*"?([^"\s#;]+)"?\s*(?:[#;].*)?\r?$/i.exec(rest)?.[1] ?? agent
  }
  return agent
}
