import { WebSocket } from "ws"

/**
 * The hub's WebSocket protocol with nothing around it: no retries, no keys, no parsing unless asked. For subscribers by the thousand and for load
 * beyond what the hub can hold, where a well-mannered client would spend the machine on itself.
 */
export class Wire {
  readonly #socket: WebSocket
  /** Each message as it came: one frame, or an array of frames. */
  onMessage: (data: Buffer) => void = () => undefined

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on("message", (data: Buffer) => this.onMessage(data))
    socket.on("error", () => undefined)
  }

  /** `token`: a token or, over loopback, a credential. Resolves when the hub has welcomed it. */
  static open(url: string, token: string): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, { perMessageDeflate: false, skipUTF8Validation: true })
      socket.once("error", reject)
      socket.once("open", () => socket.send(JSON.stringify({ hello: { token } })))
      socket.once("message", (data: Buffer) => {
        const text = data.toString()
        if (text.includes('"welcome"')) resolve(new Wire(socket))
        else reject(new Error(text))
      })
    })
  }

  send(text: string): void {
    this.#socket.send(text)
  }

  /** The answer to one frame; no other may be on its way. */
  ask(frame: object): Promise<{ ok?: Record<string, unknown>; error?: { code: string; retryAfterMs: number | null } }> {
    return new Promise((resolve) => {
      this.onMessage = (data) => resolve(JSON.parse(data.toString()) as { ok?: Record<string, unknown> })
      this.send(JSON.stringify(frame))
    })
  }

  close(): void {
    this.#socket.terminate()
  }
}
