import { once } from "node:events"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { answering } from "./under-way.ts"

/** Requests of one connection that wait for their turn, above which nothing more is read from it. What was read with the last of them waits too: 64 KiB at the most. */
const WAITING_MAX = 16

/**
 * When a connection's requests are carried out: each when the answer to the one before it is with the operating system, so that they take effect in the order in
 * which they were sent (RFC 9112, section 9.3.2), and a client that sends on and on and reads nothing has one answer in the hub's memory.
 */
export class RequestTurns {
  readonly #waiting = new WeakMap<Socket, number>()

  /** Resolves when it is the turn of a request whose response has no connection yet; never, when the connection is gone before. */
  async wait({ socket }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#waiting.has(socket)) {
      // Whatever of a request is read makes Node go on reading from its connection.
      socket.on("resume", () => this.#look(socket))
    }
    this.#add(socket, 1)
    // Node gives a response the connection when the one before it is finished, and tells it.
    await once(response, "socket")
    this.#add(socket, -1)
    if (socket.isPaused()) socket.resume()
  }

  #add(socket: Socket, change: 1 | -1): void {
    this.#waiting.set(socket, (this.#waiting.get(socket) ?? 0) + change)
    this.#look(socket)
  }

  #look(socket: Socket): void {
    if ((this.#waiting.get(socket) ?? 0) >= WAITING_MAX) socket.pause()
  }
}

/**
 * Calls back once what was asked before on the connection is answered; at once where the last of it is not there yet, since then it is about that; never, when the
 * connection is gone before.
 */
export function inTurn(socket: Duplex, act: () => void): void {
  if (socket.destroyed) return
  const before = answering(socket)
  if (before === null || !before.req.complete) act()
  else before.once("close", () => inTurn(socket, act))
}
