import type { Command } from "commander"
import { spawn } from "node:child_process"
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, test } from "vitest"
import { wholeProgram } from "../src/cli/completion.ts"
import { isAlive } from "../src/cli/instance.ts"
import { bornOf } from "../src/runtime/supervisor-folder.ts"
import { git, hubPid, json, newRepository, operator, parseLines, skein, startSkein, tidyUp, until } from "./cli-driver.ts"

afterAll(tidyUp)

/** One repository with a running hub, for tests that do not end it. */
let repository = ""
beforeAll(async () => {
  repository = newRepository()
  await json(repository, ["up"])
})

describe("the hub", () => {
  test("up starts it, up again says that it is up, down ends it and leaves nothing behind but its files", async () => {
    const folder = newRepository()
    const [first] = await json<{ already: boolean; pid: number; url: string }>(folder, ["up"])
    expect(first).toMatchObject({ up: true, already: false })
    const [again] = await json<{ already: boolean; pid: number }>(folder, ["up"])
    expect(again).toMatchObject({ already: true, pid: first?.pid })
    const [status] = await json(folder, ["status"])
    expect(status).toMatchObject({ url: first?.url, workspace: "main" })
    const down = await skein(folder, ["down"])
    expect(down).toMatchObject({ status: 0, stderr: "" })
    expect(existsSync(join(folder, ".skein", "hub.json"))).toBe(false)
    expect(isAlive(first?.pid ?? 0)).toBe(false)
    expect(await skein(folder, ["down"])).toMatchObject({ status: 0, stdout: "no hub is running\n" })
    // The next one listens where the last one did: whoever remembers the address finds it again.
    const [later] = await json<{ url: string }>(folder, ["up"])
    expect(later?.url).toBe(first?.url)
  })

  test("down says which workspaces go with the hub and who is there; where one of several is named, it stops none", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await json(folder, ["workspace", "create", "research"])
    await json(folder, ["-w", "research", "agent", "add", "goose"])
    const goose = { SKEIN_TOKEN_FILE: join(folder, ".skein", "agents", "research", "goose.credential") }
    await json(folder, ["session", "start"], goose)
    const refused = { status: 2, stderr: expect.stringContaining("the hub is one for all its workspaces: main, research (1 agent)") as string }
    expect(await skein(folder, ["-w", "main", "down"])).toMatchObject(refused)
    expect(await skein(folder, ["down"], { SKEIN_WORKSPACE: "research" })).toMatchObject(refused)
    const pid = hubPid(folder)
    expect(await skein(folder, ["down"])).toMatchObject({ status: 0, stdout: `the hub (process ${pid}) is down, and with it main, research (1 agent)\n` })
  })

  test("secrets are files of mode 0600, and git sees none of them", async () => {
    for (const name of ["operator.credential", "hub.json", "keys/token.pem", "ledger/main.sqlite", "logs/hub.log"]) {
      expect([name, statSync(join(repository, ".skein", name)).mode & 0o777]).toEqual([name, 0o600])
    }
    expect(git(repository, "status", "--porcelain")).toBe("")
    const log = readFileSync(join(repository, ".skein", "logs", "hub.log"), "utf8")
    expect(log).not.toContain("skc_")
  })

  test("a hub that was killed is recognised: calls end with 69, up starts another, nothing acknowledged is lost", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await json(folder, ["task", "add", "kept", "Kept"])
    process.kill(hubPid(folder) ?? 0, "SIGKILL")
    await until(async () => ((await skein(folder, ["status"])).status === 69 ? true : undefined), "the hub is gone")
    expect(await skein(folder, ["doctor"])).toMatchObject({ status: 1, stdout: expect.stringContaining("died without tidying up") as string })
    expect(await json(folder, ["up"])).toMatchObject([{ already: false }])
    expect(await json(folder, ["task", "list"])).toMatchObject([{ id: "kept" }])
    expect((await skein(folder, ["ledger", "verify"])).status).toBe(0)
  })

  test("down signals no other program that has the hub's process id, as where the hub runs in a container", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    const file = join(folder, ".skein", "hub.json")
    const hub = readFileSync(file, "utf8")
    const other = spawn("sleep", ["60"])
    try {
      writeFileSync(file, JSON.stringify({ ...(JSON.parse(hub) as object), pid: other.pid }))
      expect(await skein(folder, ["down"])).toMatchObject({ status: 69, stderr: expect.stringContaining("where it was started") as string })
      expect(other).toMatchObject({ exitCode: null, signalCode: null })
    } finally {
      other.kill()
    }
    writeFileSync(file, hub)
    expect(await json(folder, ["down"])).toMatchObject([{ down: true, already: false }])
  })

  test("a hub whose instance is removed under it ends with it, and the next begins anew", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    const pid = hubPid(folder) ?? 0
    rmSync(join(folder, ".skein"), { recursive: true })
    await until(() => (isAlive(pid) ? undefined : true), "the hub ends")
    expect(existsSync(join(folder, ".skein"))).toBe(false)
    expect(await json(folder, ["up"])).toMatchObject([{ already: false }])
  })

  test("it is found from any folder and any worktree of the repository", async () => {
    const tree = join(newRepository(), "tree")
    git(repository, "worktree", "add", "-q", "--detach", tree)
    expect(await json(tree, ["status"])).toMatchObject([{ workspace: "main" }])
    expect(await json("/", ["--repo", repository, "status"])).toMatchObject([{ workspace: "main" }])
  })

  test("outside of any repository it asks for one, and never falls back to a hidden instance", async () => {
    expect(await skein("/", ["status"])).toMatchObject({ status: 2, stderr: expect.stringContaining("--global") as string })
  })
})

