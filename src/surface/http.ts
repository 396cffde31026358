import { randomBytes } from "node:crypto"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { pipeline } from "node:stream/promises"
import { Readable, type Duplex } from "node:stream"
import { SkeinError } from "../contract/errors.ts"
import type { Hub } from "../hub/hub.ts"
import { answerText } from "./answer-text.ts"
import { type Auth, type Caller, TOKEN_MS } from "./auth.ts"
import type { Prices } from "./context.ts"
import { recordsAt } from "./records-at.ts"
import { rangeAsked, sendBack, sendEntries } from "./entry-pages.ts"
import { type EventStream, streamEvents } from "./events.ts"
import { type Call, type Perform, performer, type SurfaceLog, told, waits, workspaceOf } from "./perform.ts"
import type { McpEndpoint } from "./mcp-http.ts"
import { Buckets, type Rate } from "./rate.ts"
import { MetricsHistory } from "./metrics-history.ts"
import type { Foresee } from "./foresight.ts"
import { Page } from "./page.ts"
// prettier-ignore
import { allow, badRequest, bearerOf, checkOrigin, cookieOf, type Guard, guardFor, headerOf, isFromPage, isLoopback, noProxy, pathOf, readJson, refuseRaw, SECURE_HEADERS, sendError, sendJson, sendText, unexpected, urlOf } from "./request.ts"
import { decodeInput, encodeError, encodeOutput, type ErrorStyle, operationAt, type RpcPrefix } from "./rpc.ts"
import { Sockets } from "./websocket.ts"

// Not by `import`, which reads all that the module exports, among it the getters that load Node's fetch, WebSocket and HTTP/2: 14 MB.
const { createServer } = process.getBuiltinModule("node:http")

export type ServeOptions = {
  hub: Hub
  auth: Auth
  log: SurfaceLog
  version: string
  /** Where it listens: loopback unless told otherwise; port 0 draws a free one. */
  host?: string
  port?: number
  /** What tokens cost, for usage that comes without its cost. */
  prices?: Prices
  /** How conflicts between agents' work are foreseen; without it they are not known. */
  foresee?: Foresee
  /** Further names under which it may be asked, as `host` or `host:port`. */
  allowedHosts?: readonly string[]
  rate?: Rate
  bodyMaxBytes?: number
  planMaxBytes?: number
  connectionsMax?: number
  /** Time between two pings of a WebSocket, in ms. */
  pingMs?: number
  /** Where the built page is, when not in this package's own `dist/dashboard`. */
  pageDirectory?: string
}

export type Served = { url: string; close(): Promise<void> }

/** Of one agent: well above what one client's sequential calls reach. */
const DEFAULT_RATE: Rate = { perSecond: 5_000, burst: 10_000 }
const BODY_MAX_BYTES = 256 * 1024
const PLAN_MAX_BYTES = 8 * 1024 * 1024
const CONNECTIONS_MAX = 2_000
const PING_MS = 15_000
/** A batch of log records may carry prompts, which are passed over. */
const TELEMETRY_BODY_MAX_BYTES = 4 * 1024 * 1024
const TOKEN_BODY_MAX_BYTES = 4 * 1024

type Exchange = { request: IncomingMessage; response: ServerResponse; pathname: string; requestId: string }

/** Serves the contract on one port. Answers when it listens; `close` ends connections, and leaves the hub to its owner. */
export async function serve(options: ServeOptions): Promise<Served> {
  const { host = "127.0.0.1", port = 0 } = options
  // An empty one, as a variable that is not set gives it, would mean every address of the machine.
  if (host === "")
    throw new SkeinError("invalid_input", "the address to listen on is empty", "Name one: 127.0.0.1, or 0.0.0.0 for every address of this machine.")
  const surface = new Surface(options)
  await surface.listen(host, port)
  return { url: surface.url, close: () => surface.close() }
}

class Surface {
  readonly #o: ServeOptions
  readonly #server: Server
  readonly #sockets: Sockets
  readonly #perform: Perform
  readonly #rate: Buckets
  readonly #page: Page
  readonly #streams = new Set<EventStream>()
  readonly #run = randomBytes(4).toString("hex")
  readonly #sweep: NodeJS.Timeout
  #guard: Guard = guardFor("127.0.0.1", 0, [])
  #requests = 0
  #closing = false
  #openapi: Promise<string> | null = null
  #mcp: Promise<McpEndpoint> | null = null
  #mcpLoaded: McpEndpoint | null = null
  url = ""

