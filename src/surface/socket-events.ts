import type { Duplex } from "node:stream"
import type { SkeinError } from "../contract/errors.ts"
import { textFrame } from "../contract/frame.ts"
import type { Loop } from "../hub/loop.ts"
import { encodeFrame } from "./outbox.ts"
import { beyondHead } from "./socket-frames.ts"

/** What a stream of entries needs of its connection. */
export type EventsOut = {
  socket: Duplex
  /** Whether events may be gathered: it is open, and with so many bytes of them more not too much waits for its reader. */
  hasRoom(eventBytes: number): boolean
  /** There is a first event: has `send` called when the turn is over. */
  ready(): void
  write(event: Buffer): void
  /** The stream ended with the hub. */
  ended(): void
}

/** The one subscription of a connection: what goes out at the turn's end, and where its reader stands. */
export class SocketEvents {
  readonly #out: EventsOut
  #events: Buffer[] = []
  #bytes = 0
  #unsubscribe: (() => void) | null = null
  /** Waits until the events that were written are on their way. */
  #drained: (() => void) | null = null

  constructor(out: EventsOut) {
    this.#out = out
    out.socket.on("drain", () => this.#tellDrained())
  }

  send(): void {
    const events = this.#events
    this.#events = []
    this.#bytes = 0
    for (const event of events) this.#out.write(event)
    this.#tellDrained()
  }

  /** Takes the place of the subscription before. The answer is why it cannot; null where it does. */
  subscribe(loop: Loop, from: unknown): SkeinError | null {
    const { seq } = loop.head
    if (!Number.isSafeInteger(from) || (from as number) < 1 || (from as number) > seq + 1) return beyondHead(seq)
    this.end()
    this.#unsubscribe = loop.subscribe(from as number, {
      deliver: (frame) => this.#add(encodeFrame(frame)),
      writable: () => this.#out.hasRoom(this.#bytes),
      drained: (then) => {
        this.#drained = then
        this.#tellDrained()
      },
      resync: (next) => {
        this.#unsubscribe = null
        this.#add(textFrame(`{"resync":${next}}`))
      },
      end: () => this.#out.ended(),
    })
    return null
  }

  /** Nothing more of it goes out. */
  end(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = null
    this.#drained = null
    this.#events = []
    this.#bytes = 0
  }

  #add(event: Buffer): void {
    if (this.#events.length === 0) this.#out.ready()
    this.#events.push(event)
    this.#bytes += event.length
  }

  #tellDrained(): void {
    if (this.#drained === null || this.#bytes > 0 || this.#out.socket.writableNeedDrain) return
    const then = this.#drained
    this.#drained = null
    then()
  }
}
