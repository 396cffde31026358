import { spawn } from "node:child_process"

/** What tmux answered to one command: its lines, or what it complained of. */
export type Reply = { ok: true; lines: string[] } | { ok: false; error: string; lost: boolean }

type Words = readonly [string, ...string[]]

/** The words of one tmux command. `next`: commands that the server does in the same step, whoever is killed meanwhile, as long as those before them succeed. */
export type TmuxCommand = { words: Words; next?: readonly Words[] }

/** How commands reach a tmux server. Never rejects: what fails is a reply. `lost` says that the server, or the way to it, is gone. */
export type TmuxWay = { run(command: TmuxCommand): Promise<Reply> }

/**
 * What a client of ours always says: that it takes UTF-8. Else tmux, where no variable of the locale says so (cron, a bare container), answers with `_` for
 * each character beyond ASCII and each end of a line within a value. What it is given it reads as bytes, in any locale.
 */
export const TAKES_UTF8 = "-u"

const RUN_MAX_MS = 10_000
/** The longest answer. */
export const OUTPUT_MAX_BYTES = 4 * 1024 * 1024
/** Of what tmux complains of the beginning is kept. */
const COMPLAINT_MAX = 4_096

/**
 * A word as tmux's own command language reads it back: in single quotes nothing is special but their end. An end of a line, which would end the command,
 * needs double quotes, and in these `$`, `~`, `"` and the backslash are escaped. Throws `RangeError` on NUL.
 */
export function quoted(word: string): string {
  if (word.includes("\0")) throw new RangeError("no program can be given a NUL byte")
  if (!/[\n\r]/.test(word)) return `'${word.replaceAll("'", String.raw`'\''`)}'`
  return `"${word
    .replace(/[\\"$~]/g, "\\$&")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")}"`
}

/** The line by which a command, and what follows it at once, is given to tmux. */
export const lineOf = ({ words, next = [] }: TmuxCommand): string => [words, ...next].map((one) => one.map(quoted).join(" ")).join(" ; ")

/** A word in which tmux would expand formats, kept as it is. */
export const literal = (word: string): string => word.replaceAll("#", "##")

/**
 * A process for each command, 4 to 50 ms: what there is until control mode is up, and when it breaks. The words are given on standard input
 * (`source-file -`), since they may hold texts and values of the agent's environment, and arguments can be read by everybody.
 */
export class ForkingWay implements TmuxWay {
  readonly #tmux: string
  readonly #socket: string
  readonly #env: Readonly<Record<string, string>>
  readonly #runMaxMs: number

  constructor(tmux: string, socket: string, env: Readonly<Record<string, string>>, runMaxMs = RUN_MAX_MS) {
    this.#tmux = tmux
    this.#socket = socket
    this.#env = env
    this.#runMaxMs = runMaxMs
  }

  run(command: TmuxCommand): Promise<Reply> {
    return this.spawn(["source-file", "-"], `${lineOf(command)}\n`)
  }

  /** Starts the server too, where there is none: only here, so that a lost server is noticed. */
  startServer(words: readonly string[]): Promise<Reply> {
    return this.spawn(["-f", "/dev/null", ...words], "")
  }

  spawn(args: readonly string[], stdin: string): Promise<Reply> {
    return new Promise((settle) => {
      const words = ["-L", this.#socket, TAKES_UTF8, ...args]
      const child = spawn(this.#tmux, words, { env: this.#env, cwd: "/", stdio: ["pipe", "pipe", "pipe"] })
      let output = ""
      let complaint = ""
      const limit = setTimeout(() => {
        complaint = `tmux has not ended within ${this.#runMaxMs / 1_000} s`
        // What it started may hold them open for as long as it likes.
        child.stdout.destroy()
        child.stderr.destroy()
        child.kill("SIGKILL")
      }, this.#runMaxMs)
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        if (output.length < OUTPUT_MAX_BYTES) output += text
      })
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        complaint += text.slice(0, COMPLAINT_MAX - complaint.length)
      })
      child.stdin.on("error", () => {})
      child.once("error", (error) => {
        clearTimeout(limit)
        settle({ ok: false, error: error.message, lost: true })
      })
      child.once("close", (code) => {
        clearTimeout(limit)
        if (code === 0 && complaint === "") return settle({ ok: true, lines: linesOf(output) })
        // In 3.3a a command of source-file that fails is told with the file's place and exit status 0 or 1.
        const error = complaint.trim().replace(/^-:\d+: /, "") || output.trim() || `tmux ended with status ${code}`
        settle({ ok: false, error, lost: isLost(error) })
      })
      child.stdin.end(stdin)
    })
  }
}

/** What tmux says where there is no server behind its socket. */
const isLost = (error: string): boolean => /no server running|error connecting|server exited|lost server|No such file or directory.*tmux/i.test(error)

function linesOf(output: string): string[] {
  return output === "" ? [] : output.replace(/\n$/, "").split("\n")
}