  constructor(options: ServeOptions) {
    this.#o = options
    this.#rate = new Buckets(options.rate ?? DEFAULT_RATE)
    const revoked = (matches: (caller: Caller) => boolean): void => {
      // After the answer is out: the caller may have revoked itself.
      setImmediate(() => {
        this.#sockets.end(matches)
        for (const stream of this.#streams) if (matches(stream.caller)) stream.end("revoked")
        this.#mcpLoaded?.forget(matches)
      })
    }
    this.#page = new Page(options.auth, (signIn) => revoked((caller) => caller.signIn === signIn), options.pageDirectory)
    const metrics = (): Record<string, number> => ({
      requests: this.#requests,
      connections: this.#sockets.size,
      streams: this.#streams.size,
      rateLimited: this.#rate.refused,
    })
    const { hub, auth, log, version, prices = new Map(), foresee } = options
    const history = new MetricsHistory(hub, metrics)
    this.#perform = performer({ hub, auth, log, rate: this.#rate, metrics, history, revoked, prices, foresee })
    const { bodyMaxBytes = BODY_MAX_BYTES, planMaxBytes = PLAN_MAX_BYTES, pingMs = PING_MS } = options
    this.#sockets = new Sockets({ hub, auth, log, version, perform: this.#perform, requestId: () => this.#requestId(), bodyMaxBytes, planMaxBytes, pingMs })
    // Host is checked by `checkOrigin`, with an answer that says what to do.
    this.#server = createServer({
      requireHostHeader: false,
      keepAliveTimeout: 30_000,
      headersTimeout: 10_000,
      requestTimeout: 60_000,
      maxHeaderSize: 16 * 1024,
      noDelay: true,
      // Some clients offer HTTP/2 with their first request (Java's does): it is theirs to offer and ours to pass over. Node from 22.21 and 24.9 on.
      shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === "websocket",
    })
    this.#server.maxConnections = options.connectionsMax ?? CONNECTIONS_MAX
    this.#server.on("request", (request, response) => void this.#request(request, response))
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head))
    this.#server.on("checkExpectation", (request, response) => sendError(request, response, unexpected(), this.#requestId()))
    this.#server.on("connect", (_, socket: Duplex) => refuseRaw(socket, noProxy()))
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => refuseRaw(socket, badRequest(error)))
    this.#sweep = setInterval(() => {
      for (const stream of this.#streams) if (auth.isOver(stream.caller)) stream.end("expired")
      history.tick(performance.now())
    }, 1_000)
    this.#sweep.unref()
  }

  async listen(host: string, port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject)
      this.#server.listen({ host, port, backlog: 511 }, () => {
        this.#server.off("error", reject)
        resolve()
      })
    })
    const bound = (this.#server.address() as AddressInfo).port
    this.#guard = guardFor(host, bound, this.#o.allowedHosts ?? [])
    const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host
    this.url = `http://${name}:${bound}`
  }

  async close(): Promise<void> {
    this.#closing = true
    clearInterval(this.#sweep)
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
    })
    for (const stream of this.#streams) stream.end("closing")
    await this.#mcpLoaded?.close()
    await this.#sockets.close()
    this.#server.closeIdleConnections()
    const patience = setTimeout(() => this.#server.closeAllConnections(), 1_000)
    await closed
    clearTimeout(patience)
  }

  #requestId(): string {
    this.#requests += 1
    return `${this.#run}-${this.#requests}`
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy())
    try {
      if (this.#closing) throw stopping()
      checkOrigin(request, this.#guard)
      const { pathname } = urlOf(request)
      if (pathname !== "/ws") throw notThere(pathname)
      this.#sockets.upgrade(request, socket, head)
    } catch (error) {
      refuseRaw(socket, told(this.#o.log, error, { requestId: this.#requestId() }))
    }
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = this.#requestId()
    try {
      if (this.#closing) throw stopping()
      checkOrigin(request, this.#guard)
      await this.#route({ request, response, pathname: pathOf(request), requestId })
    } catch (error) {
      if (response.destroyed) return
      const refusal = told(this.#o.log, error, { requestId })
      const body = encodeError(styleOf(request), refusal)
      sendError(request, response, refusal, requestId, body)
    }
  }

  #route(exchange: Exchange): Promise<void> | void {
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
        return this.#reference(exchange)
      case "/api/openapi.json":
        return this.#document(exchange)
      case "/mcp":
        return this.#serveMcp(exchange)
      case "/ws":
        throw new SkeinError("method_not_allowed", "/ws is a WebSocket", "Connect with the WebSocket protocol.")
      default:
        if (this.#page.owns(pathname)) return this.#page.serve(request, response, pathname)
        throw notThere(pathname)
    }
  }

  async #call(prefix: RpcPrefix, { request, response, pathname, requestId }: Exchange): Promise<void> {
    allow(request, "POST")
    const asked = this.#caller(request)
    const caller = asked instanceof Promise ? await asked : asked
    const { bodyMaxBytes = BODY_MAX_BYTES, planMaxBytes = PLAN_MAX_BYTES } = this.#o
    const operation = operationAt(pathname, prefix)
    const input = decodeInput(prefix, await readJson(request, operation === "plan.add" ? planMaxBytes : bodyMaxBytes))
    const call: Call = { operation, input, key: headerOf(request, "idempotency-key"), requestId }
    // What can be parked dies with its connection.
    if (waits(operation, input)) call.signal = goneWith(response)
    const output = await this.#perform(caller, call)
    sendText(response, 200, encodeOutput(prefix, answerText(operation, output)), { "X-Request-Id": requestId })
  }

  /** MCP in every revision: loaded at the first request, since most hubs start without anybody asking for it. */
  async #serveMcp({ request, response }: Exchange): Promise<void> {
    const caller = await this.#caller(request)
    const body = request.method === "POST" ? await readJson(request, this.#o.bodyMaxBytes ?? BODY_MAX_BYTES) : undefined
    this.#mcp ??= this.#loadMcp()
    const mcp = await this.#mcp
    const { workspace } = caller
    const bound = await mcp.withSession(caller, (session) => this.#o.auth.caller(bearerOf(request), { workspace, session, loopback: isLoopback(request) }))
    await mcp.serve(request, response, bound, body, goneWith(response))
  }

  async #loadMcp(): Promise<McpEndpoint> {
    const { McpEndpoint } = await import("./mcp-http.ts")
    const { hub, log, version } = this.#o
    const sessionsOf = (caller: Caller): Promise<string[]> =>
      workspaceOf(hub, caller).read((state) => {
        const live = state.board.sessionsOf(caller.actor.agent).filter(({ status, runtime, owned }) => status === "live" && runtime === "mcp" && !owned)
        return live.map(({ id }) => id)
      })
    this.#mcpLoaded = new McpEndpoint({ version, log, perform: this.#perform, requestId: () => this.#requestId(), sessionsOf })
    return this.#mcpLoaded
  }

  async #token({ request, response }: Exchange): Promise<void> {
    allow(request, "POST")
    const body = ((await readJson(request, TOKEN_BODY_MAX_BYTES)) ?? {}) as { workspace?: unknown; session?: unknown }
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
    this.#rate.take(caller.actor.agent)
    const stream = streamEvents(workspaceOf(this.#o.hub, caller), caller, request, response, url, (ended) => this.#streams.delete(ended))
    this.#streams.add(stream)
  }

  async #snapshot({ request, response, pathname }: Exchange): Promise<void> {
    allow(request, "GET")
    const [, , workspace = "", text = ""] = pathname.split("/", 5)
    if (!/^\d{1,15}$/.test(text)) throw new SkeinError("invalid_input", "a snapshot is asked for by workspace and seq", "GET /snapshots/WORKSPACE/SEQ")
    const caller = (await this.#pageCaller(request, workspace)) ?? (await this.#caller(request, workspace))
    this.#rate.take(caller.actor.agent)
    const loop = workspaceOf(this.#o.hub, caller)
    const found = urlOf(request).searchParams.has("records")
      ? await recordsAt(loop, this.#o.hub.ladder(loop.name), Number(text))
      : await loop.snapshot(Number(text))
    if (found === null)
      throw new SkeinError("not_found", `there is no snapshot at or before ${text}`, "Start from the first entry; `ledger.snapshots` lists what is kept.")
    response.writeHead(200, { "Content-Type": "application/x-ndjson; charset=utf-8", "Skein-Snapshot-Seq": String(found.seq), ...SECURE_HEADERS })
    await pipeline(Readable.from(found.lines, { objectMode: false }), response)
  }

  async #range({ request, response, pathname }: Exchange): Promise<void> {
    allow(request, "GET")
    const { what, workspace, from, to } = rangeAsked(pathname)
    const caller = (await this.#pageCaller(request, workspace)) ?? (await this.#caller(request, workspace))
    this.#rate.take(caller.actor.agent)
    const loop = workspaceOf(this.#o.hub, caller)
    await (what === "back" ? sendBack(this.#o.hub.ladder(loop.name), from, to, response) : sendEntries(loop, from, to, response))
  }

  /** Logs are read for usage; metrics and traces are taken and passed over, since exporters cannot be told to send none. */
  async #telemetry({ request, response, pathname, requestId }: Exchange): Promise<void> {
    allow(request, "POST")
    const signal = pathname.slice("/otlp/v1/".length)
    if (signal !== "logs" && signal !== "metrics" && signal !== "traces") throw notThere(pathname)
    const caller = await this.#caller(request)
    const body = await readJson(request, TELEMETRY_BODY_MAX_BYTES)
    if (signal === "logs") {
      const { takeLogs } = await import("./otlp.ts")
      await takeLogs(workspaceOf(this.#o.hub, caller), this.#perform, caller, body, requestId)
    } else this.#rate.take(caller.actor.agent)
    sendJson(response, 200, {})
  }

  async #reference({ request, response }: Exchange): Promise<void> {
    allow(request, "GET")
    const { REFERENCE_CSP, referencePage } = await import("./reference-page.ts")
    const page = referencePage(this.#o.version)
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": REFERENCE_CSP, ...SECURE_HEADERS })
    response.end(page)
  }

  async #document({ request, response }: Exchange): Promise<void> {
    allow(request, "GET")
    this.#openapi ??= import("./openapi.ts").then(async ({ openApiDocument }) => JSON.stringify(await openApiDocument(this.#o.version)))
    response.writeHead(200, { "Content-Type": "application/json; charset=utf-8", ...SECURE_HEADERS })
    response.end(await this.#openapi)
  }

  /** Who asks by the page's cookie; null: nobody, the request must say by its bearer. */
  async #pageCaller(request: IncomingMessage, workspace: string): Promise<Caller | null> {
    const cookie = cookieOf(request, this.#o.auth.page.cookieName)
    if (cookie === null || bearerOf(request) !== null || !isFromPage(request)) return null
    return this.#o.auth.pageCaller(cookie, workspace)
  }

  /** Known callers are answered without a promise: it would cost a call more than its routing. */
  #caller(request: IncomingMessage, workspace: string | null = null): Promise<Caller> | Caller {
    const named = headerOf(request, "skein-workspace")
    if (workspace !== null && named !== null && workspace !== named)
      throw new SkeinError("invalid_input", "address and header name different workspaces", "Name it once.")
    const bearer = bearerOf(request)
    const wanted = { workspace: workspace ?? named, session: headerOf(request, "skein-session"), loopback: isLoopback(request) }
    return this.#o.auth.known(bearer, wanted) ?? this.#o.auth.caller(bearer, wanted)
  }
}

/** How this way in writes its errors. */
function styleOf({ url = "" }: IncomingMessage): ErrorStyle {
  if (url.startsWith("/rpc/")) return "/rpc"
  return url === "/mcp" || url.startsWith("/mcp?") ? "/mcp" : "/api/orpc"
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || (typeof value === "string" && value !== "" && value.length <= 200)
}

function missing(): never {
  throw new SkeinError("unauthenticated", "the request carries no credential", "Send `Authorization: Bearer CREDENTIAL` from the agent's credential file.")
}

/** Aborted when the response's connection is gone before its answer. */
function goneWith(response: ServerResponse): AbortSignal {
  const gone = new AbortController()
  response.on("close", () => {
    if (!response.writableFinished) gone.abort()
  })
  return gone.signal
}

function stopping(): SkeinError {
  return new SkeinError("hub_stopping", "the hub is shutting down", "Come again when it is up.", {}, 1_000)
}

function notThere(pathname: string): SkeinError {
  return new SkeinError("unknown_operation", `there is nothing at ${JSON.stringify(pathname.slice(0, 100))}`, "/api lists the operations.")
}
