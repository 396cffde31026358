import type { IncomingMessage, ServerResponse } from "node:http"
import { setImmediate as nextTurn } from "node:timers/promises"
import { SkeinError } from "../contract/errors.ts"
import type { Hub } from "../hub/hub.ts"
import { stopping } from "../hub/failures.ts"
import { answerText } from "./answer-text.ts"
import type { Arriving } from "./arriving.ts"
import { type Auth, type Caller, TOKEN_MS } from "./auth.ts"
import { rangeAsked, sendBack, sendEntries, sendLines } from "./entry-pages.ts"
import type { Connections } from "./connections.ts"
import { type EventStream, streamEvents } from "./events.ts"
import type { McpEndpoint } from "./mcp-http.ts"
import type { Page } from "./page.ts"
import { mayPlan, type Perform, type SurfaceLog, waits, workspaceOf } from "./perform.ts"
import type { Buckets } from "./rate.ts"
import { recordsAt } from "./records-at.ts"
// prettier-ignore
import { allow, bearerOf, cookieOf, headerOf, isFromPage, isLoopback, jsonOf, readBytes, readJson, SECURE_HEADERS, sendJson, sendText, urlOf } from "./request.ts"
import type { Peer, WholeCall } from "./whole-call.ts"
import { decodeInput, encodeOutput, operationAt, type RpcPrefix } from "./rpc.ts"

type AddressesOptions = {
  hub: Hub
  auth: Auth
  log: SurfaceLog
  version: string
  perform: Perform
  rate: Buckets
  page: Page
  connections: Connections
  /** Bodies that are on their way: they are given up when the hub goes down. */
  arriving: Arriving
  bodyMaxBytes: number
  planMaxBytes: number
  /** Time between two signs of life on a stream of entries, in ms. */
  pingMs: number
  requestId(): string
}

/** A batch of log records may carry prompts, which are passed over. */
export const TELEMETRY_BODY_MAX_BYTES = 4 * 1024 * 1024
/** Brackets, commas and colons of them: an exporter's 512 records have half as many. */
export const TELEMETRY_MARKS_MAX = 250_000
const TOKEN_BODY_MAX_BYTES = 4 * 1024

type Asked = { prefix: RpcPrefix; operation: string; input: unknown }
/** Who asks, as far as the request tells. */
type AskedBy = Pick<IncomingMessage, "headers"> & { socket: Peer }
type Exchange = { request: IncomingMessage; response: ServerResponse; pathname: string; requestId: string }

/** What stands at each address. Whoever asks is known by its bearer, or, for what the page reads, by its cookie. */
export class Addresses {
  readonly #o: AddressesOptions
  readonly #streams = new Set<EventStream>()
  /** Whose calls wait, and what ends them. */
  readonly #waiting = new Set<{ caller: Caller; gone: AbortController }>()
  #openapi: Promise<string> | null = null
  #reference: Promise<{ csp: string; text: string }> | null = null
  #mcp: Promise<McpEndpoint> | null = null
  #mcpLoaded: McpEndpoint | null = null
  #closing = false

  constructor(options: AddressesOptions) {
    this.#o = options
  }

  /** Streams of entries that are open. */
  get streams(): number {
    return this.#streams.size
  }

