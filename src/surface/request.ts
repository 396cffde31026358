import { isUtf8 } from "node:buffer"
import type { IncomingMessage, ServerResponse } from "node:http"
import { isIP } from "node:net"
import type { Duplex } from "node:stream"
import { ERRORS, SkeinError } from "../contract/errors.ts"
import type { Arriving } from "./arriving.ts"
import { isWithin } from "./json-bounds.ts"
import { textTurns } from "./text-turns.ts"
import { answering, isAnswered } from "./under-way.ts"

/** What is checked of every HTTP request before anybody looks at what it asks, and how every answer is written. */

/** Host names under which this hub may be asked; anything else is a page that had its name point here (DNS rebinding). */
export type Guard = { hosts: ReadonlySet<string>; origins: ReadonlySet<string> }

/** What is looked at of a request, whoever read it. */
type Asked = Pick<IncomingMessage, "headers"> & { url?: string | undefined }

/** Of a body that was refused, so many bytes are read away before the connection ends: more than any body that is taken. */
const DRAIN_MAX_BYTES = 32 * 1024 * 1024
/** JSON that is no longer is parsed within some 30 ms, whatever it is. */
export const SHORT_BYTES = 256 * 1024
/** Bounds of longer JSON. A plan of 100,000 tasks, each with one dependency, has some 900,000 marks. */
export const LONG_LEVELS_MAX = 32
export const MARKS_MAX = 1_200_000
const JSON_TYPE = "application/json"
const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"]

/** `allowed`: further `host` or `host:port` names, such as a reverse proxy's; their https origins are allowed too. */
export function guardFor(host: string, port: number, allowed: readonly string[]): Guard {
  const bound = isIP(host) === 6 ? `[${host}]` : host
  const names = [...LOOPBACK_NAMES, bound]
  const hosts = new Set(names.map((name) => `${name}:${port}`))
  // Clients leave out HTTP's own port (RFC 9110, section 4.2.1).
  if (port === 80) for (const name of names) hosts.add(name)
  const origins = new Set([...hosts].map((name) => `http://${name}`))
  for (const name of allowed) {
    hosts.add(name.toLowerCase())
    origins.add(`http://${name.toLowerCase()}`).add(`https://${name.toLowerCase()}`)
  }
  return { hosts, origins }
}

/** Throws `origin_refused` unless the request names this hub and comes from nowhere else, `invalid_input` where it names none, or several. */
export function checkOrigin({ headers, url = "/" }: Asked, { hosts, origins }: Guard): void {
  // Two of them come as one, with a comma between (RFC 9112, section 3.2).
  if (headers.host === undefined || headers.host.includes(","))
    throw new SkeinError("invalid_input", "the request has no Host header, or several", "Send one, with the address that `skein status` shows.")
  // Whoever names the host in its address means that one (section 3.2.2).
  const host = /^[a-z][a-z0-9+.-]*:/i.test(url) ? (URL.parse(url)?.host ?? "") : headers.host
  if (!(hosts.has(host) || hosts.has(host.toLowerCase()))) {
    throw new SkeinError(
      "origin_refused",
      "the Host header is not this hub's",
      "Ask it by the address that `skein status` shows, or allow the name: --allow-host.",
      { host: host.slice(0, 200).toLowerCase() },
    )
  }
  const { origin } = headers
  if (origin !== undefined && !origins.has(origin.toLowerCase())) {
    throw new SkeinError(
      "origin_refused",
      "a page from elsewhere may not use this hub",
      "Open it from the hub's own address, or allow the name: --allow-host.",
      { origin: origin.slice(0, 200) },
    )
  }
}

export function isLoopback({ socket }: { socket: { remoteAddress?: string | undefined } }): boolean {
  const address = socket.remoteAddress ?? ""
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.")
}

/** The bearer of the Authorization header, or null. */
export function bearerOf({ headers }: Asked): string | null {
  const match = /^bearer +([^ \t]{1,4096})$/i.exec(headers.authorization?.trim() ?? "")
  return match?.[1] ?? null
}

