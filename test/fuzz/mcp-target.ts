import { request } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { ERRORS } from "../../src/contract/errors.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { checkErrorBody, FuzzedHub } from "./fuzzed-hub.ts"
import { checkAnswer, someMessage } from "./mcp-messages.ts"
import { mutateBytes, oddText, writeJson } from "./mutation.ts"

/** The hub's MCP endpoint: requests as bytes on a socket, of every revision and none. */
export const mcpTarget: Target = {
  name: "mcp",
  entrance: "MCP over HTTP: messages, batches, headers and methods of /mcp",
  casesPerSubject: 300,
  open: async () => new McpSubject(await FuzzedHub.open()),
}

const PATIENCE_MS = 4_000
const WAITS_MS = 150

class McpSubject implements Subject {
  readonly #hub: FuzzedHub
  #sent = ""

  constructor(hub: FuzzedHub) {
    this.#hub = hub
  }

  describe(): string {
    return this.#sent.slice(0, 2_000)
  }

  async attempt(choices: Choices): Promise<string> {
    const { bearers, known, loop, port } = this.#hub
    const message = choices.chance(90)
      ? someMessage(choices, known, choices.below(100))
      : Array.from({ length: choices.pick([0, 1, 3]) }, (_, at) => someMessage(choices, known, at))
    const text = Buffer.from(writeJson(message))
    const body = choices.chance(12) ? mutateBytes(text, choices, 2) : text
    const method = choices.chance(94) ? "POST" : choices.pick(["GET", "DELETE", "PUT", "OPTIONS"])
    const bearer = choices.chance(4) ? "x" : choices.pick([bearers.worker, bearers.operator, bearers.observer, bearers.token])
    const headers: Record<string, string> = { authorization: `Bearer ${bearer}`, "content-type": "application/json" }
    headers["accept"] = choices.chance(94) ? "application/json, text/event-stream" : choices.pick(["*/*", "text/html", "application/json"])
    // What the message itself says of its revision is believed where no header says another.
    if (choices.chance(10)) headers["mcp-protocol-version"] = choices.pick(["2025-06-18", "2025-11-25", "2026-07-28", "1"])
    if (choices.chance(10)) headers[choices.pick(["mcp-session-id", "mcp-method", "mcp-name", "last-event-id"])] = clean(oddText(choices))
    this.#sent = `${method} ${JSON.stringify(headers)}\n${body.toString("latin1")}`
    const { seq } = loop.head
    // What streams says nothing until there is something to say.
    const streams = method === "GET"
    const answer = await ask({ port, method, headers, body, patienceMs: streams ? WAITS_MS : PATIENCE_MS })
    const came = await this.#judge(answer, streams, seq)
    this.#hub.checkSound()
    return came
  }

  async close(): Promise<void> {
    for (let tries = 0; tries < 100 && this.#hub.loop.stats()["parked"] !== 0; tries += 1) await sleep(10)
    await this.#hub.close()
  }

  async #judge(answer: Answer | null, streams: boolean, seq: number): Promise<string> {
    if (answer === null) {
      if (streams) return "streams"
      throw new Broken(`no whole answer within ${PATIENCE_MS} ms`)
    }
    const { status, type, text } = answer
    if (status >= 500 && status !== 503) throw new Broken(`status ${status}: ${text.slice(0, 300)}`)
    if (text === "") return `${status}, nothing`
    const parsed = (
      type.startsWith("text/event-stream")
        ? text.split("\n").flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6)) as unknown] : []))
        : JSON.parse(text)
    ) as Record<string, unknown> | unknown[]
    if (!Array.isArray(parsed) && "code" in parsed) {
      const code = checkErrorBody(parsed)
      if (ERRORS[code].http !== status) throw new Broken(`${code} was answered with status ${status}`)
      await this.#hub.checkUnwritten(seq)
      return `${status} ${code}`
    }
    const came = (Array.isArray(parsed) ? parsed : [parsed]).map(checkAnswer)
    if (came.every((word) => word !== "done")) await this.#hub.checkUnwritten(seq)
    return `${status} ${[...new Set(came)].join(" and ")}`
  }
}

type Answer = { status: number; type: string; text: string }

/** The whole answer; null: there was none in time, or the connection broke. */
function ask({
  port,
  method,
  headers,
  body,
  patienceMs,
}: {
  port: number
  method: string
  headers: Record<string, string>
  body: Buffer
  patienceMs: number
}): Promise<Answer | null> {
  return new Promise((settle) => {
    const asked = request({ port, host: "127.0.0.1", path: "/mcp", method, headers, agent: false }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (more: string) => (text += more))
      response.on("end", () => settle({ status: response.statusCode ?? 0, type: response.headers["content-type"] ?? "", text }))
    })
    asked.setTimeout(patienceMs, () => asked.destroy())
    asked.on("error", () => settle(null)).on("close", () => settle(null))
    asked.end(method === "GET" ? undefined : body)
  })
}

function clean(text: string): string {
  return text.replaceAll(/[^\u0020-\u007e]/g, "?").slice(0, 4_000)
}
