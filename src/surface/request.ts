import { isUtf8 } from "node:buffer"
import type { IncomingMessage, ServerResponse } from "node:http"
import { isIP } from "node:net"
import { ERRORS, SkeinError } from "../contract/errors.ts"

/** What is checked of every HTTP request before anybody looks at what it asks, and how every answer is written. */

/** Host names under which this hub may be asked; anything else is a page that had its name point here (DNS rebinding). */
export type Guard = { hosts: ReadonlySet<string>; origins: ReadonlySet<string> }

const LOOPBACK_NAMES = ["localhost", "127.0.0.1", "[::1]"]

/** `allowed`: further `host` or `host:port` names, such as a reverse proxy's; their https origins are allowed too. */
export function guardFor(host: string, port: number, allowed: readonly string[]): Guard {
  const bound = isIP(host) === 6 ? `[${host}]` : host
  const hosts = new Set([...LOOPBACK_NAMES, bound].map((name) => `${name}:${port}`))
  const origins = new Set([...hosts].map((name) => `http://${name}`))
  for (const name of allowed) {
    hosts.add(name.toLowerCase())
    origins.add(`http://${name.toLowerCase()}`).add(`https://${name.toLowerCase()}`)
  }
  return { hosts, origins }
}

/** Throws `origin_refused` unless the request names this hub and comes from nowhere else. */
export function checkOrigin({ headers }: IncomingMessage, { hosts, origins }: Guard): void {
  const host = headers.host?.toLowerCase()
  if (host === undefined || !hosts.has(host)) {
    throw new SkeinError(
      "origin_refused",
      "the Host header is not this hub's",
      "Ask it by the address that `skein status` shows, or allow the name: --allow-host.",
      { host: host?.slice(0, 200) ?? null },
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

export function isLoopback({ socket }: IncomingMessage): boolean {
  const address = socket.remoteAddress ?? ""
  return address === "::1" || address.startsWith("127.") || address.startsWith("::ffff:127.")
}

/** The bearer of the Authorization header, or null. */
export function bearerOf({ headers }: IncomingMessage): string | null {
  const match = /^bearer +(\S{1,4096})$/i.exec(headers.authorization?.trim() ?? "")
  return match?.[1] ?? null
}

/** A header that is there at most once, or null. */
export function headerOf({ headers }: IncomingMessage, name: string): string | null {
  const value = headers[name]
  return typeof value === "string" && value !== "" ? value : null
}

/** Reads a JSON body of `maxBytes` at the most. Throws `unsupported_media_type`, `body_too_large`, `invalid_input`. An empty body is undefined. */
export async function readJson(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const type = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase()
  const announced = Number(request.headers["content-length"] ?? 0)
  if (announced > maxBytes) throw tooLarge(maxBytes)
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw tooLarge(maxBytes)
    chunks.push(chunk)
  }
  if (size === 0) return undefined
  if (type !== "application/json")
    throw new SkeinError("unsupported_media_type", `the body is ${type ?? "of no stated type"}`, "Send JSON with `Content-Type: application/json`.", {})
  return parseJson(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size))
}

/** Parses JSON from bytes that MUST be UTF-8. Throws `invalid_input`. */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw new SkeinError("invalid_input", "the body is not UTF-8", "Send JSON in UTF-8.", {})
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown
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

export function sendJson(response: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
  const text = JSON.stringify(body)
  response.writeHead(status, { "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(text), ...SECURE_HEADERS, ...headers })
  response.end(text)
}

/** The headers that an error's status calls for. */
export function errorHeaders(error: SkeinError): Record<string, string> {
  const headers: Record<string, string> = {}
  if (error.retryAfterMs !== null && ERRORS[error.code].retry === "later") headers["Retry-After"] = String(Math.max(1, Math.ceil(error.retryAfterMs / 1_000)))
  if (ERRORS[error.code].http === 401) headers["WWW-Authenticate"] = 'Bearer realm="skein"'
  return headers
}

/** Every refusal over HTTP: its status, its body, when to come again. A body that nobody read ends the connection. */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: SkeinError,
  bodyOf: (error: SkeinError) => unknown = (plain) => plain,
): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const unread = !request.complete && request.method !== "GET" && request.method !== "HEAD"
  sendJson(response, ERRORS[error.code].http, bodyOf(error), { ...errorHeaders(error), ...(unread ? { Connection: "close" } : {}) })
}
