import { textFrame } from "../contract/frame.ts"
import type { Frame } from "../hub/subscriptions.ts"
import { Linger } from "./linger.ts"

/** What can be written when the turn is over. */
export type Writer = { sendAnswers(): void; sendEvents(): void }

/**
 * What is to be written. Everything that becomes ready in one turn of the loop goes out in one write a connection, answers before events: whoever
 * waits for a claim goes first.
 */
export class Outbox {
  #answers: Writer[] = []
  #events: Writer[] = []
  readonly #linger = new Linger()
  #scheduled = false

  /** The connection's first answer is ready. */
  answer(connection: Writer): void {
    this.#answers.push(connection)
    this.#schedule()
  }

  /** The connection's first event is ready. */
  event(connection: Writer): void {
    this.#events.push(connection)
    this.#schedule()
  }

  flush(): void {
    const answers = this.#answers
    const events = this.#events
    this.#answers = []
    this.#events = []
    for (const connection of answers) connection.sendAnswers()
    for (const connection of events) connection.sendEvents()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // After all promises that are settled by now: a batch of the loop answers everybody at once.
    process.nextTick(() => {
      this.#scheduled = false
      if (this.#answers.length > 0) this.#linger.answered(this.#answers.length)
      this.flush()
    })
  }
}

/** An event frame as it goes over the wire, encoded once for all who listen. */
const framed = new WeakMap<Frame, Buffer>()

export function encodeFrame(frame: Frame): Buffer {
  let bytes = framed.get(frame)
  if (bytes === undefined) {
    bytes = textFrame(`{"events":${frame.text},"from":${frame.from},"to":${frame.to}}`)
    framed.set(frame, bytes)
  }
  return bytes
}
