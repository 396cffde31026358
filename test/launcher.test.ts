import { spawn, spawnSync, type ChildProcess } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"

/** What the launcher starts in these tests: it tells what it was given, then does what its first argument says. */
const MAIN = `
const [act, value] = process.argv.slice(2)
console.log(JSON.stringify({ pid: process.pid, args: process.argv.slice(2), version: process.versions.node }))
if (act === "warn") { process.emitWarning("hushed", "ExperimentalWarning"); process.emitWarning("told", { type: "DeprecationWarning" }) }
if (act === "colour") process.stdout.getColorDepth?.(), require("node:tty").WriteStream.prototype.getColorDepth()
if (act === "exit") process.exit(Number(value))
if (act === "wait") setInterval(() => {}, 1000)
if (act === "trap") { process.on(value, () => process.exit(7)); setInterval(() => {}, 1000); console.log("trapping") }
`

let root: string
/** The launcher with nothing beside it, and inside a project whose node_modules also holds the package \`node\`. */
let alone: string
let beside: string
/** Loaded ahead of the launcher, this makes it see the old version that it is to look past. */
let old: string

function install(directory: string): string {
  mkdirSync(join(directory, "dist", "cli"), { recursive: true })
  cpSync("bin", join(directory, "bin"), { recursive: true })
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }')
  writeFileSync(join(directory, "dist", "cli", "main.cjs"), MAIN)
  return join(directory, "bin", "skein.cjs")
}

function provideNode(nodeModules: string, version: string): void {
  mkdirSync(join(nodeModules, "node", "bin"), { recursive: true })
  writeFileSync(join(nodeModules, "node", "package.json"), JSON.stringify({ name: "node", version }))
  symlinkSync(process.execPath, join(nodeModules, "node", "bin", "node"))
}

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "skein-launcher-"))
  alone = install(join(root, "alone"))
  beside = install(join(root, "project", "node_modules", "skein"))
  provideNode(join(root, "project", "node_modules"), process.versions.node)
  old = join(root, "old.cjs")
  writeFileSync(old, 'Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.19.0" } })')
})

afterAll(() => rmSync(root, { recursive: true, force: true }))

const PLAIN_ENV = { ...process.env, NODE_OPTIONS: "" }
const run = (...args: string[]) => spawnSync(process.execPath, args, { encoding: "utf8", env: PLAIN_ENV })

/** Starts the launcher under an old Node and waits until what it started has said `line`. */
async function startOld(line: string, ...args: string[]): Promise<{ launcher: ChildProcess; pid: number }> {
  const launcher = spawn(process.execPath, ["-r", old, beside, ...args], { stdio: ["ignore", "pipe", "inherit"], env: PLAIN_ENV })
  let output = ""
  for await (const chunk of launcher.stdout) {
    output += String(chunk)
    if (output.includes(line)) break
  }
  return { launcher, pid: (JSON.parse(output.split("\n")[0] ?? "") as { pid: number }).pid }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

test("on a new Node the command runs in the same process, with its arguments and exit status", () => {
  const { status, stdout, stderr, pid } = run(alone, "exit", "3", "--flag")
  expect({ status, stderr }).toEqual({ status: 3, stderr: "" })
  expect(JSON.parse(stdout)).toEqual({ pid, args: ["exit", "3", "--flag"], version: process.versions.node })
})

test("an ExperimentalWarning (node:sqlite on Node 22) is hushed, any other warning is told", () => {
  const { stderr } = run(alone, "warn")
  expect(stderr).not.toContain("hushed")
  expect(stderr).toContain("DeprecationWarning: told")
})

test("nothing is said against NO_COLOR where FORCE_COLOR is set too: here the first is what counts", () => {
  const env = { ...PLAIN_ENV, NO_COLOR: "1", FORCE_COLOR: "1" }
  const { stderr } = spawnSync(process.execPath, [alone, "colour"], { encoding: "utf8", env })
  expect(stderr).toBe("")
})

test("on an old Node the command runs under the package `node` hoisted above it, with its arguments and exit status", () => {
  const { status, stdout, stderr, pid } = run("-r", old, beside, "exit", "3", "--flag")
  expect({ status, stderr }).toEqual({ status: 3, stderr: "" })
  expect(JSON.parse(stdout)).toMatchObject({ args: ["exit", "3", "--flag"], version: process.versions.node })
  expect((JSON.parse(stdout) as { pid: number }).pid).not.toBe(pid)
})

test("an old Node with none beside it is told with a remedy, and of npx only where Skein is installed: elsewhere it runs what a registry has under that name", () => {
  const { status, stdout, stderr } = run("-r", old, alone, "status")
  expect({ status, stdout }).toEqual({ status: 1, stdout: "" })
  expect(stderr).toMatch(
    /^skein: needs Node 22\.18 or newer, this is 20\.19\.0\nremedy: .*npm install node@24 .*in the folder where it is installed: npx -y -p node@24 -p skein skein\n$/,
  )
})

test("a package `node` that is itself too old is passed over", () => {
  const launcher = install(join(root, "stale", "node_modules", "skein"))
  provideNode(join(root, "stale", "node_modules"), "22.17.1")
  const { status, stderr } = run("-r", old, launcher, "status")
  expect(status).toBe(1)
  expect(stderr).toContain("needs Node 22.18 or newer")
})

test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s is handed down, and the exit status of what traps it is handed up", async (signal) => {
  const { launcher, pid } = await startOld("trapping", "trap", signal)
  launcher.kill(signal)
  expect(await once(launcher, "exit")).toEqual([7, null])
  expect(isAlive(pid)).toBe(false)
})

test("when the command dies of a signal, the launcher dies of the same one", async () => {
  const { launcher, pid } = await startOld("pid", "wait")
  process.kill(pid, "SIGKILL")
  expect(await once(launcher, "exit")).toEqual([null, "SIGKILL"])
})

test.each([
  ["wait", "pid", ""],
  ["trap", "trapping", "SIGTERM"],
])("when the launcher is killed, the command is told to end: %s", async (act, line, signal) => {
  const { launcher, pid } = await startOld(line, act, signal)
  launcher.kill("SIGKILL")
  await once(launcher, "exit")
  while (isAlive(pid)) await new Promise((resolve) => setTimeout(resolve, 10))
})

test("the launcher keeps to syntax that the oldest Node can parse", () => {
  const code = readFileSync("bin/skein.cjs", "utf8").replace(/^\s*(\/\/|\/\*\*).*$/gm, "")
  expect(code.match(/=>|\b(?:const|let|class|async|await|import)\b|`|\?\.|\?\?|\.\.\.|catch \{/g)).toBeNull()
})
