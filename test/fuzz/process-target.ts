import { execFileSync, spawn } from "node:child_process"
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import type { ErrorBody } from "../../src/contract/errors.ts"
import type { Choices } from "./choices.ts"
import { Broken, starvedMs, type Subject, type Target } from "./campaign.ts"
import { checkErrorBody } from "./fuzzed-hub.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { mutateBytes, oddText } from "./mutation.ts"

/** Real processes: hubs that start on an instance whose files were changed, and command lines that the shell hands over. */
export const processTarget: Target = {
  name: "process",
  entrance: "real processes: a hub's start on changed files, command lines and variables as the system hands them over",
  casesPerSubject: 50,
  deadlineMs: 180_000,
  open: () => ProcessSubject.open(),
}

const MAIN = resolve("src/cli/main.ts")
const START_MS = 15_000
const STOP_MS = 8_000
const EXITS = new Set([0, 1, 2, 69, 75])

/** What a hub reads at its start and had not to write. */
const NOT_LEFT = ["hub.json", "config.yaml", "keys/signed-out.json", "ledger/main.sqlite-wal", "ledger/other.sqlite", "ledger/..sqlite", "logs/hub.log"]

class ProcessSubject implements Subject {
  readonly #folder: string
  /** Files of the sound instance that a case may change. */
  readonly #files: string[]
  #cases = 0
  #sent = ""

  private constructor(folder: string, files: string[]) {
    this.#folder = folder
    this.#files = files
  }

  /** Makes a sound instance, as a hub that ran for a while left it. */
  static async open(): Promise<ProcessSubject> {
    const folder = scratchFolder()
    const sound = join(folder, "sound")
    mkdirSync(sound)
    execFileSync("git", ["init", "-q", sound])
    const ran = await run(["up", "--foreground", "--json"], {}, sound)
    if (!ran.wasUp) throw new Error(`a sound hub did not start: ${ran.stderr}`)
    const skein = join(sound, ".skein")
    const files = readdirSync(skein, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(skein, name)).isFile() && !name.startsWith("logs"))
    return new ProcessSubject(folder, [...files.sort(), ...NOT_LEFT])
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    this.#cases += 1
    const repository = join(this.#folder, String(this.#cases))
    cpSync(join(this.#folder, "sound"), repository, { recursive: true })
    try {
      const [args, environment] = choices.chance(35) ? this.#commandLine(choices) : this.#start(repository, choices)
      this.#sent += `${JSON.stringify(args)} ${JSON.stringify(environment)}`
      return this.#judge(await run(args, environment, repository))
    } finally {
      rmSync(repository, { recursive: true, force: true })
    }
  }

  close(): Promise<void> {
    rmSync(this.#folder, { recursive: true, force: true })
    return Promise.resolve()
  }

  #start(repository: string, choices: Choices): [string[], Record<string, string>] {
    this.#sent = ""
    for (let changes = choices.between(1, 2); changes > 0; changes -= 1) {
      const name = choices.pick(this.#files)
      const path = join(repository, ".skein", name)
      const before = statSync(path, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(path) : Buffer.from('{"pid":1,"url":"http://127.0.0.1:1"}')
      rmSync(path, { recursive: true, force: true })
      mkdirSync(dirname(path), { recursive: true })
      const how = choices.below(7)
      this.#sent += `${relative(repository, path)}: change ${how}\n`
      if (how === 0) mkdirSync(path)
      else if (how === 1) writeFileSync(path, choices.pick(["", "\n", "null", "{}", "skc_a_b_c", "99999999", "-1", "\u0000"]))
      else if (how === 2) continue
      else if (how === 3) execFileSync("mkfifo", [path])
      else if (how === 4) symlinkSync(choices.pick(["/dev/zero", "/dev/null", path, "/proc/self/environ"]), path)
      else writeFileSync(path, mutateBytes(before, choices, 3))
    }
    const environment: Record<string, string> = choices.chance(20)
      ? { SKEIN_LOG_LEVEL: choices.pick(["", "none", "debug", "silent", "TRACE", "constructor"]) }
      : {}
    const options = choices.chance(20)
      ? choices.pick([
          ["--host", "none.invalid"],
          ["--host", ""],
          ["--host", "::1"],
          ["--port", "0"],
          ["--allow-host", ""],
          ["--allow-host", "a b"],
          ["--port", "1"],
        ])
      : []
    return [["up", "--foreground", "--json", ...options], environment]
  }

  #commandLine(choices: Choices): [string[], Record<string, string>] {
    this.#sent = ""
    const words = [
      "--json",
      "-w",
      "main",
      "--workspace",
      "help",
      "--help",
      "-V",
      "--version",
      "-C",
      ".",
      "--repo",
      "status",
      "task",
      "list",
      "--no-color",
      "--",
      "-",
      "ledger",
      "verify",
      "plan",
      "check",
      "/dev/null",
      "--global",
      "-h",
      "doctor",
      "--quick",
    ]
    const args = Array.from({ length: choices.between(0, 6) }, () => (choices.chance(75) ? choices.pick(words) : oddText(choices)))
    const environment: Record<string, string> = choices.chance(50)
      ? {
          [choices.pick(["SKEIN_URL", "SKEIN_WORKSPACE", "SKEIN_TOKEN_FILE", "COLUMNS", "TERM", "FORCE_COLOR", "HOME", "XDG_STATE_HOME", "TZ", "LANG"])]:
            choices.chance(50) ? oddText(choices) : choices.pick(["", "x", "/", "0", "-1", "http://127.0.0.1:1"]),
        }
      : {}
    const clean = (text: string): string => text.replaceAll("\0", "").slice(0, 60_000)
    return [args.map(clean), Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, clean(value)]))]
  }

