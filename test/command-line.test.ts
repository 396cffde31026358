import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { until } from "./cli-driver.ts"
import { endAllWith, runningWith } from "./left-running.ts"

const ROOT = resolve(import.meta.dirname, "..")

const WRONG = [
  ["scripts/simulate.ts", "--seeds", "x"],
  ["scripts/simulate.ts", "--from", ""],
  ["scripts/simulate.ts", "--seeds", "-1"],
  // Beyond it a number has no next one, and the run no end.
  ["scripts/simulate.ts", "--seeds", "3", "--from", "9007199254740991"],
  ["scripts/crash.ts", "--kills", "0"],
  ["scripts/crash.ts", "stray"],
  ["scripts/fuzz.ts", "--target", "plan,none"],
  ["scripts/fuzz.ts", "--cases", "0.5"],
  ["bench/main.ts"],
  ["bench/main.ts", "constructor"],
  ["bench/main.ts", "claims", "--rounds", "0"],
  ["bench/main.ts", "claims", "--engines", "floor,foo", "--json"],
  ["bench/main.ts", "cli", "--entries", "5"],
  ["bench/main.ts", "claims", "--none"],
  ["bench/main.ts", "claims", "--plot", "x.svg"],
  // It would be drawn at the end of a quarter of an hour.
  ["bench/main.ts", "growth", "--plot", "no/such/folder/x.svg"],
]

type Ended = { status: number | null; stdout: string; stderr: string }

function run(words: readonly string[], cwd = ROOT): Ended {
  return spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", ...words], { cwd, encoding: "utf8" })
}

test.each(WRONG.map((words) => [words.join(" "), words] as const))(
  "a wrong command line ends with status 2, what is wrong and how it is right: %s",
  (_, words) => {
    const { status, stdout, stderr } = run(words)
    expect(status).toBe(2)
    expect(stdout).toBe("")
    expect(stderr).not.toContain("ambiguous")
    expect(stderr).toMatch(/^\S.*\nusage: npm run (simulate|crash|fuzz|bench) -- .*\n$/)
  },
)

test("an option that npm kept, for want of a -- before it, is told of: the script would go on for minutes with another number", () => {
  const npm = (words: string[], kept: object): Ended =>
    spawnSync(process.execPath, ["--disable-warning=ExperimentalWarning", ...words], { cwd: ROOT, encoding: "utf8", env: { ...process.env, ...kept } })
  for (const [words, kept, option] of [
    [["scripts/crash.ts"], { npm_config_kills: "5" }, "kills"],
    [["scripts/simulate.ts", "3"], { npm_config_seeds: "true" }, "seeds"],
    [["bench/main.ts", "cli"], { npm_config_json: "true" }, "json"],
  ] as const)
    expect(npm([...words], kept)).toMatchObject({
      status: 2,
      stdout: "",
      stderr: expect.stringMatching(new RegExp(`^npm took --${option} for its own: write -- before`)) as string,
    })
  // Whoever gave it to both gave it to us.
  expect(npm(["scripts/crash.ts", "--kills", "0"], { npm_config_kills: "5" }).stderr).toContain("--kills takes a whole number")
})

const SCRIPTS = ["scripts/simulate.ts", "scripts/crash.ts", "scripts/fuzz.ts", "bench/main.ts"]

/** Has a script tell which sources of ours it loads. */
const TELLING = `data:text/javascript,import { registerHooks } from "node:module"
registerHooks({ load(url, context, next) { if (/\\/src\\//.test(url)) console.error(url); return next(url, context) } })`.replaceAll("\n", ";")

test.each(SCRIPTS)("asked for help, it says what it does and what each option is for, and loads and does nothing: %s", (script) => {
  const { status, stdout, stderr } = run(["--import", TELLING, script, "--help"])
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
  const [usage = "", ...about] = stdout.split("\n")
  const named = [...usage.matchAll(/--[a-z]+/g)].map(([option]) => option)
  expect(named.length).toBeGreaterThan(1)
  for (const option of named) expect(about.join("\n")).toMatch(new RegExp(`^ +${option} .+`, "m"))
  expect(run([script, ...(script === "bench/main.ts" ? ["claims"] : []), "-h"])).toMatchObject({ status: 0, stdout })
})

