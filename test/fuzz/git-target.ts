import { execFileSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { predictConflicts } from "../../src/repo/conflict.ts"
import { RepositoryError } from "../../src/repo/git.ts"
import { changedPaths } from "../../src/repo/guard-changes.ts"
import { ensureInstanceDir, findRepository, type Repository } from "../../src/repo/instance.ts"
import { addWorktree, listWorktrees, removeWorktree, uncommittedFiles, worktreeTops } from "../../src/repo/worktree.ts"
import { setWorktreeAgent, worktreeAgents } from "../../src/repo/worktree-agent.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { mutateBytes, mutateText, oddText } from "./mutation.ts"

/** What git answers: of a repository in which everything has an odd name it is read as it is, and a git that is broken is told as that, and costs nobody's work. */
export const gitTarget: Target = {
  name: "git",
  entrance: "what git answers, of odd names and where it is broken",
  casesPerSubject: 60,
  open: () => GitSubject.open(),
}

/** Counts its calls; at the one that is named in `at` it does what `how` says, else what git does. */
const FAKE = `#!/bin/sh
d=\${0%/*}
read -r n < "$d/count"; read -r at < "$d/at"
echo $((n + 1)) > "$d/count"
[ "$n" = "$at" ] && . "$d/how"
exec "$REAL_GIT" "$@"
`
const SAID = [
  "fatal: not a git repository (or any of the parent directories): .git",
  "schwerwiegend: Kein Git-Repository",
  "fatal: detected dubious ownership in repository at '/x'",
  "error: could not lock config file .git/config: File exists",
  "usage: git worktree list [-v | --porcelain [-z]]",
  "\u001b[31mfatal\u001b[0m: bad \u202e",
  "",
]
const ENV = { PATH: process.env["PATH"] ?? "", GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", ...who("AUTHOR"), ...who("COMMITTER") }

function who(role: string): Record<string, string> {
  return { [`GIT_${role}_NAME`]: "T", [`GIT_${role}_EMAIL`]: "t@example.org" }
}

class GitSubject implements Subject {
  readonly #folder: string
  readonly #repository: Repository
  readonly #head: string
  #sent = ""

  private constructor(folder: string, repository: Repository, head: string) {
    this.#folder = folder
    this.#repository = repository
    this.#head = head
  }

  static async open(): Promise<GitSubject> {
    const folder = realpathSync(scratchFolder())
    const top = join(folder, "sound")
    git(folder, ["init", "-q", "-b", "main", top])
    writeFileSync(join(top, "a.ts"), "one\n")
    git(top, ["add", "."])
    git(top, ["commit", "-qm", "one"])
    git(top, ["worktree", "add", "-q", "-b", "other", join(folder, "other")])
    writeFileSync(join(folder, "other", "a.ts"), "two\n")
    writeFileSync(join(top, "a.ts"), "three\n")
    const repository = await findRepository(top)
    await addWorktree({ repository, name: "ada", commit: "main" })
    writeFileSync(join(repository.instanceDir, "worktrees", "ada", "a.ts"), "ada's\n")
    mkdirSync(join(folder, "bin"))
    writeFileSync(join(folder, "bin", "git"), FAKE, { mode: 0o700 })
    return new GitSubject(folder, repository, git(top, ["rev-parse", "HEAD"]).trim())
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  attempt(choices: Choices): Promise<string> {
    return choices.chance(15) ? this.#named(choices) : this.#broken(choices)
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  /** One call of git goes wrong, in the midst of one thing that is done with a repository. */
  async #broken(choices: Choices): Promise<string> {
    const repository = this.#repository
    const top = repository.top as string
    const update = { old: "0".repeat(40), new: this.#head, ref: "refs/heads/new" }
    const acts = {
      find: () => findRepository(choices.pick([top, join(this.#folder, "other")])),
      folder: () => ensureInstanceDir(repository),
      list: () => listWorktrees(repository),
      tops: () => worktreeTops(repository),
      files: () => uncommittedFiles(join(repository.instanceDir, "worktrees", "ada")),
      conflicts: () => predictConflicts(repository, ["other"]),
      changed: () => changedPaths({ updates: [update], cwd: top, commonDir: repository.commonDir }),
      agents: () => worktreeAgents(repository),
      mark: () => setWorktreeAgent({ repository, top: join(this.#folder, "other"), agent: "ben" }),
      add: () => addWorktree({ repository, name: "ben", commit: "main" }),
      move: () => addWorktree({ repository, name: "ada", commit: "other" }),
      remove: () => removeWorktree({ repository, name: choices.pick(["ada", "ben"]) }),
    }
    const name = choices.pick(Object.keys(acts) as (keyof typeof acts)[])
    const how = this.#how(choices)
    const at = choices.below(choices.pick([1, 2, 4]))
    this.#sent = `${name}, call ${at}: ${how}`
    this.#lay(at, how)
    const path = process.env["PATH"]
    process.env["PATH"] = how === "missing" ? join(this.#folder, "none") : `${join(this.#folder, "bin")}:${path}`
    process.env["REAL_GIT"] = execFileSync("sh", ["-c", "command -v git"], { env: { PATH: path ?? "" }, encoding: "utf8" }).trim()
    const came = await told(acts[name])
    process.env["PATH"] = path
    chmodSync(join(this.#folder, "bin", "git"), 0o700)
    const kept = readFileSync(join(repository.instanceDir, "worktrees", "ada", "a.ts"), "utf8")
    if (kept !== "ada's\n") throw new Broken(`what ada had not committed is gone: ${JSON.stringify(kept)}`)
    await removeWorktree({ repository, name: "ben", force: true }).catch(() => undefined)
    rmSync(join(repository.instanceDir, "worktrees", "ben"), { recursive: true, force: true })
    if (came instanceof Error) throw came
    return `${name}: ${came}`
  }

  #how(choices: Choices): string {
    const bytes = Buffer.from(choices.chance(50) ? oddText(choices) : `worktree ${this.#folder}\0HEAD ${this.#head}\0branch refs/heads/main\0\0`)
    writeFileSync(join(this.#folder, "bin", "out"), choices.chance(60) ? mutateBytes(bytes, choices, 3) : bytes)
    writeFileSync(join(this.#folder, "bin", "err"), choices.pick(SAID))
    const cut = choices.pick([0, 1, 10, 41, 100])
    return choices.pick([
      `cat "$d/err" >&2; exit ${choices.pick([0, 1, 2, 128, 129])}`,
      `cat "$d/out"; cat "$d/err" >&2; exit ${choices.pick([0, 0, 0, 1, 128])}`,
      `"$REAL_GIT" "$@" | head -c ${cut}; exit 0`,
      `"$REAL_GIT" "$@" | tail -c +${cut}; exit 0`,
      `"$REAL_GIT" "$@" | tr '\\0\\n' '\\n\\0'; exit 0`,
      `"$REAL_GIT" "$@"; exit ${choices.pick([1, 128, 255])}`,
      `"$REAL_GIT" "$@"; cat "$d/out"; exit 0`,
      `kill -${choices.pick(["KILL", "TERM", "SEGV"])} $$`,
      "missing",
      "not executable",
    ])
  }

  #lay(at: number, how: string): void {
    const bin = join(this.#folder, "bin")
    writeFileSync(join(bin, "count"), "0\n")
    writeFileSync(join(bin, "at"), `${at}\n`)
    writeFileSync(join(bin, "how"), how.includes(" ") ? `${how}\n` : "")
    // Whoever is the system's own may run nothing that nobody may.
    if (how === "not executable") chmodSync(join(bin, "git"), 0o600)
  }

  /** A repository, its worktrees, branches and files, all with names such as a file system and git can have. */
  async #named(choices: Choices): Promise<string> {
    const folder = mkdtempSync(join(this.#folder, "named-"))
    try {
      const [top, linked] = [join(folder, `a${nameIn(choices)}`), join(folder, `b${nameIn(choices)}`)]
      const [file, fresh, reason] = [`f${nameIn(choices)}`, `g${nameIn(choices)}`, nameIn(choices)]
      this.#sent = JSON.stringify({ top, linked, file, fresh, reason })
      git(folder, ["init", "-q", "-b", "main", "--", top])
      writeFileSync(join(top, file), "one\n")
      git(top, ["add", "."])
      git(top, ["commit", "-qm", "one"])
      git(top, ["worktree", "add", "-q", "--detach", "--", linked])
      git(top, ["worktree", "lock", "--reason", reason, "--", linked])
      writeFileSync(join(top, file), "two\n")
      writeFileSync(join(linked, file), "three\n")
      writeFileSync(join(linked, fresh), "new\n")
      const repository = await findRepository(top)
      const other = await findRepository(linked)
      same("the top", [repository.top, other.top], [top, linked])
      same("the instance", [repository.instanceDir, other.instanceDir], [join(top, ".skein"), join(top, ".skein")])
      same("the worktrees", await worktreeTops(other), [top, linked])
      same("uncommitted", (await uncommittedFiles(linked)).sort(), [file, fresh].sort())
      await setWorktreeAgent({ repository, top: linked, agent: "ben" })
      same("whose worktree it is", await worktreeAgents(repository), [{ top: linked, agent: "ben" }])
      const { conflicts, unmergeable } = await predictConflicts(other)
      same("conflicts", [conflicts.map(({ a, b, files }) => [a.path, b.path, b.agent, files]), unmergeable], [[[top, linked, "ben", [file]]], []])
      await addWorktree({ repository, name: "ada", commit: "HEAD" })
      same(
        "ours",
        (await listWorktrees(repository)).map(({ name, stale, locked }) => [name, stale, locked]),
        [["ada", false, null]],
      )
      git(top, ["worktree", "lock", "--reason", reason, "--", join(top, ".skein", "worktrees", "ada")])
      const [ours] = await listWorktrees(repository)
      if (ours?.locked === null) throw new Broken("a locked worktree that is said to be free")
      // It may be on a disk that is not there at the moment.
      rmSync(linked, { recursive: true })
      same("those that are there", (await worktreeTops(repository)).length, 2)
      same("what is there to be compared", (await predictConflicts(repository)).unmergeable, [])
      return "named"
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** What came of it; an error is one that nobody would understand. */
async function told(act: () => Promise<unknown>): Promise<string | Error> {
  try {
    checkTexts(await act())
    return "done"
  } catch (error) {
    if (!(error instanceof RepositoryError)) return error instanceof Error ? error : new Broken(String(error))
    return error.remedy === "" || error.message === "" ? new Broken(`no remedy, or no message: ${error.message}`) : error.code
  }
}

function same(what: string, found: unknown, meant: unknown): void {
  if (JSON.stringify(found) !== JSON.stringify(meant)) throw new Broken(`${what}: ${JSON.stringify(found)} where it is ${JSON.stringify(meant)}`)
}

function git(cwd: string, args: readonly string[]): string {
  return execFileSync("git", args, { cwd, env: ENV, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
}

/** Whatever came is what it is said to be: no field that has to be there is missing. */
function checkTexts(came: unknown): void {
  if (typeof came === "number" && !Number.isFinite(came)) throw new Broken(`a number that is none in what came`)
  if (came === undefined || came === null || typeof came !== "object") return
  for (const value of Object.values(came)) {
    if (value === undefined) throw new Broken(`something undefined in ${JSON.stringify(came).slice(0, 300)}`)
    checkTexts(value)
  }
}

/** What a file may be called. */
function nameIn(choices: Choices): string {
  const text = choices.chance(50) ? oddText(choices) : mutateText("a b", choices)
  const name = text.toWellFormed().replaceAll(/[\0/]/g, "").slice(0, 60)
  return /^\.*git/i.test(name) || name === "" ? "x" : name
}
