import { randomBytes } from "node:crypto"
import { chmod, lstat, mkdir, readdir, readFile, realpath, rename, rm, rmdir, writeFile } from "node:fs/promises"
import { basename, dirname, isAbsolute, join } from "node:path"
import { readRegular } from "../client/regular-file.ts"
import { gitConfig, gitDone, RepositoryError } from "./git.ts"
import { handOn, HOOKS, HOOKS_WITH_EFFECT, MARK, referenceTransaction, type ScriptPlaces } from "./guard-script.ts"
import { ensureInstanceDir, type Repository } from "./instance.ts"
import { worktreeTops } from "./worktree.ts"

/** What the guard does about people, whom no agent's identity tells: says whose file they change; stops them too; or lets them be. */
export type People = "warn" | "refuse" | "ignore"

/** How the guard stands, as `guardStatus` finds it. */
export type GuardStatus = {
  /** Whether its scripts are there. */
  installed: boolean
  /** Whether git runs them: something else may have set `core.hooksPath` since (husky does at each `npm install`). */
  inForce: boolean
  /** Where git looks for hooks; null: in its own place. */
  hooksPath: string | null
  /** Where the user's own hooks are, which the guard hands on to. */
  ownHooks: string
  /** Names of the user's hooks that are there. */
  handsOnTo: string[]
  people: People
  /** Worktrees whose own configuration leads git past the guard. */
  past: string[]
}

type GuardRecord = {
  version: 1
  /** `core.hooksPath` of the repository's configuration as it was: none, or its values, raw. */
  before: string[]
  own: string
  people: People
}

/** Where the guard's scripts are. */
function guardFolder({ instanceDir }: Repository): string {
  return join(instanceDir, "hooks")
}

/** Whether a hooks path is a guard's, if not this one's: of where the repository was before it was moved, or of what it is a copy of. Nobody's own hooks lie there. */
function isGuards(path: string): boolean {
  return basename(path) === "hooks" && basename(dirname(path)) === ".skein"
}

const RECORD = "guard.json"

/**
 * Puts the guard between git and the user's own hooks: `.skein/hooks/`, and `core.hooksPath` of the repository's configuration, which all worktrees share.
 * May be called again: takes up what has changed since (another hooks path, another place of Skein), and says whether anything had to be written.
 * Throws `RepositoryError`, with git left as it was: `guard_hooks_foreign` (somebody else's file lies among the scripts), `guard_overridden` (configuration
 * that comes later, such as an included file, leads git elsewhere), `instance_unusable`.
 */
export async function installGuard({
  repository,
  node,
  launcher,
  people = "warn",
}: {
  repository: Repository
  node: string
  launcher: string
  people?: People
}): Promise<{ changed: boolean; ownHooks: string }> {
  await ensureInstanceDir(repository)
  const folder = guardFolder(repository)
  const recorded = await guardRecord(folder)
  const now = await hooksPaths(repository)
  const isOurs = now.local.at(-1) === folder
  const before = recorded !== null && isGuards(now.local.at(-1) ?? "") ? recorded.before : now.local.filter((value) => !isGuards(value))
  const own = ownFolder(repository, now, recorded?.before === before ? recorded : null)
  const scripts = await scriptsFor({ own, ...repository, node, launcher, people: people !== "ignore" })
  const record: GuardRecord = { version: 1, before, own, people }
  const same = isOurs && recorded !== null && JSON.stringify(recorded) === JSON.stringify(record) && (await holds(folder, scripts))
  if (same) return { changed: false, ownHooks: own }
  await refuseForeign(folder)
  // Not recursive: on a read-only file system Node would then say that the folder around it is missing.
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error
  })
  // The record first: whoever dies in between must leave what `remove` needs.
  await replace(join(folder, RECORD), `${JSON.stringify(record, null, 2)}\n`, 0o600)
  for (const [name, text] of scripts) await replace(join(folder, name), text, 0o700)
  for (const name of await readdir(folder)) if (name !== RECORD && !scripts.has(name)) await rm(join(folder, name), { force: true })
  if (!isOurs) await setHooksPath(repository, [folder])
  const after = await hooksPaths(repository)
  if (after.effective !== folder) {
    await setHooksPath(repository, before)
    await removeScripts(folder)
    throw new RepositoryError(
      "guard_overridden",
      `git goes on looking for hooks in ${after.effective ?? "its own place"}: other configuration comes after the repository's`,
      "See where it is set: git config --show-origin --get-all core.hooksPath",
    )
  }
  return { changed: true, ownHooks: own }
}

/** Takes the guard away and gives git the hooks path that it had. False where there was none. Throws `guard_hooks_foreign` with git's path restored. */
export async function removeGuard(repository: Repository): Promise<boolean> {
  const folder = guardFolder(repository)
  const recorded = await guardRecord(folder)
  const { local } = await hooksPaths(repository)
  // Whoever set another path since meant it; but where the guard's stays among several, git would look there once the others are taken away.
  const others = local.filter((value) => !isGuards(value))
  if (isGuards(local.at(-1) ?? "")) await setHooksPath(repository, recorded?.before ?? others)
  else if (others.length < local.length) await setHooksPath(repository, others)
  if (recorded === null && (await lstat(folder).catch(() => null)) === null) return others.length < local.length
  await refuseForeign(folder)
  await removeScripts(folder)
  return true
}