  /** Ends the streams of callers whose token is over. */
  expire(): void {
    for (const stream of this.#streams) if (this.#o.auth.isOver(stream.caller)) stream.end("expired")
  }

  /** Lets go of callers whose right to be here was taken back. */
  revoke(matches: (caller: Caller) => boolean): void {
    for (const stream of this.#streams) if (matches(stream.caller)) stream.end("revoked")
    for (const { caller, gone } of this.#waiting) if (matches(caller)) gone.abort(revoked())
    this.#mcpLoaded?.forget(matches)
  }

  /** Tells whoever waits, for what it asked or for the rest of its own body to arrive, that the hub goes down. */
  async close(): Promise<void> {
    for (const stream of this.#streams) stream.end("closing")
    this.#closing = true
    for (const { gone } of this.#waiting) gone.abort(stopping())
    this.#o.arriving.end(stopping())
    await this.#mcpLoaded?.close()
  }

  /** Answers what was asked, or throws what the caller is to hear. */
  answer(exchange: Exchange): Promise<void> | void {
    const { pathname, request, response } = exchange
    if (pathname.startsWith("/rpc/")) return this.#call("/rpc", exchange)
    if (pathname.startsWith("/api/orpc/")) return this.#call("/api/orpc", exchange)
    response.setHeader("X-Request-Id", exchange.requestId)
    if (pathname.startsWith("/snapshots/")) return this.#snapshot(exchange)
    if (pathname.startsWith("/entries/") || pathname.startsWith("/back/")) return this.#range(exchange)
    if (pathname.startsWith("/otlp/v1/")) return this.#telemetry(exchange)
    switch (pathname) {
      case "/health":
        allow(request, "GET")
        return sendJson(response, 200, { ok: true, version: this.#o.version })
      case "/token":
        return this.#token(exchange)
      case "/events":
        return this.#events(exchange)
      case "/api":
      case "/api/":
        return this.#referencePage(exchange)
      case "/api/openapi.json":
        return this.#document(exchange)
      case "/mcp":
        return this.#serveMcp(exchange)
      case "/ws":
        throw new SkeinError("method_not_allowed", "/ws is a WebSocket", "Connect with the WebSocket protocol.")
      default:
        if (this.#o.page.owns(pathname)) return this.#o.page.serve(request, response, pathname)
        throw notThere(pathname)
    }
  }

  async #call(prefix: RpcPrefix, { request, response, pathname, requestId }: Exchange): Promise<void> {
    allow(request, "POST")
    const asked = this.#caller(request)
    const caller = asked instanceof Promise ? await asked : asked
    const { bodyMaxBytes, planMaxBytes } = this.#o
    const operation = operationAt(pathname, prefix)
    const isPlan = operation === "plan.add"
    // Refused for the caller's role, whatever it says: 8 MiB would be parsed for that, up to a second long.
    const input = isPlan && !mayPlan(caller) ? undefined : decodeInput(prefix, await readJson(request, isPlan ? planMaxBytes : bodyMaxBytes, this.#o.arriving))
    // What can be parked dies with its connection.
    const isWaiting = waits(operation, input)
    if (isWaiting) endWith(response)
    const signal = isWaiting ? this.#goneWith(response, caller) : undefined
    const answer = this.#o.perform(caller, { operation, input, key: headerOf(request, "idempotency-key"), requestId, signal, from: request.socket })
    const output = await (signal === undefined ? answer : answer.catch((error: unknown) => Promise.reject(calledOff(signal) ?? error)))
    sendText(response, 200, encodeOutput(prefix, answerText(operation, output)), { "X-Request-Id": requestId })
  }

  /** What a call that came whole asks for. Null: it may wait, is a plan, or cannot be read, which is a matter for `answer`. */
  askedBy(call: WholeCall): Asked | null {
    const prefix = call.pathname.startsWith("/rpc/") ? "/rpc" : "/api/orpc"
    const operation = operationAt(call.pathname, prefix)
    if (operation === "plan.add") return null
    try {
      const input = decodeInput(prefix, jsonOf(call, call.body))
      return waits(operation, input) ? null : { prefix, operation, input }
    } catch {
      return null
    }
  }

  /** Carries it out, as `answer` does, and gives the body of its answer. Rejects with what the caller is to hear. */
  async carryOut({ prefix, operation, input }: Asked, by: AskedBy, requestId: string): Promise<string> {
    const known = this.#caller(by)
    const caller = known instanceof Promise ? await known : known
    const output = await this.#o.perform(caller, { operation, input, key: headerOf(by, "idempotency-key"), requestId, from: by.socket })
    return encodeOutput(prefix, answerText(operation, output))
  }

  /** MCP in every revision: loaded at the first request, since most hubs start without anybody asking for it. */
  async #serveMcp({ request, response }: Exchange): Promise<void> {
    const caller = await this.#caller(request)
    this.#o.rate.take(caller)
    const body = request.method === "POST" ? await readJson(request, this.#o.bodyMaxBytes, this.#o.arriving) : undefined
    this.#mcp ??= this.#loadMcp()
    const mcp = await this.#mcp
    const { workspace } = caller
    const bound = await mcp.withSession(caller, (session) => this.#o.auth.caller(bearerOf(request), { workspace, session, loopback: isLoopback(request) }))
    const lasts = (): void => endWith(response)
    await mcp.serve(request, response, bound, body, { gone: this.#goneWith(response, bound), lasts })
  }

  async #loadMcp(): Promise<McpEndpoint> {
    const { McpEndpoint } = await import("./mcp-http.ts")
    const { hub, log, version, perform, requestId } = this.#o
    const sessionsOf = (caller: Caller): Promise<string[]> =>
      workspaceOf(hub, caller).read((state) => {
        const live = state.board.sessionsOf(caller.actor.agent).filter(({ status, runtime, owned }) => status === "live" && runtime === "mcp" && !owned)
        return live.map(({ id }) => id)
      })
    this.#mcpLoaded = new McpEndpoint({ version, log, perform, requestId, sessionsOf })
    return this.#mcpLoaded
  }

  async #token({ request, response }: Exchange): Promise<void> {
    allow(request, "POST")
    const body = ((await readJson(request, TOKEN_BODY_MAX_BYTES, this.#o.arriving)) ?? {}) as { workspace?: unknown; session?: unknown }
    const { workspace = null, session = null, ...rest } = body
    const unknown = Object.keys(rest)[0]
    if (!isTextOrNull(workspace) || !isTextOrNull(session) || unknown !== undefined) {
      throw new SkeinError(
        "invalid_input",
        unknown === undefined ? "workspace and session are texts" : `there is no field ${unknown.slice(0, 64)}`,
        'Send {} or {"workspace":"main","session":"s_..."}.',
      )
    }
    const { token, expiresAtMs, caller } = await this.#o.auth.exchange(bearerOf(request) ?? missing(), { workspace, session })
    const { agent, role, session: bound } = caller.actor
    sendJson(response, 200, { token, expiresAtMs, lastsMs: TOKEN_MS, workspace: caller.workspace, agent, role, session: bound })
  }

  async #events({ request, response }: Exchange): Promise<void> {
    allow(request, "GET")
    const url = urlOf(request)
    const caller = await this.#caller(request, url.searchParams.get("workspace"))
    this.#o.rate.take(caller)
    endWith(response)
    // Its reader may have gone while it was looked at who that is: no event will tell.
    if (response.destroyed) return
    const { hub, pingMs } = this.#o
    const stream = streamEvents(workspaceOf(hub, caller), caller, request, response, url, pingMs, (ended) => this.#streams.delete(ended))
    this.#streams.add(stream)
  }

  async #snapshot({ request, response, pathname }: Exchange): Promise<void> {
    allow(request, "GET")
    const [, , workspace = "", text = ""] = pathname.split("/", 5)
    if (!/^\d{1,15}$/.test(text)) throw new SkeinError("invalid_input", "a snapshot is asked for by workspace and seq", "GET /snapshots/WORKSPACE/SEQ")
    const caller = (await this.#pageCaller(request, workspace)) ?? (await this.#caller(request, workspace))
    this.#o.rate.take(caller)
    const loop = workspaceOf(this.#o.hub, caller)
    const found = urlOf(request).searchParams.has("records")
      ? await recordsAt(loop, this.#o.hub.ladder(loop.name), Number(text))
      : await loop.snapshot(Number(text))
    if (found === null)
      throw new SkeinError("not_found", `there is no snapshot at or before ${text}`, "Start from the first entry; `ledger.snapshots` lists what is kept.")
    await sendLines(response, found.lines, { "Skein-Snapshot-Seq": String(found.seq) })
  }

  async #range({ request, response, pathname }: Exchange): Promise<void> {
    allow(request, "GET")
    const { what, workspace, from, to } = rangeAsked(pathname)
    const caller = (await this.#pageCaller(request, workspace)) ?? (await this.#caller(request, workspace))
    this.#o.rate.take(caller)
    const loop = workspaceOf(this.#o.hub, caller)
    await (what === "back" ? sendBack(this.#o.hub.ladder(loop.name), from, to, response) : sendEntries(loop, from, to, caller.actor.agent, response))
  }

  /** Logs are read for usage; metrics and traces are taken and passed over, since exporters cannot be told to send none. */
  async #telemetry({ request, response, pathname, requestId }: Exchange): Promise<void> {
    allow(request, "POST")
    const signal = pathname.slice("/otlp/v1/".length)
    if (signal !== "logs" && signal !== "metrics" && signal !== "traces") throw notThere(pathname)
    const caller = await this.#caller(request)
    this.#o.rate.take(caller)
    const bytes = await readBytes(request, TELEMETRY_BODY_MAX_BYTES, this.#o.arriving)
    const body = jsonOf(request, bytes, TELEMETRY_MARKS_MAX)
    if (signal === "logs") {
      const { takeLogs } = await import("./otlp.ts")
      await takeLogs(workspaceOf(this.#o.hub, caller), this.#o.perform, caller, { bytes, body }, requestId)
    }
    sendJson(response, 200, {})
  }

  async #referencePage({ request, response }: Exchange): Promise<void> {
    allow(request, "GET")
    // Made once: to make it takes a tenth of a second, and anybody may ask for it.
    this.#reference ??= import("./reference-page.ts").then(async ({ REFERENCE_CSP, referencePage }) => {
      return { csp: REFERENCE_CSP, text: await referencePage(this.#o.version, nextTurn) }
    })
    const { csp, text } = await this.#reference
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": csp, ...SECURE_HEADERS })
    response.end(text)
  }

  async #document({ request, response }: Exchange): Promise<void> {
    allow(request, "GET")
    this.#openapi ??= import("./openapi.ts").then(async ({ openApiDocument }) => JSON.stringify(await openApiDocument(this.#o.version, nextTurn)))
    response.writeHead(200, { "Content-Type": "application/json; charset=utf-8", ...SECURE_HEADERS })
    response.end(await this.#openapi)
  }

  /** Who asks by the page's cookie; null: nobody, the request must say by its bearer. */
  async #pageCaller(request: IncomingMessage, workspace: string): Promise<Caller | null> {
    const cookie = cookieOf(request, this.#o.auth.page.cookieName)
    if (cookie === null || bearerOf(request) !== null || !isFromPage(request)) return null
    const caller = await this.#o.auth.pageCaller(cookie, workspace)
    this.#o.connections.know(request.socket, caller)
    return caller
  }

  /** Aborted when the response's connection is gone before its answer, or, with what the caller is to hear, its right to be here. */
  #goneWith(response: ServerResponse, caller: Caller): AbortSignal {
    const gone = new AbortController()
    const waiting = { caller, gone }
    // By now already, perhaps: no event will tell.
    if (response.destroyed) gone.abort()
    else if (this.#closing) gone.abort(stopping())
    else this.#waiting.add(waiting)
    response.on("close", () => {
      this.#waiting.delete(waiting)
      if (!response.writableFinished) gone.abort()
    })
    return gone.signal
  }

  /** Who asks, where there is a place for its connection. Known callers are answered without a promise: it would cost a call more than its routing. */
  #caller(request: AskedBy, workspace: string | null = null): Promise<Caller> | Caller {
    const named = headerOf(request, "skein-workspace")
    if (workspace !== null && named !== null && workspace !== named)
      throw new SkeinError("invalid_input", "address and header name different workspaces", "Name it once.")
    const bearer = bearerOf(request)
    const wanted = { workspace: workspace ?? named, session: headerOf(request, "skein-session"), loopback: isLoopback(request) }
    const { auth, connections } = this.#o
    const known = auth.known(bearer, wanted)
    if (known === null)
      return auth.caller(bearer, wanted).then((caller) => {
        connections.know(request.socket, caller)
        return caller
      })
    connections.know(request.socket, known)
    return known
  }
}

/** Whoever waits and has ended its side is taken for gone: a process that was killed says no more than that. */
function endWith(response: ServerResponse): void {
  const { socket } = response.req
  const end = (): void => void response.destroy()
  if (socket.readableEnded) end()
  socket.once("end", end)
  response.once("close", () => socket.off("end", end))
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || (typeof value === "string" && value !== "" && value.length <= 200)
}

/** What a caller is to hear whose call was called off, where that is known. */
function calledOff({ reason }: AbortSignal): SkeinError | null {
  return reason instanceof SkeinError ? reason : null
}

function missing(): never {
  throw new SkeinError("unauthenticated", "the request carries no credential", "Send `Authorization: Bearer CREDENTIAL` from the agent's credential file.")
}

function revoked(): SkeinError {
  return new SkeinError("unauthenticated", "the caller's credential or session ended while the call waited", "Ask again with one that stands.")
}

export function notThere(pathname: string): SkeinError {
  return new SkeinError("unknown_operation", `there is nothing at ${JSON.stringify(pathname.slice(0, 100))}`, "/api lists the operations.")
}