/** A cookie of the request, or null. */
export function cookieOf({ headers }: IncomingMessage, name: string): string | null {
  for (const part of (headers.cookie ?? "").split(";")) {
    const at = part.indexOf("=")
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return null
}

/**
 * Whether a browser says that the hub's own page asks. `SameSite` alone does not: all ports of a host are one site. A request with an Origin must have
 * that of its Host; one without, which is how a page asks its own server with GET, must be called same-origin by the browser.
 */
export function isFromPage({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers
  if (host === undefined) return false
  if (origin !== undefined) return origin.toLowerCase() === `http://${host.toLowerCase()}` || origin.toLowerCase() === `https://${host.toLowerCase()}`
  return headers["sec-fetch-site"] === "same-origin"
}

/** A header that is there at most once, or null. */
export function headerOf({ headers }: Asked, name: string): string | null {
  const value = headers[name]
  return typeof value === "string" && value !== "" ? value : null
}

/** Reads a JSON body of `maxBytes` at the most. Rejects with `unsupported_media_type`, `body_too_large`, `invalid_input`. An empty body is undefined. */
export function readJson(request: IncomingMessage, maxBytes: number, arriving: Arriving): Promise<unknown> {
  return readBytes(request, maxBytes, arriving).then((bytes) => jsonOf(request, bytes))
}

/** The bytes of a body, in a turn of their own where they are many. Read by events: leaving an iteration half way would destroy the connection before the answer is out. */
export function readBytes(request: IncomingMessage, maxBytes: number, arriving: Arriving): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers["content-length"] ?? 0) > maxBytes) throw tooLarge(maxBytes)
    arriving.add(reject)
    let chunks: Buffer[] = []
    let size = 0
    request.on("data", (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBytes) {
        chunks.push(chunk)
        return
      }
      chunks = []
      reject(tooLarge(maxBytes))
    })
    request.on("end", () => textTurns.begin(size, () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))))
    request.on("close", () => {
      arriving.delete(reject)
      // It comes after the end too: an error is made only for a request that broke off.
      if (!request.complete) reject(new SkeinError("timed_out", "the request broke off", "Send it again, in one go."))
    })
    request.on("error", ignore)
  })
}

/**
 * Throws `not_implemented` where the body comes in a coding that is not undone here: what is in the chunks would be taken for the body (RFC 9112, section 6.1).
 * `invalid_input` where chunked is not the last of them: nobody knows its end (section 6.3), and Node's parser says so only once the request is told of.
 */
export function checkCoding({ headers }: Asked): void {
  const coding = headers["transfer-encoding"]
  if (coding === undefined || coding.toLowerCase() === "chunked") return
  if (!/(?:^|[ \t,])chunked$/i.test(coding))
    throw new SkeinError("invalid_input", "the request's last transfer coding is not chunked", "Send the body as it is.")
  throw new SkeinError("not_implemented", `the hub reads no transfer coding but chunked, and this is ${coding.slice(0, 100)}`, "Send the body as it is.")
}

/** The JSON value in the bytes of a request's body, as `readJson` gives it. */
export function jsonOf({ headers }: Asked, bytes: Buffer, marksMax = MARKS_MAX): unknown {
  if (bytes.length === 0) return undefined
  const packing = headers["content-encoding"]
  if (packing !== undefined && packing !== "identity")
    throw new SkeinError("unsupported_media_type", "the body is compressed", "Send it as it is, without `Content-Encoding`.", {})
  const { "content-type": stated } = headers
  const type = stated === JSON_TYPE ? stated : stated?.split(";", 1)[0]?.trim().toLowerCase()
  if (type !== JSON_TYPE)
    throw new SkeinError("unsupported_media_type", `the body is ${type ?? "of no stated type"}`, "Send JSON with `Content-Type: application/json`.", {})
  return parseJson(bytes, marksMax)
}

/** `close` tells of it too. */
function ignore(): void {}

/** What a refused request still sends is read away, so that its sender gets to the answer: a connection that is closed with bytes unread is reset. */
function drain(request: IncomingMessage): void {
  let left = DRAIN_MAX_BYTES
  request.on("data", (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) request.destroy()
  })
  request.on("error", ignore)
}

