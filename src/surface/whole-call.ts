import type { IncomingHttpHeaders } from "node:http"

/** A call whose request came whole: all that is asked of it later is in here. */
export type WholeCall = { pathname: string; headers: IncomingHttpHeaders & { host: string }; body: Buffer }

/** Who calls is known by its address too. */
export type Peer = { readonly readable: boolean; remoteAddress?: string | undefined }

/** Longer ones are read in turns of their own, by Node's HTTP. */
export const WHOLE_MAX_BYTES = 16 * 1024
/** Too short for more headers than Node's HTTP takes, 1,000: it refuses them, or, before 24, passes over those that follow. */
const HEAD_MAX_BYTES = 8 * 1024
const HEAD_END = Buffer.from("\r\n\r\n")
const ASKED = /POST (\/(?:rpc|api\/orpc)\/[A-Za-z]{1,40}\/[A-Za-z]{1,40}) HTTP\/1\.1\r\n/y
/** Lines that are printable, each ended as RFC 9112 says. */
const LINES = /^(?:[ -~]+\r\n)+$/
/** What a call may say of itself, as clients spell it. */
const KEPT = ["Host", "Authorization", "Content-Type", "Content-Length", "Idempotency-Key", "Skein-Workspace", "Skein-Session", "Connection"]
/** What the hub looks at in no call. */
const PASSED_OVER = ["Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-Dest"]
/** By either spelling: under which name it is kept; null: it is passed over. */
const NAMES = new Map<string, string | null>([
  ...KEPT.flatMap((name): [string, string][] => [
    [name, name.toLowerCase()],
    [name.toLowerCase(), name.toLowerCase()],
  ]),
  ...PASSED_OVER.flatMap((name): [string, null][] => [
    [name, null],
    [name.toLowerCase(), null],
  ]),
])

/**
 * Reads a request that is one call, whole, and nothing else: a POST of JSON to an operation over HTTP/1.1, on a connection that stays, each header known and once.
 * Null: it is none, or not as plain as that, and Node's HTTP is to say what it is. What is read here is read there in the same way: a stricter reader than Node's
 * can be no second opinion on where a request ends (RFC 9112, section 11.2).
 */
export function readWholeCall(bytes: Buffer): WholeCall | null {
  if (bytes.length > WHOLE_MAX_BYTES) return null
  const end = bytes.indexOf(HEAD_END)
  if (end === -1 || end > HEAD_MAX_BYTES) return null
  const head = bytes.toString("latin1", 0, end + 2)
  ASKED.lastIndex = 0
  const pathname = ASKED.exec(head)?.[1]
  if (pathname === undefined) return null
  if (!LINES.test(head)) return null
  const headers: Record<string, string> = {}
  for (let at = ASKED.lastIndex; at < head.length;) {
    const colon = head.indexOf(":", at)
    const last = head.indexOf("\r", at)
    const name = colon === -1 ? undefined : NAMES.get(head.slice(at, colon))
    const value = head.slice(head[colon + 1] === " " ? colon + 2 : colon + 1, last)
    if (name === undefined || value === "" || value.startsWith(" ") || value.endsWith(" ")) return null
    at = last + 2
    if (name === null) continue
    if (headers[name] !== undefined) return null
    headers[name] = value
  }
  const { host, connection = "keep-alive", "content-type": type, "content-length": length = "" } = headers
  if (host === undefined || type !== "application/json" || (connection !== "keep-alive" && connection !== "Keep-Alive")) return null
  if (!/^[1-9]\d{0,4}$/.test(length) || Number(length) !== bytes.length - end - HEAD_END.length) return null
  return { pathname, headers: headers as WholeCall["headers"], body: bytes.subarray(end + HEAD_END.length) }
}
