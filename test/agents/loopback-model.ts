import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { gunzipSync, zstdDecompressSync } from "node:zlib"
import { chatDialect } from "./chat-dialect.ts"
import { geminiDialect } from "./gemini-dialect.ts"
import { messagesDialect } from "./messages-dialect.ts"
import { responsesDialect } from "./responses-dialect.ts"
import { type Asked, asObject, type Script, type Turn } from "./turn.ts"

const DIALECTS = [messagesDialect, responsesDialect, geminiDialect, chatDialect]

/**
 * A server on this machine that plays the model of any of the four agents: it speaks the API that the agent speaks, and what it says is scripted. A request
 * without tools is a side errand of the agent's (a title, a summary) and gets a plain answer. Everything that was asked is kept.
 */
export class LoopbackModel {
  /** The requests of the conversation itself, in order. */
  readonly asked: Asked[] = []
  /** What the script could not answer: a test looks that there is none. */
  readonly faults: string[] = []
  /** When it was asked last; 0 before that. */
  askedAtMs = 0
  /** Paths that no dialect knows, which an agent asked for besides. */
  readonly strays: string[] = []
  readonly #script: Script
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => {
      this.faults.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
      if (!response.headersSent) response.writeHead(500, { "Content-Type": "application/json" })
      response.end(JSON.stringify({ error: { type: "api_error", message: String(error) } }))
    })
  })

  constructor(script: Script) {
    this.#script = script
  }

  async listen(): Promise<string> {
    await new Promise<void>((settle) => this.#server.listen(0, "127.0.0.1", settle))
    return this.url
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((settle) => this.#server.close(settle))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/"
    const text = await bodyOf(request)
    const dialect = DIALECTS.find((one) => one.matches(path))
    if (dialect === undefined || request.method !== "POST") {
      this.strays.push(`${request.method} ${path}`)
      response.writeHead(404, { "Content-Type": "application/json" }).end("{}")
      return
    }
    const body = asObject(JSON.parse(text))
    const asked = dialect.read(path, body)
    const turn = this.#turn(asked)
    const answer = dialect.write(turn, asked, body, path)
    response.writeHead(200, { "Content-Type": answer.type, "Cache-Control": "no-cache" }).end(answer.text)
  }

  #turn(asked: Asked): Turn {
    if (asked.tools.length === 0) return { text: "a walk through the files" }
    this.asked.push(asked)
    this.askedAtMs = Date.now()
    return this.#script(asked)
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  const encoding = request.headers["content-encoding"]
  if (encoding === "gzip") return gunzipSync(bytes).toString("utf8")
  if (encoding === "zstd") return zstdDecompressSync(bytes).toString("utf8")
  return bytes.toString("utf8")
}