describe("a task's life", () => {
  test("add, claim, update, complete: each told, each an entry, and what waited is ready", async () => {
    await json(repository, ["task", "add", "first", "The first", "--estimate", "20m", "--label", "life"])
    await json(repository, ["task", "add", "second", "The second", "--depends-on", "first", "--label", "life"])
    expect(await json(repository, ["task", "list", "--label", "life"])).toMatchObject([
      { id: "first", state: "ready", estimateMs: 1_200_000 },
      { id: "second", state: "waiting" },
    ])
    const [claimed] = await json<{ fence: number }>(repository, ["task", "next", "--label", "life"])
    expect(claimed).toMatchObject({ task: { id: "first" } })
    await json(repository, ["task", "update", "first", "--progress", "0.5", "--note", "half way"])
    expect(await json(repository, ["task", "show", "first"])).toMatchObject([
      { task: { status: "in_progress", progress: 0.5, note: "half way" }, dependents: ["second"] },
    ])
    expect(await json(repository, ["task", "complete", "first", "--text", "done", "--tests-pass", "--cost", "1.5"])).toMatchObject([
      { status: "completed", ready: ["second"] },
    ])
    const late = await skein(repository, ["task", "update", "first", "--fence", String(claimed?.fence), "--progress", "0.9", "--json"])
    expect(late).toMatchObject({ status: 1, stdout: "" })
    expect(JSON.parse(late.stderr)).toMatchObject({ error: { code: "stale_fence", remedy: expect.stringContaining("Stop working") as string } })
  })

  test("block, reset, cancel and lease end ask for a reason and keep it on the ledger", async () => {
    await json(repository, ["task", "add", "stuck", "Stuck"])
    await json(repository, ["task", "claim", "stuck"])
    await json(repository, ["task", "block", "stuck", "--on", "external:the API", "--reason", "it is down"])
    expect(await skein(repository, ["lease", "end", "stuck"])).toMatchObject({ status: 2 })
    await json(repository, ["lease", "end", "stuck", "--reason", "its holder left"])
    expect(await json(repository, ["task", "show", "stuck"])).toMatchObject([{ task: { status: "pending", attempts: 1 } }])
    await json(repository, ["task", "cancel", "stuck", "--reason", "not needed"])
    expect(await json(repository, ["task", "show", "stuck"])).toMatchObject([{ task: { status: "cancelled", reason: "not needed" } }])
    await json(repository, ["task", "reset", "stuck", "--reason", "needed after all"])
    const entries = await json<{ type: string; data: { id?: string; reason?: string } }>(repository, ["ledger", "tail", "--from", "1"])
    expect(entries.filter(({ data }) => data.id === "stuck").map(({ type }) => type)).toEqual([
      "task.added",
      "task.claimed",
      "task.started",
      "task.blocked",
      "lease.ended",
      "task.cancelled",
      "task.reset",
    ])
    await json(repository, ["task", "cancel", "stuck", "--reason", "tidy"])
  })

  test("an agent acts with the credential of its file, and the environment of its task", async () => {
    const [added] = await json<{ credentialFile: string }>(repository, ["agent", "add", "goose", "--capability", "docs:3"])
    expect(statSync(added?.credentialFile ?? "").mode & 0o777).toBe(0o600)
    const env = { SKEIN_TOKEN_FILE: added?.credentialFile ?? "" }
    await json(repository, ["task", "add", "letter", "Letter", "--requires", "docs:2", "--label", "letters"])
    const [claimed] = await json<{ fence: number; task: { owner: string } }>(repository, ["task", "next", "--label", "letters"], env)
    expect(claimed?.task.owner).toBe("goose")
    const own = { ...env, SKEIN_TASK: "letter", SKEIN_FENCE: String(claimed?.fence) }
    await json(repository, ["task", "update", "--note", "writing"], own)
    expect(await skein(repository, ["agent", "retire", "goose", "--reason", "x"], env)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("operator") as string,
    })
    await json(repository, ["task", "complete", "--text", "Dear all"], own)
    expect(await json(repository, ["agent", "show", "goose"])).toMatchObject([{ agent: { name: "goose", busy: false } }])
  })
})

