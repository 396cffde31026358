import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { predictConflicts } from "../../src/repo/conflict.ts"
import { RepositoryError } from "../../src/repo/git.ts"
import { guardStatus, installGuard, removeGuard } from "../../src/repo/guard.ts"
import { changedPaths } from "../../src/repo/guard-changes.ts"
import { ensureInstanceDir, findRepository, type Repository } from "../../src/repo/instance.ts"
import { addWorktree, listWorktrees, removeWorktree, uncommittedFiles, worktreeTops } from "../../src/repo/worktree.ts"
import { setWorktreeAgent, worktreeAgents } from "../../src/repo/worktree-agent.ts"
import { BrokenGit } from "./broken-git.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { mutateText, oddText } from "./mutation.ts"

/** What git answers: of a repository in which everything has an odd name it is read as it is, and a git that is broken is told as that, and costs nobody's work. */
export const gitTarget: Target = {
  name: "git",
  entrance: "what git answers, of odd names and where it is broken, hangs, dies half way or never stops talking",
  casesPerSubject: 60,
  open: () => GitSubject.open(),
}

/** These only look: what a git that fails has them say is what a sound one says, or an error. */
const LOOKS = new Set(["find", "find another", "list", "tops", "files", "changed"])
const OWN_HOOKS = "own-hooks"
const MESSAGE_MAX = 10_001
const ENV = { PATH: process.env["PATH"] ?? "", GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", ...who("AUTHOR"), ...who("COMMITTER") }

function who(role: string): Record<string, string> {
  return { [`GIT_${role}_NAME`]: "T", [`GIT_${role}_EMAIL`]: "t@example.org" }
}

class GitSubject implements Subject {
  readonly #folder: string
  readonly #repository: Repository
  readonly #head: string
  readonly #config: Buffer
  readonly #git: BrokenGit
  /** What a sound git answers. */
  readonly #sound = new Map<string, string>()
  #sent = ""

  private constructor(folder: string, repository: Repository, head: string) {
    this.#folder = folder
    this.#repository = repository
    this.#head = head
    this.#config = readFileSync(join(repository.commonDir, "config"))
    this.#git = new BrokenGit(folder, `worktree ${folder}\0HEAD ${head}\0branch refs/heads/main\0\0`)
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
    git(top, ["config", "core.hooksPath", OWN_HOOKS])
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
    const acts = this.#acts()
    const name = choices.pick(Object.keys(acts))
    const act = acts[name] as () => Promise<unknown>
    if (LOOKS.has(name) && !this.#sound.has(name)) this.#sound.set(name, shown(await act()))
    // The guard is taken away, or put there again, only where it is.
    if (name === "unguard" || name === "reguard") await acts["guard"]?.()
    const fault = this.#git.fault(choices)
    const at = choices.below(choices.pick([1, 2, 4, 7]))
    this.#sent = `${name}, call ${at}: ${fault.does}`
    const came = await this.#git.during(at, fault, () => told(act))
    const kept = readFileSync(join(repository.instanceDir, "worktrees", "ada", "a.ts"), "utf8")
    if (kept !== "ada's\n") throw new Broken(`what ada had not committed is gone: ${JSON.stringify(kept)}`)
    await removeWorktree({ repository, name: "ben", force: true }).catch(() => undefined)
    rmSync(join(repository.instanceDir, "worktrees", "ben"), { recursive: true, force: true })
    if (name.includes("guard")) await this.#unguard(fault.isTold)
    // What a git that lies has had written there would be told of the next case.
    writeFileSync(join(repository.commonDir, "config"), this.#config)
    rmSync(join(repository.commonDir, "config.worktree"), { force: true })
    if (came instanceof Error) throw came
    const sound = this.#sound.get(name)
    // Where git says that it could not, nothing that it did not say is an answer.
    if (fault.isTold && sound !== undefined && "done" in came && shown(came.done) !== sound)
      throw new Broken(`${name}: taken for ${shown(came.done)}, where a sound git says ${sound}`)
    return `${name}: ${"done" in came ? "done" : came.code}`
  }

  #acts(): Record<string, () => Promise<unknown>> {
    const repository = this.#repository
    const top = repository.top as string
    const update = { old: "0".repeat(40), new: this.#head, ref: "refs/heads/new" }
    const guard = { repository, node: process.execPath, launcher: "/none/skein" }
    return {
      find: () => findRepository(top),
      "find another": () => findRepository(join(this.#folder, "other")),
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
      remove: () => removeWorktree({ repository, name: "ada" }),
      guard: () => installGuard(guard),
      reguard: () => installGuard({ ...guard, people: "refuse" }),
      unguard: () => removeGuard(repository),
      "guard status": () => guardStatus(repository),
    }
  }

  /** Once git is mended the guard can be taken away, and what the user had set is set again. */
  async #unguard(isTold: boolean): Promise<void> {
    const top = this.#repository.top as string
    await removeGuard(this.#repository)
    const left = git(top, ["config", "--local", "--default", "", "--get", "core.hooksPath"])
    if (isTold && left !== `${OWN_HOOKS}\n`) throw new Broken(`the user's own hooks are in ${OWN_HOOKS}, and git looks in ${JSON.stringify(left)}`)
    git(top, ["config", "--local", "--replace-all", "core.hooksPath", OWN_HOOKS])
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
async function told(act: () => Promise<unknown>): Promise<{ done: unknown } | { code: string } | Error> {
  try {
    const done = await act()
    checkTexts(done)
    return { done }
  } catch (error) {
    if (!(error instanceof RepositoryError)) return error instanceof Error ? error : new Broken(String(error))
    const { message, remedy, code } = error
    if (remedy === "" || message === "") return new Broken(`no remedy, or no message: ${message}`)
    return message.length > MESSAGE_MAX ? new Broken(`a message of ${message.length} characters: ${message.slice(0, 200)}`) : { code }
  }
}

function shown(answer: unknown): string {
  return JSON.stringify(answer)
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
  const name = text.replaceAll(/[\0/]/g, "").slice(0, 60).toWellFormed()
  return /^\.*git/i.test(name) || name === "" ? "x" : name
}