  #judge({ exit, signal, wasUp, stderr, stdout, json }: Ran): string {
    if (signal !== null) throw new Broken(`the process was ended by ${signal}: ${stderr.slice(0, 1_000)}`)
    if (/^\s+at .*(:\d+:\d+|node:internal)/m.test(stderr)) throw new Broken(`a stack was shown: ${stderr.slice(0, 1_500)}`)
    if (exit === null || !EXITS.has(exit)) throw new Broken(`exit status ${exit}: ${stderr.slice(0, 1_000)}`)
    if (wasUp && exit !== 0) throw new Broken(`a hub that was up went down with exit status ${exit}: ${stderr.slice(0, 1_000)}`)
    if (exit === 0) return wasUp ? "up and down" : "done"
    if (!json) {
      if (!/^remedy: \S/m.test(stderr) && !stdout.includes("remedy") && stdout.trim() === "") throw new Broken(`no remedy: ${stderr.slice(0, 500)}`)
      return `exit ${exit}`
    }
    const line = stderr.trim().split("\n").at(-1) ?? ""
    // A verb may find fault without failing itself: then what it found is on standard output.
    if (line === "" && stdout.trim() !== "") return `exit ${exit}, told`
    return `exit ${exit} ${checkErrorBody((JSON.parse(line) as { error: ErrorBody }).error)}`
  }
}

type Ran = { exit: number | null; signal: string | null; wasUp: boolean; stdout: string; stderr: string; json: boolean }

/** Runs a command line to its end; a hub is asked to stop once it says that it is up. */
function run(args: readonly string[], environment: Record<string, string>, cwd: string): Promise<Ran> {
  return new Promise((done, fail) => {
    const env = { PATH: process.env["PATH"] ?? "", HOME: cwd, XDG_STATE_HOME: join(cwd, "state"), ...environment }
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, ...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] })
    const heard = { stdout: "", stderr: "" }
    let wasUp = false
    let late = false
    let timer: NodeJS.Timeout
    const limit = (ms: number): void => {
      const [sinceMs, starved] = [performance.now(), starvedMs(child.pid)]
      const look = (): void => {
        const leftMs = ms + starvedMs(child.pid) - starved - (performance.now() - sinceMs)
        timer = setTimeout(leftMs > 0 ? look : end, Math.max(0, leftMs))
      }
      const end = (): void => {
        late = true
        child.kill("SIGKILL")
      }
      look()
    }
    limit(START_MS)
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      heard.stdout += text
      if (wasUp || !heard.stdout.includes('"up":true')) return
      wasUp = true
      clearTimeout(timer)
      limit(STOP_MS)
      child.kill("SIGTERM")
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => (heard.stderr += text))
    child.on("error", (error) => {
      clearTimeout(timer)
      fail(error)
    })
    child.on("close", (exit, signal) => {
      clearTimeout(timer)
      if (late) fail(new Broken(`the process hangs ${wasUp ? "when it is to stop" : ""}: ${heard.stderr.slice(0, 500)}`))
      else done({ exit, signal, wasUp, ...heard, json: args.includes("--json") })
    })
  })
}
