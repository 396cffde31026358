import { Agent as HttpAgent, type IncomingMessage, request as httpRequest } from "node:http"
import { request as httpsRequest } from "node:https"
import { type ErrorBody, ERRORS, SkeinError } from "../contract/errors.ts"

export type Posted = { status: number; body: unknown }
export type PostOptions = { headers?: Readonly<Record<string, string>>; timeoutMs: number; signal?: AbortSignal | undefined; agent?: HttpAgent | undefined }

/** The request never reached the hub: it can be sent again whatever it was. */
const NOT_SENT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"])

/** One POST of JSON. Throws `hub_unreachable` where it never arrived, `timed_out` where its outcome is unknown. */
export function postJson(url: URL, body: unknown, { headers, timeoutMs, signal, agent }: PostOptions): Promise<Posted> {
  const text = JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest
    const request = send(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text), ...headers },
      ...(agent === undefined || url.protocol === "https:" ? {} : { agent }),
      ...(signal === undefined ? {} : { signal }),
    })
    const timer = setTimeout(() => request.destroy(timedOut(`no answer within ${timeoutMs} ms`)), timeoutMs)
    request.on("response", (response: IncomingMessage) => {
      const chunks: Buffer[] = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("error", reject)
      response.on("end", () => {
        clearTimeout(timer)
        const status = response.statusCode ?? 0
        const body = parsed(Buffer.concat(chunks))
        if (body !== undefined) resolve({ status, body })
        else reject(new SkeinError("hub_unreachable", `${url.origin} answers, but is no Skein hub (HTTP ${status})`, "Look at the address: `skein status`."))
      })
    })
    request.on("error", (error: NodeJS.ErrnoException) => {
      clearTimeout(timer)
      if (error instanceof SkeinError) reject(error)
      else if (signal?.aborted === true) reject(timedOut("the call was given up"))
      else if (NOT_SENT.has(error.code ?? "")) reject(unreachable(url, error.code))
      else reject(timedOut(`the connection broke (${error.code ?? error.message})`))
    })
    request.end(text)
  })
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8")) as unknown
  } catch {
    return undefined
  }
}

export function unreachable(url: URL, why?: string): SkeinError {
  return new SkeinError("hub_unreachable", `no hub answers at ${url.origin}${why === undefined ? "" : ` (${why})`}`, "Start it: skein up.", {}, 500)
}

export function timedOut(why: string): SkeinError {
  return new SkeinError("timed_out", `${why}: whether it was done is unknown`, "Ask again with the same idempotency key: it is done once.")
}

/** An error as it came over the wire, as the error that it was. */
export function errorFrom(body: unknown): SkeinError {
  const { code, message, remedy, details, retryAfterMs } = (typeof body === "object" && body !== null ? body : {}) as Partial<ErrorBody>
  if (code === undefined || !Object.hasOwn(ERRORS, code))
    return new SkeinError("internal", "the hub answered an error that this client does not know", "Use the same version of Skein on both sides.", { body })
  return new SkeinError(code, message ?? code, remedy ?? "", details ?? {}, retryAfterMs ?? null)
}
