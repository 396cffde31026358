import { execFile } from "node:child_process"
import { stat } from "node:fs/promises"
import { setTimeout as wait } from "node:timers/promises"

export type RepositoryErrorCode =
  | "git_missing"
  | "git_failed"
  | "path_missing"
  | "not_a_repository"
  | "repository_untrusted"
  | "commit_unknown"
  | "instance_unusable"
  | "worktree_name_invalid"
  | "worktree_path_occupied"
  | "worktree_unknown"
  | "worktree_dirty"
  | "worktree_unmerged"
  | "worktree_locked"
  | "guard_hooks_foreign"
  | "guard_overridden"
  | "settings_unreadable"
  | "settings_taken"
  | "settings_outside"
  | "settings_unwritable"
  | "settings_changed"

/**
 * What could not be done in a repository, by git or with a settings file; then the message begins with the file, and line and column where there are any.
 * `remedy` says what to do about it.
 */
export class RepositoryError extends Error {
  readonly code: RepositoryErrorCode
  readonly remedy: string

  constructor(code: RepositoryErrorCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "RepositoryError"
    this.code = code
    this.remedy = remedy
  }
}

/** How a run of git ended: its output as it came, and exit status. */
export type GitResult = { status: number; stdout: string; stderr: string }

/** What git reads on its standard input, and what it finds in its environment besides (its own `GIT_` variables). */
export type GitMeans = { input?: string; env?: Readonly<Record<string, string>> }

const OUTPUT_MAX_BYTES = 64 * 1024 * 1024
/** A checkout of a very large repository takes minutes; nothing that git does here takes longer. */
const TIMEOUT_MS = 600_000
/** Another git has its configuration locked for some ms; one that was killed, for good. */
const LOCK_WAIT_MS = 2_000

/**
 * Runs git in `cwd`, never through a shell. `GIT_DIR`, `GIT_INDEX_FILE` and all their kin are dropped, since Skein is often called from a
 * hook, where they point somewhere else; nothing asks for a password; and no hook of the user's can fail or delay what Skein does for itself.
 * Any exit status is an answer; `RepositoryError` is thrown for `path_missing`, `git_missing` and `repository_untrusted`, and for `git_failed` where git was killed.
 */
export async function git(cwd: string, args: readonly string[], { input, env = {} }: GitMeans = {}): Promise<GitResult> {
  // Asked first: a missing directory and a missing git both come as ENOENT.
  if (!(await stat(cwd).catch(() => null))?.isDirectory()) {
    throw new RepositoryError("path_missing", `${JSON.stringify(cwd)} is not a directory`, "Name a directory that exists.")
  }
  // What git itself has answered may hold one where it is broken; the system takes none.
  if ([cwd, ...args, ...Object.values(env)].some((text) => text.includes("\0"))) {
    throw new RepositoryError(
      "git_failed",
      `git ${args[0]} cannot be given a NUL byte`,
      "Take it out of the name; where it is not yours, see what git answers by hand.",
    )
  }
  const result = await new Promise<GitResult>((resolve, reject) => {
    const all = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", ...args]
    const run = execFile(
      "git",
      all,
      { cwd, env: { ...gitEnvironment(), ...env }, maxBuffer: OUTPUT_MAX_BYTES, timeout: TIMEOUT_MS, encoding: "utf8" },
      (error, stdout, stderr) => {
        if (error === null) return resolve({ status: 0, stdout, stderr })
        if (typeof error.code === "number") return resolve({ status: error.code, stdout, stderr })
        if (error.code === "ENOENT")
          return reject(new RepositoryError("git_missing", "git is not installed, or not on the PATH", "Install git 2.36 or newer.", { cause: error }))
        reject(new RepositoryError("git_failed", `git ${args[0]} did not end by itself: ${error.message}`, "Run it by hand and look.", { cause: error }))
      },
    )
    // A git that ends before it has read everything says why by its status.
    run.stdin?.on("error", () => undefined)
    if (input !== undefined) run.stdin?.end(input)
  })
  if (result.status === 128 && result.stderr.includes("dubious ownership")) {
    throw new RepositoryError(
      "repository_untrusted",
      lastLine(result.stderr, "fatal:"),
      `If you trust it: git config --global --add safe.directory ${JSON.stringify(cwd)}`,
    )
  }
  return result
}

/** As `git`, where anything but success is `git_failed`: gives the output. Configuration that another git is writing is waited for, which git itself does not. */
export async function gitDone(cwd: string, args: readonly string[], means: GitMeans = {}): Promise<string> {
  let result = await git(cwd, args, means)
  const untilMs = performance.now() + LOCK_WAIT_MS
  while (result.stderr.includes("could not lock config file") && result.stderr.includes("File exists") && performance.now() < untilMs) {
    await wait(10 + 40 * Math.random())
    result = await git(cwd, args, means)
  }
  if (result.status === 0) return result.stdout
  const said = lastLine(result.stderr, "fatal:")
  throw new RepositoryError(
    "git_failed",
    `git ${args[0]} in ${cwd} failed: ${said || `exit status ${result.status}`}`,
    "Mend what git complains of (git 2.36 or newer is needed) and try again.",
  )
}

function gitEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"))
  // Messages in English, because one of them is read; no lock for a mere status, because a user may be committing at that moment.
  return { ...Object.fromEntries(kept), GIT_TERMINAL_PROMPT: "0", GIT_OPTIONAL_LOCKS: "0", LC_ALL: "C" }
}

function lastLine(text: string, prefix: string): string {
  const lines = text.trim().split("\n")
  return lines.findLast((line) => line.startsWith(prefix)) ?? lines.at(-1) ?? ""
}