/** Parses JSON from a text, or from bytes that MUST be UTF-8. Throws `invalid_input`, and `body_too_large` on a long one that would take the hub's time: 8 MiB of brackets take two seconds. */
export function parseJson(from: string | Buffer, marksMax = MARKS_MAX): unknown {
  if (from.length > SHORT_BYTES && !isWithin(typeof from === "string" ? Buffer.from(from, "latin1") : from, LONG_LEVELS_MAX, marksMax))
    throw new SkeinError(
      "body_too_large",
      `a body over ${SHORT_BYTES} bytes nests more than ${LONG_LEVELS_MAX} levels deep, or has over ${marksMax} brackets, commas and colons`,
      "Send it in several, or put what is large in a text.",
      { limit: marksMax },
    )
  if (typeof from !== "string" && !isUtf8(from)) throw new SkeinError("invalid_input", "the body is not UTF-8", "Send JSON in UTF-8.", {})
  try {
    return JSON.parse(typeof from === "string" ? from : from.toString("utf8")) as unknown
  } catch (error) {
    // The parser's words may quote the body: only where it stopped is told.
    const at = /position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1]
    throw new SkeinError(
      "invalid_input",
      at === undefined ? "the body is not JSON" : `the body is not JSON: it breaks at character ${at}`,
      "Send one JSON value.",
      {},
    )
  }
}

function tooLarge(maxBytes: number): SkeinError {
  return new SkeinError("body_too_large", `the body is over ${maxBytes} bytes`, "Put what is large in a file or a commit and name it; a plan may be 8 MiB.", {
    limit: maxBytes,
  })
}

/** Nothing that the hub serves may be framed, sniffed or kept. */
export const SECURE_HEADERS = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "no-referrer",
  "X-Frame-Options": "DENY",
} as const

/** What every JSON answer begins with, as names and values in turn: Node takes such a list as it stands. */
const JSON_HEADERS: readonly string[] = ["Content-Type", "application/json; charset=utf-8", ...Object.entries(SECURE_HEADERS).flat()]

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
  sendText(response, status, JSON.stringify(body), headers)
}

/** A body that is JSON already. */
export function sendText(response: ServerResponse, status: number, text: string, headers: Readonly<Record<string, string>> = {}): void {
  const bytes = Buffer.byteLength(text)
  const list = [...JSON_HEADERS, "Content-Length", String(bytes)]
  for (const name in headers) list.push(name, headers[name] as string)
  response.writeHead(status, list)
  // ASCII is written as it stands, head and body in one piece.
  response.end(text, bytes === text.length ? "latin1" : "utf8")
}

const JSON_HEAD = Array.from({ length: JSON_HEADERS.length / 2 }, (_, at) => `${JSON_HEADERS[2 * at]}: ${JSON_HEADERS[2 * at + 1]}\r\n`).join("")

