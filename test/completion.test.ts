import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { wholeProgram } from "../src/cli/completion.ts"
import { git, json, newRepository, skein, tidyUp, until } from "./cli-driver.ts"
import { removeServer } from "./left-running.ts"
import { withoutTmux } from "./terminal/terminals.ts"

const SOCKET = `skein-completion-${process.pid}`
const folder = mkdtempSync(join(tmpdir(), "skein-completion-"))
/** Where the shells find `skein`, and a repository whose hub knows names. */
const bin = join(folder, "bin")
const PATH = `${bin}:${process.env["PATH"] ?? ""}`
let repository = ""
const script = (shell: string): string => join(folder, `skein.${shell}`)
const absent = ["zsh", "fish"].filter((shell) => spawnSync(shell, ["--version"]).status !== 0)
for (const shell of absent) console.warn(`SKIPPED: completion in ${shell}, which is not installed`)

beforeAll(async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { status, stdout, stderr } = await skein(folder, ["completion", shell])
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    writeFileSync(script(shell), stdout)
  }
  writeFileSync(join(folder, "a plan.yaml"), "")
  mkdirSync(bin)
  writeFileSync(join(bin, "skein"), `#!/bin/sh\nexec '${process.execPath}' '${resolve("bin/skein.cjs")}' "$@"\n`, { mode: 0o755 })
  repository = newRepository()
  await json(repository, ["up"])
  for (const task of ["fix-login", "fix-logout", "done"]) await json(repository, ["task", "add", task, "Title"])
  await json(repository, ["task", "cancel", "done", "--reason", "x"])
  await json(repository, ["agent", "add", "goose"])
  await json(repository, ["thread", "create", "Login", "--id", "login-api"])
  await json(repository, ["workspace", "create", "night"])
  await json(repository, ["-w", "night", "task", "add", "owl", "Owl"])
})
afterAll(async () => {
  await tidyUp()
  spawnSync("tmux", ["-L", SOCKET, "kill-server"])
  removeServer(SOCKET)
  rmSync(folder, { recursive: true, force: true })
})

/** What bash is offered for the last of the words, as bash itself breaks a command line into them. */
function inBash(...words: string[]): string[] {
  return inBashAt(folder, ...words)
}

