import { type ChildProcess, spawn } from "node:child_process"
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
    super(cut(message, MESSAGE_MAX), options)
    this.name = "RepositoryError"
    this.code = code
    this.remedy = remedy
  }
}

/** What git answers, where it is broken, may be of any length: more than this nobody reads. */
const MESSAGE_MAX = 10_000

/** How a run of git ended: its output as it came, and exit status. */
export type GitResult = { status: number; stdout: string; stderr: string }

/** What git reads on its standard input, and what it finds in its environment besides (its own `GIT_` variables). */
export type GitMeans = { input?: string; env?: Readonly<Record<string, string>> }

/** What a run of git may take and say; it is ended then. */
export const GIT_LIMITS = {
  /** For what says a word about itself: a minute would be taken for a hang of whoever asks. */
  sayMs: 10_000,
  /** For what only looks something up: a disk that is far away takes seconds. */
  lookMs: 60_000,
  /** A checkout of a very large repository takes minutes; nothing that git does here takes longer. */
  workMs: 600_000,
  /** For what the guard asks: a merge of two trees that have little in common takes seconds. */
  guardMs: 60_000,
  /** From SIGTERM, at which git takes its locks away, to SIGKILL. */
  graceMs: 5_000,
  outputBytes: 256 * 1024 * 1024,
}
/** Of what git complains of the end is kept, and of that what fits into a message. */
const COMPLAINT_BYTES = 64 * 1024
const SAID_MAX = 1_000
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
  const { sayMs, lookMs, workMs } = GIT_LIMITS
  const ms = args[0] === "--version" ? sayMs : /^(config|ls-files|rev-parse|worktree list)\b/.test(args.join(" ")) ? lookMs : workMs
  const all = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", ...args]
  const result = await runGit(all, { cwd, env: { ...gitEnvironment(), ...env }, ms, ...(input === undefined ? {} : { input }) })
  if (result.status === 128 && result.stderr.includes("dubious ownership")) {
    throw new RepositoryError(
      "repository_untrusted",
      lastLine(result.stderr),
      `If you trust it: git config --global --add safe.directory ${JSON.stringify(cwd)}`,
    )
  }
  return result
}

export type GitRun = { cwd: string; env: NodeJS.ProcessEnv; ms: number; input?: string }

/**
 * A run of git as it is told. Its standard input ends after `input`, so that nothing waits there for an answer. Throws `RepositoryError` `git_missing`, and
 * `git_failed` where it does not end by itself: it takes more than `ms`, says too much, or is hit by a signal.
 */
export function runGit(args: readonly string[], { cwd, env, ms, input = "" }: GitRun): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    // Without a descriptor left it has no streams, and says so by its error.
    const run: ChildProcess = spawn("git", args, { cwd, env, stdio: "pipe" })
    const output: Buffer[] = []
    let complaint = Buffer.alloc(0)
    let [bytes, ended] = [0, ""]
    let grace: NodeJS.Timeout | undefined
    const end = (why: string): void => {
      if (ended !== "") return
      ended = why
      // What it started may hold them open for as long as it likes.
      run.stdout?.destroy()
      run.stderr?.destroy()
      run.kill()
      grace = setTimeout(() => run.kill("SIGKILL"), GIT_LIMITS.graceMs)
    }
    const limit = setTimeout(() => end(`has not ended within ${ms / 1_000} s`), ms)
    const settled = (): void => {
      clearTimeout(limit)
      clearTimeout(grace)
    }
    run.stdout?.on("data", (piece: Buffer) => {
      output.push(piece)
      bytes += piece.length
      if (bytes > GIT_LIMITS.outputBytes) end(`has said more than ${GIT_LIMITS.outputBytes / 1024 / 1024} MiB`)
    })
    run.stderr?.on("data", (piece: Buffer) => {
      complaint = Buffer.concat([complaint, piece]).subarray(-COMPLAINT_BYTES)
    })
    // A git that ends before it has read everything says why by its status.
    run.stdin?.on("error", () => undefined)
    run.stdin?.end(input)
    run.once("error", (error: NodeJS.ErrnoException) => {
      settled()
      reject(notStarted(error))
    })
    run.once("close", (status, signal) => {
      settled()
      const stderr = complaint.toString("utf8")
      if (ended === "" && status !== null) return resolve({ status, stdout: Buffer.concat(output).toString("utf8"), stderr })
      reject(notEnded(args, ended || `was ended by ${signal}`, lastLine(stderr)))
    })
  })
}

function notStarted(error: NodeJS.ErrnoException): RepositoryError {
  if (error.code === "ENOENT")
    return new RepositoryError("git_missing", "git is not installed, or not on the PATH", "Install git 2.36 or newer.", { cause: error })
  return new RepositoryError("git_failed", `git could not be started: ${error.message}`, "Run git by hand and look.", { cause: error })
}

function notEnded(args: readonly string[], why: string, said: string): RepositoryError {
  const command = commandOf(args)
  return new RepositoryError(
    "git_failed",
    `git ${command} ${why}${said && `: ${said}`}`,
    `Run git ${command} by hand and look: a disk that does not answer holds it up, say, or a program that stands in the place of git.`,
  )
}

/** What git is asked to do, behind the settings that it is given. */
export function commandOf(args: readonly string[]): string {
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] as string
    if (arg === "-c" || arg === "--git-dir" || arg === "--work-tree") at += 1
    else if (!arg.startsWith("-")) return arg
  }
  return args.at(-1) ?? ""
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
  throw failed(cwd, args, result)
}

/** What `git config` prints for these words; null where nothing is set. Any other answer is `git_failed`: it says nothing of what is set. */
export async function gitConfig(cwd: string, words: readonly string[]): Promise<string | null> {
  const args = ["config", ...words]
  const result = await git(cwd, args)
  if (result.status > 1) throw failed(cwd, args, result)
  return result.status === 0 ? result.stdout : null
}

function failed(cwd: string, args: readonly string[], { status, stderr }: GitResult): RepositoryError {
  return new RepositoryError(
    "git_failed",
    `git ${commandOf(args)} in ${cwd} failed: ${lastLine(stderr) || `exit status ${status}`}`,
    "Mend what git complains of (git 2.36 or newer is needed) and try again.",
  )
}

function gitEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"))
  // Messages in English, because one of them is read; no lock for a mere status, because a user may be committing at that moment.
  return { ...Object.fromEntries(kept), GIT_TERMINAL_PROMPT: "0", GIT_OPTIONAL_LOCKS: "0", LC_ALL: "C" }
}

/** The last line that begins so, else the last: as much of it as a message holds. */
export function lastLine(text: string, prefix = "fatal:"): string {
  const lines = text.trim().split("\n")
  const line = lines.findLast((one) => one.startsWith(prefix)) ?? lines.at(-1) ?? ""
  return cut(line, SAID_MAX)
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most).toWellFormed()}…`
}