describe("what a terminal must not obey", () => {
  test("control characters and overrides of direction are shown, not sent", async () => {
    await json(repository, ["task", "add", "evil", "Evil", "--body", "clear \u001b[2J\u0007 and turn \u202eback"])
    await json(repository, ["task", "claim", "evil"])
    await json(repository, ["task", "update", "evil", "--note", "\u001b]0;owned\u0007"])
    for (const args of [["task", "show", "evil"], ["task", "list"], ["board"], ["status"], ["ledger", "tail"], ["board", "--md"]]) {
      const { stdout } = await skein(repository, args, { FORCE_COLOR: "0" })
      expect([args, stdout.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)]).toEqual([args, null])
    }
    expect((await skein(repository, ["task", "show", "evil"])).stdout).toContain("clear \\x1b[2J\\x07 and turn \\u{202e}back")
    await json(repository, ["task", "cancel", "evil", "--reason", "tidy"])
  })

  test("a title cannot hold them at all, and an error that quotes the command line shows them", async () => {
    expect(await skein(repository, ["task", "add", "worse", "A\u001b[31mB"])).toMatchObject({ status: 2 })
    const { status, stderr } = await skein(repository, ["tas\u001b[31mk"])
    expect({ status, raw: stderr.includes("\u001b") }).toEqual({ status: 2, raw: false })
  })
})

const USAGE: [string, string[]][] = [
  ["an unknown verb", ["tsk"]],
  ["an unknown option alone", ["--frobnicate"]],
  ["an unknown subcommand", ["task", "ad"]],
  ["an unknown option", ["task", "list", "--statt", "ready"]],
  ["a missing argument", ["task", "add", "lonely"]],
  ["an argument too many", ["down", "now"]],
  ["a missing reason", ["task", "cancel", "first"]],
  ["a state that there is not", ["task", "list", "--state", "redy"]],
  ["a duration without a unit", ["task", "add", "x", "X", "--estimate", "90"]],
  ["a negative amount", ["task", "add", "x", "X", "--budget", "-3"]],
  ["a level over 5", ["task", "add", "x", "X", "--requires", "docs:9"]],
  ["a progress over 1", ["task", "update", "first", "--progress", "2"]],
  ["a blocker of no kind", ["task", "block", "first", "--on", "weather", "--reason", "rain"]],
  ["a fence that is no number", ["task", "update", "first", "--fence", "abc"]],
  ["a payload that is no JSON", ["send-event", "info", "--payload", "{"]],
  ["a target that is none", ["send-event", "info", "--to", "nobody"]],
  ["a kind of event that there is not", ["send-event", "gossip"]],
  ["an id that no task can have", ["task", "add", "a b", "T"]],
  ["a glob that leads out of the repository", ["task", "add", "x", "X", "--touches", "../x"]],
  ["a seq that is none", ["ledger", "why", "zero"]],
  ["an entry beyond the end", ["ledger", "replay", "--to", "99999999"]],
  ["a folder that is not there", ["--repo", "/nowhere/at/all", "status"]],
  ["a plan that is not there", ["plan", "check", "nothing.yaml"]],
  ["a plan that is a folder", ["plan", "check", "."]],
  ["a speed of nothing", ["run", "x.yaml", "--speed", "0"]],
  ["a first text that is too long to be typed", ["swarm", "spawn", "--agent", "claude", "--prompt", "ü".repeat(8_193)]],
  ["a variable that is too long to be kept", ["swarm", "spawn", "--agent", "claude", "--env", `A=${"x".repeat(4_097)}`]],
  ["a first text of nothing that could be typed", ["swarm", "spawn", "--agent", "claude", "--prompt", "\u001b \n"]],
  ["a verb alone that needs another word", ["task"]],
]

