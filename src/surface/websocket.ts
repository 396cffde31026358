import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { WebSocketServer } from "ws"
import { SkeinError } from "../contract/errors.ts"
import { readingTogether } from "../contract/read-buffer.ts"
import type { Caller } from "./auth.ts"
import { Outbox } from "./outbox.ts"
import { Refusals } from "./rate.ts"
import { cookieOf, isFromPage, isLoopback, refuseRaw } from "./request.ts"
import { SocketConnection } from "./socket-connection.ts"
import { CLOSE } from "./socket-frames.ts"
import type { SocketOptions } from "./socket-options.ts"

/** Time that calls in flight get to be answered when the hub goes down, in ms, and then the connections to close. */
const DRAIN_MS = 1_000
const CLOSE_MS = 500
/** What all connections together may cost the hub in refusals: about a twentieth of a core, and as much again of those who rest for theirs. */
export const REFUSALS = { perSecond: 20_000, burst: 2_000 } as const

/** All WebSocket connections of a hub. */
export class Sockets {
  readonly #options: SocketOptions
  readonly #server: WebSocketServer
  readonly #connections = new Set<SocketConnection>()
  readonly #outbox = new Outbox()
  readonly #refusals = new Refusals(REFUSALS)
  readonly #pings: NodeJS.Timeout

  constructor(options: SocketOptions) {
    this.#options = options
    this.#server = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: options.planMaxBytes,
      clientTracking: false,
      skipUTF8Validation: true,
    })
    // What `ws` would refuse with a word of plain text.
    this.#server.on("wsClientError", ({ message }, socket) => {
      refuseRaw(
        socket,
        new SkeinError("invalid_input", `this is no WebSocket upgrade: ${message}`, "Ask for GET /ws with the headers of RFC 6455, version 13."),
      )
    })
    const ping = (): void => {
      for (const connection of this.#connections) connection.ping()
    }
    // Once what has arrived is read: after a machine has slept a pong may lie there.
    this.#pings = setInterval(() => setImmediate(ping), options.pingMs)
    this.#pings.unref()
  }

  get size(): number {
    return this.#connections.size
  }

  /** Takes over a request whose Host, Origin and path were checked. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const reading = readingTogether(socket)
    const { connections } = this.#options
    const guest = connections.guest(socket)
    connections.moved(guest, reading)
    this.#server.handleUpgrade(request, reading, head, (ws) => {
      const cookie = isFromPage(request) ? cookieOf(request, this.#options.auth.page.cookieName) : null
      const connection = new SocketConnection(ws, reading, { isLoopback: isLoopback(request), cookie, guest }, this.#options, this.#outbox, this.#refusals)
      guest.turnAway = (error) => connection.turnAway(error)
      this.#connections.add(connection)
      ws.on("close", () => {
        this.#connections.delete(connection)
        connection.closed()
      })
    })
  }

  /** Ends the connections of callers whose tokens are void. */
  end(matches: (caller: Caller) => boolean): void {
    for (const connection of this.#connections) {
      const { caller } = connection
      if (caller === null || !matches(caller)) continue
      // A session that was bound to the connection takes only the binding with it.
      const { bound, ...unbound } = { ...caller, actor: { ...caller.actor, session: null } }
      if (bound === true && !matches(unbound)) connection.caller = unbound
      else connection.close(CLOSE.unauthenticated, "revoked")
    }
  }

  /** Answers what is in flight, takes nothing more, and ends every connection. Claims that wait end with theirs, and come again by their keys. */
  async close(): Promise<void> {
    clearInterval(this.#pings)
    for (const connection of this.#connections) connection.drain()
    await until(() => [...this.#connections].every((connection) => connection.idle), DRAIN_MS)
    this.#outbox.flush()
    for (const connection of this.#connections) connection.close(CLOSE.goingAway, "the hub is going down")
    await until(() => this.#connections.size === 0, CLOSE_MS)
    for (const connection of this.#connections) connection.terminate()
  }
}

/** Waits until it holds, or until `withinMs` is over. */
async function until(holds: () => boolean, withinMs: number): Promise<void> {
  const deadlineMs = performance.now() + withinMs
  while (!holds() && performance.now() < deadlineMs) await new Promise((resolve) => setTimeout(resolve, 5))
}