export async function guardStatus(repository: Repository): Promise<GuardStatus> {
  const folder = guardFolder(repository)
  const recorded = await guardRecord(folder)
  const paths = await hooksPaths(repository)
  const { effective } = paths
  const own = ownFolder(repository, paths, recorded)
  const past: string[] = []
  // Where git cannot say, as in a worktree that has lost its link, it does not come to the guard either.
  for (const top of await worktreeTops(repository)) if ((await hooksPaths(repository, top).catch(() => null))?.effective !== folder) past.push(top)
  const installed = recorded !== null && (await isScript(join(folder, "reference-transaction")))
  return {
    installed,
    inForce: installed && effective === folder,
    hooksPath: effective,
    ownHooks: own,
    handsOnTo: await hooksIn(await absolute(repository, own)),
    people: recorded?.people ?? "warn",
    past: installed ? past : [],
  }
}

type HooksPaths = {
  /** Of the repository's own file, raw. */
  local: string[]
  /** As git takes it in the end; null: not set. */
  effective: string | null
  /** As git would take it without the guard. */
  besides: string | null
}

async function hooksPaths(repository: Repository, at = repository.commonDir): Promise<HooksPaths> {
  const local = (await gitConfig(at, ["--local", "-z", "--get-all", "core.hooksPath"])) ?? ""
  const fields = ((await gitConfig(at, ["--show-scope", "-z", "--type=path", "--get-all", "core.hooksPath"])) ?? "").split("\0")
  const values: string[] = []
  // Of what git is told on its command line nothing counts: Skein itself runs it without hooks.
  for (let field = 0; field + 1 < fields.length; field += 2) if (fields[field] !== "command") values.push(fields[field + 1] as string)
  return { local: local.split("\0").slice(0, -1), effective: values.at(-1) ?? null, besides: values.findLast((value) => !isGuards(value)) ?? null }
}

/** The user's own: of a path that the guard replaced its record alone knows; one that lies beneath (of all repositories) may have changed since. */
function ownFolder({ commonDir }: Repository, { besides }: HooksPaths, recorded: GuardRecord | null): string {
  return recorded !== null && recorded.before.length > 0 ? recorded.own : (besides ?? join(commonDir, "hooks"))
}

async function setHooksPath(repository: Repository, values: readonly string[]): Promise<void> {
  const { commonDir } = repository
  const [first, ...rest] = values
  const { local } = await hooksPaths(repository)
  if (first === undefined) {
    if (local.length > 0) await gitDone(commonDir, ["config", "--local", "--unset-all", "core.hooksPath"])
    return
  }
  await gitDone(commonDir, ["config", "--local", "--replace-all", "core.hooksPath", first])
  for (const value of rest) await gitDone(commonDir, ["config", "--local", "--add", "core.hooksPath", value])
}

/** A relative hooks path begins where the hook runs: at the top of the worktree, or in the git directory of a bare repository. */
async function absolute({ top, commonDir }: Repository, path: string): Promise<string> {
  return isAbsolute(path) ? path : join(top ?? commonDir, path)
}

async function scriptsFor(places: ScriptPlaces & { top: string | null }): Promise<Map<string, string>> {
  const there = await hooksIn(isAbsolute(places.own) ? places.own : join(places.top ?? places.commonDir, places.own))
  const scripts = new Map([...HOOKS, ...HOOKS_WITH_EFFECT.filter((name) => there.includes(name))].map((name) => [name, handOn(name, places)]))
  return scripts.set("reference-transaction", referenceTransaction(places))
}

/** The hooks in a folder that git would run. */
async function hooksIn(folder: string): Promise<string[]> {
  const found: string[] = []
  for (const name of [...HOOKS, ...HOOKS_WITH_EFFECT, "reference-transaction"]) {
    const file = await lstat(await realpath(join(folder, name)).catch(() => join(folder, name))).catch(() => null)
    if (file?.isFile() && (file.mode & 0o111) !== 0) found.push(name)
  }
  return found.sort()
}

/** Files among the scripts that another tool put there (it follows `core.hooksPath` too) are somebody's hooks: they are neither run over nor thrown away. */
async function refuseForeign(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch((): string[] => [])) {
    if (name === RECORD || (await isScript(join(folder, name)))) continue
    throw new RepositoryError(
      "guard_hooks_foreign",
      `${join(folder, name)} is not the guard's: another tool put its hook there`,
      "Move it to where your own hooks are (skein guard status names the folder), and do it again.",
    )
  }
}

async function isScript(path: string): Promise<boolean> {
  return (await readFile(path, "utf8").catch(() => "")).includes(MARK)
}

async function holds(folder: string, scripts: ReadonlyMap<string, string>): Promise<boolean> {
  const names = (await readdir(folder)).filter((name) => name !== RECORD)
  if (names.length !== scripts.size) return false
  for (const [name, text] of scripts) {
    const path = join(folder, name)
    if ((await readFile(path, "utf8").catch(() => null)) !== text || ((await lstat(path)).mode & 0o100) === 0) return false
  }
  return true
}

/** Whole or as it was: git may run the script at this moment. What is drafted lies besides the folder, where it is nobody's hook to another who installs. */
async function replace(path: string, text: string, mode: number): Promise<void> {
  const draft = join(dirname(dirname(path)), `hooks.${randomBytes(6).toString("hex")}`)
  try {
    await writeFile(draft, text, { mode })
    await chmod(draft, mode)
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

async function removeScripts(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch((): string[] => [])) {
    if (name === RECORD || (await isScript(join(folder, name)))) await rm(join(folder, name), { force: true })
  }
  await rmdir(folder).catch(() => undefined)
}

async function guardRecord(folder: string): Promise<GuardRecord | null> {
  try {
    const { version, before, own, people } = JSON.parse(readRegular(join(folder, RECORD))) as GuardRecord
    return version === 1 && Array.isArray(before) && typeof own === "string"
      ? { version, before: before.filter((value) => !isGuards(value)), own, people }
      : null
  } catch {
    return null
  }
}
