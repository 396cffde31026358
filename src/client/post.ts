import { type ErrorBody, type ErrorCode, ERRORS, SkeinError } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import { type Answer, ANSWER_MAX_BYTES, PlainHttp, tooLong } from "./plain-http.ts"

export type Posted = { status: number; body: unknown }
export type PostOptions = {
  headers?: Readonly<Record<string, string>>
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** Connections that are kept between requests; without it each request has its own. */
  sockets?: PlainHttp | undefined
  /** What can be done where no answer comes: `harmless` unless told. */
  again?: Again
}
/** How a call may be made again of which nobody knows whether it was done: at once, since it does no harm; under its caller's own key; or once its caller has looked. */
export type Again = "harmless" | "same key" | "look first"

/** The request never reached the hub: it can be sent again whatever it was. */
const NOT_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"])

/** No hub asks for a longer wait, in ms. */
const RETRY_AFTER_MAX_MS = 3_600_000

/** One POST of JSON. Throws `hub_unreachable` where it never arrived, `timed_out` where its outcome is unknown. */
export async function postJson(url: URL, body: unknown, { headers, timeoutMs, signal, sockets, again = "harmless" }: PostOptions): Promise<Posted> {
  const ends = new AbortController()
  const timer = setTimeout(() => ends.abort(timedOut(`no answer within ${Math.round(timeoutMs)} ms`, again)), timeoutMs)
  const givenUp = (): void => ends.abort(timedOut("the call was given up", again))
  if (signal?.aborted === true) givenUp()
  signal?.addEventListener("abort", givenUp, { once: true })
  try {
    const send = url.protocol === "https:" ? postSecurely : plainly(sockets)
    const { status, text } = await send(url, { "Content-Type": "application/json", ...headers }, JSON.stringify(body), ends.signal)
    const answer = parsed(text)
    if (typeof answer !== "object" || answer === null) throw noHub(url, `HTTP ${status}`)
    return { status, body: answer }
  } catch (error) {
    if (error instanceof SkeinError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    if (NOT_SENT.has(code ?? "")) throw unreachable(url, code)
    if (code === "EPROTO") throw noHub(url, "no HTTP")
    if (code === "EMSGSIZE") throw noHub(url, `over ${ANSWER_MAX_BYTES} bytes`)
    throw timedOut(`the connection broke (${code ?? message})`, again)
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener("abort", givenUp)
  }
}

type Send = (url: URL, headers: Readonly<Record<string, string>>, text: string, signal: AbortSignal) => Promise<Answer>

function plainly(sockets: PlainHttp = new PlainHttp({ keepAlive: false })): Send {
  return (url, headers, text, signal) => sockets.post(url, headers, text, signal)
}

/** TLS is for hubs elsewhere: what it needs is loaded only for them. */
async function postSecurely(url: URL, headers: Readonly<Record<string, string>>, text: string, signal: AbortSignal): Promise<Answer> {
  const { request: start } = await import("node:https")
  return new Promise((resolve, reject) => {
    const request = start(url, { method: "POST", headers: { "Content-Length": Buffer.byteLength(text), ...headers }, signal })
    request.on("response", (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size <= ANSWER_MAX_BYTES) return
        reject(tooLong())
        request.destroy()
      })
      response.on("error", reject)
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString("utf8") }))
    })
    request.on("error", (error) => reject(signal.aborted ? (signal.reason as Error) : error))
    request.end(text)
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

export function unreachable(url: URL, why?: string): SkeinError {
  return new SkeinError("hub_unreachable", `no hub answers at ${url.origin}${why === undefined ? "" : ` (${why})`}`, "Start it: skein up.", {}, 500)
}

/** Something listens there, and speaks otherwise than a hub. */
export function noHub(url: URL, how: string): SkeinError {
  return new SkeinError("hub_unreachable", `${url.origin} answers, but is no Skein hub (${how})`, "Look at the address: `skein status`.")
}

/** `key`: the caller's own, which a command that is sent again must have. */
export function againOf(name: OperationName, key: string | undefined): Again {
  if (KINDS[name] === "read") return "harmless"
  return KINDS[name] === "command" && key !== undefined ? "same key" : "look first"
}

export function timedOut(why: string, again: Again): SkeinError {
  if (again === "harmless") return new SkeinError("timed_out", why, "Ask again.")
  const remedy = again === "same key" ? "Ask again with the same idempotency key: it is done once." : "Look whether it was done before you ask again."
  return new SkeinError("timed_out", `${why}: whether it was done is unknown`, remedy)
}

/** An error as it came over the wire, as the error that it was; of what may be anything, only what has its type. */
export function errorFrom(body: unknown): SkeinError {
  const { code, message, remedy, details, retryAfterMs } = (typeof body === "object" && body !== null ? body : {}) as Partial<Record<keyof ErrorBody, unknown>>
  if (typeof code !== "string" || !Object.hasOwn(ERRORS, code))
    return new SkeinError("internal", "the hub answered an error that this client does not know", "Use the same version of Skein on both sides.", { body })
  const waitMs = typeof retryAfterMs === "number" && retryAfterMs >= 0 ? Math.min(retryAfterMs, RETRY_AFTER_MAX_MS) : null
  const given = typeof details === "object" && details !== null ? (details as ErrorBody["details"]) : {}
  return new SkeinError(code as ErrorCode, typeof message === "string" ? message : code, typeof remedy === "string" ? remedy : "", given, waitMs)
}
