import { execFileSync, spawn } from "node:child_process"
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"

/**
 * A page of the documents as a program. What is in it, in order, is carried out in one empty git repository with the examples in it:
 * a ```console block runs its `$ ` lines (`> ` goes on with a command) and compares what is printed below them; a block with a file's name after its
 * language (```yaml plan.yaml) is written to that file; a comment `<!-- setup` … `-->` holds commands that the reader does not see. `<!-- skip: why -->`
 * before a block leaves it out.
 */
export type Step = Command | { line: number; file: string; text: string }
type Command = { line: number; command: string; expected: string[] }

/** What a command printed, both streams as they came, and how it ended. */
type Ran = { output: string[]; status: number }

const SEPARATOR = "\u001e"
/** What follows does not end by itself: the reader presses Ctrl-C, the test after this many seconds. */
const ENDLESS = /(--follow|--foreground)\s*$/
const CTRL_C_AFTER_S = 2
const PAGE_MS = 60_000

export function stepsOf(markdown: string): Step[] {
  const lines = markdown.split("\n")
  const steps: Step[] = []
  for (let at = 0; at < lines.length; at += 1) {
    const open = /^```(\S+)(?: (\S+))?$/.exec(lines[at] ?? "")
    const hidden = lines[at] === "<!-- setup"
    if (open === null && !hidden) continue
    const start = at + 1
    for (at = start; at < lines.length && lines[at] !== (hidden ? "-->" : "```"); at += 1);
    const body = lines.slice(start, at)
    const before = lines[start - 2] ?? ""
    if (/^<!-- skip: \S.* -->$/.test(before)) continue
    if (hidden || open?.[1] === "console") steps.push(...commandsOf(body, start + 1))
    else if (open?.[2] !== undefined) steps.push({ line: start, file: open[2], text: `${body.join("\n")}\n` })
  }
  return steps
}

