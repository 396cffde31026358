import { randomBytes } from "node:crypto"
import { chmod, link, lstat, mkdir, readFile, realpath, rm, writeFile } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { git, gitConfig, gitDone, RepositoryError } from "./git.ts"

/** A git repository as Skein sees it. All paths are absolute and without symbolic links. */
export type Repository = {
  /** Root of the worktree that the path lies in; null in a bare repository, or inside a git directory. */
  top: string | null
  /** The git directory that all worktrees share. */
  commonDir: string
  /** `.skein/`: beside `.git`; in the common directory of a bare repository or a submodule. It need not exist yet. */
  instanceDir: string
}

/**
 * The repository that `path` lies in: any folder of a worktree, linked or not, of a bare repository or of a submodule.
 * Every worktree of one repository gives the same `commonDir` and `instanceDir`.
 * Throws `RepositoryError`: `path_missing`, `not_a_repository`, `repository_untrusted`, `git_missing`.
 */
export async function findRepository(path: string): Promise<Repository> {
  const found = await git(path, ["rev-parse", "--path-format=absolute", "--git-common-dir", "--is-inside-work-tree"])
  if (found.status !== 0) {
    throw new RepositoryError(
      "not_a_repository",
      `${JSON.stringify(path)} is not inside a git repository`,
      "Run `git init` there, or name a folder of a repository.",
    )
  }
  // A path may hold a newline; the answer to the last question cannot.
  const [, shown = "", inside = ""] = /^([\s\S]*)\n(true|false)\n$/.exec(found.stdout) ?? []
  const commonDir = await named(shown)
  const top = inside === "true" ? await named((await gitDone(path, ["rev-parse", "--show-toplevel"])).slice(0, -1)) : null
  return { top, commonDir, instanceDir: join((await isBesideWorktree(commonDir)) ? dirname(commonDir) : commonDir, ".skein") }
}

/** The path that git has named, without links. An older git names none, but repeats what it was asked for. */
async function named(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    throw new RepositoryError(
      "git_failed",
      `git rev-parse names ${JSON.stringify(path.slice(0, 300))}, which cannot be looked at`,
      "Install git 2.36 or newer, and have nothing but letters of UTF-8 in the paths.",
      { cause: error },
    )
  }
}

/** A common directory named `.git` has its worktree around it, unless it is bare (as in the layout "bare .git and worktrees beside it"). */
async function isBesideWorktree(commonDir: string): Promise<boolean> {
  if (basename(commonDir) !== ".git") return false
  return (await gitConfig(commonDir, ["--type=bool", "--get", "core.bare"]))?.trim() !== "true"
}

/**
 * Makes `.skein/` where it is missing: mode 0700, with a `.gitignore` of its own so that no key or ledger is ever committed. May be called
 * by many processes at once, and again. Throws `RepositoryError` `instance_unusable` where something else stands in its place.
 */
export async function ensureInstanceDir(repository: Repository): Promise<string> {
  const { instanceDir } = repository
  try {
    // Not recursive: on a read-only file system Node would then say that the folder around it is missing.
    await mkdir(instanceDir, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw cannotBeMade(instanceDir, error)
    })
    const found = await lstat(instanceDir)
    // A repository from elsewhere may have `.skein` committed as a link to any place of the user's.
    if (!found.isDirectory()) throw unusable(instanceDir, "is a symbolic link")
    await refuseTracked(repository)
    if ((found.mode & 0o077) !== 0) await chmod(instanceDir, 0o700)
    await ensureIgnored(join(instanceDir, ".gitignore"))
    return instanceDir
  } catch (error) {
    if (error instanceof RepositoryError) throw error
    throw unusable(instanceDir, error instanceof Error ? error.message : "cannot be made", error)
  }
}

/** Files in it that came with a commit are somebody else's: a key that others know, or a link through which would be written. */
async function refuseTracked({ instanceDir, commonDir }: Repository): Promise<void> {
  const folder = dirname(instanceDir)
  if (folder === commonDir) return
  const { status, stdout } = await git(folder, ["ls-files", "-z", "--", basename(instanceDir)])
  const [first] = stdout.split("\0")
  if (status !== 0 || first === undefined || first === "") return
  throw new RepositoryError(
    "instance_unusable",
    `git tracks ${JSON.stringify(first)}: what lies in ${instanceDir} came with a commit, keys of others or links perhaps`,
    `Look into it, then take it out: git rm -r --cached ${basename(instanceDir)}, and move the folder away.`,
  )
}

async function ensureIgnored(path: string): Promise<void> {
  const before = await lstat(path).catch(() => null)
  if (before !== null && !before.isFile()) throw unusable(path, "is not a regular file")
  const text = before === null ? null : await readFile(path, "utf8")
  if (text !== null && /^\*$/m.test(text)) return
  if (text !== null) return writeFile(path, `${text.replace(/\n?$/, "\n")}*\n`)
  // Whole or not there: another process must not see it half written.
  const draft = `${path}.${randomBytes(6).toString("hex")}`
  await writeFile(draft, "*\n", { flag: "wx", mode: 0o600 })
  try {
    await link(draft, path)
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
  } finally {
    await rm(draft, { force: true })
  }
}

function cannotBeMade(path: string, error: Error): RepositoryError {
  return new RepositoryError("instance_unusable", `${path} cannot be made: ${error.message}`, `See that ${dirname(path)} can be written to, by you.`, {
    cause: error,
  })
}

function unusable(path: string, why: string, cause?: unknown): RepositoryError {
  return new RepositoryError("instance_unusable", `${path}: ${why}`, "Move it away, or make it a directory that belongs to you.", { cause })
}
