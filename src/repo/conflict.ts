import { copyFile, mkdtemp, rm, stat, utimes } from "node:fs/promises"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"
import { git, gitDone, type GitMeans, RepositoryError } from "./git.ts"
import type { Repository } from "./instance.ts"

/** One line of work: a worktree with all that stands in it, committed or not, or a branch. */
export type Side = {
  /** Whose it is, or what it is called. */
  name: string
  /** The agent that works there, where the worktree's own configuration (`skein.agent`) or Skein itself says so. */
  agent: string | null
  branch: string | null
  /** The worktree; null for a branch that is checked out nowhere. */
  path: string | null
  commit: string
  /** Whether files count that are not committed yet. */
  uncommitted: boolean
}

export type Prediction = {
  sides: Side[]
  /** Pairs that were merged in memory. */
  pairs: number
  /** Pairs that would conflict, and in which files. */
  conflicts: { a: Side; b: Side; files: string[] }[]
  /** Pairs that git cannot merge, such as branches without a common past. */
  unmergeable: { a: Side; b: Side }[]
  tookMs: number
}

/** More lines of work than this are not compared each with each: 64 make 2,016 pairs, about 3 s. */
const SIDES_MAX = 64

/**
 * Which lines of work would conflict if they were merged with each other now: every worktree with its uncommitted and new files, and the branches that are
 * named. Nothing is changed: what it writes goes into a folder of its own, which is removed. Throws `RepositoryError`: `commit_unknown` for a branch
 * that does not exist, `git_failed` where git is older than 2.39 or there are more than `SIDES_MAX` of them.
 */