function commandsOf(body: readonly string[], firstLine: number): Command[] {
  const steps: Command[] = []
  for (const [index, text] of body.entries()) {
    const last = steps.at(-1)
    if (text.startsWith("$ ")) steps.push({ line: firstLine + index, command: text.slice(2).replace(/ {2,}# .*$/, ""), expected: [] })
    else if (last === undefined) throw new Error(`line ${firstLine + index}: a block begins with a command: "$ …"`)
    else if (text.startsWith("> ") && last.expected.length === 0) last.command += `\n${text.slice(2)}`
    else last.expected.push(text)
  }
  return steps
}

/** Carries out a page. Gives what did not come as the page says, each with its line. */
export async function carryOut(markdown: string): Promise<string[]> {
  const steps = stepsOf(markdown)
  if (!steps.some((step) => "command" in step)) return []
  const home = mkdtempSync(join(tmpdir(), "skein-docs-"))
  try {
    const ran = await runSteps(home, steps)
    return steps.flatMap((step, index) => ("command" in step ? differences(step, ran.get(index)) : [])).slice(0, 3)
  } finally {
    rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** One shell for the whole page, so that variables and jobs live on from block to block. */
async function runSteps(home: string, steps: readonly Step[]): Promise<Map<number, Ran>> {
  const environment = prepare(home)
  const script = ["exec 2>&1", ...steps.map((step, index) => `${shellOf(step)}\nprintf '\\n${SEPARATOR}%s ${index}\\n' "$?"`), "skein down >/dev/null"]
  // Its own process group, which can be ended whole.
  const shell = spawn("bash", ["-c", script.join("\n")], { cwd: join(home, "project"), env: environment, detached: true, stdio: ["ignore", "pipe", "inherit"] })
  let output = ""
  shell.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
  const end = (): void => {
    try {
      process.kill(-(shell.pid as number), "SIGKILL")
    } catch {
      // All of it has ended.
    }
  }
  const timer = setTimeout(end, PAGE_MS)
  const closed = new Promise((resolve) => shell.on("close", resolve))
  await new Promise((resolve) => shell.on("exit", resolve))
  clearTimeout(timer)
  end()
  stopHubs(home)
  // What was written last may still be on its way; whoever was left behind keeps the pipe open no longer than this.
  await Promise.race([closed, pause(10_000)])
  return new Map(
    output.split(/(?<=\n\u001e\d+ \d+\n)/).flatMap((part): [number, Ran][] => {
      const [, text = "", status = "", index = ""] = /^([\s\S]*)\n\u001e(\d+) (\d+)\n$/.exec(part) ?? []
      return index === "" ? [] : [[Number(index), { output: trimmed(text.split("\n")), status: Number(status) }]]
    }),
  )
}

/** Hubs that the page left running, also where its shell was ended before it could say `skein down`. */
function stopHubs(home: string): void {
  for (const file of readdirSync(home, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(join(".skein", "hub.json")))) {
    const { pid } = JSON.parse(readFileSync(join(home, file), "utf8")) as { pid: number }
    try {
      process.kill(pid, "SIGKILL")
    } catch {
      // It has ended.
    }
  }
}

/** A git repository with one commit and the examples, `skein` on the path, and `skein/client` where programs look for it. */
function prepare(home: string): NodeJS.ProcessEnv {
  const checkout = process.cwd()
  const bin = join(home, "bin")
  const project = join(home, "project")
  mkdirSync(bin)
  mkdirSync(join(project, "node_modules"), { recursive: true })
  writeFileSync(join(bin, "skein"), `#!/bin/sh\nexec "${process.execPath}" "${checkout}/bin/skein.cjs" "$@"\n`)
  chmodSync(join(bin, "skein"), 0o755)
  symlinkSync(process.execPath, join(bin, "node"))
  symlinkSync(checkout, join(project, "node_modules", "skein"))
  cpSync(join(checkout, "examples"), join(project, "examples"), { recursive: true })
  const identity = Object.fromEntries(
    ["AUTHOR", "COMMITTER"].flatMap((who) => [
      [`GIT_${who}_NAME`, "You"],
      [`GIT_${who}_EMAIL`, "you@example.org"],
    ]),
  )
  const path = `${bin}${delimiter}${process.env["PATH"] ?? ""}`
  const environment = { PATH: path, HOME: home, LANG: "C.UTF-8", TERM: "dumb", TMPDIR: tmpdir(), GIT_CONFIG_NOSYSTEM: "1", ...identity }
  writeFileSync(join(project, ".gitignore"), "node_modules\n")
  for (const args of [
    ["init", "--quiet"],
    ["add", "--all"],
    ["commit", "--quiet", "--message", "Begin"],
  ])
    execFileSync("git", args, { cwd: project, env: environment })
  return environment
}

function shellOf(step: Step): string {
  if ("file" in step) return `cat > ${step.file} <<'SKEIN_DOCS_END'\n${step.text}SKEIN_DOCS_END`
  const { command } = step
  // Tools that Skein does not ask for: where one is missing, what uses it is passed over.
  const tool = /(?:^|[\s(|])(curl|jq|sqlite3)\s/.exec(command)?.[1]
  if (tool !== undefined) return `if command -v ${tool} >/dev/null; then\n${command}\nelse echo '${SEPARATOR}passed over'; fi`
  return ENDLESS.test(command) ? `timeout --foreground -s INT ${CTRL_C_AFTER_S} ${command}; true` : command
}

/** Lines of a page stand for lines of output: `...` for any, or within a line for anything. What differs from run to run is masked. */
function differences({ line, command, expected }: Command, ran: Ran | undefined): string[] {
  const where = `line ${line}: $ ${command}`
  if (ran === undefined) return [`${where}\n  did not end`]
  if (ran.output.includes(`${SEPARATOR}passed over`)) return []
  const wanted = trimmed(expected)
  const shown = ran.output.map((text) => `    ${text}`).join("\n")
  // A page that shows how something is refused shows the refusal: then it must be one, and otherwise none.
  const refused = wanted.some((text) => text.startsWith("skein: "))
  if (refused !== (ran.status !== 0)) return [`${where}\n  ended with status ${ran.status}:\n${shown}`]
  if (wanted.length === 0 || matches(wanted.map(masked), ran.output.map(masked))) return []
  return [`${where}\n  the page says:\n${wanted.map((text) => `    ${text}`).join("\n")}\n  it said:\n${shown}`]
}

function matches([wanted, ...moreWanted]: readonly string[], lines: readonly string[]): boolean {
  if (wanted === undefined) return lines.length === 0
  if (wanted === "...") return lines.some((_, at) => matches(moreWanted, lines.slice(at))) || matches(moreWanted, [])
  const [line, ...rest] = lines
  if (line === undefined) return false
  const pattern = wanted
    .split(/ ?\.\.\. ?/)
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*")
  return new RegExp(`^${pattern}$`).test(line) && matches(moreWanted, rest)
}

function masked(line: string): string {
  // A time of another day has its date: a quarter of an hour before midnight, a lease ends tomorrow.
  return line
    .replace(/\b[0-9a-f]{12,}\b/g, "HASH")
    .replace(/\bs_[0-9a-z]{20,}\b/g, "SESSION")
    .replace(/\b(?:\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d\b/g, "TIME")
    .replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT")
    .replace(/\b(entry|fence|process|of|first|last|head|seq|through) \d+\b/g, "$1 N")
    .replace(/\b\d+ (?:entries|entry)\b/g, "N entries")
    .replace(/\b\d+ checkpoints?\b/g, "N checkpoints")
    .replace(/"fence": ?\d+/g, "FENCE")
    .replace(/"seq": ?\d+/g, "SEQ")
    .replace(/\blastSeq: \d+ -> \d+/g, "lastSeq")
    .replace(/\b\d+(\.\d+)? (ms|s|min|h)\b/g, "DURATION")
    .replace(/\s+/g, " ")
    .trim()
    .replace(/^\d+ TIME\b/, "N TIME")
}

function trimmed(lines: readonly string[]): string[] {
  const from = lines.findIndex((line) => line.trim() !== "")
  const to = lines.findLastIndex((line) => line.trim() !== "")
  return from === -1 ? [] : lines.slice(from, to + 1)
}
