import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Readable } from "node:stream"
import { report } from "../../src/cli/failure.ts"
import { wholeProgram } from "../../src/cli/completion.ts"
import { told } from "../../src/cli/program.ts"
import type { ErrorBody } from "../../src/contract/errors.ts"
import { Broken } from "./campaign.ts"
import type { FuzzedHub } from "./fuzzed-hub.ts"

/** What Skein reads of the environment, and what terminals are told by. */
export const VARIABLES = [
  "SKEIN_URL",
  "SKEIN_WORKSPACE",
  "SKEIN_TOKEN_FILE",
  "SKEIN_TASK",
  "SKEIN_FENCE",
  "SKEIN_DEBUG",
  "SKEIN_AGENT",
  "SKEIN_SESSION",
  "SKEIN_HOOK_USAGE",
  "CLAUDE_CODE_ENTRYPOINT",
  "COLUMNS",
  "FORCE_COLOR",
  "NO_COLOR",
  "TERM",
  "XDG_STATE_HOME",
]
/** What a terminal would act on; line ends and tabs are ours. */
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
export const RAW = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/u

const VERB_MS = 6_000

export type Ran = { exit: number; output: string; error: ErrorBody | null; stray: string }

/** What a verb left behind, as the system would see it. */
function exitStatus(): number {
  return Number(process.exitCode ?? 0)
}

/** Runs a command line as `main.ts` does, with this process's streams, environment and folder borrowed for the while. */
export async function runHere(args: readonly string[], environment: Record<string, string>, folder: string, input?: Readable): Promise<Ran> {
  const root = await wholeProgram()
  const heard = { out: "", err: "" }
  const { cwd, env, exitCode } = { cwd: process.cwd(), env: { ...process.env }, exitCode: process.exitCode }
  const [out, err] = [process.stdout.write, process.stderr.write]
  const stdin = Object.getOwnPropertyDescriptor(process, "stdin") as PropertyDescriptor
  const listen = (stream: "out" | "err") =>
    ((chunk: string | Uint8Array): boolean => {
      heard[stream] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8")
      return true
    }) as typeof process.stdout.write
  for (const name of VARIABLES) delete process.env[name]
  Object.assign(process.env, { XDG_STATE_HOME: join(folder, "state"), ...environment })
  process.chdir(folder)
  process.stdout.write = listen("out")
  process.stderr.write = listen("err")
  process.exitCode = undefined
  if (input !== undefined) Object.defineProperty(process, "stdin", { value: input, configurable: true })
  const stop = Promise.withResolvers<never>()
  const timer = setTimeout(() => stop.reject(new Broken(`the verb did not end within ${VERB_MS} ms`)), VERB_MS)
  try {
    // Raced here, so that the streams are given back before anybody tells of it.
    await Promise.race([told(root, args), stop.promise])
    return { exit: exitStatus(), output: heard.out, error: null, stray: heard.err }
  } catch (error) {
    if (error instanceof Broken) throw error
    heard.err = ""
    const exit = report(error, true)
    const [line = ""] = heard.err.split("\n")
    return { exit, output: heard.out, error: (JSON.parse(line) as { error: ErrorBody }).error, stray: heard.err }
  } finally {
    clearTimeout(timer)
    process.stdout.write = out
    process.stderr.write = err
    Object.defineProperty(process, "stdin", stdin)
    process.exitCode = exitCode
    process.chdir(cwd)
    for (const name of [...VARIABLES]) delete process.env[name]
    Object.assign(process.env, env)
    for (const file of readdirSync(folder)) if (file === "state") rmSync(join(folder, file), { recursive: true })
  }
}

/** Makes a folder the repository of an instance whose hub this is, with the operator's credential and that of the agent ann. */
export function layInstance(repository: string, { served, bearers }: FuzzedHub): void {
  mkdirSync(join(repository, ".git", "objects"), { recursive: true })
  writeFileSync(join(repository, ".git", "HEAD"), "ref: refs/heads/main\n")
  mkdirSync(join(repository, ".skein", "agents"), { recursive: true })
  writeFileSync(join(repository, ".skein", "hub.json"), JSON.stringify({ pid: process.pid, url: served.url, startedAtMs: 1, version: "0" }))
  writeFileSync(join(repository, ".skein", "operator.credential"), `${bearers.operator}\n`)
  writeFileSync(join(repository, ".skein", "agents", "ann.credential"), `${bearers.worker}\n`)
}
