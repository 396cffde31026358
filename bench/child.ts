import { fork, type ChildProcess } from "node:child_process"
import { fileURLToPath } from "node:url"

type Request = { id: number; op: string; input: unknown }
type Answer = { id: number; output?: unknown; error?: string }
type Operations = Record<string, (input: never) => unknown>

/** A process of the bench's own that answers calls. The measured parts talk through sockets; this channel only says what to do and what came of it. */
export class Child {
  readonly #process: ChildProcess
  readonly #waiting = new Map<number, { resolve(output: unknown): void; reject(error: Error): void }>()
  #next = 1

  constructor(module: string, { execArgv = [], args = [] }: { execArgv?: readonly string[]; args?: readonly string[] } = {}) {
    const path = fileURLToPath(new URL(module, import.meta.url))
    // What a child prints goes to stderr: stdout is the report's alone.
    this.#process = fork(path, args, {
      serialization: "advanced",
      stdio: ["ignore", 2, 2, "ipc"],
      execArgv: ["--disable-warning=ExperimentalWarning", ...execArgv],
    })
    this.#process.on("message", (message) => this.#answered(message as Answer))
    this.#process.on("exit", (code, signal) => {
      const error = new Error(`${module} ended (${signal ?? code}) before it answered`)
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    })
    endLater(this.#process)
  }

  get pid(): number {
    return this.#process.pid as number
  }

  call<Output>(op: string, input: unknown = null): Promise<Output> {
    return new Promise((resolve, reject) => {
      const id = this.#next
      this.#next += 1
      this.#waiting.set(id, { resolve, reject })
      this.#process.send({ id, op, input } satisfies Request, (error) => {
        if (error !== null) reject(error)
      })
    })
  }

  /** Lets it end by itself (the answer of `stop` may write a profile first), and makes sure that it did. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const ended = new Promise<void>((resolve) => this.#process.once("exit", () => resolve()))
    const late = setTimeout(() => this.#process.kill("SIGKILL"), 15_000)
    this.call("stop").catch(() => undefined)
    await ended
    clearTimeout(late)
  }

  kill(): void {
    this.#process.kill("SIGKILL")
  }

  #answered({ id, output, error }: Answer): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (error === undefined) waiting?.resolve(output)
    else waiting?.reject(new Error(error))
  }
}

const running = new Map<ChildProcess, NodeJS.Signals>()
process.on("exit", endChildren)

/** Whatever becomes of the bench, a process that it started does not stay behind. `signal`: what ends it at once, with all that it started itself. */
export function endLater(child: ChildProcess, signal: NodeJS.Signals = "SIGKILL"): void {
  running.set(child, signal)
  child.once("exit", () => running.delete(child))
}

/** Ends what a bench left because it failed: who started it would wait for ever for what that may yet print. */
export function endChildren(): void {
  for (const [child, signal] of running) child.kill(signal)
}

/** In the child: answers calls until `stop`, or until the parent is gone. */
export function answer(operations: Operations & { stop?: () => unknown }): void {
  const leave = async (): Promise<never> => {
    await operations.stop?.()
    process.exit(0)
  }
  process.on("message", (message) => {
    const { id, op, input } = message as Request
    if (op === "stop") return void leave()
    const reply = (answered: Omit<Answer, "id">): void => void process.send?.({ id, ...answered } satisfies Answer)
    void Promise.resolve()
      .then(() => {
        const operation = operations[op]
        if (operation === undefined) throw new Error(`there is no operation ${op}`)
        return operation(input as never)
      })
      .then(
        (output) => reply({ output }),
        (error: unknown) => reply({ error: error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error) }),
      )
  })
  process.on("disconnect", () => void leave())
}
