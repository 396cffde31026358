import { spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { afterAll, expect, test } from "vitest"
import { json, newRepository, skein, tidyUp, until } from "./cli-driver.ts"
import { removeServer } from "./left-running.ts"
import { withoutTmux } from "./terminal/terminals.ts"

const COLUMNS = 80
const SOCKET = `skein-on-a-terminal-${process.pid}`

function tmux(...args: string[]): string {
  return spawnSync("tmux", ["-L", SOCKET, "-f", "/dev/null", ...args], { encoding: "utf8" }).stdout
}

type Shown = { pane: string; lines(): string[]; shows(what: RegExp): Promise<true> }

/** Runs the command in a terminal; what it shows stays after its end. */
function open(folder: string, ...args: string[]): Shown {
  return openProgram(folder, process.execPath, resolve("bin/skein.cjs"), ...args)
}

/** The same, called by a shell that says how it ended; its process stands in the file `pid`. */
function openInShell(folder: string, ...args: string[]): Shown {
  const script = `trap : INT; sh -c 'echo $$ > pid; exec "$@"' sh "$@"; echo "ended with $?"; read -r line`
  return openProgram(folder, "sh", "-c", script, "sh", process.execPath, resolve("bin/skein.cjs"), ...args)
}

function openProgram(folder: string, ...command: string[]): Shown {
  const pane = tmux(
    "new-session",
    "-d",
    "-P",
    "-F",
    "#{pane_id}",
    "-x",
    String(COLUMNS),
    "-y",
    "40",
    "-c",
    folder,
    ...command,
    ";",
    "set",
    "remain-on-exit",
    "on",
  ).trim()
  const lines = (): string[] => tmux("capture-pane", "-p", "-t", pane).trimEnd().split("\n")
  return { pane, lines, shows: (what) => until(() => (what.test(lines().join("\n")) ? true : undefined), `${what} is shown`) }
}

afterAll(async () => {
  await tidyUp()
  tmux("kill-server")
  removeServer(SOCKET)
})

test("the title of a list on the board stands right above it, in colour too, and says what is in it", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  await json(folder, ["task", "add", "t1", "A task"])
  const { stdout } = await skein(folder, ["board"], { FORCE_COLOR: "1" })
  expect(stdout.replace(/\x1b\[\d+m/g, "")).toMatch(/^Ready \(1\)\n {2}t1/)
  await json(folder, ["task", "add", "t2", "Another", "--depends-on", "t1"])
  await json(folder, ["task", "cancel", "t1", "--reason", "not wanted"])
  // What can never become ready has not failed: Markdown has no column that would say so.
  expect((await skein(folder, ["board", "--md"])).stdout).toMatch(/^# Board\n\n## Unreachable \(1\)\n[^#]*\| t2 \|[^#]*## Cancelled \(1\)/)
})

test.runIf(withoutTmux === null)("sessions stand in 80 columns, each in one line", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  await json(folder, ["agent", "add", "supervisor"])
  for (const runtime of ["supervisor", "script"]) await json(folder, ["session", "start", "--agent", "supervisor", "--runtime", runtime, "--owned"])
  const shown = open(folder, "session", "list")
  await shown.shows(/supervisor +(active|live) +supervisor/)
  expect(shown.lines().filter((line) => !/^(s_|session |Pane is dead|$)/.test(line))).toEqual([])
})

test.runIf(withoutTmux === null)(
  "skein status --follow fills a terminal to its last column and no further, and says when the hub is gone and when it is back",
  { timeout: 60_000 },
  async () => {
    const folder = newRepository()
    await json(folder, ["up"])
    await json(folder, ["task", "add", "t1", "A task"])
    await json(folder, ["task", "claim", "t1"])
    await json(folder, ["task", "complete", "t1", "--text", "界".repeat(100)])
    const { lines, shows } = open(folder, "status", "--follow")
    await shows(/^agent .* cost\noperator .*…$/m)
    const [place = "", ledger = "", , , heads = "", agent = "", ...below] = lines()
    expect(place).toMatch(/^workspace main  http:[^ ]*$/)
    expect(ledger).toMatch(/^entry \d+ · .* · (?:no checkpoint yet|checkpoint of \d+ entries)$/)
    expect(heads).toHaveLength(COLUMNS)
    expect(agent).toMatch(/^operator +offline .*界…$/)
    expect(below).toEqual([])
    await json(folder, ["down"])
    await shows(/^! .*\n {2}This is how things stood .* ago; .*skein up\n\nworkspace main/)
    await json(folder, ["up"])
    await shows(/^workspace main/)
  },
)

test.runIf(withoutTmux === null).each([
  [["status", "--follow"], /^workspace main/m],
  [["ledger", "tail", "--follow"], /workspace\.created/],
  [["cost", "--follow"], /^no usage was reported yet/m],
  [["export", "--dir", "data", "--follow"], /^following entry/m],
])("skein %s ends with 130 on Ctrl-C and with 143 on SIGTERM, and the cursor is there again", { timeout: 60_000 }, async (args, begun) => {
  const folder = newRepository()
  await json(folder, ["up"])
  for (const [stop, status] of [
    [(pane: string): unknown => tmux("send-keys", "-t", pane, "C-c"), 130],
    [(): unknown => process.kill(Number(readFileSync(join(folder, "pid"), "utf8")), "SIGTERM"), 143],
  ] as const) {
    const { pane, shows } = openInShell(folder, ...args)
    await shows(begun)
    stop(pane)
    await shows(new RegExp(`ended with ${status}$`, "m"))
    expect(tmux("display", "-p", "-t", pane, "#{cursor_flag}").trim()).toBe("1")
  }
})

test.runIf(withoutTmux === null)("what a program gets byte for byte gives a terminal nothing to obey", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  await json(folder, ["send-event", "info", "--text", "hear\u009b2Jthis"])
  const { stdout } = await skein(folder, ["ledger", "export"])
  expect(stdout).toContain("hear\u009b2Jthis")
  const seq = String(stdout.split("\n").findIndex((line) => line.includes("hear")) + 1)
  for (const args of [
    ["ledger", "export", "--from", seq],
    ["ledger", "prove", seq],
    ["ledger", "tail", "--json", "--from", seq],
  ])
    await open(folder, ...args).shows(/hear\\+u009b2Jthis/)
})

