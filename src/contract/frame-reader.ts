import type { Duplex } from "node:stream"
import type { RawData, WebSocket } from "ws"
import { LENGTH_16, LENGTH_64, mask } from "./frame.ts"

/** A message as it is taken: its text, or its bytes where nobody knows yet whether they are one. */
export type Message = string | RawData

const FINAL = 0x80
const RESERVED = 0x70
const MASKED = 0x80
const OPCODE = 0x0f
const TEXT = 0x1
const BINARY = 0x2
const CLOSE = 0x8
const PONG = 0xa
/** What sends: clients mask what they send, hubs do not, and each other way is wrong. RFC 6455, 5.1. */
export type Sender = "client" | "hub"

/**
 * Reads what the other side sends, before `ws` does: a whole text message in one frame, which is nearly all that ever comes, is taken at once, unmasked where it
 * is a client's; every other frame goes to `ws` as it came, byte for byte. So what is wrong, long or about the connection is judged by `ws` alone. The way
 * through its stream costs a call 2 µs on either side.
 *
 * Invariant: `ws` only ever stands at the beginning of a frame, or within one that it gets the rest of (`#owed`).
 */
export class FrameReader {
  /** The bit that says so, as it must be. */
  readonly #masked: number
  readonly #take: (message: string | Buffer, isBinary: boolean) => void
  readonly #pass: (bytes: Buffer) => void
  readonly #leave: () => void
  /** The beginning of a frame of which not even the head is there: 13 bytes at the most. */
  #rest: Buffer | null = null
  /** Bytes that are still to come of a frame that `ws` has the beginning of. */
  #owed = 0
  #closing = false
  #over = false

  /**
   * `take` gets each text message: a hub's as a text; a client's as a text where it is ASCII and else as its bytes; `pass` what is left to `ws`. `leave` is called once, before the last `pass`:
   * from there on `ws` reads alone, because something is wrong, or because a message comes in pieces. That it is too long, or in too many, `ws` says only after
   * this turn, and nothing that came after it may be taken.
   */
  constructor(sender: Sender, take: (message: string | Buffer, isBinary: boolean) => void, pass: (bytes: Buffer) => void, leave: () => void) {
    this.#masked = sender === "client" ? MASKED : 0
    this.#take = take
    this.#pass = pass
    this.#leave = leave
  }

  /** Nothing is read any more, as by `ws` itself once it has seen a close or an error. */
  end(): void {
    this.#over = true
  }

  /** Bytes as they came. What is masked is unmasked in place. */
  push(chunk: Buffer): void {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = null
    for (let at = 0; at < bytes.length && !this.#over;) at = this.#owed > 0 ? this.#handOn(bytes, at) : this.#frame(bytes, at)
  }

  #handOn(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#owed)
    this.#owed -= end - at
    this.#pass(bytes.subarray(at, end))
    if (this.#closing && this.#owed === 0) this.#over = true
    return end
  }

  /** One frame, or the beginning of one; answers where the next begins. */
  #frame(bytes: Buffer, at: number): number {
    const left = bytes.length - at
    const first = bytes[at] as number
    const second = left > 1 ? (bytes[at + 1] as number) : this.#masked
    const short = second & ~MASKED
    if ((second & MASKED) !== this.#masked || !isWhole(first, short)) {
      this.#over = true
      this.#leave()
      this.#pass(bytes.subarray(at))
      return bytes.length
    }
    const head = (this.#masked === 0 ? 2 : 6) + (short === LENGTH_16 ? 2 : short === LENGTH_64 ? 8 : 0)
    if (left < head) {
      this.#rest = bytes.subarray(at)
      return bytes.length
    }
    const length = short < LENGTH_16 ? short : short === LENGTH_16 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2))
    if (first === (FINAL | TEXT) && left >= head + length) {
      this.#message(bytes, at + head, length)
      return at + head + length
    }
    this.#closing = (first & OPCODE) === CLOSE
    this.#owed = head + length
    return at
  }

  #message(bytes: Buffer, from: number, length: number): void {
    const end = from + length
    if (this.#masked === 0) this.#take(bytes.toString("utf8", from, end), false)
    else this.#take(mask(bytes, from, end) < 0x80 ? bytes.toString("latin1", from, end) : bytes.subarray(from, end), false)
  }
}

/** Whether a frame is a message in one piece, or about the connection, as RFC 6455, 5.2 to 5.5, has it. */
function isWhole(first: number, short: number): boolean {
  if ((first & (FINAL | RESERVED)) !== FINAL) return false
  const opcode = first & OPCODE
  return opcode === TEXT || opcode === BINARY || (opcode >= CLOSE && opcode <= PONG && short < LENGTH_16)
}

/** Reads a connection's text messages before `ws` does. MUST be called before anything of it was read. `take` gets all messages, those that `ws` has read too. */
export function readMessages(ws: WebSocket, socket: Duplex, sender: Sender, take: (message: Message, isBinary: boolean) => void): void {
  ws.on("message", take)
  // The one that `ws` has just put there: nobody else had the socket before it.
  const [toWs] = socket.listeners("data")
  if (toWs === undefined) return
  const read = (chunk: Buffer): void => reader.push(chunk)
  const reader = new FrameReader(
    sender,
    take,
    (bytes) => void toWs.call(socket, bytes),
    () => {
      // First, so that `ws` can take it off again: with its close, or its error.
      socket.on("data", toWs as (chunk: Buffer) => void)
      socket.off("data", read)
    },
  )
  socket.on("data", read)
  socket.off("data", toWs as (chunk: Buffer) => void)
  const end = (): void => reader.end()
  ws.on("error", end)
  ws.on("close", end)
}
