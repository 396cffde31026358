import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

/** The program as it stands in `src/`; what was built from it starts three times as fast. */
const SOURCE = resolve(import.meta.dirname, "../../src/cli/main.ts")
export const BUILT = resolve(import.meta.dirname, "../../dist/cli/main.cjs")

/** A hub as a user has it: `skein up` in a repository, in a process of its own that can be killed. */
export class HubProcess {
  readonly directory = mkdtempSync(join(tmpdir(), "skein-crash-"))
  port = 0
  #child: ChildProcess | null = null
  #output = ""
  readonly #main: string

  constructor(main = SOURCE) {
    this.#main = main
    execFileSync("git", ["init", "-q", this.directory])
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  get ledger(): string {
    return join(this.directory, ".skein/ledger/main.sqlite")
  }

  get credentialFile(): string {
    return join(this.directory, ".skein/operator.credential")
  }

  /** How many entries the checkpoint covers that is kept outside the ledger; its own entry is the next. */
  get keptCheckpoint(): number {
    try {
      return Number(readFileSync(join(this.directory, ".skein/checkpoint/main"), "utf8").split("\n")[1])
    } catch {
      return 0
    }
  }

  /** Starts it; does not wait. */
  spawn(): void {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", this.#main, "up", "--foreground", "--port", `${this.port}`], {
      cwd: this.directory,
      stdio: ["ignore", "pipe", "pipe"],
    })
    this.#child = child
    this.#output = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (this.#output += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#output += text))
  }

  /** Resolves when it listens. Throws with what it said where it ends instead. */
  async up(withinMs = 30_000): Promise<void> {
    const untilMs = performance.now() + withinMs
    while (performance.now() < untilMs) {
      const url = /the hub is up at (http:\S+?);/.exec(this.#output)?.[1]
      if (url !== undefined) {
        this.port = Number(new URL(url).port)
        return
      }
      const ended = this.#child?.exitCode ?? null
      if (ended !== null) throw new Error(`the hub ended with ${ended}:\n${this.#output}`)
      await new Promise((next) => setTimeout(next, 5))
    }
    throw new Error(`the hub was not up within ${withinMs} ms:\n${this.#output}`)
  }

  /** SIGKILL: it has no time for anything. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL")
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM")
  }

  /** At once, and with all its files: nobody wants to know any more. */
  abandon(): void {
    this.#child?.kill("SIGKILL")
    rmSync(this.directory, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, "exit")
    child.kill(signal)
    await ended
  }
}
