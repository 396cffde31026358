import { spawn, type ChildProcess } from "node:child_process"
import type { Readable, Writable } from "node:stream"
import { lacking, type Refused, refused } from "./driver.ts"
import { childEnvironment, findExecutable, unusableDirectory, type Environment, type Unusable } from "./environment.ts"
import { ChildOutput, type OutputChunk, type Stream } from "./output.ts"

/** What to run: a program with its arguments, or a line for `/bin/sh -c`. */
export type Program = { argv: readonly [string, ...string[]] } | { command: string }

export type StartOptions = Program & {
  /** Said in errors, and shown by `ps` for the watcher. */
  name: string
  cwd: string
  /** What the child sees besides `PATH`, `HOME`, `LANG`, `TERM` and `TMPDIR`. */
  env?: Environment
  /** Written to the child's standard input, which is then closed. Without it standard input is empty. */
  stdin?: string
  /** Standard input stays open and is written through `input`: for a child that is talked with. */
  keepInput?: boolean
  onOutput?: (chunk: OutputChunk) => void
  /** Output is appended to this file, made with mode 0600. */
  logFile?: string
  /** Bytes of output (both streams) that reach `onOutput` and the log: 8 MiB unless told. The rest is read and dropped. */
  outputMaxBytes?: number
}

/** How a child ended: by itself with a `code` (0 to 255), or by a `signal`. */
export type Exit = { code: number | null; signal: NodeJS.Signals | null; durationMs: number }

/** A child and everything that it started in its process group. */
export type RunningProcess = {
  readonly name: string
  /** Also the id of its process group. */
  readonly pid: number
  alive(): boolean
  /** Its standard input, where `keepInput` asked for it; else null. */
  readonly input: Writable | null
  /** SIGINT to the whole group, as Ctrl-C on a terminal would. */
  interrupt(): void
  /**
   * SIGTERM to the whole group; what still holds the output pipes after `graceMs` (5,000 unless told) gets SIGKILL. A grandchild that has
   * neither pipe is not waited for once the child is gone. A second call can only shorten the grace.
   */
  stop(options?: { graceMs?: number }): Promise<Exit>
  /** SIGKILL to the whole group, now. */
  kill(): Promise<Exit>
  /** Settles once, never rejects: the child has ended, what was left of its group is killed, its output is read to the end. */
  readonly exited: Promise<Exit>
  /** The end of what it wrote, raw: at most 32,768 characters of each stream. */
  tail(stream?: Stream): string
  /** Bytes written, whether more than the limit, and why the log is incomplete, if it is. */
  output(): { bytes: number; cut: boolean; logError: Error | null }
}

export type ProcessErrorCode = "program_missing" | "program_not_executable" | "directory_unusable" | "declaration_invalid" | "start_failed"

/** A child that could not be started. `remedy` says what to do about it. */
export class ProcessError extends Error {
  readonly code: ProcessErrorCode
  readonly remedy: string

  constructor(code: ProcessErrorCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "ProcessError"
    this.code = code
    this.remedy = remedy
  }
}

/** What a driver says of it. */
export function notStarted({ code, message, remedy }: ProcessError): Refused {
  const detail = `${message}. ${remedy}`
  return code === "start_failed" ? refused("SPAWN_FAILED", detail) : lacking(detail)
}

const OUTPUT_MAX_BYTES = 8 * 1024 * 1024
const GRACE_MS = 5_000
/** How long output may still come after the group is killed: only a process that left the group (setsid) can hold the pipes. */
const DRAIN_MS = 500

/**
 * Starts the program as the leader of its own process group, beside a watcher in the same group: a subshell that holds the far end of
 * descriptor 3 and, when the near end closes because this process died (SIGKILL too), ends the group with SIGTERM and a second later SIGKILL.
 * - The trap is set before the watcher is forked and the program starts after that, so a signal to the group cannot leave the program unwatched.
 * - The double fork keeps the watcher from being a child that the program never started and might wait for.
 * - The watcher, being a member, also keeps the group's id from being given away while this process may still signal it.
 */
const LAUNCHER = `( trap '' INT TERM HUP QUIT
  { cd /; while read -r _; do :; done <&3; kill -TERM 0; PATH=/usr/bin:/bin sleep 1; kill -KILL 0; } </dev/null >/dev/null 2>&1 & )
exec "$@" 3<&-`

/**
 * Starts a child in a process group of its own (POSIX only), with a scrubbed environment. The group never outlives this process by more than
 * about a second; a program that leaves the group by `setsid` escapes that.
 * Rejects with `ProcessError` when the program or the directory cannot be used: its `remedy` says what to mend.
 */
export async function startProcess(options: StartOptions): Promise<RunningProcess> {
  const env = declaredEnvironment(options)
  const argv = "argv" in options ? options.argv : (["/bin/sh", "-c", options.command] as const)
  if (argv.some((argument) => argument.includes("\0"))) {
    throw new ProcessError("declaration_invalid", `${options.name}: an argument holds a NUL byte`, "Remove it: no program can be given one.")
  }
  const directory = await unusableDirectory(options.cwd)
  if (directory !== null) throw refusedStart(options.name, directory, "directory")
  const program = await findExecutable(argv[0], options.cwd, env["PATH"] ?? "/usr/bin:/bin")
  if (typeof program !== "string") throw refusedStart(options.name, program, "program")

  const startedAt = performance.now()
  const child = await spawned(options, ["-c", LAUNCHER, options.name.replaceAll("\0", ""), program, ...argv.slice(1)], env)
  return supervise(child, options, startedAt)
}

