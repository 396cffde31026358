import { Transform, type TransformCallback } from "node:stream"
import { shallow } from "../contract/schema.ts"
import { mcp } from "../surface/mcp-library.ts"

/** The longest message, in bytes: more than any tool takes. */
const LINE_MAX_BYTES = 4 * 1024 * 1024
/** The library goes down into a message level by level, and would run out of stack. */
const LEVELS_MAX = 64
const NEWLINE = 0x0a

/**
 * Messages of an agent, a line each, on their way to the MCP library: it drops what it cannot read without a word, and for a line without end it stops listening
 * for good. Here each is answered (JSON-RPC 2.0, section 5.1) by `refuse`, and the next one is read.
 */
export class SoundLines extends Transform {
  readonly #refuse: (answer: string) => void
  #parts: Buffer[] = []
  #bytes = 0
  #skips = false

  constructor(refuse: (answer: string) => void) {
    super()
    this.#refuse = refuse
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    let at = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, at)) {
      this.#take(chunk.subarray(at, end))
      at = end + 1
      this.#end()
    }
    this.#take(chunk.subarray(at))
    done()
  }

  override _flush(done: TransformCallback): void {
    if (this.#bytes > 0 || this.#skips) this.#end()
    done()
  }

  #take(part: Buffer): void {
    if (this.#skips || part.length === 0) return
    this.#parts.push(part)
    this.#bytes += part.length
    if (this.#bytes <= LINE_MAX_BYTES) return
    this.#parts = []
    this.#skips = true
  }

  #end(): void {
    const line = Buffer.concat(this.#parts)
    const isLong = this.#skips
    this.#parts = []
    this.#bytes = 0
    this.#skips = false
    if (isLong) return this.#answer(null, -32_600, `a message of more than ${LINE_MAX_BYTES} bytes is not read: send less at a time`)
    const text = line.toString("utf8").trim()
    if (text === "") return
    let message: unknown
    try {
      message = JSON.parse(text)
    } catch {
      return this.#answer(null, -32_700, "this line is no JSON: send each message as JSON on a line of its own")
    }
    const wrong = wrongMessage(message)
    if (wrong === null) this.push(`${text}\n`)
    else this.#answer(idOf(message), -32_600, wrong)
  }

  #answer(id: string | number | null, code: number, message: string): void {
    this.#refuse(`${JSON.stringify({ jsonrpc: "2.0", id, error: { code, message } })}\n`)
  }
}

/** What keeps a message from being one, or null. */
function wrongMessage(message: unknown): string | null {
  if (typeof message !== "object" || message === null || Array.isArray(message)) return "a message is one JSON object: batches are not taken"
  const { jsonrpc, method, id, params } = message as Record<string, unknown>
  if (jsonrpc !== "2.0") return 'a message says "jsonrpc":"2.0"'
  if ("id" in message && idOf(message) === null) return `an id is text or a whole number, not ${id === null ? "null" : typeof id}`
  if (!("method" in message) && !("result" in message || "error" in message)) return "a message has a method"
  if ("method" in message && typeof method !== "string") return "a method is text"
  if (params !== undefined && (typeof params !== "object" || params === null || Array.isArray(params))) return "params is an object"
  if (!shallow(message, LEVELS_MAX)) return `a message nests ${LEVELS_MAX} levels deep at the most: send what the tool's schema describes`
  try {
    mcp.parseJSONRPCMessage(message)
    return null
  } catch {
    return "this is no message of MCP: look at its `params` and `_meta`"
  }
}

function idOf(message: unknown): string | number | null {
  const id = typeof message === "object" && message !== null ? (message as { id?: unknown }).id : undefined
  return typeof id === "string" || (typeof id === "number" && Number.isSafeInteger(id)) ? id : null
}