test("the bench's help has a line for each of its verbs", () => {
  const { stdout } = run(["bench/main.ts", "--help"])
  const verbs = /-- ([a-z|]+)/.exec(stdout)?.[1]?.split("|") ?? []
  expect(verbs.length).toBeGreaterThan(10)
  expect(verbs.filter((verb) => !new RegExp(`^  ${verb} +\\S`, "m").test(stdout))).toEqual([])
})

test("the same seeds have the same trace hash, and others another", { timeout: 60_000 }, () => {
  const traceFrom = (seed: string): string | undefined =>
    /^trace ([0-9a-f]{64})$/m.exec(run(["scripts/simulate.ts", "--trouble", "500", "--seeds", "2", "--from", seed]).stdout)?.[1]
  const seven = traceFrom("7")
  expect(seven).toBeDefined()
  expect(traceFrom("7")).toBe(seven)
  expect(traceFrom("8")).not.toBe(seven)
})

/** Runs it and closes its standard output when the first line has come, as `| head -1` does. Answers with its exit status. */
async function heardOnce(words: readonly string[]): Promise<number | null> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", ...words], { cwd: ROOT, stdio: ["ignore", "pipe", "ignore"] })
  child.stdout.once("data", () => child.stdout.destroy())
  const [status] = (await once(child, "close")) as [number | null]
  return status
}

test.each([
  ["scripts/simulate.ts", "--trouble", "1", "--seeds", "101"],
  ["scripts/fuzz.ts", "--target", "plan,prompt,note", "--cases", "3"],
  ["scripts/crash.ts", "--kills", "2"],
])("whose output nobody reads any more ends at once, and takes that for no broken promise: %s", { timeout: 120_000 }, async (...words) => {
  expect(await heardOnce(words)).toBe(141)
})

/** Interrupts the bench, and as a terminal does whom it has started too (`all`), once `began` says so of its files. */
async function interrupted(words: readonly string[], all: boolean, began: (files: string) => boolean): Promise<Ended & { left: string[]; pid: number }> {
  const above = mkdtempSync(join(tmpdir(), "skein-interrupted-"))
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "bench/main.ts", ...words], {
    cwd: ROOT,
    env: { ...process.env, SKEIN_BENCH_DIR: above },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  })
  const said = { stdout: "", stderr: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said.stderr += text))
  const timer = setInterval(() => {
    const [files] = readdirSync(above)
    if (files === undefined || !began(join(above, files))) return
    clearInterval(timer)
    process.kill(all ? -(child.pid as number) : (child.pid as number), "SIGINT")
  }, 20)
  const [status] = (await once(child, "close")) as [number | null]
  clearInterval(timer)
  const left = readdirSync(above)
  rmSync(above, { recursive: true, force: true })
  return { status, ...said, left, pid: child.pid as number }
}

test.each([
  // Its calls of the command line hear the Ctrl-C too, and it is their end that the bench hears of first.
  [["cli", "--rounds", "100000"], true, (files: string): boolean => existsSync(join(files, "skein/agents/claude.credential"))],
  // It computes, and waits for nothing; so a Ctrl-C that comes while it still looks after its build has to be heard later.
  [["governor", "--rounds", "100000"], false, (): boolean => true],
] as const)("a bench that is interrupted ends without a word, and nothing of it is left: %s", { timeout: 60_000 }, async (words, all, began) => {
  expect(await interrupted(words, all, began)).toMatchObject({ status: 130, stdout: "", stderr: "", left: [] })
})

const withTmux = test.skipIf(spawnSync("tmux", ["-V"]).status !== 0)

withTmux("nor is anything of the terminals that it opened", { timeout: 60_000 }, async () => {
  const { status, left, pid } = await interrupted(["wake", "--rounds", "100000"], true, (files) => existsSync(join(files, "control/reader.jsonl")))
  const server = ["-L", `skein-bench-${pid}`]
  try {
    expect({ status, left }).toEqual({ status: 130, left: [] })
    expect(spawnSync("tmux", [...server, "list-sessions"]).status).not.toBe(0)
  } finally {
    spawnSync("tmux", [...server, "kill-server"])
  }
})