function declaredEnvironment({ name, env }: StartOptions): Record<string, string> {
  try {
    return childEnvironment(env ?? {})
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ProcessError("declaration_invalid", `${name}: ${error.message}`, "Mend the declared environment.", { cause: error })
  }
}

function refusedStart(name: string, { code, path }: Unusable, what: "program" | "directory"): ProcessError {
  const shown = JSON.stringify(path)
  if (what === "directory") {
    const why = {
      not_found: "does not exist",
      not_a_directory: "is not a directory",
      not_executable: "cannot be entered",
      not_accessible: "cannot be entered",
    }[code]
    return new ProcessError("directory_unusable", `${name}: the working directory ${shown} ${why}`, "Create it, or name another one.")
  }
  if (code === "not_executable") {
    return new ProcessError(
      "program_not_executable",
      `${name}: ${shown} is not an executable file`,
      `Make it executable (chmod +x), or run it through its interpreter.`,
    )
  }
  return new ProcessError(
    "program_missing",
    `${name}: there is no program ${shown}`,
    "Install it, or declare a PATH that holds it; a path with a slash is taken from the working directory.",
  )
}

function spawned(options: StartOptions, args: readonly string[], env: Record<string, string>): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const failed = (error: unknown): void => {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown error"
      const remedy =
        code === "E2BIG" ? "Pass the long argument or variable in a file." : "Look whether the machine is out of processes, files or memory, and try again."
      reject(new ProcessError("start_failed", `${options.name}: the process could not be started (${code})`, remedy, { cause: error }))
    }
    try {
      const child = spawn("/bin/sh", args, {
        cwd: options.cwd,
        env,
        detached: true,
        stdio: [options.stdin === undefined && options.keepInput !== true ? "ignore" : "pipe", "pipe", "pipe", "pipe"],
      })
      child.once("error", failed)
      child.once("spawn", () => resolve(child))
    } catch (error) {
      failed(error)
    }
  })
}

function supervise(child: ChildProcess, options: StartOptions, startedAt: number): RunningProcess {
  const pid = child.pid ?? 0
  if (pid <= 1) throw new Error("a spawned child has a pid")
  const output = new ChildOutput({ onOutput: options.onOutput, logFile: options.logFile, maxBytes: options.outputMaxBytes ?? OUTPUT_MAX_BYTES })
  const pipes = Promise.all([drained(child.stdout, (chunk) => output.take("stdout", chunk)), drained(child.stderr, (chunk) => output.take("stderr", chunk))])
  feed(child.stdin, options)
  // The lifeline: nothing is ever sent on it. An error on it means that the group is gone.
  child.stdio[3]?.on("error", () => {})

  let running = true
  let groupKilled = false
  let grace: { endsAt: number; timer: NodeJS.Timeout } | null = null
  let graceOver = (): void => {}
  const graceEnd = new Promise<void>((resolve) => {
    graceOver = resolve
  })

  function signalGroup(signal: NodeJS.Signals): void {
    // A group that got SIGKILL is dead to the last member (a fork cannot escape it), and its id may soon belong to somebody else.
    if (groupKilled) return
    groupKilled = signal === "SIGKILL"
    try {
      process.kill(-pid, signal)
    } catch {
      // ESRCH: all of the group is gone. EPERM: macOS says so of a group of zombies.
    }
  }

  const exited = new Promise<Exit>((resolve) => {
    child.once("exit", (code, signal) => {
      running = false
      const exit = { code, signal, durationMs: performance.now() - startedAt }
      void finish().then(() => resolve(exit))
    })
  })

  /** The child is gone; its descendants may not be. */
  async function finish(): Promise<void> {
    if (grace !== null) await Promise.race([pipes, graceEnd])
    clearTimeout(grace?.timer)
    signalGroup("SIGKILL")
    await Promise.race([pipes, after(DRAIN_MS)])
    for (const pipe of child.stdio) pipe?.destroy()
    await output.close()
  }

  function stop({ graceMs = GRACE_MS }: { graceMs?: number } = {}): Promise<Exit> {
    if (!running && grace === null) return exited
    signalGroup("SIGTERM")
    // A stopped (SIGSTOP) process takes SIGTERM only once it goes on.
    signalGroup("SIGCONT")
    const endsAt = performance.now() + graceMs
    if (grace !== null && grace.endsAt <= endsAt) return exited
    clearTimeout(grace?.timer)
    const timer = setTimeout(() => {
      signalGroup("SIGKILL")
      graceOver()
    }, graceMs)
    grace = { endsAt, timer }
    return exited
  }

  return {
    name: options.name,
    pid,
    alive: () => running,
    input: options.keepInput === true ? child.stdin : null,
    interrupt: () => signalGroup("SIGINT"),
    stop,
    kill() {
      signalGroup("SIGKILL")
      return exited
    },
    exited,
    tail: (stream) => output.tail(stream),
    output: () => ({ bytes: output.bytes, cut: output.cut, logError: output.logError }),
  }
}

function drained(pipe: Readable | null, take: (chunk: Buffer) => void): Promise<void> {
  if (pipe === null) return Promise.resolve()
  pipe.on("data", take)
  pipe.on("error", () => {})
  return new Promise((resolve) => pipe.once("close", resolve))
}

function feed(pipe: Writable | null, { stdin, keepInput }: StartOptions): void {
  if (pipe === null) return
  // EPIPE: the child does not read its input, which is its right.
  pipe.on("error", () => {})
  if (keepInput !== true) pipe.end(stdin)
  else if (stdin !== undefined) pipe.write(stdin)
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref()
  })
}
