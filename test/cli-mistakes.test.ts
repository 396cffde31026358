import { spawnSync } from "node:child_process"
import { closeSync, existsSync, mkdirSync, openSync, renameSync, rmSync, symlinkSync } from "node:fs"
import { join, resolve } from "node:path"
import { afterAll, beforeAll, expect, test } from "vitest"
import { git, json, newRepository, operator, parseLines, skein, startSkein, tidyUp } from "./cli-driver.ts"

let repository: string

beforeAll(async () => {
  repository = newRepository()
  await json(repository, ["up"])
  await json(repository, ["task", "add", "letter", "Letter"])
})
afterAll(tidyUp)

const OF_THE_VERB: [string[], string][] = [
  [["task", "list", "--statt"], "skein task list --help"],
  [["-w", "main", "task", "add", "lonely"], "skein task add --help"],
  [["--url", "http://127.0.0.1:9", "ledger", "tail", "-n", "x"], "skein ledger tail --help"],
  [["task", "show", "a b"], "skein task show --help"],
  [["thread", "post", "team", ""], "skein thread post --help"],
  [["budget", "set", "nothing/x", "5"], "skein budget set --help"],
]

test.each(OF_THE_VERB)("whoever got a verb wrong is led to the help of that very verb, also where the hub found the fault: %j", async (args, help) => {
  const { status, stderr } = await skein(repository, args)
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(new RegExp(`^remedy: .*${help} says`, "m")) as string })
})

test("of the last checkpoint's own entry it is said that none covers it yet, and not that it is not there", async () => {
  const [made] = await json(repository, ["ledger", "checkpoint"])
  const prove = (seq: number): ReturnType<typeof skein> => skein(repository, ["ledger", "prove", String(seq)])
  const { size } = made as { size: number }
  const { status, stderr } = await prove(size + 1)
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/entry \d+ is the last checkpoint itself/) as string })
  expect((await prove(size + 2)).stderr).toContain(`there is no entry ${size + 2}`)
})

const UNDER_OTHERS: [string, string][] = [
  ["replay", "Did you mean skein ledger replay?"],
  ["why", "Did you mean skein trigger why or skein ledger why?"],
  ["log", "Did you mean skein ledger tail or skein policy log?"],
  ["explain", "Did you mean skein ledger why?"],
  ["tasks", 'Did you mean "task"?'],
  ["list", "skein --help lists the verbs."],
  ["constructor", "skein --help lists the verbs."],
]

test.each(UNDER_OTHERS)("whoever tries a word that stands under other verbs is led there: skein %s", async (word, remedy) => {
  const { status, stderr } = await skein(repository, [word])
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(`"${word}"\nremedy: ${remedy}`) as string })
})

test("help asked for before the verb is the verb's", async () => {
  const [before, after] = await Promise.all([skein(repository, ["-h", "task", "add"]), skein(repository, ["task", "add", "--help"])])
  expect(before).toEqual(after)
})

test("an address for a hub that is up at another is not passed over in silence", async () => {
  for (const [args, said] of [
    [["up"], ""],
    [["up", "--host", "127.0.0.1"], ""],
    [["up", "--port", "1"], expect.stringContaining("skein down, then skein up") as string],
    [["up", "--host", "0.0.0.0"], expect.stringContaining("skein down, then skein up") as string],
  ] as const) {
    const { status, stderr } = await skein(repository, args)
    expect({ status, stderr }).toEqual({ status: 0, stderr: said })
  }
})

test("a beat that no session hears is refused: whatever keeps an agent running learns that its session is over", async () => {
  const [begun] = await json<{ session: string }>(repository, ["session", "start", "--owned"])
  const id = begun?.session ?? ""
  expect(await json(repository, ["session", "beat", id])).toEqual([{ heard: [id] }])
  await json(repository, ["session", "end", id])
  expect(await skein(repository, ["session", "beat", id])).toMatchObject({
    status: 1,
    stdout: "heard of 0 of 1\n",
    stderr: expect.stringMatching(/you have no session s_\w+ that could beat\nremedy: skein session list/) as string,
  })
})

test("the director works without being added, whatever it does first", async () => {
  for (const [workspace, ...args] of [
    ["begun", "session", "start"],
    ["reserved", "files", "reserve", "a.ts"],
  ] as const) {
    await operator(repository).call("workspace.create", { name: workspace })
    const env = { SKEIN_WORKSPACE: workspace }
    expect(await skein(repository, ["wake", "operator"], env)).toMatchObject({ status: 1, stderr: expect.stringContaining("skein session start") as string })
    expect(await json(repository, args, env)).toHaveLength(1)
    expect((await skein(repository, ["wake", "operator"], env)).status).toBe(0)
  }
})

