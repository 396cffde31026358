import { accessSync, constants, realpathSync, statSync } from "node:fs"
import { homedir } from "node:os"
import { basename, dirname, isAbsolute, join, resolve } from "node:path"
import { hubAddress } from "../client/hub-address.ts"
import { readRegular } from "../client/regular-file.ts"
import { SkeinError } from "../contract/errors.ts"
import { UsageError } from "./failure.ts"
import { textOf } from "../repo/text-file.ts"

/** Where an instance keeps its files; `docs/reference/files.md` has the whole list. */
export type Instance = {
  /** `.skein/`, or the global instance. It need not exist yet. */
  directory: string
  /** The repository that it belongs to: a folder to run git in. Null for the global instance. */
  repository: string | null
}

/** What a running hub says of itself in `hub.json`. `born`: when its process began, by the system's own count; an older Skein does not say it. */
export type HubFile = { pid: number; url: string; startedAtMs: number; version: string; born?: string }

/** The instance that belongs to a folder, by files alone: asking git would cost three processes at each call. */
export function findInstance(from: string, global: boolean): Instance {
  if (global) return { directory: join(stateHome(), "skein"), repository: null }
  const start = realFolder(from)
  const commonDir = findCommonDir(start)
  if (commonDir === null)
    throw new UsageError(
      `${JSON.stringify(from)} is not inside a git repository`,
      "Go into one, make one with `git init`, name one with --repo PATH, or say --global.",
    )
  const beside = basename(commonDir) === ".git" && !isBare(commonDir)
  return { directory: join(beside ? dirname(commonDir) : commonDir, ".skein"), repository: start }
}

/** Where programs keep what is the user's own. Throws `UsageError` where the environment names no home: a path from wherever one stands is none. */
export function stateHome(): string {
  const state = process.env["XDG_STATE_HOME"]
  // "All paths set in these environment variables must be absolute": XDG Base Directory Specification.
  if (state !== undefined && isAbsolute(state)) return state
  const home = homeOf()
  if (home === null) throw new UsageError("nothing says where your home directory is", "Set HOME to it: a path that begins with /.")
  return join(home, ".local", "state")
}

function homeOf(): string | null {
  try {
    const home = homedir()
    return isAbsolute(home) ? home : null
  } catch {
    // HOME is not set, and the system knows no such user.
    return null
  }
}

/** Where credentials or runs of a workspace lie: those of two workspaces may have the same names. `main` has the short paths. */
export function folderOf({ directory }: Instance, workspace: string, folder: "agents" | "runs"): string {
  return join(directory, folder, ...(workspace === "main" ? [] : [workspace]))
}

/** The running hub of an instance as its file says, or null. Whether it lives is for the caller to find out. */
export function readHubFile({ directory }: Instance): HubFile | null {
  try {
    const { pid, url, startedAtMs, version, born } = JSON.parse(readRegular(join(directory, "hub.json"))) as Partial<HubFile>
    // Of 0 and below no process is called, but every one of a group, or all: `kill -1`.
    return Number.isSafeInteger(pid) && (pid as number) > 0 && typeof url === "string"
      ? {
          pid: pid as number,
          url: hubAddress(url).origin,
          startedAtMs: startedAtMs ?? 0,
          version: version ?? "",
          ...(typeof born === "string" ? { born } : {}),
        }
      : null
  } catch {
    return null
  }
}

/** Whether a process of that id lives, for all that can be told from outside. One that has ended and waits to be reaped does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
  // Linux only; elsewhere a process that nobody reaps counts as alive, and its health tells.
  const stat = textOf(`/proc/${pid}/stat`)
  return stat === null || stat[stat.lastIndexOf(")") + 2] !== "Z"
}

/** No hub is there to answer, or it is not for this user to know. */
export function hubMissing(instance: Instance): SkeinError {
  return (
    closedTo(instance) ??
    new SkeinError("hub_unreachable", `no hub is running for ${instance.directory}`, `Start it: skein up${instance.repository === null ? " --global" : ""}`, {
      instance: instance.directory,
    })
  )
}

/** Why this user may not look into the instance, or null: another's is mode 0700, and whether a hub runs in it cannot be told from outside. */
export function closedTo({ directory }: Instance): SkeinError | null {
  try {
    accessSync(directory, constants.R_OK | constants.X_OK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EACCES")
      return new SkeinError(
        "forbidden",
        `${directory} is closed to you: it is another user's`,
        "Call as that user. An agent of another user is given an address and a credential: SKEIN_URL, SKEIN_TOKEN_FILE.",
        { instance: directory },
      )
  }
  return null
}

function realFolder(path: string): string {
  try {
    const real = realpathSync(path)
    return statSync(real).isDirectory() ? real : dirname(real)
  } catch {
    throw new UsageError(`there is no folder ${JSON.stringify(path)}`, "Name a folder that exists.")
  }
}

/** The git directory that all worktrees of a repository share, for the repository that a folder lies in. */
function findCommonDir(start: string): string | null {
  const own = findGitDir(start)
  return own === null ? null : sharedBy(own)
}

/** The git directory of the very worktree that a folder lies in, by files alone; null outside of any repository. */
export function findGitDir(start: string): string | null {
  for (let folder = start; ; folder = dirname(folder)) {
    const dotGit = join(folder, ".git")
    if (isGitDirectory(dotGit)) return dotGit
    const link = textOf(dotGit)
    // A path may hold newlines; git takes off those at the end.
    const named = link === null ? undefined : /^gitdir: ([^]+?)[\r\n]*$/.exec(link)?.[1]
    if (named !== undefined) return resolve(folder, named)
    if (isGitDirectory(folder)) return folder
    if (dirname(folder) === folder) return null
  }
}

/** A linked worktree's git directory names the one that it shares; a submodule's is its own. */
function sharedBy(gitDirectory: string): string | null {
  const shared = textOf(join(gitDirectory, "commondir"))?.trim()
  try {
    return realpathSync(shared === undefined ? gitDirectory : resolve(gitDirectory, shared))
  } catch {
    return null
  }
}

function isGitDirectory(path: string): boolean {
  const has = (name: string): boolean => statSync(join(path, name), { throwIfNoEntry: false }) !== undefined
  try {
    return has("HEAD") && (has("objects") || has("commondir"))
  } catch {
    // A part of the path is a file: it is no directory of any kind.
    return false
  }
}

function isBare(commonDir: string): boolean {
  // Where worktrees have configuration of their own, git keeps this setting in the main one's.
  return ["config", "config.worktree"].some((file) => saysBare(textOf(join(commonDir, file)) ?? ""))
}

function saysBare(config: string): boolean {
  let section = ""
  for (const line of config.split("\n")) {
    section = /^\s*\[([^\]]+)\]/.exec(line)?.[1]?.trim().toLowerCase() ?? section
    if (section === "core" && /^\s*bare\s*(=\s*(true|yes|on|1)\s*)?$/i.test(line)) return true
  }
  return false
}