describe("exit statuses", () => {
  test.each(USAGE)("%s is a usage error: 2, with a message and a remedy", async (_, args) => {
    const { status, stdout, stderr } = await skein(repository, args)
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" })
    expect(stderr).toMatch(/skein: .+\n(?: {2}.+\n)*remedy: .+\n$/)
  })

  test("a refusal is 1, no hub is 69, each told as one JSON object on standard error with --json", async () => {
    const refused = await skein(repository, ["task", "claim", "no-such-task", "--json"])
    expect({ status: refused.status, error: JSON.parse(refused.stderr) as unknown }).toMatchObject({
      status: 1,
      error: { error: { code: "not_found", details: { task: "no-such-task" } } },
    })
    const alone = await skein(newRepository(), ["task", "list", "--json"])
    expect({ status: alone.status, error: JSON.parse(alone.stderr) as unknown }).toMatchObject({
      status: 69,
      error: { error: { code: "hub_unreachable", remedy: expect.stringContaining("skein up") as string } },
    })
    const wrongAddress = await skein(repository, ["--url", "http://127.0.0.1:9", "status"])
    expect(wrongAddress.status).toBe(69)
  })

  test("a workspace that is not there is told with the verb that makes it, and is one of its own once made", async () => {
    expect(await skein(repository, ["-w", "research", "status"])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining("skein workspace create research") as string,
    })
    const up = ["-w", "research", "up"]
    expect(await skein(repository, up)).toMatchObject({
      status: 0,
      stderr: "there is no workspace research: skein workspace create research makes it\n",
    })
    await json(repository, ["workspace", "create", "research"])
    expect((await skein(repository, up)).stderr).toBe("")
    await json(repository, ["-w", "research", "task", "add", "first", "Another first"])
    expect(await json(repository, ["-w", "research", "task", "list"])).toMatchObject([{ id: "first", title: "Another first" }])
    expect((await json(repository, ["workspace", "list"])).map(({ name }) => name)).toEqual(["main", "research"])
  })

  test("the operator's credential is never sent to another machine", async () => {
    const { status, stderr } = await skein(repository, ["--url", "http://skein.example.org", "status"])
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining("SKEIN_TOKEN_FILE") as string })
  })

  test("a hub that says to come again is 75", async () => {
    const { createServer } = await import("node:http")
    const error = { code: "overloaded", message: "the queue is full", remedy: "Come again.", details: {}, retryAfterMs: 1 }
    const server = createServer((_, response) => response.writeHead(429, { "content-type": "application/json" }).end(JSON.stringify(error)))
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as { port: number }
    const { status, stderr } = await skein(repository, ["--url", `http://127.0.0.1:${port}`, "task", "list"])
    server.close()
    expect({ status, stderr }).toMatchObject({ status: 75, stderr: expect.stringContaining("the queue is full") as string })
  })

  test("a reader that has seen enough is no failure", async () => {
    const { child, ended } = startSkein(repository, ["--help"])
    child.stdout?.destroy()
    expect((await ended).status).toBe(0)
  })
})

/** Some at a time: a process for each verb at once would be more than a small machine holds. */
async function inTurns<Item, Answer>(items: readonly Item[], ask: (item: Item) => Promise<Answer>): Promise<Answer[]> {
  const answers: Answer[] = []
  for (let at = 0; at < items.length; at += 4) answers.push(...(await Promise.all(items.slice(at, at + 4).map(ask))))
  return answers
}

function helpOf(root: Command, path: readonly string[]): string {
  const command = path.reduce<Command | undefined>((above, name) => above?.commands.find((one) => one.name() === name), root)
  let help = ""
  command?.configureOutput({ writeOut: (text) => (help += text), getOutHelpWidth: () => 80, getOutHasColors: () => false }).outputHelp()
  return help
}