withTmux.each([
  ["chaos", "SIGHUP"],
  ["deliveries", "SIGINT"],
  ["test", "SIGINT"],
] as const)("npm run %s that is interrupted by a %s and then another leaves no hub, no terminal and no file", { timeout: 90_000 }, async (name, signal) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { scripts: Record<typeof name, string> }
  // Its checks hold nothing that a Ctrl-C would not end, and these tests open terminals at once.
  const script = name === "test" ? `SKEIN_TEST_DELIVERIES=200 ${scripts[name]} --no-checks src/runtime/tmux` : scripts[name]
  const above = mkdtempSync(join(tmpdir(), "skein-interrupted-"))
  const { SKEIN_TALLY: _, ...own } = process.env
  const others = Object.entries(own).filter(([variable]) => !variable.startsWith("VITEST"))
  const env = { ...Object.fromEntries(others), TMPDIR: above, NODE_DISABLE_COMPILE_CACHE: "1" }
  const running = spawn("sh", ["-c", script], { cwd: ROOT, env, detached: true, stdio: "ignore" })
  const its = `TMPDIR=${above}`
  try {
    await until(() => runningWith(its).some(({ line }) => line.startsWith("tmux -L")) || undefined, "there is a terminal")
    const interrupt = (): boolean => process.kill(-(running.pid as number), signal)
    interrupt()
    await new Promise((resolve) => setTimeout(resolve, 30))
    if (running.exitCode === null) interrupt()
    const left = (): string[] => [...runningWith(its).map(({ line }) => line), ...readdirSync(above)]
    await until(() => left().length === 0 || undefined, "nothing is left", 30_000).catch(() => undefined)
    expect(left()).toEqual([])
  } finally {
    endAllWith(its)
    rmSync(above, { recursive: true, force: true })
  }
})

test("the peers' clients are installed anew where their installation was broken off", () => {
  const npm = join(checkout, "npm")
  const install = (): string => {
    const installs = 'import("./bench/peer.ts").then(({ installClients }) => installClients()).catch(({ message }) => console.log(message))'
    return spawnSync(process.execPath, ["-e", installs], { cwd: checkout, encoding: "utf8", env: { ...process.env, PATH: checkout } }).stdout
  }
  const script = (end: string): void =>
    writeFileSync(npm, `#!/bin/sh\nPATH=/usr/bin:/bin\nmkdir node_modules; echo called >> ${join(checkout, "calls")}\n${end}`, { mode: 0o755 })
  script("kill -INT $$")
  expect(install()).toContain("npm could not install the peers' clients")
  script("exit 0")
  expect(install()).toBe("")
  expect(install()).toBe("")
  expect(readFileSync(join(checkout, "calls"), "utf8")).toBe("called\ncalled\n")
})

test("a bench with --json prints one object on one line, and nothing else", { timeout: 120_000 }, () => {
  const { status, stdout } = run(["bench/main.ts", "replay", "--entries", "1200", "--rounds", "1", "--json"])
  expect(status).toBe(0)
  expect(stdout).toMatch(/^\{.*\}\n$/)
  // How long all of it took stands beside what a replay takes.
  const took = { seconds: expect.any(Number) as number, tookS: expect.any(Number) as number }
  expect(JSON.parse(stdout)).toMatchObject({ bench: "replay", allHold: true, machine: { node: process.versions.node }, ...took })
})

/** A checkout whose build says what it does and fails. */
let checkout = ""
beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), "skein-command-line-"))
  for (const folder of ["scripts", "bench"]) cpSync(join(ROOT, folder), join(checkout, folder), { recursive: true })
  for (const name of ["src", "test", "examples", "node_modules", "package.json"]) symlinkSync(join(ROOT, name), join(checkout, name))
  writeFileSync(join(checkout, "scripts/build.ts"), 'console.log("building"); process.exit(3)')
})
afterAll(() => rmSync(checkout, { recursive: true, force: true }))

test.each([
  ["scripts/crash.ts", "--kills", "1"],
  ["scripts/fuzz.ts", "--target", "plan", "--cases", "1"],
  ["bench/main.ts", "replay", "--entries", "10", "--json"],
])("what needs the build makes it, and nothing of that is on standard output: %s", (...words) => {
  const { status, stdout, stderr } = run(words, checkout)
  expect({ status, stdout }).toEqual({ status: 3, stdout: "" })
  expect(stderr).toContain("building")
})