test("what begins beyond the ledger's end is told where that is", async () => {
  const { status, stdout, stderr } = await skein(repository, ["ledger", "tail", "--from", "99999"])
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: expect.stringMatching(/^the ledger ends at entry \d+$/m) as string })
})

test("an agent that was named and has no credential here is told by its name", async () => {
  expect(await skein(repository, ["prime", "--agent", "nobody"])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("there is no credential of nobody here") as string,
  })
})

const NO_NUMBER: [string[], string][] = [
  [["ack", "abc"], "seq"],
  [["ledger", "why", "zero"], "seq"],
  [["ledger", "prove", "0"], "seq"],
  [["thread", "ack", "team", "-"], "n"],
  [["permission", "answer", "x", "allow"], "request"],
  [["budget", "set", "workspace", "much"], "usd"],
  [["budget", "top-up", "workspace", "much"], "usd"],
  [["cost", "refund", "much", "--agent", "ann"], "usd"],
  [["thread", "status", "team", "over", "--reason", "x"], "status"],
]

test.each(NO_NUMBER)("an argument that is no number, or none of its words, is told by its name: %j", async (args, name) => {
  const { status, stderr } = await skein(repository, args)
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(new RegExp(`^skein: ".*" is invalid for argument "${name}"`)) as string })
})

const NO_FOLDER: [string, string[], RegExp][] = [
  ["an export to where no folder can be", ["export", "--dir", "/proc/x/y"], /"\/proc\/x" cannot be made/],
  ["a witness whose state is where no folder can be", ["witness", "serve", "--state", "/proc/x/y/w.json"], /"\/proc\/x" cannot be made/],
]
const CONTRARY: [string, string[], RegExp][] = [
  ["a session without its agent", ["token", "--session", "s_x"], /--agent NAME/],
  ["a title that is empty", ["task", "add", "x", ""], /title: it is empty/],
  ["an edit of an agent that changes nothing", ["agent", "edit", "operator", "--reason", "x"], /at least one field/],
  ["a number of wakes without a reason", ["trigger", "policy", "--set", "ackMs=9000"], /--reason TEXT/],
  ["a key with no checkpoint to hold to it", ["ledger", "verify", "--key", "foo"], /--checkpoint FILE/],
  ["what changed since an entry that is not there", ["ledger", "replay", "--diff", "9999"], /since entry 9999 is not there/],
  ["the state of a witness that is none", ["witness", "status", "--state", "nowhere.json"], /no witness with the state nowhere.json/],
  ["usage of nothing", ["cost", "report"], /--input/],
  ["two deliverables", ["task", "complete", "letter", "--text", "a", "--file", "b"], /--text and --file/],
  ["a lease of two hours", ["task", "add", "x", "X", "--lease", "2h"], /from 1 s to 1 h/],
  ["an option at the end that needs a value", ["-w"], /-w needs a value/],
  ["a folder in place of a ledger", ["ledger", "tail", "--file", "/tmp"], /is a folder/],
  ["what has no end in place of a proof", ["ledger", "check", "/dev/zero"], /too long to be a proof/],
  ["what has no end in place of a deliverable", ["task", "complete", "letter", "--file", "/dev/zero"], /bytes long/],
  ...(existsSync("/proc/self") ? NO_FOLDER : []),
]

test.each(CONTRARY)("%s is a usage error", async (_, args, says) => {
  const { status, stdout, stderr } = await skein(repository, args)
  expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: "", stderr: expect.stringMatching(says) as string })
})

test("a workspace becomes a part of paths and requests: what can name none is refused before anything is looked for", async () => {
  for (const [args, env] of [
    [["-w", "../../keys", "ledger", "tail"], {}],
    [["-w", "", "status"], {}],
    [["task", "list"], { SKEIN_WORKSPACE: "\u001b[31mred" }],
  ] as const) {
    const { status, stderr } = await skein(repository, args, env)
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringMatching(/^skein: (--workspace|SKEIN_WORKSPACE) is .*can name no workspace/) as string,
    })
    expect(stderr).not.toContain("\u001b")
  }
  expect(await skein(repository, ["task", "list"], { SKEIN_WORKSPACE: "" })).toMatchObject({ status: 0 })
})