export async function predictConflicts(
  repository: Repository,
  branches: readonly string[] = [],
  wanted: (side: Side) => boolean = () => true,
): Promise<Prediction> {
  const startedMs = performance.now()
  const scratch = await mkdtemp(join(tmpdir(), "skein-conflicts-"))
  try {
    const objects = (await gitDone(repository.commonDir, ["rev-parse", "--path-format=absolute", "--git-path", "objects"])).trimEnd()
    const env = { GIT_OBJECT_DIRECTORY: scratch, GIT_ALTERNATE_OBJECT_DIRECTORIES: objects }
    const sides = (await linesOfWork(repository, branches)).filter(wanted)
    if (sides.length > SIDES_MAX) {
      throw new RepositoryError(
        "git_failed",
        `${sides.length} lines of work are more than can be compared each with each`,
        `Name up to ${SIDES_MAX} branches, or remove worktrees that nobody uses.`,
      )
    }
    for (const [at, side] of sides.entries()) if (side.path !== null) sides[at] = await withUncommitted(side, join(scratch, `index-${at}`), env)
    const pairs = sides.flatMap((a, at) => sides.slice(at + 1).map((b) => ({ a, b }))).filter(({ a, b }) => a.commit !== b.commit)
    return { ...(await mergeAll(repository, pairs, env)), sides, pairs: pairs.length, tookMs: performance.now() - startedMs }
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function linesOfWork({ commonDir, instanceDir }: Repository, branches: readonly string[]): Promise<Side[]> {
  const listed = await gitDone(commonDir, ["worktree", "list", "--porcelain", "-z"])
  const sides: Side[] = []
  for (const block of listed.split("\0\0")) {
    const fields = new Map(block.split("\0").map((line) => [line.split(" ", 1)[0] as string, line.slice(line.indexOf(" ") + 1)] as const))
    const path = fields.get("worktree")
    const commit = fields.get("HEAD")
    if (path === undefined || commit === undefined || /^0*$/.test(commit) || fields.has("bare") || fields.has("prunable")) continue
    const branch = fields.get("branch")?.replace(/^refs\/heads\//, "") ?? null
    const agent = (await ownerOf(path)) ?? (path.startsWith(join(instanceDir, "worktrees")) ? basename(path) : null)
    sides.push({ name: agent ?? branch ?? basename(path), agent, branch, path, commit, uncommitted: false })
  }
  for (const branch of branches) {
    if (sides.some((side) => side.branch === branch)) continue
    const found = await git(commonDir, ["rev-parse", "--verify", "--quiet", "--end-of-options", `${branch}^{commit}`])
    if (found.status !== 0) throw new RepositoryError("commit_unknown", `there is no branch ${JSON.stringify(branch)}`, "`git branch` lists them.")
    sides.push({ name: branch, agent: null, branch, path: null, commit: found.stdout.trim(), uncommitted: false })
  }
  return sides
}

/** The agent that the worktree's own configuration names; a setting that all worktrees have says nothing of one. */
async function ownerOf(path: string): Promise<string | null> {
  const found = await git(path, ["config", "--worktree", "--get", "skein.agent"]).catch(() => null)
  return found?.status === 0 && found.stdout.trim() !== "" ? found.stdout.trim() : null
}

/**
 * The worktree as one commit, with what is changed and new in it and not ignored. It works on a copy of the worktree's index, so that nobody's staging is
 * touched and only files that changed are read.
 */
async function withUncommitted(side: Side, index: string, env: Record<string, string>): Promise<Side> {
  const path = side.path as string
  const means: GitMeans = { env: { ...env, GIT_INDEX_FILE: index, ...AUTHOR } }
  try {
    const own = (await gitDone(path, ["rev-parse", "--path-format=absolute", "--git-path", "index"])).trimEnd()
    const { mtimeMs } = await stat(own)
    await copyFile(own, index)
    // Git reads again what changed in the moment in which the index was written: a copy that is newer would hide such a change of equal length.
    const second = Math.floor(mtimeMs / 1_000)
    await utimes(index, second, second)
    await gitDone(path, ["add", "--all", "--sparse", "--", ":/"], means)
    const tree = (await gitDone(path, ["write-tree"], means)).trim()
    const committed = (await gitDone(path, ["rev-parse", `${side.commit}^{tree}`])).trim()
    if (tree === committed) return side
    const commit = (await gitDone(path, ["commit-tree", tree, "-p", side.commit, "-m", "uncommitted"], means)).trim()
    return { ...side, commit, uncommitted: true }
  } catch (error) {
    // In the middle of a merge, with a file that cannot be read, on a disk that is not there (then it is locked), or by a git that names no path: what is committed counts.
    if (error instanceof RepositoryError || ["ENOENT", "ERR_INVALID_ARG_VALUE"].includes((error as NodeJS.ErrnoException).code ?? "")) return side
    throw error
  }
}

const AUTHOR = { GIT_AUTHOR_NAME: "skein", GIT_AUTHOR_EMAIL: "skein@localhost", GIT_COMMITTER_NAME: "skein", GIT_COMMITTER_EMAIL: "skein@localhost" }

type Pair = { a: Side; b: Side }

/** One git for all pairs. A pair that it cannot merge ends it: the rest is asked again without that pair. */
async function mergeAll({ commonDir }: Repository, all: readonly Pair[], env: Record<string, string>): Promise<Pick<Prediction, "conflicts" | "unmergeable">> {
  const conflicts: Prediction["conflicts"] = []
  const unmergeable: Pair[] = []
  let pairs = all
  while (pairs.length > 0) {
    const input = pairs.map(({ a, b }) => `${a.commit} ${b.commit}\n`).join("")
    const result = await git(commonDir, ["merge-tree", "--write-tree", "--stdin", "--name-only", "--no-messages"], { input, env })
    if (result.status === 129) throw new RepositoryError("git_failed", "this git cannot merge in memory", "Install git 2.39 or newer.")
    const merged = outcomes(result.stdout)
    for (const [at, files] of merged.entries()) {
      const pair = pairs[at]
      if (pair !== undefined && files.length > 0) conflicts.push({ ...pair, files })
    }
    const next = pairs[merged.length]
    if (next !== undefined) unmergeable.push(next)
    pairs = pairs.slice(merged.length + 1)
  }
  return { conflicts, unmergeable }
}

/** For each pair: its status, the tree, the names of the files that conflict, and an empty field; all of them end with NUL. */
function outcomes(output: string): string[][] {
  const fields = output.split("\0")
  const found: string[][] = []
  for (let at = 0; at + 2 < fields.length;) {
    const end = fields.indexOf("", at + 2)
    if (end < 0) break
    found.push(Number(fields[at]) < 1 ? [...new Set(fields.slice(at + 2, end))] : [])
    at = end + 1
  }
  return found
}
