import { spawn, spawnSync, type ChildProcess } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { httpClient, type HttpClient } from "../src/client/http.ts"
import { socketName } from "../src/runtime/tmux/server.ts"
import { kill, removeServer } from "./left-running.ts"

/** The command as users have it: the launcher, with what was built. */
const SKEIN = resolve("bin/skein.cjs")

export type Ran = { status: number | null; stdout: string; stderr: string }

/** Repositories that tests made, to be tidied up: each may have a hub. */
const made: string[] = []

function cleanEnvironment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(SKEIN_|GIT_|FORCE_COLOR|NO_COLOR|NODE_OPTIONS|VITEST)/.test(name))
  return { ...Object.fromEntries(own), NODE_OPTIONS: "--disable-warning=ExperimentalWarning", ...extra }
}

/** A git repository of its own with one commit. */
export function newRepository(): string {
  const folder = mkdtempSync(join(tmpdir(), "skein cli-"))
  made.push(folder)
  git(folder, "init", "-q", "-b", "main")
  git(folder, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "first")
  return folder
}

export function git(folder: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync("git", args, { cwd: folder, encoding: "utf8" })
  if (status !== 0) throw new Error(`git ${args.join(" ")}: ${stderr}`)
  return stdout
}

/**
 * Starts the command; the caller waits for `ended`. It is killed after `withinMs`, unless that is null. No file that it writes may be longer than
 * `fileMaxBytes`, a multiple of 512: as on a disk that is full.
 */
export function startSkein(
  folder: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  { withinMs = 120_000, fileMaxBytes }: { withinMs?: number | null; fileMaxBytes?: number } = {},
): { child: ChildProcess; ended: Promise<Ran>; output(): string } {
  const [command = "", ...words] = [
    ...(fileMaxBytes === undefined ? [] : ["/bin/sh", "-c", `ulimit -f ${fileMaxBytes / 512}; exec "$0" "$@"`]),
    process.execPath,
    SKEIN,
    ...args,
  ]
  const child = spawn(command, words, {
    cwd: folder,
    env: cleanEnvironment(env),
    stdio: ["ignore", "pipe", "pipe"],
    ...(withinMs === null ? {} : { timeout: withinMs }),
    killSignal: "SIGKILL",
  })
  let stdout = ""
  let stderr = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
  const ended = new Promise<Ran>((settle) => child.on("close", (status) => settle({ status, stdout, stderr })))
  return { child, ended, output: () => stdout + stderr }
}

/** Runs the command to its end. */
export function skein(folder: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ran> {
  return startSkein(folder, args, env).ended
}

/** Runs a command that is to succeed, with `--json`; gives what it printed, one object a line. */
export async function json<Row = Record<string, unknown>>(folder: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Row[]> {
  const { status, stdout, stderr } = await skein(folder, [...args, "--json"], env)
  if (status !== 0) throw new Error(`skein ${args.join(" ")} ended with ${status}: ${stderr}`)
  return parseLines<Row>(stdout)
}

export function parseLines<Row = Record<string, unknown>>(text: string): Row[] {
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Row]))
}

export async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: string, ms = 45_000): Promise<T> {
  for (const end = performance.now() + ms; performance.now() < end;) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise((settle) => setTimeout(settle, 15))
  }
  throw new Error(`it did not come about in ${ms} ms: ${what}`)
}

/** The director's client of the hub that is up there: for what a test prepares and looks at, where a process for each call would show no more. */
export function operator(folder: string, workspace = "main"): HttpClient {
  const { url } = JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }
  return httpClient({ url, credentialFile: join(folder, ".skein", "operator.credential"), workspace })
}

export function hubPid(folder: string): number | null {
  try {
    return (JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { pid: number }).pid
  } catch {
    return null
  }
}

/** Ends every hub that a test left, and removes the repositories. */
export async function tidyUp(): Promise<void> {
  for (const folder of made.splice(0)) await tidyFolder(folder)
}

/** Ends its hub, and removes it, with what its tmux server leaves: a socket. */
export async function tidyFolder(folder: string): Promise<void> {
  const pid = hubPid(folder)
  if (pid !== null) kill(pid)
  removeServer(socketName(join(folder, ".skein")))
  // Its agents end by themselves within a second or so of their starter's end; what they still write must not fail the test.
  for (let attempt = 0; attempt < 20; attempt += 1) {
    try {
      rmSync(folder, { recursive: true, force: true })
      break
    } catch {
      await new Promise((settle) => setTimeout(settle, 100))
    }
  }
}