test("a fence that is none is not taken for the fence that the hub knows now", async () => {
  await json(repository, ["task", "claim", "letter"])
  const { status, stderr } = await skein(repository, ["task", "update"], { SKEIN_TASK: "letter", SKEIN_FENCE: "4x" })
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining("SKEIN_FENCE") as string })
})

test("all that is wrong with an input is told, and not the first of it alone", async () => {
  const { status, stderr } = await skein(repository, ["task", "add", "x", "", "--label", "\u001b[31m"])
  expect(status).toBe(2)
  expect(stderr).toMatch(/title: .*\n {2}labels\[0\]: .*\nremedy: /)
})

test("with --json standard error holds one object and nothing else, also where people are shown a help", async () => {
  for (const args of [["task"], ["--json", "ledger"], ["task", "--json"]]) {
    const { status, stdout, stderr } = await skein(repository, [...args, "--json"])
    expect({ status, stdout, errors: parseLines(stderr).length }).toEqual({ status: 2, stdout: "", errors: 1 })
  }
})

// Linux alone has a file that is always full.
test.runIf(existsSync("/dev/full"))("an answer that cannot be written is told with its remedy, and not by a stack", () => {
  const full = openSync("/dev/full", "w")
  try {
    const { status, stderr } = spawnSync(process.execPath, [resolve("bin/skein.cjs"), "--help"], { stdio: ["ignore", full, "pipe"], encoding: "utf8" })
    expect({ status, lines: stderr.trimEnd().split("\n") }).toEqual({
      status: 1,
      lines: [expect.stringContaining("standard output") as string, expect.stringContaining("make room") as string],
    })
  } finally {
    closeSync(full)
  }
})

test("the global instance has an absolute path or none: a home that is no folder is told, and no hub is started elsewhere", async () => {
  const { status, stderr } = await skein(repository, ["up", "--global"], { HOME: "relative", XDG_STATE_HOME: "" })
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining("HOME") as string })
  expect(existsSync(join(repository, "relative"))).toBe(false)
})

test("entries from one on are as many as are asked for", async () => {
  expect((await json(repository, ["ledger", "tail", "--from", "1", "-n", "2"])).map(({ seq }) => seq)).toEqual([1, 2])
  expect((await json(repository, ["ledger", "tail", "-n", "1"])).length).toBe(1)
  expect((await json(repository, ["ledger", "tail", "--from", "1"])).length).toBeGreaterThan(2)
})

test("a path is shown as safely as any other text, and what is to be typed into a shell still names it", async () => {
  const folder = join(repository, "red\u001b[31m 'it'\n")
  mkdirSync(folder)
  git(folder, "init", "-q")
  await json(folder, ["up"])
  const { stdout } = await skein(folder, ["agent", "add", "goose"])
  await json(folder, ["down"])
  expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  const typed = /export SKEIN_TOKEN_FILE=.*/.exec(stdout)?.[0] ?? ""
  const named = spawnSync("bash", ["-c", `${typed}; printf %s "$SKEIN_TOKEN_FILE"`], { encoding: "utf8" }).stdout
  expect(named).toBe(join(folder, ".skein", "agents", "goose.credential"))
})

test("a list that is cut says so, and how to see the rest", async () => {
  await json(repository, ["task", "add", "second", "Second"])
  for (const text of ["one", "two", "three"]) await json(repository, ["thread", "post", "team", text])
  await json(repository, ["thread", "create", "Another"])
  const said = async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await skein(repository, args)
    return stdout + stderr
  }
  const cut = "only the first 1 are shown: --limit shows more"
  expect([await said("task", "list", "--limit", "1"), await said("thread", "list", "--limit", "1")]).toEqual([
    expect.stringContaining(cut) as string,
    expect.stringContaining(cut) as string,
  ])
  expect(await said("thread", "read", "team", "--since", "0", "--limit", "2")).toContain("go on with --since 2")
  for (const whole of [
    await said("task", "list", "--limit", "2"),
    await said("thread", "list"),
    await said("thread", "read", "team", "--since", "0", "--limit", "3"),
  ])
    expect(whole).not.toMatch(/only the first|go on with/)
})

test("a doctor who has lost the credential still tells what it sees, and how to have another", async () => {
  const [own, away] = [join(repository, ".skein", "operator.credential"), join(repository, "away")]
  renameSync(own, away)
  try {
    const { status, stdout } = await skein(repository, ["doctor", "--quick", "--json"])
    const findings = parseLines<{ level: string; about: string; remedy: string | null }>(stdout)
    expect(status).toBe(1)
    expect(findings).toContainEqual(expect.objectContaining({ level: "ok", about: "hub" }))
    expect(findings.filter(({ level }) => level === "problem")).toMatchObject([{ remedy: expect.stringContaining("skein down") as string }])
  } finally {
    renameSync(away, own)
  }
})

