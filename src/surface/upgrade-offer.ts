import type { IncomingMessage, Server } from "node:http"
import type { Duplex } from "node:stream"
import { inTurn } from "./request-turns.ts"

/** Whether a request asks for the one protocol that the hub changes to. */
export function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.toLowerCase() === "websocket"
}

/**
 * Has `server` take a request up again as if it had offered nothing, with `head`, what came after its headers: some clients offer HTTP/2 with their first
 * request (Java's does), and it is theirs to offer and ours to pass over. Node does so by itself from 22.21 and 24.9 on, where `shouldUpgradeCallback` says
 * no; an older one ends HTTP on the connection at any offer. The connection closes with the answer: Node adds its listeners once more each time.
 */
export function passOver(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  const lines = [`${method} ${url} HTTP/${httpVersion}`, "Connection: close"]
  for (let at = 0; at < rawHeaders.length; at += 2)
    if (!/^(?:upgrade|connection)$/i.test(rawHeaders[at] ?? "")) lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`)
  // Until its turn comes nobody else minds what becomes of the connection.
  socket.on("error", () => socket.destroy())
  inTurn(socket, () => {
    // Node gives headers as Latin-1, a character a byte.
    socket.unshift(Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), head]))
    server.emit("connection", socket)
  })
}
