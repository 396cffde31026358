import { randomBytes } from "node:crypto"
import type { IncomingMessage, Server, ServerResponse } from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { Duplex } from "node:stream"
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises"
import { ERRORS, SkeinError } from "../contract/errors.ts"
import { stopping } from "../hub/failures.ts"
import type { Hub } from "../hub/hub.ts"
import { Addresses, notThere } from "./addresses.ts"
import { Arriving } from "./arriving.ts"
import type { Auth, Caller } from "./auth.ts"
import { Connections } from "./connections.ts"
import type { Prices } from "./context.ts"
import type { Foresee } from "./foresight.ts"
import { MetricsHistory } from "./metrics-history.ts"
import { Page } from "./page.ts"
import { performer, revokedBy, type SurfaceLog, told } from "./perform.ts"
import { CONNECTIONS_MAX } from "./places.ts"
import { Buckets, type Rate } from "./rate.ts"
// prettier-ignore
import { badRequest, checkCoding, checkOrigin, errorHeaders, type Guard, guardFor, noProxy, pathOf, refuseRaw, sendError, unexpected, wholeAnswer } from "./request.ts"
import { inTurn, RequestTurns } from "./request-turns.ts"
import { encodeError, type ErrorStyle } from "./rpc.ts"
import { asksForWebSocket, passOver } from "./upgrade-offer.ts"
import { Sockets } from "./websocket.ts"
import type { Peer, WholeCall } from "./whole-call.ts"
import { WholeCalls } from "./whole-calls.ts"

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
  /** Of agents, all together. */
  connectionsMax?: number
  /** Time between two pings of a WebSocket, and two beats of a stream of events, in ms. */
  pingMs?: number
  /** Where the built page is, when not in this package's own `dist/dashboard`. */
  pageDirectory?: string
}

export type Served = { url: string; close(): Promise<void> }