/** An answer of JSON as a whole, as it goes out on a connection that stays for `keepAliveMs`; 0: it ends. */
export function wholeAnswer(status: number, text: string, keepAliveMs: number, headers: Readonly<Record<string, string>>): string | Buffer {
  const bytes = Buffer.byteLength(text)
  let head = `HTTP/1.1 ${status} ${status === 200 ? "OK" : "Refused"}\r\n${JSON_HEAD}Content-Length: ${bytes}\r\n`
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`
  head += `Date: ${today()}\r\nConnection: ${keepAliveMs === 0 ? "close" : `keep-alive\r\nKeep-Alive: timeout=${keepAliveMs / 1_000}`}\r\n\r\n`
  // ASCII is written as it stands, head and body in one piece.
  return bytes === text.length ? head + text : Buffer.from(head + text)
}

let dated = { second: 0, text: "" }

/** What is said of the time, made once a second. */
function today(): string {
  const second = Math.floor(Date.now() / 1_000)
  if (second !== dated.second) dated = { second, text: new Date(second * 1_000).toUTCString() }
  return dated.text
}

/** The headers that an error's status calls for. */
export function errorHeaders(error: SkeinError): Record<string, string> {
  const headers: Record<string, string> = {}
  if (error.retryAfterMs !== null && ERRORS[error.code].retry === "later") headers["Retry-After"] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000)))
  if (ERRORS[error.code].http === 401) headers["WWW-Authenticate"] = 'Bearer realm="skein"'
  if (ERRORS[error.code].http === 405 && typeof error.details["allowed"] === "string") headers["Allow"] = error.details["allowed"]
  return headers
}

/** Every refusal over HTTP: its status, its body, when to come again. */
export function sendError(request: IncomingMessage, response: ServerResponse, error: SkeinError, requestId: string, body: unknown = error): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const headers: Record<string, string> = { ...errorHeaders(error), "X-Request-Id": requestId }
  if (!request.complete) drain(request)
  // Nothing more is asked on it, and it keeps the hub from ending.
  else if (error.code === "hub_stopping") headers["Connection"] = "close"
  sendJson(response, ERRORS[error.code].http, body, headers)
}

/** How long a refused connection stays for its answer to be read. */
const LINGER_MS = 1_000

/** Answers on a socket that has no response object: a failed upgrade, or what is no HTTP. One request has one answer: what comes after it just ends the connection. */
export function refuseRaw(socket: Duplex, error: SkeinError): void {
  // In the midst of an answer nothing can be said.
  if (answering(socket)?.writableEnded === false && isAnswered(socket)) {
    socket.destroy()
    return
  }
  if (!socket.writable) {
    // The answer before it may have ended the connection, and be on its way yet.
    if (!socket.writableEnded) socket.destroy()
    return
  }
  // Read away what still comes: nobody else reads this socket, and unread it would neither see its end nor ever close.
  socket.on("error", () => socket.destroy())
  socket.resume()
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
  if (isAnswered(socket)) socket.end()
  else socket.end(rawAnswer(error))
}

/** A refusal as it goes over a socket that ends with it. */
export function rawAnswer(error: SkeinError): string | Buffer {
  return wholeAnswer(ERRORS[error.code].http, JSON.stringify(error), 0, errorHeaders(error))
}

/** The path as it was sent: parsing the whole address would cost a call more than its routing. */
export function pathOf(request: IncomingMessage): string {
  const { url = "/" } = request
  if (!url.startsWith("/")) return urlOf(request).pathname
  const end = url.indexOf("?")
  return end < 0 ? url : url.slice(0, end)
}

export function urlOf(request: IncomingMessage): URL {
  const url = URL.parse(request.url ?? "/", "http://hub")
  if (url === null) throw new SkeinError("invalid_input", "the address cannot be read", "Ask for a path such as /health.")
  return url
}

/** Throws `method_not_allowed` on another method. HEAD is asked where GET is, and answered without the content (RFC 9110, section 9.3.2), which Node leaves out. */
export function allow({ method }: IncomingMessage, allowed: "GET" | "POST"): void {
  if (method === allowed || (method === "HEAD" && allowed === "GET")) return
  const details = { method: method ?? null, allowed: allowed === "GET" ? "GET, HEAD" : allowed }
  throw new SkeinError("method_not_allowed", `this address takes ${allowed}`, `Send ${allowed}.`, details)
}

export function unexpected(): SkeinError {
  return new SkeinError("invalid_input", "the hub meets no expectation but 100-continue", "Leave the Expect header out.")
}

export function noProxy(): SkeinError {
  return new SkeinError("method_not_allowed", "the hub is no proxy", "Send GET or POST.", { method: "CONNECT" })
}

export function badRequest(error: NodeJS.ErrnoException): SkeinError {
  if (error.code === "HPE_HEADER_OVERFLOW")
    return new SkeinError("body_too_large", "the headers are over 16384 bytes", "Send fewer of them.", { limit: 16_384 })
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") return new SkeinError("request_timeout", "the request did not come in time", "Send it in one go.")
  return new SkeinError("invalid_input", "this is no HTTP request", "Speak HTTP/1.1.")
}
