import { setTimeout as sleep } from "node:timers/promises"
import { ERRORS, SkeinError } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import type { Input, Output } from "../contract/operations.ts"
import { drawKey } from "./draw-key.ts"
import { hubAddress, isLoopbackUrl } from "./hub-address.ts"
import { bearerFor, type Identity, readIdentity } from "./identity.ts"
import { PlainHttp } from "./plain-http.ts"
import { againOf, errorFrom, noHub, postJson } from "./post.ts"
import { fullJitterMs } from "./retry.ts"

export type HttpClientOptions = Identity & {
  url: string
  workspace?: string
  session?: string
  /** For each call, in ms; 30 s by default. */ timeoutMs?: number
}
export type HttpCallOptions = { key?: string; signal?: AbortSignal; timeoutMs?: number }
export type HttpClient = {
  call<Name extends OperationName>(name: Name, input: Input<Name>, options?: HttpCallOptions): Promise<Output<Name>>
  close(): void
}

const TIMEOUT_MS = 30_000
const ATTEMPTS = 4

/**
 * Calls over HTTP with kept connections: for what calls the hub once and ends, such as the CLI. Loads nothing but `node:net`. Commands get an
 * idempotency key by themselves; what is safe to repeat is repeated a few times, after the time that the hub named. Throws `SkeinError`.
 */
export function httpClient({ url: address, workspace, session, timeoutMs = TIMEOUT_MS, ...identity }: HttpClientOptions): HttpClient {
  const url = hubAddress(address)
  const sockets = new PlainHttp({ keepAlive: true })
  // To make one takes as long as to send a request.
  const addresses = new Map<OperationName, URL>()
  const addressOf = (name: OperationName): URL => {
    let found = addresses.get(name)
    if (found === undefined) addresses.set(name, (found = new URL(`/rpc/${name.replace(".", "/")}`, url)))
    return found
  }
  // A file may hold a token that was renewed since: it is read at each call, which costs 0.1 ms.
  const bearer = async (leftMs: number): Promise<string> => {
    const text = await readIdentity(identity)
    return text.startsWith("skc_") && !isLoopbackUrl(url) ? (await bearerFor(url, identity, workspace, { timeoutMs: Math.max(1, leftMs) })).token : text
  }
  const call = async (name: OperationName, input: unknown, options: HttpCallOptions = {}): Promise<unknown> => {
    const kind = KINDS[name]
    const key = options.key ?? (kind === "command" ? drawKey() : null)
    const deadlineMs = performance.now() + (options.timeoutMs ?? timeoutMs + waitOf(input))
    for (let attempt = 0; ; attempt += 1) {
      const leftMs = deadlineMs - performance.now()
      try {
        const headers = {
          Authorization: `Bearer ${await bearer(leftMs)}`,
          ...(key === null ? {} : { "Idempotency-Key": key }),
          ...(workspace === undefined ? {} : { "Skein-Workspace": workspace }),
          ...(session === undefined ? {} : { "Skein-Session": session }),
        }
        const { status, body } = await postJson(
          addressOf(name),
          { json: input },
          { headers, sockets, timeoutMs: Math.max(1, leftMs), signal: options.signal, again: againOf(name, options.key) },
        )
        const { json } = body as { json?: { data?: unknown } }
        if (status === 200 && json === undefined) throw noHub(url, "HTTP 200, but no answer")
        if (status === 200) return json
        throw errorFrom(json?.data ?? body)
      } catch (error) {
        const waitMs = repeatAfterMs(error, attempt, kind !== "action")
        if (waitMs === null || performance.now() + waitMs >= deadlineMs || options.signal?.aborted === true) throw error
        await sleep(waitMs)
      }
    }
  }
  return { call: call as HttpClient["call"], close: () => sockets.close() }
}

/** A claim that waits may take that long besides. */
function waitOf(input: unknown): number {
  const { waitMs } = (input ?? {}) as { waitMs?: unknown }
  return typeof waitMs === "number" ? waitMs : 0
}

/** When to send it again, or null: where that cannot help, would not be safe, or was tried often enough. */
function repeatAfterMs(error: unknown, attempt: number, safe: boolean): number | null {
  if (!(error instanceof SkeinError) || attempt + 1 >= ATTEMPTS || ERRORS[error.code].retry !== "later") return null
  // No hub: whoever called decides whether to start one. A token that is over is not made good by waiting.
  if (error.code === "hub_unreachable" || error.code === "token_expired") return null
  if (error.code === "timed_out" && !safe) return null
  return (error.retryAfterMs ?? 0) + fullJitterMs(attempt, 25, 1_000, Math.random)
}