test.runIf(withoutTmux === null)("an entry of the ledger says below to what and why, where its line has no room for them", async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  await json(folder, ["task", "add", "t1", "界".repeat(40)])
  await json(folder, ["task", "edit", "t1", "--title", "A task", "--reason", "nobody could read it"])
  await json(folder, ["task", "cancel", "t1", "--reason", "the customer has asked for another one, and nobody else has a use for it"])
  const shown = open(folder, "ledger", "tail")
  await shown.shows(
    /task\.cancelled .* because of \d+\n {19}\{"id":"t1",.*…\n {19}the customer has asked for another one, and nobody else has a\n {19}use for it$/m,
  )
  // Nothing runs on into another line: there the terminal would have begun at its first column.
  expect(shown.lines().filter((line) => !/^( +\d+  \d\d:\d\d:\d\d  [a-z]| {19}\S|Pane is dead|$)/.test(line))).toEqual([])
})

test.runIf(withoutTmux === null)("the picture of a run has room for who does a task, also where its name is long", { timeout: 60_000 }, async () => {
  const folder = newRepository()
  const id = "a-task-with-a-name-of-forty-characters-x"
  writeFileSync(join(folder, "long.json"), JSON.stringify({ plan: "long", agents: [{ name: "goose" }], tasks: [{ id, title: "T".repeat(60), run: "true" }] }))
  await open(folder, "run", "long.json").shows(new RegExp(`✓ ${id}  T{15}…  goose`))
})

test.runIf(withoutTmux === null)("what a simulation tells stands in 80 columns, and is cut nowhere", { timeout: 60_000 }, async () => {
  const shown = open(newRepository(), "simulate", resolve("examples/phase-zero.yaml"), "--runs", "2", "--target", "3x")
  await shown.shows(/has to be \d+$/m)
  // Joined: a line that the terminal broke is one again, and too long.
  const lines = tmux("capture-pane", "-p", "-J", "-S", "-", "-t", shown.pane).split("\n")
  expect(lines.filter((line) => line.length > COLUMNS || line.includes("…"))).toEqual([])
  expect(lines.join("\n")).toMatch(/on filler, while a\n {18}task was ready that it could have taken/)
})

test.runIf(withoutTmux === null)("lines of a run's report break between words, and go on under their text", { timeout: 60_000 }, async () => {
  const { lines, shows } = open(newRepository(), "run", resolve("examples/hello.yaml"))
  await shows(/^report {9}/m)
  const all = lines()
  const [first, ...below] = all.slice(
    all.findIndex((line) => line.startsWith("ledger ")),
    all.findIndex((line) => line.startsWith("report ")),
  )
  expect(first).toMatch(/^ledger {9}ok: .*[\w,;]$/)
  expect(below.length).toBeGreaterThan(0)
  for (const line of below) expect(line).toMatch(/^ {15}\w/)
  expect([first, ...below].map((line) => line?.trim()).join(" ")).toMatch(/ verified in .*; replayed to state [0-9a-f]{16}, as recorded at \d+ checkpoints?$/)
})
