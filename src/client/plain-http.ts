import { connect, type Socket } from "node:net"
import { SkeinError } from "../contract/errors.ts"
import { together } from "../contract/read-buffer.ts"

/** An answer as it came: status and body. */
export type Answer = { status: number; text: string }

/** A connection, and who gets what comes on it. */
type Line = { socket: Socket; take(bytes: Buffer): void }

/** Idle connections that are kept for the next request. */
const IDLE_MAX = 64
const HEAD_MAX_BYTES = 64 * 1024
/** No hub answers more: what a stranger sends may have no end. As much as a message on a WebSocket may have. */
export const ANSWER_MAX_BYTES = 256 * 1024 * 1024

/**
 * HTTP/1.1 over plain sockets, for one kind of request: a POST of JSON. `node:http` brings all of undici along when it is loaded (Node 24), which makes a
 * command line call half as long again. Understands what servers and proxies answer: lengths, chunks, or an end. RFC 9112.
 */
export class PlainHttp {
  readonly #idle: Line[] = []
  readonly #keepAlive: boolean

  constructor({ keepAlive }: { keepAlive: boolean }) {
    this.#keepAlive = keepAlive
  }

  /** Sends one request. Rejects with the socket's error, or with `signal`'s: then nobody knows whether it was carried out. */
  async post(url: URL, headers: Readonly<Record<string, string>>, body: string, signal: AbortSignal): Promise<Answer> {
    const lines = Object.entries({
      Host: url.host,
      ...headers,
      "Content-Length": String(Buffer.byteLength(body)),
      Connection: this.#keepAlive ? "keep-alive" : "close",
    })
    const text = `POST ${url.pathname}${url.search} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${safe(value)}\r\n`).join("")}\r\n${body}`
    const line = this.#idle.pop() ?? open(url)
    const { socket } = line
    socket.ref()
    return new Promise((resolve, reject) => {
      const reader = new AnswerReader()
      const settle = (act: () => void, keep: boolean): void => {
        signal.removeEventListener("abort", onAbort)
        socket.removeAllListeners()
        line.take = ignore
        // An idle socket may break at any time; that is found out by whoever uses it next.
        socket.on("error", () => this.#forget(line))
        socket.on("close", () => this.#forget(line))
        if (keep && this.#keepAlive && this.#idle.length < IDLE_MAX) {
          socket.unref()
          this.#idle.push(line)
        } else socket.destroy()
        act()
      }
      const fail = (error: unknown): void => settle(() => reject(error), false)
      const onAbort = (): void => fail(signal.reason)
      const look = (ended: boolean): void => {
        try {
          const answer = reader.answer(ended)
          if (answer !== null) settle(() => resolve(answer), reader.keepsAlive && !ended)
          else if (ended) fail(Object.assign(new Error("the connection ended before the answer did"), { code: "ECONNRESET" }))
        } catch (error) {
          fail(error)
        }
      }
      line.take = (bytes) => {
        reader.add(bytes)
        look(false)
      }
      socket.on("error", fail)
      socket.on("close", () => look(true))
      if (signal.aborted) return onAbort()
      signal.addEventListener("abort", onAbort, { once: true })
      socket.write(text)
    })
  }

  close(): void {
    for (const { socket } of this.#idle.splice(0)) socket.destroy()
  }

  #forget(line: Line): void {
    const at = this.#idle.indexOf(line)
    if (at !== -1) this.#idle.splice(at, 1)
  }
}

function open(url: URL): Line {
  const onread = together((bytes) => {
    line.take(bytes)
    return true
  })
  const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 80), noDelay: true, onread })
  const line: Line = { socket, take: ignore }
  return line
}

function ignore(): void {}

/** A header's value can begin no other header: a credential file that holds a line break must not write into the request. */
function safe(value: string): string {
  if (/[\r\n\0]/.test(value)) throw new SkeinError("invalid_input", "a credential, key or name holds a line break", "Leave it out.")
  return value
}

/** Puts an answer together from the pieces in which it comes. */
class AnswerReader {
  #pieces: Buffer[] = []
  #size = 0
  #head: Head | null = null
  keepsAlive = false

  add(chunk: Buffer): void {
    this.#pieces.push(chunk)
    this.#size += chunk.length
  }

  /** The whole answer, or null while some of it is missing. `ended`: nothing more will come. Throws where it is no HTTP, or too long. */
  answer(ended: boolean): Answer | null {
    if (this.#size > ANSWER_MAX_BYTES) throw tooLong()
    // Put together once: each piece would else copy all that came before it.
    if (this.#head !== null && !this.#head.isChunked && !ended && this.#size < this.#head.bodyAt + (this.#head.length ?? Infinity)) return null
    const bytes = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces)
    this.#pieces = [bytes]
    this.#head ??= readHead(bytes)
    if (this.#head === null) return null
    const { status, length, isChunked, bodyAt } = this.#head
    this.keepsAlive = this.#head.keepsAlive
    if (isChunked) {
      const body = readChunks(bytes, bodyAt)
      return body === null ? null : { status, text: body.toString("utf8") }
    }
    if (length === null) return ended ? { status, text: bytes.toString("utf8", bodyAt) } : null
    const end = bodyAt + length
    return bytes.length >= end ? { status, text: bytes.toString("utf8", bodyAt, end) } : null
  }
}

/** What of an answer's head says how to read it. `length`: of its body, in bytes; null: it does not say. */
type Head = { status: number; length: number | null; isChunked: boolean; keepsAlive: boolean; bodyAt: number }

function readHead(bytes: Buffer): Head | null {
  const end = bytes.indexOf("\r\n\r\n")
  if (end === -1) {
    if (bytes.length > HEAD_MAX_BYTES) throw notHttp()
    return null
  }
  const text = bytes.toString("latin1", 0, end)
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]
  if (status === undefined) throw notHttp()
  const length = /\r\ncontent-length:[ \t]*([^\r]*)/i.exec(text)?.[1]?.trim()
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw notHttp()
  return {
    status: Number(status),
    length: length === undefined ? null : Number(length),
    isChunked: /\r\ntransfer-encoding:[ \t]*chunked[ \t]*(?:\r|$)/i.test(text),
    keepsAlive: !/\r\nconnection:[ \t]*close[ \t]*(?:\r|$)/i.test(text),
    bodyAt: end + 4,
  }
}

/** The body of an answer in chunks, or null while the last is missing. */
function readChunks(bytes: Buffer, from: number): Buffer | null {
  const chunks: Buffer[] = []
  for (let at = from; ;) {
    const line = bytes.indexOf("\r\n", at)
    if (line === -1) return null
    // Digits and nothing before them: by a negative size it would go back to a chunk that it has read, for ever.
    const digits = /^[\da-f]{1,8}(?=[ \t;]|$)/i.exec(bytes.toString("latin1", at, line))?.[0]
    if (digits === undefined) throw notHttp()
    const size = Number.parseInt(digits, 16)
    if (size === 0) return bytes.indexOf("\r\n\r\n", line) === -1 && bytes.toString("latin1", line, line + 4) !== "\r\n\r\n" ? null : Buffer.concat(chunks)
    if (bytes.length < line + 2 + size + 2) return null
    chunks.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}

function notHttp(): Error {
  return Object.assign(new Error("the answer is no HTTP"), { code: "EPROTO" })
}

export function tooLong(): Error {
  return Object.assign(new Error("the answer is too long"), { code: "EMSGSIZE" })
}