/** Of one agent: well above what one client's sequential calls reach. */
export const DEFAULT_RATE: Rate = { perSecond: 5_000, burst: 10_000 }
export const BODY_MAX_BYTES = 256 * 1024
export const PLAN_MAX_BYTES = 8 * 1024 * 1024
export const PING_MS = 15_000
/** Time for the head of a request, in ms. */
const HEADERS_MS = 10_000
/** How long a connection may be idle, in ms, as its clients are told; and how long one is heard that asks just then. */
const KEEP_ALIVE_MS = 30_000
const KEEP_ALIVE_GRACE_MS = 1_000
/** How long whoever asks just as the hub goes down is heard, in ms; and how long connections are taken up that wait for it by then. */
const PARTING_MS = 20
const BACKLOG_MS = 200
/** How long a hub that goes down waits for the reader of an answer who takes nothing of it, and for all who do, in ms; and how often it looks. */
const READER_MS = 1_000
const READERS_MS = 5_000
const LOOK_MS = 10

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
  readonly #connections: Connections
  readonly #wholeCalls: WholeCalls
  readonly #sockets: Sockets
  readonly #addresses: Addresses
  readonly #turns = new RequestTurns()
  /** Connections of which nothing more is taken up. */
  readonly #refused = new WeakSet<Duplex>()
  readonly #run = randomBytes(4).toString("hex")
  readonly #sweep: NodeJS.Timeout
  /** Ends what is heard of other hubs. */
  readonly #deaf: () => void
  #guard: Guard = guardFor("127.0.0.1", 0, [])
  #requests = 0
  /** Connections that were taken up. */
  #arrived = 0
  #closing = false
  url = ""

  constructor(options: ServeOptions) {
    this.#o = options
    const rate = new Buckets(options.rate ?? DEFAULT_RATE)
    const revoked = (matches: (caller: Caller) => boolean): void => {
      // After the answer is out: the caller may have revoked itself.
      setImmediate(() => {
        this.#sockets.end(matches)
        this.#addresses.revoke(matches)
      })
    }
    this.#deaf = options.hub.hearOthers((workspace, entry) => {
      const matches = revokedBy(entry.type, entry.data, workspace)
      if (matches === null) return
      options.auth.forget(matches)
      revoked(matches)
    })
    const arriving = new Arriving()
    const page = new Page(options.auth, arriving, (signIn) => revoked((caller) => caller.signIn === signIn), options.pageDirectory)
    const metrics = (): Record<string, number> => ({
      requests: this.#requests,
      connections: this.#sockets.size,
      streams: this.#addresses.streams,
      rateLimited: rate.refused,
    })
    const { hub, auth, log, version, prices = new Map(), foresee } = options
    const history = new MetricsHistory(hub, metrics)
    const perform = performer({ hub, auth, log, rate, metrics, history, revoked, prices, foresee })
    const { bodyMaxBytes = BODY_MAX_BYTES, planMaxBytes = PLAN_MAX_BYTES, pingMs = PING_MS } = options
    const serving = { hub, auth, log, version, perform, bodyMaxBytes, planMaxBytes, pingMs, requestId: () => this.#requestId() }
    // Host is checked by `checkOrigin`, with an answer that says what to do.
    this.#server = createServer({
      requireHostHeader: false,
      // Of two of a kind Node else takes the first, and a proxy on the way perhaps the last: two hosts, bearers or types are none.
      joinDuplicateHeaders: true,
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_MS,
      requestTimeout: 60_000,
      maxHeaderSize: 16 * 1024,
      noDelay: true,
      shouldUpgradeCallback: asksForWebSocket,
    })
    // It would cut answers that are on their way yet; here that is looked at with more care.
    this.#server.closeIdleConnections = () => undefined
    this.#connections = new Connections(options.connectionsMax ?? CONNECTIONS_MAX)
    const connections = this.#connections
    this.#sockets = new Sockets({ ...serving, connections })
    this.#addresses = new Addresses({ ...serving, rate, page, arriving, connections })
    // Node's HTTP takes up a connection where the server tells of it; here that is said once it is known to be for it.
    const [http] = this.#server.listeners("connection") as [(this: Server, socket: Socket) => void]
    this.#wholeCalls = new WholeCalls({
      http: (socket) => http.call(this.#server, socket),
      answer: (call, peer) => this.#whole(call, peer),
      moved: (guest, socket) => connections.moved(guest, socket),
      silenceMs: HEADERS_MS,
      idleMs: KEEP_ALIVE_MS + KEEP_ALIVE_GRACE_MS,
    })
    this.#server.off("connection", http)
    this.#server.on("connection", (socket: Socket) => {
      this.#arrived += 1
      options.hub.arriving()
      this.#wholeCalls.take(socket, connections.enter(socket))
    })
    // A client may end its side once it has asked (RFC 9293, section 3.6). It has no name in Node's documentation, but every version since 0.7 has it.
    Object.assign(this.#server, { httpAllowHalfOpen: true })
    this.#server.on("request", (request, response) => {
      const answered = (): void => connections.answered(request.socket)
      response.on("finish", () => (request.complete ? answered() : request.once("end", answered)))
      void this.#request(request, response)
    })
    this.#server.on("upgrade", (request, socket, head) => {
      if (!asksForWebSocket(request)) return passOver(this.#server, request, socket, head)
      socket.on("error", () => socket.destroy())
      inTurn(socket, () => this.#upgrade(request, socket, head))
    })
    this.#server.on("checkExpectation", (request, response) => sendError(request, response, unexpected(), this.#requestId()))
    this.#server.on("connect", (_, socket: Duplex) => this.#refuse(socket, noProxy()))
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => this.#refuse(socket, badRequest(error)))
    this.#sweep = setInterval(() => {
      this.#addresses.expire()
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
    this.#deaf()
    clearInterval(this.#sweep)
    await this.#takeUp()
    let isClosed = false
    this.#server.close(() => (isClosed = true))
    // What has been sent by then is read first: whoever asks just as the hub goes down is told so, and not cut off.
    const parted = sleep(PARTING_MS).then(() => nextTurn())
    await this.#addresses.close()
    await this.#sockets.close()
    await parted
    this.#wholeCalls.close()
    for (const startMs = performance.now(); !isClosed; await sleep(LOOK_MS)) {
      const nowMs = performance.now()
      if (nowMs - startMs > READERS_MS) this.#server.closeAllConnections()
      this.#connections.letGo(nowMs, nowMs - startMs > READERS_MS ? 0 : READER_MS)
    }
  }

  /** The system has connections for a busy hub, which have asked perhaps, and would be reset; it is told of one of them in a turn. */
  async #takeUp(): Promise<void> {
    const untilMs = performance.now() + BACKLOG_MS
    for (let before = -1; before !== this.#arrived && performance.now() < untilMs; await nextTurn()) {
      before = this.#arrived
      await nextTurn()
    }
  }

  #requestId(): string {
    this.#requests += 1
    return `${this.#run}-${this.#requests}`
  }

  /** Once for each connection: Node tells of all that comes after the first that was wrong. */
  #refuse(socket: Duplex, error: SkeinError): void {
    if (this.#refused.has(socket)) return
    this.#refused.add(socket)
    socket.on("error", () => socket.destroy())
    inTurn(socket, () => refuseRaw(socket, error))
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    try {
      if (this.#closing) throw stopping()
      checkOrigin(request, this.#guard)
      const pathname = pathOf(request)
      if (pathname !== "/ws") throw notThere(pathname)
      this.#sockets.upgrade(request, socket, head)
    } catch (error) {
      refuseRaw(socket, told(this.#o.log, error, { requestId: this.#requestId() }))
    }
  }

  /** What is answered to a call that came whole, a refusal too; null: it is for Node's HTTP. */
  #whole(call: WholeCall, peer: Peer): Promise<string | Buffer> | null {
    if (this.#closing || !this.#guard.hosts.has(call.headers.host)) return null
    const asked = this.#addresses.askedBy(call)
    if (asked === null) return null
    const requestId = this.#requestId()
    const answered = (status: number, text: string, headers = {}): string | Buffer =>
      wholeAnswer(status, text, this.#closing ? 0 : KEEP_ALIVE_MS, { ...headers, "X-Request-Id": requestId })
    return this.#addresses.carryOut(asked, { headers: call.headers, socket: peer }, requestId).then(
      (text) => answered(200, text),
      (error: unknown) => {
        const refusal = told(this.#o.log, error, { requestId })
        return answered(ERRORS[refusal.code].http, JSON.stringify(encodeError(asked.prefix, refusal)), errorHeaders(refusal))
      },
    )
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = this.#requestId()
    try {
      // Another of its connection goes before it.
      if (response.socket === null) await this.#turns.wait(request, response)
      if (this.#closing) {
        // Its body may be with it, and then the connection can end with the answer.
        await nextTurn()
        throw stopping()
      }
      checkOrigin(request, this.#guard)
      checkCoding(request)
      await this.#addresses.answer({ request, response, pathname: pathOf(request), requestId })
    } catch (error) {
      if (response.destroyed) return
      const refusal = told(this.#o.log, error, { requestId })
      const body = encodeError(styleOf(request), refusal)
      sendError(request, response, refusal, requestId, body)
    }
  }
}

/** How this way in writes its errors. */
function styleOf({ url = "" }: IncomingMessage): ErrorStyle {
  if (url.startsWith("/rpc/")) return "/rpc"
  return url === "/mcp" || url.startsWith("/mcp?") ? "/mcp" : "/api/orpc"
}
