import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { WebSocketServer } from "ws"
import type { Caller } from "./auth.ts"
import { Outbox } from "./outbox.ts"
import { isLoopback } from "./request.ts"
import { CLOSE, SocketConnection, type SocketOptions } from "./socket-connection.ts"

/** Time between two pings, in ms; a connection that does not answer one before the next is ended. */
const PING_MS = 15_000

/** All WebSocket connections of a hub. */
export class Sockets {
  readonly #options: SocketOptions
  readonly #server: WebSocketServer
  readonly #connections = new Set<SocketConnection>()
  readonly #outbox = new Outbox()
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
    this.#pings = setInterval(() => {
      for (const connection of this.#connections) connection.ping()
    }, PING_MS)
    this.#pings.unref()
  }

  get size(): number {
    return this.#connections.size
  }

  /** Takes over a request whose Host, Origin and path were checked. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      const connection = new SocketConnection(ws, isLoopback(request), this.#options, this.#outbox)
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

  async close(): Promise<void> {
    clearInterval(this.#pings)
    this.#outbox.flush()
    for (const connection of this.#connections) connection.close(CLOSE.goingAway, "the hub is going down")
    const deadline = Date.now() + 500
    while (this.#connections.size > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
    for (const connection of this.#connections) connection.terminate()
  }
}
