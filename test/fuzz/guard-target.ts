import { execFileSync } from "node:child_process"
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { RepositoryError } from "../../src/repo/git.ts"
import { changedPaths, parseUpdates } from "../../src/repo/guard-changes.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { mutateText, oddText } from "./mutation.ts"

/** Commits of a repository of anybody's, as the git guard sees them: names, histories and settings made for the purpose. */
export const guardTarget: Target = {
  name: "guard",
  entrance: "commits that the git guard looks at: names, histories, git's settings, and the lines that its hook is given",
  casesPerSubject: 60,
  open: () => Promise.resolve(new GuardSubject()),
}

const HELD = "held/a.ts"
const SETTINGS = [
  ["diff.relative", "true"],
  ["diff.renames", "copies"],
  ["diff.ignoreSubmodules", "all"],
  ["diff.external", "false"],
  ["diff.orderFile", "none"],
  ["diff.submodule", "log"],
  ["diff.noPrefix", "true"],
  ["log.follow", "true"],
  ["log.showRoot", "false"],
  ["log.showSignature", "true"],
  ["log.diffMerges", "off"],
  ["log.decorate", "full"],
  ["log.abbrevCommit", "true"],
  ["format.pretty", "%b%x00%x00"],
  ["color.ui", "always"],
  ["core.quotePath", "true"],
  ["core.ignoreCase", "true"],
  ["core.fsmonitor", "false"],
  ["core.pager", "false"],
  ["i18n.logOutputEncoding", "UTF-16"],
  ["notes.displayRef", "*"],
  ["diff.algorithm", "none"],
] as const

type Entry = { path: string; blob: string }

class GuardSubject implements Subject {
  readonly #folder = scratchFolder()
  readonly #blobs: readonly string[]
  readonly #base: string
  #sent = ""

  constructor() {
    this.#git(["init", "-q", "-b", "main"])
    this.#blobs = ["one", "two", "three"].map((text) => this.#git(["hash-object", "-w", "--stdin"], text))
    this.#base = this.#commit([{ path: HELD, blob: this.#blobs[0] as string }], [], "base")
    this.#git(["update-ref", "refs/heads/main", this.#base])
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    const settings = Array.from({ length: choices.below(4) }, () => choices.pick(SETTINGS))
    writeFileSync(join(this.#folder, ".git", "config"), `[core]\n\tbare = false\n${settings.map(([key, value]) => section(key, value)).join("")}`)
    const names = Array.from({ length: choices.below(5) }, () => nameIn(choices))
    // A name is that of a file or of a folder.
    const besides = names.filter((name) => !names.some((other) => other.startsWith(`${name}/`))).map((path) => ({ path, blob: this.#blobs[1] as string }))
    const held = { path: HELD, blob: this.#blobs[2] as string }
    const said = choices.pick(["work", oddText(choices).replaceAll("\0", "") || "x"]).slice(0, 4_000)
    const one = this.#commit(besides, [this.#base], said)
    const tip = {
      "a commit": () => this.#commit([...besides, held], [this.#base], said),
      "a later commit": () => this.#commit([...besides, held], [one], said),
      "a merge": () => this.#commit([...besides, held], [this.#base, one], said),
      "a merge of three": () => this.#commit([...besides, held], [this.#base, one, this.#commit([], [this.#base], said)], said),
      "a first commit": () => this.#commit([...besides, held], [], said),
      "under a commit": () => this.#commit(besides, [this.#commit([...besides, held], [this.#base], said)], said),
    }
    const how = choices.pick(Object.keys(tip) as (keyof typeof tip)[])
    const made = tip[how]()
    const line = `${choices.chance(20) ? "0".repeat(40) : this.#base} ${made} refs/heads/main\n`
    // Git names other refs in the same transaction; what is no line of git's is none.
    const noise = (): string =>
      choices.pick([`${made} ${"0".repeat(40)} refs/heads/gone\n`, `x ${made} refs/heads/x\n`, "\n", `${mutateText(line, choices).slice(0, 30)}\n`])
    const text = `${choices.chance(50) ? noise() : ""}${line}${choices.chance(50) ? noise() : ""}`
    this.#sent = `${how}\n${JSON.stringify(settings)}\n${JSON.stringify(besides)}\n${JSON.stringify(text)}`
    try {
      const paths = await changedPaths({ updates: parseUpdates(text), cwd: this.#folder, commonDir: join(this.#folder, ".git") })
      for (const path of [HELD, ...besides.map((entry) => entry.path)])
        if (!paths.includes(path)) throw new Broken(`${JSON.stringify(path)} was changed by ${how}, and the guard sees ${JSON.stringify(paths).slice(0, 600)}`)
      const foreign = paths.find((path) => path !== HELD && !besides.some((entry) => entry.path === path))
      if (foreign !== undefined) throw new Broken(`the guard sees ${JSON.stringify(foreign)}, which ${how} did not change`)
      return how
    } catch (error) {
      // The guard says then that it could not look.
      if (!(error instanceof RepositoryError) || error.remedy === "") throw error
      return error.code
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  #commit(entries: readonly Entry[], parents: readonly string[], said: string): string {
    rmSync(join(this.#folder, ".git", "index"), { force: true })
    const lines = entries.map(({ path, blob }) => `100644 ${blob}\t${path}\0`).join("")
    this.#git(["update-index", "--add", "-z", "--index-info"], lines)
    const who = { name: "T", email: "t@example.org", date: "1700000000 +0000" }
    const env = Object.fromEntries(
      ["AUTHOR", "COMMITTER"].flatMap((role) => Object.entries(who).map(([key, value]) => [`GIT_${role}_${key.toUpperCase()}`, value])),
    )
    return this.#git(["commit-tree", this.#git(["write-tree"]), ...parents.flatMap((parent) => ["-p", parent])], said, env)
  }

  #git(args: readonly string[], input = "", env: Readonly<Record<string, string>> = {}): string {
    return execFileSync("git", args, { cwd: this.#folder, input, env: { ...process.env, ...env }, encoding: "utf8", stdio: ["pipe", "pipe", "ignore"] }).trim()
  }
}

function section(key: string, value: string): string {
  const [name = "", field = ""] = key.split(".")
  return `[${name}]\n\t${field} = "${value}"\n`
}

/** A name that a tree can have, below `free/`. */
function nameIn(choices: Choices): string {
  const name = choices.chance(50) ? oddText(choices) : mutateText("a b.ts", choices)
  const parts = name.toWellFormed().replaceAll("\0", "").split("/")
  const sound = parts.filter((part) => !["", ".", ".."].includes(part) && !/^\.git|git~/i.test(part)).map((part) => part.slice(0, 200).toWellFormed())
  return `free/${choices.pick(["", "\n", "<", ">", " "])}${sound.slice(0, 40).join("/") || "x"}`
}
