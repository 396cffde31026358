import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { OWNER } from "./leftover.ts"
import { lineOf, OUTPUT_MAX_BYTES, quoted, type Reply, TAKES_UTF8, type TmuxCommand, type TmuxWay } from "./tmux-command.ts"

type Block = { ok: boolean; lines: string[] }
type Waiting = { token: string; blocks: Block[]; settle(reply: Reply): void }

const LOST: Reply = { ok: false, error: "the control client has ended", lost: true }
/** A server that takes longer is stopped, or hangs. */
const REPLY_MAX_MS = 10_000

export type ControlOptions = {
  tmux: string
  socket: string
  /** The session that it attaches to. */
  session: string
  env: Readonly<Record<string, string>>
  onEnd(): void
}

/**
 * One client in tmux's control mode: commands on its standard input, 0.02 to 2 ms each. A command can bring several blocks of answer (those that `if-shell`
 * ran have their own) or none in time, so each is followed by a message of a token: all blocks before it belong to the command.
 */
export class ControlClient implements TmuxWay {
  readonly #options: ControlOptions
  readonly #child: ChildProcessWithoutNullStreams
  readonly #waiting: Waiting[] = []
  #open: { id: string; lines: string[] } | null = null
  #rest = ""
  /** Characters that are held of an answer that is not whole yet. */
  #held = 0
  #ended = false

  constructor(options: ControlOptions) {
    this.#options = options
    this.#child = spawn(options.tmux, ["-L", options.socket, "-C", TAKES_UTF8, "attach", "-t", `=${options.session}`, "-f", "no-output,ignore-size"], {
      env: { ...options.env, [OWNER]: String(process.pid) },
      cwd: "/",
      stdio: ["pipe", "pipe", "pipe"],
    })
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => this.#take(text))
    this.#child.stderr.resume()
    this.#child.stdin.on("error", () => {})
    this.#child.once("error", () => this.#end())
    this.#child.once("close", () => this.#end())
  }

  get ended(): boolean {
    return this.#ended
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  run(command: TmuxCommand): Promise<Reply> {
    if (this.#ended) return Promise.resolve(LOST)
    const token = randomBytes(9).toString("hex")
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), REPLY_MAX_MS)
      const settle = (reply: Reply): void => {
        clearTimeout(timer)
        resolve(reply)
      }
      this.#waiting.push({ token, blocks: [], settle })
      this.#child.stdin.write(`${lineOf(command)}\ndisplay-message -p ${quoted(token)}\n`)
    })
  }

  /** By the end of its standard input: a signal would leave the server with a client that it believes in for a while. */
  close(): void {
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 2_000)
    this.#child.once("close", () => clearTimeout(timer))
  }

  #take(text: string): void {
    this.#held += text.length
    if (this.#held > OUTPUT_MAX_BYTES) {
      this.#child.kill("SIGKILL")
      return
    }
    const lines = (this.#rest + text).split("\n")
    this.#rest = lines.pop() ?? ""
    for (const line of lines) this.#line(line)
    if (this.#open === null && (this.#waiting[0]?.blocks.length ?? 0) === 0) this.#held = this.#rest.length
  }

  /** Only the end with the beginning's own number ends a block: what a pane shows may look like one. */
  #line(line: string): void {
    const [mark, ...id] = line.split(" ")
    if (this.#open === null) {
      if (mark === "%begin") this.#open = { id: id.join(" "), lines: [] }
      return
    }
    if ((mark !== "%end" && mark !== "%error") || id.join(" ") !== this.#open.id) {
      this.#open.lines.push(line)
      return
    }
    const block = { ok: mark === "%end", lines: this.#open.lines }
    this.#open = null
    const first = this.#waiting[0]
    if (first === undefined) return
    if (block.ok && block.lines.length === 1 && block.lines[0] === first.token) {
      this.#waiting.shift()
      first.settle(replyOf(first.blocks))
    } else first.blocks.push(block)
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    for (const { settle } of this.#waiting.splice(0)) settle(LOST)
    this.#options.onEnd()
  }
}

function replyOf(blocks: readonly Block[]): Reply {
  const failed = blocks.find(({ ok }) => !ok)
  if (failed !== undefined) return { ok: false, error: failed.lines.join(" "), lost: false }
  return { ok: true, lines: blocks.flatMap(({ lines }) => lines) }
}