describe("help", () => {
  test("the manual tells every verb, and every verb has a help of its own with an example", async () => {
    const { stdout } = await skein(repository, ["--help"])
    const verbs =
      stdout
        .slice(stdout.indexOf("VERBS"), stdout.indexOf("\nOPTIONS"))
        .match(/^ {4}[a-z-]+(?= )/gm)
        ?.map((verb) => verb.trim()) ?? []
    expect(verbs.length).toBeGreaterThan(15)
    for (const section of ["SYNOPSIS", "EXAMPLES", "EXIT STATUS", "FILES", "ENVIRONMENT"]) expect(stdout).toContain(section)
    const helps = await inTurns(verbs, async (verb) => ({ verb, ...(await skein(repository, [verb, "--help"])) }))
    for (const { verb, status, stdout: help } of helps) expect([verb, status, /Usage:/.test(help)]).toEqual([verb, 0, true])
    const subcommands = helps
      .flatMap(({ verb, stdout: help }) => (help.split("Commands:")[1] ?? "").match(/^ {2}[a-z-]+/gm)?.map((name) => [verb, name.trim()]) ?? [])
      .filter(([, name]) => name !== "help")
    expect(subcommands.length).toBeGreaterThan(35)
    const lone = helps.filter(({ stdout: help }) => !help.includes("Commands:")).map(({ verb, stdout: help }) => ({ args: [verb], help }))
    // A process for each of these too would show no more: what leads to a verb's help leads to theirs.
    const root = await wholeProgram()
    const inner = subcommands.map((args) => ({ args, help: helpOf(root, args) }))
    expect([...lone, ...inner].filter(({ help }) => !/Examples:\n +\$ skein|Examples:\n +\$ curl/.test(help)).map(({ args }) => args)).toEqual([])
    const [first] = inner
    expect((await skein(repository, [...(first?.args ?? []), "--help"])).stdout).toBe(first?.help)
  }, 180_000)
})

describe("many at once", () => {
  test("several that start the hub in one moment have the one that was first", async () => {
    const folder = newRepository()
    const ran = await Promise.all(["up", "up", "up", "up"].map((verb) => skein(folder, [verb, "--json"])))
    expect(ran.map(({ status, stderr }) => ({ status, stderr }))).toEqual(ran.map(() => ({ status: 0, stderr: "" })))
    expect(new Set(ran.map(({ stdout }) => (JSON.parse(stdout) as { pid: number }).pid)).size).toBe(1)
    expect(readdirSync(join(folder, ".skein", "logs")).toSorted()).toEqual(["hub.log", "start.log"])
  })

  test("who stops a hub that is on its way down waits for it as the one does who asked first", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    const file = join(folder, ".skein", "hub.json")
    // A program that lives as long as a hub on its way down may, and answers nothing.
    const going = spawn("sleep", ["3"])
    const born = bornOf(going.pid ?? 0)
    const hub = readFileSync(file, "utf8")
    writeFileSync(file, JSON.stringify({ pid: going.pid, born, url: "http://127.0.0.1:1", startedAtMs: 1, version: "0" }))
    expect(await json(folder, ["down"])).toEqual([{ down: true, already: true }])
    writeFileSync(file, hub)
    expect(await json(folder, ["down"])).toMatchObject([{ down: true, already: false }])
  })

  test("32 processes claim 200 tasks: each task once, none lost, none doubled", async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    const plan = { plan: "race", agents: [], tasks: Array.from({ length: 200 }, (_, at) => ({ id: `t${at}`, title: `Task ${at}` })) }
    writeFileSync(join(folder, "race.json"), JSON.stringify(plan))
    await json(folder, ["plan", "add", "race.json"])
    const director = operator(folder)
    const files: string[] = []
    for (let at = 0; at < 32; at += 1) {
      const file = join(folder, `c${at}.credential`)
      await director.call("agent.add", { name: `c${at}`, maxActive: 200 })
      writeFileSync(file, (await director.call("credential.issue", { agent: `c${at}` })).credential, { mode: 0o600 })
      files.push(file)
    }
    director.close()
    // Together they ask for a few more than there are: the last find less than they asked for, or nothing.
    const claim = async (file: string): Promise<string[]> => {
      const { status, stdout, stderr } = await skein(folder, ["task", "next", "--max", "7", "--plan", "race.1", "--json"], { SKEIN_TOKEN_FILE: file })
      if (status === 1 && stderr.includes("nothing_ready")) return []
      if (status !== 0) throw new Error(stderr)
      return parseLines<{ task: { id: string } }>(stdout).map(({ task }) => task.id)
    }
    const claims = (await Promise.all(files.map(claim))).flat()
    expect(claims.length).toBe(200)
    expect(new Set(claims).size).toBe(200)
    const entries = await json<{ type: string }>(folder, ["ledger", "tail", "--from", "1"])
    expect(entries.filter(({ type }) => type === "task.claimed").length).toBe(200)
  }, 120_000)
})
