import { type OnReadOpts, Socket } from "node:net"
import type { Duplex } from "node:stream"

/** The most that one look at a socket reads, in bytes, as Node reads by itself. */
const BYTES = 64 * 1024
/** Nobody else looks at it between a read and the copy of what came, so one is enough for all sockets of a process. */
const buffer = Buffer.allocUnsafeSlow(BYTES)

/** How a socket reads into the one buffer: `take` gets a copy of what came, and answers whether it goes on reading. */
export function together(take: (bytes: Buffer) => boolean): OnReadOpts {
  return { buffer, callback: (bytes) => take(Buffer.from(buffer.subarray(0, bytes))) }
}

/** What Node has of a connection below its stream. It has no name in Node's documentation, but every version since 12 has it. */
type Handle = { useUserBuffer?: unknown }

/**
 * The same connection, as a socket that reads into one buffer for all: Node else makes 64 KiB for each read, cuts them to what came, and has them collected, which
 * costs as much as the read itself (`docs/decisions/0007`). It is to be used in place of `socket`, whose HTTP is over; that one closes when it does.
 *
 * Where nothing of the kind can be done (TLS, something still to be read or written, one side at its end, another Node), `socket` itself.
 */
export function readingTogether(socket: Duplex): Duplex {
  // What inherits from it reads by itself.
  if (Object.getPrototypeOf(socket) !== Socket.prototype || socket.readableLength > 0 || socket.writableLength > 0) return socket
  // The end of what comes is told once: who has heard it alone knows.
  if (!socket.readable || !socket.writable) return socket
  const former = socket as Socket & { _handle?: Handle | null }
  const handle = former._handle
  if (typeof handle?.useUserBuffer !== "function") return socket
  // Named once, Node remembers it.
  void former.remoteAddress
  former._handle = null
  const onread = together((bytes) => {
    reading.emit("data", bytes)
    return !reading.isPaused()
  })
  const reading = new Socket({ handle, onread } as object)
  // Its server counts it among its connections until then.
  reading.once("close", () => former.destroy())
  return reading
}
