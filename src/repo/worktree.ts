import { lstat, mkdir, readdir, realpath, rmdir } from "node:fs/promises"
import { dirname, join } from "node:path"
import { isName } from "../core/ids.ts"
import { git, gitDone, RepositoryError } from "./git.ts"
import { ensureInstanceDir, type Repository } from "./instance.ts"

/** A worktree that Skein made: `.skein/worktrees/NAME`. */
export type Worktree = {
  name: string
  path: string
  /** The full id of the commit that it stands on; null when git cannot say (its HEAD is broken). */
  commit: string | null
  /** The branch, when somebody put it on one; Skein leaves it detached. */
  branch: string | null
  /** Why it is locked, or null. */
  locked: string | null
  /** Its directory is gone: `pruneWorktrees` forgets it. */
  stale: boolean
}

/** Throws `worktree_name_invalid` unless `name` is one path segment of 1 to 64 characters of `A-Z a-z 0-9 . _ -` that git can carry too. */
function checkWorktreeName(name: string): void {
  if (isName(name) && !name.includes("..") && !/\.(lock)?$/.test(name)) return
  throw new RepositoryError(
    "worktree_name_invalid",
    `${JSON.stringify(name)} cannot name a worktree`,
    "Use 1 to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit, without `..` and not ending in `.` or `.lock`.",
  )
}

/** Where the worktree of that name is, or would be. Throws `worktree_name_invalid`. */
export function worktreePath(repository: Repository, name: string): string {
  checkWorktreeName(name)
  return join(repository.instanceDir, "worktrees", name)
}

/**
 * A worktree of its own for an agent, detached at `commit` (anything that git resolves, as seen from `repository.top`). One that already
 * stands clean at that commit is used again; a clean one at another commit is moved, when a branch, a tag or the new commit holds what it stood on.
 * Throws `RepositoryError`, with nothing changed: `worktree_name_invalid`, `commit_unknown`, `worktree_dirty` or `worktree_unmerged` (somebody's work is
 * in it: the message says where), `worktree_path_occupied` (something that is no worktree of this repository is there).
 */
export async function addWorktree({
  repository,
  name,
  commit,
}: {
  repository: Repository
  name: string
  commit: string
}): Promise<Worktree & { commit: string; reused: boolean }> {
  const path = worktreePath(repository, name)
  const oid = await resolveCommit(repository, commit)
  return oneAtATime(repository, async () => {
    let known = await findWorktree(repository, name)
    if (known?.stale === true) {
      await forget(repository, known)
      known = null
    }
    const made = { name, path, commit: oid, branch: null, locked: known?.locked ?? null, stale: false }
    if (known === null) {
      await makeRoom(repository, path)
      await gitDone(repository.commonDir, ["worktree", "add", "--quiet", "--detach", path, oid])
      return { ...made, reused: false }
    }
    await refuseDirty(known)
    if (known.commit !== oid || known.branch !== null) {
      await refuseUnmerged(repository, known, oid)
      await gitWithin(path, ["checkout", "--quiet", "--detach", oid, "--"])
    }
    return { ...made, reused: true }
  })
}

/**
 * Removes the worktree and its directory; ignored files in it (build output, installed packages) go with it.
 * Throws `RepositoryError`, with nothing changed: `worktree_unknown`; and unless `force` is set `worktree_dirty` (uncommitted or untracked files) and
 * `worktree_unmerged` (commits that only this worktree holds); always `worktree_locked`. Each says where the work is and how to save it.
 */
export async function removeWorktree({ repository, name, force = false }: { repository: Repository; name: string; force?: boolean }): Promise<void> {
  const path = worktreePath(repository, name)
  await oneAtATime(repository, async () => {
    const known = await findWorktree(repository, name)
    if (known === null) throw new RepositoryError("worktree_unknown", `${path} is no worktree of this repository`, "See `git worktree list`.")
    if (known.locked !== null) {
      throw new RepositoryError(
        "worktree_locked",
        `${path} is locked${known.locked && `: ${known.locked}`}`,
        `Unlock it: git worktree unlock ${JSON.stringify(path)}`,
      )
    }
    if (!force) {
      if (!known.stale) await refuseDirty(known)
      await refuseUnmerged(repository, known, null)
    }
    // Without --force git looks once more by itself, so that a file written since we looked is not lost either.
    await gitDone(repository.commonDir, ["worktree", "remove", ...(force ? ["--force"] : []), path])
  })
}

