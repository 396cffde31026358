import { execFileSync } from "node:child_process"
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { AGENT_KINDS } from "../../src/repo/agent-kinds.ts"
import { planInit, planUndo } from "../../src/repo/init-plan.ts"
import { RepositoryError } from "../../src/repo/git.ts"
import { removeEmptyFolders, writeChanges } from "../../src/repo/settings-files.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { type Json, mutateBytes, mutateText, mutateValue, oddText, writeJson } from "./mutation.ts"

/** Settings of agents in a repository of anybody's, as `skein init` finds them: it writes into them or says why not, and can take all of it back. */
export const settingsTarget: Target = {
  name: "settings",
  entrance: "settings and instructions of agents in a repository, into which skein init writes",
  casesPerSubject: 200,
  open: () => Promise.resolve(new SettingsSubject()),
}

const JSON_FILES = [".mcp.json", ".claude/settings.json", ".codex/hooks.json", ".gemini/settings.json", "opencode.json"]
const OTHERS = [".codex/config.toml", "CLAUDE.md", "AGENTS.md", "GEMINI.md", ".opencode/plugins/skein.js"]
const FILES = [...JSON_FILES, ...OTHERS]
const OWN: Json = {
  model: "m",
  mcpServers: { other: { command: "x", args: [] } },
  mcp: { other: { type: "local" } },
  hooks: { PreToolUse: [{ matcher: "Edit", hooks: [{ type: "command", command: "prettier --write" }] }], Stop: [] },
  permissions: { allow: ["Bash(ls)"], deny: [] },
  enabledMcpjsonServers: ["other"],
}
const TOML = '# mine\nmodel = "m"\n[mcp_servers.other]\ncommand = "x"\n[[profiles]]\nname = """a\nb"""\n'
const PROSE = "# Title\r\n\r\nSome text.\n```sh\nskein:begin\n```\n"

class SettingsSubject implements Subject {
  readonly #folder = scratchFolder()
  #cases = 0
  #sent = ""

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    const top = join(this.#folder, String((this.#cases += 1)))
    mkdirSync(top)
    writeFileSync(join(this.#folder, "outside"), "outside\n")
    this.#sent = ""
    try {
      for (let count = choices.between(1, 4); count > 0; count -= 1) this.#lay(top, choices)
      return this.#tried(top, choices)
    } finally {
      rmSync(top, { recursive: true, force: true })
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  #tried(top: string, choices: Choices): string {
    const before = tree(top)
    const kinds = choices.chance(50) ? AGENT_KINDS : [choices.pick(AGENT_KINDS)]
    const joining = kinds.map((kind) => ({ kind, agent: kind }))
    const why = (work: () => void): string | null => {
      try {
        work()
        return null
      } catch (error) {
        if (!(error instanceof RepositoryError)) throw error
        if (error.remedy === "" || !FILES.some((file) => error.message.includes(file.split("/")[0] as string)))
          throw new Broken(`no file or no remedy: ${error.message}`)
        return error.code
      }
    }
    let done = { files: [] as ReturnType<typeof planInit>["files"], folders: [] as string[] }
    const refused = why(() => {
      const { changes, files } = planInit({ top, joining, command: ["skein"], files: [] })
      done = { files, folders: writeChanges(changes) }
    })
    if (readFileSync(join(this.#folder, "outside"), "utf8") !== "outside\n") throw new Broken("a file outside of the repository was written")
    if (refused !== null) {
      if (tree(top) !== before) throw new Broken(`refused by ${refused}, and yet something was written`)
      return `refused: ${refused}`
    }
    const again = planInit({ top, joining, command: ["skein"], files: done.files })
    if (again.changes.length > 0) throw new Broken(`written, and written otherwise again: ${again.changes.map(({ file }) => file).join(", ")}`)
    writeChanges(planUndo(top, done.files))
    removeEmptyFolders(done.folders)
    if (tree(top) !== before) throw new Broken(`taken back, and not as it was:\n${before}\n---\n${tree(top)}`)
    return `written and taken back: ${kinds.length}`
  }

  /** One file as somebody may have left it: changed, or something else in its place. */
  #lay(top: string, choices: Choices): void {
    const file = choices.pick(FILES)
    const path = join(top, file)
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined || lstatSync(dirname(path), { throwIfNoEntry: false })?.isDirectory() === false) return
    const how = choices.below(12)
    const folder = dirname(path)
    if (how === 1 && folder !== top && lstatSync(folder, { throwIfNoEntry: false }) === undefined) {
      mkdirSync(dirname(folder), { recursive: true })
      symlinkSync(choices.pick(["..", "../..", "none", "."]), folder)
    } else {
      mkdirSync(folder, { recursive: true })
      if (how === 2) mkdirSync(path)
      else if (how === 3) symlinkSync(choices.pick(["../outside", "../../outside", "/dev/zero", "/dev/null", "AGENTS.md", file, "/etc/passwd", "none"]), path)
      else if (how === 4) execFileSync("mkfifo", [path])
      else writeFileSync(path, this.#text(file, choices))
    }
    this.#sent += `--- ${file}, ${how}\n${how > 4 || how === 0 ? readFileSync(path, "latin1").slice(0, 1_000) : ""}\n`
  }

  #text(file: string, choices: Choices): Buffer {
    if (!JSON_FILES.includes(file)) {
      const text = file.endsWith(".toml") ? TOML : file.endsWith(".md") ? PROSE : "// Mine\n"
      return choices.chance(50) ? mutateBytes(Buffer.from(text), choices) : Buffer.from(choices.chance(50) ? mutateText(text, choices).toWellFormed() : text)
    }
    let value = OWN
    for (let changes = choices.below(4); changes > 0; changes -= 1) value = mutateValue(value, choices)
    let text = choices.chance(50) ? writeJson(value) : writeJson(value).replaceAll(",", choices.pick([",\n  ", ", // c\r\n\t", ",/* c */"]))
    if (choices.chance(20)) text = `\ufeff${text}`
    if (choices.chance(20)) text = text.replace('"mcpServers"', () => JSON.stringify(choices.pick(["hooks", "mcpServers", "__proto__", oddText(choices)])))
    return choices.chance(25) ? mutateBytes(Buffer.from(text), choices, 2) : Buffer.from(text)
  }
}

/** Everything below a folder, as one text; no link is followed. */
function tree(top: string): string {
  return readdirSync(top)
    .sort()
    .map((name) => {
      const path = join(top, name)
      const found = lstatSync(path)
      const what = found.isSymbolicLink() ? readlinkSync(path) : found.isDirectory() ? tree(path) : found.isFile() ? readFileSync(path).toString("latin1") : ""
      return `${path} ${found.mode.toString(8)} ${what}`
    })
    .join("\n")
}
