import type { Duplex } from "node:stream"
import { WebSocket } from "ws"
import { maskedFrame } from "../contract/frame.ts"

/** So many texts are not held back for the end of the turn. */
const TEXTS_MAX = 200
/** Texts that are longer together go alone, in characters: of three bytes each at the most, and a message over 256 KiB is one call. */
const TOGETHER_MAX = 80 * 1024

/** What is said to the hub: in one turn of the loop it goes out as one message. While nobody listens it is dropped. */
export class Outgoing {
  /** A connection, and the socket that `ws` writes to: frames of text go there directly. */
  #to: { ws: WebSocket; socket: Duplex } | null = null
  #isHeard = false
  #texts: string[] = []

  /** There is a connection, on which nobody listens yet. */
  open(ws: WebSocket, socket: Duplex): void {
    this.#to = { ws, socket }
  }

  /** From now on the hub listens there. */
  begin(): void {
    this.#isHeard = true
  }

  /** It listens no more; what did not go out never will. */
  end(): void {
    this.#to = null
    this.#isHeard = false
    this.#texts = []
  }

  say(text: string): void {
    if (!this.#isHeard) return
    this.#texts.push(text)
    if (this.#texts.length === 1) process.nextTick(() => this.flush())
    else if (this.#texts.length >= TEXTS_MAX) this.flush()
  }

  flush(): void {
    const texts = this.#texts
    if (texts.length === 0) return
    this.#texts = []
    if (this.#to?.ws.readyState !== WebSocket.OPEN) return
    const { socket } = this.#to
    if (texts.length === 1 || texts.reduce((size, text) => size + text.length, 0) > TOGETHER_MAX) for (const text of texts) socket.write(maskedFrame(text))
    else socket.write(maskedFrame(`[${texts.join(",")}]`))
  }
}