function inBashAt(cwd: string, ...words: string[]): string[] {
  const told = `source ${script("bash")}; COMP_WORDS=(skein "$@"); COMP_CWORD=$#; _skein; [ \${#COMPREPLY[@]} = 0 ] || printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout, stderr } = spawnSync("bash", ["-c", told, "bash", ...words], { cwd, encoding: "utf8", env: { ...process.env, PATH } })
  expect(stderr).toBe("")
  return stdout.split("\n").slice(0, -1)
}

/** The same for fish, which breaks the line itself. */
function inFish(line: string, cwd = folder): string[] {
  const told = `source ${script("fish")}; complete -C "skein ${line}"`
  const { stdout, stderr } = spawnSync("fish", ["-c", told], { cwd, encoding: "utf8", env: { ...process.env, PATH } })
  expect(stderr).toBe("")
  return stdout.split("\n").flatMap((one) => (one === "" ? [] : [one.split("\t")[0] as string]))
}

const CASES: [string, string[]][] = [
  ["ta", ["task"]],
  ["help sw", ["swarm"]],
  ["-w x --json task ad", ["add"]],
  ["swarm spawn --cou", ["--count"]],
  ["swarm spawn --js", ["--json"]],
  ["swarm spawn --by ", ["acp", "process", "tmux"]],
  ["swarm spawn --by acp --role obs", ["observer"]],
  ["thread status t re", ["resolved"]],
  ["completion f", ["fish"]],
  // A value is no verb, and what stands behind -- no option.
  ["task add task add --run ", []],
  ["swarm spawn -- --by", []],
  ["nonsense ", []],
]

test.each(CASES)("bash completes: skein %s", (line, offered) => {
  expect(
    inBash(...line.split(" "))
      .filter((word) => word.startsWith(line.split(" ").at(-1) as string))
      .toSorted(),
  ).toEqual(offered)
})

test("bash completes the value behind a =, and the names of files", () => {
  expect(inBash("swarm", "spawn", "--by", "=", "ac")).toEqual(["acp"])
  expect(inBash("swarm", "spawn", "--by", "=")).toEqual(["tmux", "acp", "process"])
  expect(inBash("run", "a")).toEqual(["a plan.yaml"])
})

const OF_THE_HUB: [string, string[]][] = [
  ["task show fix-logi", ["fix-login"]],
  ["task add x X --depends-on fix-", ["fix-login", "fix-logout"]],
  // What is over is not offered.
  ["task claim d", []],
  ["wake go", ["goose"]],
  ["task list --owner go", ["goose"]],
  ["agent retire go", ["goose"]],
  ["thread read lo", ["login-api"]],
  ["-w ni", ["night"]],
  ["-w night task show o", ["owl"]],
  ["task show owl", []],
]

test.each(OF_THE_HUB)("bash completes by what the hub knows: skein %s", (line, offered) => {
  expect(inBashAt(repository, ...line.split(" ")).toSorted()).toEqual(offered)
})

test.skipIf(absent.includes("fish")).each(OF_THE_HUB)("fish completes by what the hub knows: skein %s", (line, offered) => {
  expect(inFish(line, repository).toSorted()).toEqual(offered)
})

test("without a hub, and outside of any repository, no name is offered, nothing is said and nothing is started", async () => {
  const without = newRepository()
  for (const cwd of [without, folder]) {
    expect(inBashAt(cwd, "task", "show", "")).toEqual([])
    expect(await skein(cwd, ["completion", "--names", "tasks"])).toEqual({ status: 0, stdout: "", stderr: "" })
  }
  expect(git(without, "status", "--short", "--ignored")).toBe("")
})

test("every command and every option of it is offered", async () => {
  const root = await wholeProgram()
  const options = root.options.map(({ long }) => long)
  for (const verb of root.commands) {
    const leaf = verb.commands.at(-1) ?? verb
    const path = leaf === verb ? [verb.name()] : [verb.name(), leaf.name()]
    expect(inBash(...path.slice(0, -1), "")).toContain(path.at(-1))
    expect(inBash(...path, "--").filter((word) => word.startsWith("--"))).toEqual([...leaf.options.map(({ long }) => long), ...options, "--help"])
  }
})

test.skipIf(absent.includes("fish")).each([...CASES, ["swarm spawn --by=a", ["--by=acp"]], ["run a", ["a plan.yaml"]]] as typeof CASES)(
  "fish completes: skein %s",
  (line, offered) => {
    expect(inFish(line).toSorted()).toEqual(offered)
  },
)

describe.skipIf(withoutTmux !== null)("typed at a prompt, Tab finishes a verb, an option and a value", () => {
  const start = { bash: "bash --norc --noprofile", zsh: "zsh -f", fish: "fish --no-config" }
  test.for(["bash", "zsh", "fish"] as const)("in %s", async (shell, context) => {
    context.skip(absent.includes(shell))
    const tmux = (...args: string[]): string =>
      spawnSync("tmux", ["-L", SOCKET, "-f", "/dev/null", ...args], { encoding: "utf8", env: { ...process.env, PATH } }).stdout
    const pane = tmux("new-session", "-d", "-P", "-F", "#{pane_id}", "-x", "150", "-c", repository, start[shell]).trim()
    const type = (text: string, key: string): string => tmux("send-keys", "-t", pane, "-l", "--", text) + tmux("send-keys", "-t", pane, key)
    const shows = (text: string): Promise<true> => until(() => (tmux("capture-pane", "-p", "-t", pane).includes(text) ? true : undefined), text)
    if (shell === "zsh") type("autoload -U compinit; compinit -u -D", "Enter")
    // The line itself does not say what it prints.
    type(`source ${script(shell)}; echo "rea""dy"`, "Enter")
    await shows("ready")
    for (const begun of ["skein sw", "sp", "--cou", "3 --by ac"]) type(begun, "Tab")
    await shows("skein swarm spawn --count 3 --by acp")
    tmux("send-keys", "-t", pane, "C-u")
    for (const begun of ["skein task sh", "fix-logi"]) type(begun, "Tab")
    await shows("skein task show fix-login")
  })
})