test("an agent whose credential cannot be kept is there all the same: that is said, and how it gets another", async () => {
  const [agents, away] = [join(repository, ".skein", "agents"), join(repository, "agents away")]
  if (existsSync(agents)) renameSync(agents, away)
  closeSync(openSync(agents, "w"))
  const { status, stderr } = await skein(repository, ["agent", "add", "heron"])
  rmSync(agents)
  if (existsSync(away)) renameSync(away, agents)
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/^remedy: .*skein agent credential heron$/m) as string })
  expect(await skein(repository, ["agent", "credential", "heron"])).toMatchObject({ status: 0 })
})

test("a credential comes from a file: a pipe without a writer, a folder and a device without end are told, and not waited for", async () => {
  const folder = newRepository()
  const pipe = join(folder, "pipe")
  spawnSync("mkfifo", [pipe])
  for (const given of [pipe, folder, "/dev/zero"]) {
    const env = { SKEIN_TOKEN_FILE: given }
    const { status, stderr } = await startSkein(repository, ["task", "list"], env, { withinMs: 20_000 }).ended
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringContaining(`${JSON.stringify(given)} cannot be read: it is no regular file`) as string,
    })
    // Hook, MCP shim and guard ask in the same way who they are.
    expect(await startSkein(repository, ["prime"], env, { withinMs: 20_000 }).ended).toMatchObject({ status: 2 })
  }
})

test("a supervisor's files that are none keep it from starting, with their place and the remedy, and are not waited for", async () => {
  const folder = newRepository()
  const place = (name: string): string => join(folder, ".skein", name)
  const up = () => startSkein(folder, ["up", "--supervise"], {}, { withinMs: 30_000 }).ended
  mkdirSync(place("supervisor/supervisor.json"), { recursive: true })
  expect(await up()).toMatchObject({ status: 1, stderr: expect.stringMatching(/supervisor\.json is a folder.*\nremedy: Move it away/) as string })
  rmSync(place("logs/supervisor.log"))
  spawnSync("mkfifo", [place("logs/supervisor.log")])
  expect(await up()).toMatchObject({ status: 1, stderr: expect.stringContaining(place("logs/supervisor.log")) as string })
})

test("a repository whose files of Skein are links to a device, as a clone may have them, holds up neither a verb nor a hook, nor a hub's start", async () => {
  const folder = newRepository()
  const place = (name: string): string => join(folder, ".skein", name)
  mkdirSync(place("hooks"), { recursive: true })
  const names = ["hub.json", "config.yaml", "init.json", "hooks/guard.json"]
  for (const name of names) symlinkSync("/dev/zero", place(name))
  const run = (...args: string[]) => startSkein(folder, args, {}, { withinMs: 20_000 }).ended
  expect(await run("status")).toMatchObject({ status: 69, stderr: expect.stringContaining("no hub is running") as string })
  expect(await run("hook", "claude", "SessionStart")).toMatchObject({ status: 0 })
  const refused = `${place("config.yaml")} is no regular file`
  expect(await run("up", "--foreground")).toMatchObject({ status: 1, stderr: expect.stringContaining(refused) as string })
  for (const name of names) rmSync(place(name))
  mkdirSync(place("keys"), { recursive: true })
  spawnSync("mkfifo", [place("keys/token.pem")])
  expect(await run("up", "--foreground")).toMatchObject({ status: 1, stderr: expect.stringContaining("token.pem is no regular file") as string })
})

test("a task that nobody holds is told as that, and not by a fence that nobody named", async () => {
  await json(repository, ["task", "add", "idle", "Idle"])
  for (const args of [
    ["update", "idle", "--progress", "0.5"],
    ["complete", "idle"],
    ["release", "idle"],
  ])
    expect(await skein(repository, ["task", ...args])).toMatchObject({
      status: 1,
      stderr: "skein: task idle is pending, and nobody holds it\nremedy: Claim it first: skein task claim idle\n",
    })
  await json(repository, ["task", "cancel", "idle", "--reason", "x"])
  expect(await skein(repository, ["task", "fail", "idle", "--reason", "x"])).toMatchObject({
    status: 1,
    stderr: "skein: task idle is cancelled, and nobody holds it\nremedy: See how it came there: skein task show idle\n",
  })
})
