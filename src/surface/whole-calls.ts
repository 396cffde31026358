import type { Socket } from "node:net"
import { readingTogether } from "../contract/read-buffer.ts"
import type { Guest } from "./connections.ts"
import { type Peer, readWholeCall, type WholeCall } from "./whole-call.ts"

export type WholeCallsOptions = {
  /** Node's HTTP on a connection, from the next byte that is read from it. */
  http(socket: Socket): void
  /** Carries out a call and gives what is to be written, whatever comes of it; null: nothing did yet, and Node's HTTP is to read it. */
  answer(call: WholeCall, peer: Peer): Promise<string | Buffer> | null
  /** The connection goes on as another socket. */
  moved(guest: Guest, socket: Socket): void
  /** How long a connection may say nothing at first, and how long it may be idle after a call, in ms. */
  silenceMs: number
  idleMs: number
}

/**
 * Calls over HTTP that come whole, each after the answer to the one before it, are read here, below Node's HTTP, whose objects and events take as much of a core as the
 * claim itself (`docs/decisions/0008`). At the first that is anything else, its connection is Node's, with what was read.
 */
export class WholeCalls {
  readonly #o: WholeCallsOptions
  readonly #lines = new Set<Line>()

  constructor(options: WholeCallsOptions) {
    this.#o = options
  }

  take(socket: Socket, guest: Guest): void {
    const line = new Line(socket, guest, this.#o, () => this.#lines.delete(line))
    this.#lines.add(line)
  }

  /** Connections end, each when it was answered. */
  close(): void {
    for (const line of this.#lines) line.close()
  }
}

class Line {
  #socket: Socket
  /** What it is busy with is told to whoever may have to end it. */
  readonly #guest: Guest
  readonly #o: WholeCallsOptions
  readonly #over: () => void
  #isFirst = true
  /** Nothing more is asked: its client has ended, or the hub goes down. */
  #isLast = false
  /** What came before the answer was out. */
  #early: Buffer | null = null

  constructor(socket: Socket, guest: Guest, options: WholeCallsOptions, over: () => void) {
    this.#socket = socket
    this.#guest = guest
    this.#o = options
    this.#over = over
    this.#listen()
    socket.setTimeout(options.silenceMs)
  }

  close(): void {
    this.#isLast = true
    if (!this.#guest.isBusy) this.#socket.destroy()
  }

  #listen(): void {
    const socket = this.#socket
    socket.on("data", this.#read)
    socket.on("end", this.#ended)
    socket.on("error", this.#broke)
    socket.on("close", this.#over)
    socket.on("timeout", this.#idle)
  }

  /** Takes its listeners off, and gives the socket that nobody listens to. */
  #leave(): Socket {
    const socket = this.#socket
    socket.off("data", this.#read).off("end", this.#ended).off("error", this.#broke).off("close", this.#over).off("timeout", this.#idle)
    socket.setTimeout(0)
    return socket
  }

  readonly #idle = (): void => {
    if (!this.#guest.isBusy) this.#socket.destroy()
  }
  readonly #broke = (): void => {
    this.#socket.destroy()
  }
  readonly #ended = (): void => {
    this.#isLast = true
    if (!this.#guest.isBusy) this.#socket.end()
  }

  readonly #read = (bytes: Buffer): void => {
    if (this.#guest.isBusy) {
      this.#early = this.#early === null ? bytes : Buffer.concat([this.#early, bytes])
      this.#socket.pause()
      return
    }
    const call = readWholeCall(bytes)
    if (call === null) {
      this.#handOver(bytes)
      return
    }
    if (this.#isFirst) {
      this.#isFirst = false
      this.#readTogether()
    }
    const answer = this.#o.answer(call, this.#socket)
    if (answer === null) {
      this.#handOver(bytes)
      return
    }
    this.#guest.isBusy = true
    void answer.then(this.#answered)
  }

  readonly #answered = (answer: string | Buffer): void => {
    // A client that asks on and on and reads nothing has one answer in the hub's memory.
    if (!this.#socket.destroyed) this.#socket.write(answer, "latin1", this.#out)
  }

  /** The answer is with the operating system. */
  readonly #out = (): void => {
    this.#guest.isBusy = false
    if (this.#socket.destroyed) return
    if (this.#early !== null) this.#handOver(this.#early)
    else if (this.#isLast) this.#socket.destroySoon()
  }

  #readTogether(): void {
    const former = this.#leave()
    const reading = readingTogether(former) as Socket
    // Its client may end its side once it has asked.
    reading.allowHalfOpen = true
    this.#socket = reading
    this.#o.moved(this.#guest, reading)
    this.#listen()
    reading.setTimeout(this.#o.idleMs)
  }

  #handOver(bytes: Buffer): void {
    const socket = this.#leave()
    this.#over()
    if (socket.readableEnded) {
      // Where it is not read together, its end is told as it comes, paused or not, and then nothing can be put back.
      this.#o.http(socket)
      socket.emit("data", bytes)
      socket.emit("end")
      return
    }
    socket.unshift(bytes)
    this.#o.http(socket)
    socket.resume()
  }
}
