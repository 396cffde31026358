import { execFile, spawnSync } from "node:child_process"
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join, resolve } from "node:path"
import { httpClient, type HttpClient } from "../src/client/http.ts"
import { installGuard, type People } from "../src/repo/guard.ts"
import { findRepository } from "../src/repo/instance.ts"
import { json, newRepository, type Ran } from "./cli-driver.ts"

/** Who runs a git command: an agent by its credential, or a person. */
export type Who = "goose" | "heron" | "duck" | "person"

export const LAUNCHER = resolve("bin/skein.cjs")

/** A hub with three agents: heron holds `held/**`; goose works on a task; duck on none. */
export type Team = { home: string; credential(agent: string): string; as(agent: string): HttpClient }

export async function makeTeam(): Promise<Team> {
  const home = newRepository()
  await json(home, ["up"])
  for (const agent of ["goose", "heron", "duck"]) await json(home, ["agent", "add", agent])
  const credential = (agent: string): string => join(home, ".skein", "agents", `${agent}.credential`)
  for (const agent of ["goose", "heron"]) {
    await json(home, ["task", "add", `work-of-${agent}`, "Some work"])
    await json(home, ["task", "claim", `work-of-${agent}`], { SKEIN_TOKEN_FILE: credential(agent) })
  }
  const { url } = JSON.parse(readFileSync(join(home, ".skein", "hub.json"), "utf8")) as { url: string }
  const as = (agent: string): HttpClient => httpClient({ url, credentialFile: credential(agent) })
  await as("heron").call("files.reserve", { globs: ["held/**"], reason: "moving it", ttlMs: 3_600_000 })
  return { home, credential, as }
}

/** A folder of repositories: a template, and copies of it with the guard. */
export class Yard {
  readonly folder = mkdtempSync(join(tmpdir(), "skein guard's "))
  readonly #team: Team
  #made = 0

  constructor(team: Team) {
    this.#team = team
    const template = new Checkout(join(this.folder, "template"), team)
    mkdirSync(template.folder)
    template.plain("init", "-q", "-b", "main")
    for (const [key, value] of [
      ["user.name", "T"],
      ["user.email", "t@example.org"],
      ["gc.auto", "0"],
      ["protocol.file.allow", "always"],
    ] as const)
      template.plain("config", key, value)
    for (const path of ["held/a.txt", "held/b.txt", "free/c.txt", "free/d.txt"]) template.write(path, `${path}\none\ntwo\nthree\n`)
    template.plain("add", ".")
    template.plain("commit", "-q", "-m", "base")
    // What heron did, on a branch of its own.
    template.plain("checkout", "-q", "-b", "heron")
    template.write("held/a.txt", "by heron\n")
    template.plain("commit", "-q", "-am", "heron's")
    template.plain("checkout", "-q", "main")
  }

  /** A copy of the template without the guard. */
  bare(): Checkout {
    const folder = join(this.folder, `${(this.#made += 1)}`, "repo")
    cpSync(join(this.folder, "template"), folder, { recursive: true })
    const checkout = new Checkout(folder, this.#team)
    // The copies have other times than the index says.
    checkout.plain("update-index", "-q", "--refresh")
    return checkout
  }

  async guarded(people: People = "warn"): Promise<Checkout> {
    const checkout = this.bare()
    await checkout.guard(people)
    return checkout
  }

  tidyUp(): void {
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** A worktree, and who acts in it. */
export class Checkout {
  readonly folder: string
  readonly #team: Team

  constructor(folder: string, team: Team) {
    this.folder = folder
    this.#team = team
  }

  async guard(people: People = "warn"): Promise<{ changed: boolean; ownHooks: string }> {
    const repository = await findRepository(this.folder)
    const done = await installGuard({ repository, node: process.execPath, launcher: LAUNCHER, people })
    // One hub serves all the copies; each finds it where it would find its own.
    for (const file of ["hub.json", "operator.credential"]) copyFileSync(join(this.#team.home, ".skein", file), join(repository.instanceDir, file))
    return done
  }

  at(folder: string): Checkout {
    return new Checkout(folder, this.#team)
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  write(name: string, text: string): void {
    mkdirSync(dirname(this.path(name)), { recursive: true })
    writeFileSync(this.path(name), text)
  }

  read(name: string): string {
    return readFileSync(this.path(name), "utf8")
  }

  link(target: string, name: string): void {
    rmSync(this.path(name), { force: true })
    symlinkSync(target, this.path(name))
  }

  /** A shell command line, as that agent or person. */
  sh(who: Who, script: string, env: Readonly<Record<string, string>> = {}): Promise<Ran> {
    const own = Object.entries(process.env).filter(([name]) => !/^(SKEIN_|GIT_|NODE_OPTIONS|VITEST|XDG_)/.test(name))
    const identity = who === "person" ? {} : { SKEIN_TOKEN_FILE: this.#team.credential(who) }
    const all = { ...Object.fromEntries(own), GIT_EDITOR: "true", GIT_CONFIG_NOSYSTEM: "1", HOME: dirname(this.folder), ...identity, ...env }
    return new Promise((settle) => {
      execFile("sh", ["-ec", script], { cwd: this.folder, env: all, encoding: "utf8", timeout: 60_000 }, (error, stdout, stderr) => {
        settle({ status: error === null ? 0 : typeof error.code === "number" ? error.code : null, stdout, stderr })
      })
    })
  }

  /** Git with no hooks at all; must succeed. */
  plain(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync("git", ["-c", "core.hooksPath=/dev/null", ...args], { cwd: this.folder, encoding: "utf8" })
    if (status !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`)
    return stdout
  }

  /** A commit that nobody has checked and no ref holds, from this worktree's index and files; both are put back. */
  unseen(path: string, text: string): string {
    const before = this.plain("rev-parse", "HEAD").trim()
    this.write(path, text)
    this.plain("add", path)
    const tree = this.plain("write-tree").trim()
    this.plain("reset", "-q", "--hard", before)
    return this.plain("commit-tree", "-p", before, "-m", "unseen", tree).trim()
  }

  refs(): string {
    return this.plain("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags") + this.plain("rev-parse", "HEAD")
  }

  /** What is staged, and what differs from it: the same before and after means that no file was touched. */
  files(): string {
    return this.plain("ls-files", "-s") + this.plain("status", "--porcelain", "--untracked-files=all") + this.plain("diff")
  }
}
