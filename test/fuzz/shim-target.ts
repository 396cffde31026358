import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { rmSync } from "node:fs"
import { resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import type { Choices } from "./choices.ts"
import { Broken, starvedMs, type Subject, type Target } from "./campaign.ts"
import { layInstance } from "./cli-run.ts"
import { FuzzedHub } from "./fuzzed-hub.ts"
import { scratchFolder } from "./kept-ledger.ts"
import { checkAnswer, someMessage } from "./mcp-messages.ts"
import { type Json, mutateBytes, oddValue, writeJson } from "./mutation.ts"

/** `skein mcp` as an agent starts it: a real process, with what an agent may write into it. */
export const shimTarget: Target = {
  name: "shim",
  entrance: "MCP over stdio: what an agent writes to skein mcp, line by line and otherwise",
  casesPerSubject: 200,
  deadlineMs: 180_000,
  open: () => ShimSubject.open(),
}

const MAIN = resolve("src/cli/main.ts")
const PATIENCE_MS = 6_000
const LONG = [5, 12] as const

class ShimSubject implements Subject {
  readonly #hub: FuzzedHub
  readonly #repository = scratchFolder()
  readonly #child: ChildProcessWithoutNullStreams
  readonly #exited: Promise<number | null>
  #out = ""
  #err = ""
  #ended = false
  #cases = 0
  #sent = ""

  private constructor(hub: FuzzedHub) {
    this.#hub = hub
    layInstance(this.#repository, hub)
    const env = { PATH: process.env["PATH"] ?? "", HOME: this.#repository }
    this.#child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, "mcp", "--agent", "ann"], { cwd: this.#repository, env })
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => (this.#out += text))
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#err += text))
    this.#child.stdin.on("error", () => undefined)
    this.#exited = new Promise((settle) =>
      this.#child.once("exit", (status) => {
        this.#ended = true
        settle(status)
      }),
    )
  }

  static async open(): Promise<ShimSubject> {
    return new ShimSubject(await FuzzedHub.open())
  }

  describe(): string {
    return this.#sent.slice(0, 3_000)
  }

  async attempt(choices: Choices): Promise<string> {
    this.#cases += 1
    const due = new Set<string>()
    const pieces: Buffer[] = []
    for (let count = choices.between(1, 4); count > 0; count -= 1) {
      const id = `${this.#cases}-${count}`
      const message = choices.chance(92) ? someMessage(choices, this.#hub.known, id) : oddValue(choices)
      const line = Buffer.from(writeJson(message))
      if (choices.chance(15)) pieces.push(mutateBytes(line, choices, 2))
      else {
        pieces.push(line)
        if (isRequest(message)) due.add(message.id)
      }
      if (choices.chance(2)) pieces.push(Buffer.alloc(choices.pick(LONG) * 2 ** 20, "x"))
    }
    const last = `last-${this.#cases}`
    pieces.push(Buffer.from(`{"jsonrpc":"2.0","id":"${last}","method":"ping"}`))
    due.add(last)
    const bytes = Buffer.concat(pieces.flatMap((piece) => [piece, Buffer.from(choices.chance(5) ? "\r\n" : "\n")]))
    this.#sent = bytes.subarray(0, 3_000).toString("latin1")
    const cut = choices.below(bytes.length + 1)
    this.#out = ""
    this.#child.stdin.write(bytes.subarray(0, cut))
    this.#child.stdin.write(bytes.subarray(cut))
    const came = await this.#answers(due)
    this.#hub.checkSound()
    return came
  }

  async close(): Promise<void> {
    try {
      this.#child.stdin.end()
      const status = await Promise.race([this.#exited, sleep(PATIENCE_MS, "late" as const)])
      if (status !== 0) throw new Broken(`skein mcp ends with ${status} when its agent is gone: ${this.#err.slice(0, 400)}`)
      if (this.#err !== "") throw new Broken(`on standard error: ${this.#err.slice(0, 400)}`)
    } finally {
      this.#child.kill("SIGKILL")
      rmSync(this.#repository, { recursive: true, force: true })
      await this.#hub.close()
    }
  }

  async #answers(due: Set<string>): Promise<string> {
    const words = new Set<string>()
    const endMs = performance.now() + PATIENCE_MS - starvedMs(this.#child.pid)
    for (let read = 0; due.size > 0;) {
      const end = this.#out.indexOf("\n", read)
      if (end >= 0) {
        const answer = JSON.parse(this.#out.slice(read, end)) as { id?: unknown }
        words.add(checkAnswer(answer))
        due.delete(answer.id as string)
        read = end + 1
        continue
      }
      if (this.#ended) throw new Broken(`skein mcp has ended: ${this.#err.slice(0, 1_000)}`)
      if (performance.now() > endMs + starvedMs(this.#child.pid)) throw new Broken(`no answer to ${[...due].join(", ")} within ${PATIENCE_MS} ms`)
      await sleep(1)
    }
    return [...words].sort().join(", ")
  }
}

/** Whether an answer is due: one that says which message it is. */
function isRequest(message: Json): message is { id: string } {
  if (typeof message !== "object" || message === null || Array.isArray(message)) return false
  return typeof message["id"] === "string" && !("result" in message) && !("error" in message)
}