/** The worktrees that Skein made, by name; the user's own are not among them. */
export async function listWorktrees(repository: Repository): Promise<Worktree[]> {
  const folder = await worktreesFolder(repository)
  const found: Worktree[] = []
  for (const fields of await allWorktrees(repository)) {
    const path = fields.get("worktree") ?? ""
    const name = path.slice(folder.length)
    if (!path.startsWith(folder) || !isName(name)) continue
    const commit = fields.get("HEAD") ?? ""
    found.push({
      name,
      path,
      commit: /^0*$/.test(commit) ? null : commit,
      branch: fields.get("branch")?.replace(/^refs\/heads\//, "") ?? null,
      locked: fields.get("locked") ?? null,
      stale: (await lstat(path).catch(() => null)) === null,
    })
  }
  return found.sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The tops of all worktrees that are there, whoever made them. */
export async function worktreeTops(repository: Repository): Promise<string[]> {
  const tops: string[] = []
  for (const fields of await allWorktrees(repository)) {
    const top = fields.get("worktree") ?? ""
    if (!fields.has("bare") && (await lstat(top).catch(() => null)) !== null) tops.push(top)
  }
  return tops
}

/** What git lists, the main worktree first: each as its fields (`worktree`, `HEAD`, `branch`, `locked`, …). */
async function allWorktrees(repository: Repository): Promise<Map<string, string>[]> {
  const list = await gitDone(repository.commonDir, ["worktree", "list", "--porcelain", "-z"])
  return list
    .split("\0\0")
    .filter(Boolean)
    .map((record) => new Map(record.split("\0").map((line) => [line.replace(/ .*$/s, ""), line.includes(" ") ? line.slice(line.indexOf(" ") + 1) : ""])))
}

async function worktreesFolder({ instanceDir }: Repository): Promise<string> {
  const folder = join(instanceDir, "worktrees")
  return `${await realpath(folder).catch(() => folder)}/`
}

/**
 * Forgets the worktrees of Skein whose directories are gone. Never the user's own, which may lie on a disk that is not mounted just now; nor one
 * whose commits nothing else holds: those are in `kept`, and a branch on their `commit` (or `removeWorktree` with `force`) settles it.
 */
export async function pruneWorktrees(repository: Repository): Promise<{ pruned: string[]; kept: Worktree[] }> {
  return oneAtATime(repository, async () => {
    const pruned: string[] = []
    const kept: Worktree[] = []
    for (const worktree of await listWorktrees(repository)) {
      if (!worktree.stale) continue
      if (worktree.locked !== null || !(await isHeld(repository, worktree.commit, null))) {
        kept.push(worktree)
        continue
      }
      await forget(repository, worktree)
      pruned.push(worktree.name)
    }
    return { pruned, kept }
  })
}

/** The files in a worktree that git would call changed, staged, in conflict or untracked; empty when it is clean. Paths relative to its root. */
export async function uncommittedFiles(path: string): Promise<string[]> {
  const status = await gitWithin(path, ["status", "--porcelain=v1", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=none"])
  return status
    .split("\0")
    .filter(Boolean)
    .map((line) => line.slice(3))
}

/** Names the worktree's own link file: without it git would go up, find the repository around `.skein/` and change the user's own checkout. */
async function gitWithin(path: string, args: readonly string[]): Promise<string> {
  const link = join(path, ".git")
  if ((await lstat(link).catch(() => null)) === null) {
    throw new RepositoryError(
      "worktree_path_occupied",
      `${path} has lost its link file .git`,
      `Move away what is in it, or mend it: git worktree repair ${JSON.stringify(path)}`,
    )
  }
  return gitDone(path, ["--git-dir", link, "--work-tree", path, ...args])
}

async function findWorktree(repository: Repository, name: string): Promise<Worktree | null> {
  return (await listWorktrees(repository)).find((worktree) => worktree.name === name) ?? null
}

async function resolveCommit(repository: Repository, commit: string): Promise<string> {
  const found = await git(repository.top ?? repository.commonDir, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${commit}^{commit}`])
  if (found.status === 0) return found.stdout.trim()
  throw new RepositoryError(
    "commit_unknown",
    `${JSON.stringify(commit)} is no commit of this repository`,
    "Name a commit, a branch or a tag; a repository without commits needs a first one.",
  )
}

/** The directory has to be free, or empty; `git worktree add` would say so too, but not what to do. */
async function makeRoom(repository: Repository, path: string): Promise<void> {
  await ensureInstanceDir(repository)
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  if (!(await lstat(dirname(path))).isDirectory()) throw occupied(dirname(path))
  const found = await lstat(path).catch(() => null)
  if (found === null) return
  if (!found.isDirectory() || (await readdir(path)).length > 0) throw occupied(path)
  await rmdir(path)
}

function occupied(path: string): RepositoryError {
  return new RepositoryError("worktree_path_occupied", `${path} is in the way: it is no worktree of this repository`, "Look what is in it and move it away.")
}

async function refuseDirty({ path }: Worktree): Promise<void> {
  const files = await uncommittedFiles(path)
  if (files.length === 0) return
  const some = files
    .slice(0, 3)
    .map((file) => JSON.stringify(file))
    .join(", ")
  throw new RepositoryError(
    "worktree_dirty",
    `${path} holds uncommitted work in ${files.length} file${files.length === 1 ? "" : "s"}: ${some}${files.length > 3 ? ", …" : ""}`,
    `Commit it there on a branch (git -C ${JSON.stringify(path)} switch -c NAME), or remove the worktree by force.`,
  )
}

async function refuseUnmerged(repository: Repository, { path, commit }: Worktree, next: string | null): Promise<void> {
  if (await isHeld(repository, commit, next)) return
  throw new RepositoryError(
    "worktree_unmerged",
    `${path} stands on commit ${commit ?? "(unreadable)"}, which no branch or tag holds`,
    `Keep it (git branch NAME ${commit ?? "COMMIT"}), or remove the worktree by force.`,
  )
}

/** Whether a branch, a remote branch, a tag, a worktree of the user's (in CI often detached, with no branch at all) or `next` holds the commit, so that it survives its worktree. */
async function isHeld(repository: Repository, commit: string | null, next: string | null): Promise<boolean> {
  if (commit === null) return false
  const cwd = repository.commonDir
  const folder = await worktreesFolder(repository)
  const users = (await allWorktrees(repository)).filter((fields) => !(fields.get("worktree") ?? "").startsWith(folder)).map((fields) => fields.get("HEAD"))
  for (const holder of new Set([next, ...users])) {
    if (holder && (await git(cwd, ["merge-base", "--is-ancestor", commit, holder])).status === 0) return true
  }
  return (await gitDone(cwd, ["for-each-ref", "--count=1", "--format=x", `--contains=${commit}`])) !== ""
}

/** Unlike `git worktree prune`, which would forget every worktree that it cannot see, this one only. */
async function forget(repository: Repository, worktree: Worktree): Promise<void> {
  await refuseUnmerged(repository, worktree, null)
  await gitDone(repository.commonDir, ["worktree", "remove", worktree.path])
}

const turns = new Map<string, Promise<unknown>>()

/** Changes of the worktrees of one repository go one after the other: look and act must not be torn apart by a sibling in this process. */
async function oneAtATime<T>(repository: Repository, act: () => Promise<T>): Promise<T> {
  const before = turns.get(repository.commonDir) ?? Promise.resolve()
  const turn = before.then(act, act)
  turns.set(repository.commonDir, turn)
  try {
    return await turn
  } finally {
    if (turns.get(repository.commonDir) === turn) turns.delete(repository.commonDir)
  }
}
