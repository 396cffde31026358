import { type ErrorBody, SkeinError } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import type { Input, Output } from "../contract/operations.ts"
import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { withRetryAt } from "../core/instant.ts"
import { dateTime } from "./figures.ts"

/** What the hub says when it knows who connects. */
export type Welcome = { version: string; workspace: string; agent: string; role: string; head: Seq; nowMs: number; expiresAtMs: number | null }

type Frame = {
  welcome?: Welcome
  id?: number | null
  ok?: unknown
  error?: ErrorBody
  events?: Entry[]
  from?: Seq
  to?: Seq
  resync?: Seq
}

export type LinkEvents = {
  welcome(welcome: Welcome): void
  entries(entries: readonly Entry[], from: Seq): void
  /** The page was too slow: it must subscribe again from here. */
  resync(from: Seq): void
  heard(): void
  closed(code: number, why: ErrorBody | null): void
}

type Pending = { text: string; isRepeatable: boolean; sent: boolean; timer: number; resolve(output: unknown): void; reject(error: SkeinError): void }

const listeners = new Set<(entries: readonly Entry[]) => void>()

/** Hears of the entries that the hub streams, in order, some perhaps again after a reconnect; until the answer is called. */
export function onStreamed(listener: (entries: readonly Entry[]) => void): () => void {
  listeners.add(listener)
  return () => void listeners.delete(listener)
}

/** An answer that is not there by then will not help whoever waits for it, in ms. */
const ANSWER_MS = 15_000
const HELLO_MS = 10_000

/**
 * The page's one connection to the hub, signed in by its cookie. Calls that wait when it breaks go out again on the next one, if that can do no harm:
 * reads, and commands by their idempotency key.
 */
export class Link {
  readonly #workspace: string
  readonly #events: LinkEvents
  readonly #pending = new Map<number, Pending>()
  #socket: WebSocket | null = null
  #isOpen = false
  #nextId = 1

  constructor(workspace: string, events: LinkEvents) {
    this.#workspace = workspace
    this.#events = events
  }

  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Opens a connection; how it goes is told by events. */
  open(): void {
    const address = new URL("/ws", location.href)
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:"
    const socket = new WebSocket(address)
    this.#socket = socket
    let why: ErrorBody | null = null
    const impatient = setTimeout(() => socket.close(), HELLO_MS)
    socket.addEventListener("open", () => socket.send(JSON.stringify({ hello: { workspace: this.#workspace } })))
    socket.addEventListener("message", ({ data }) => {
      if (this.#socket !== socket) return
      this.#events.heard()
      const parsed = JSON.parse(data as string) as Frame | Frame[]
      for (const frame of Array.isArray(parsed) ? parsed : [parsed]) {
        if (frame.welcome !== undefined) {
          clearTimeout(impatient)
          this.#isOpen = true
          this.#events.welcome(frame.welcome)
          for (const pending of this.#pending.values()) this.#send(pending)
        } else if (frame.events !== undefined) this.#streamed(frame.events, frame.from as Seq)
        else if (frame.resync !== undefined) this.#events.resync(frame.resync)
        else if (typeof frame.id === "number") this.#answered(frame.id, frame)
        else if (frame.error !== undefined) why = frame.error
      }
    })
    socket.addEventListener("close", ({ code }) => {
      clearTimeout(impatient)
      if (this.#socket !== socket) return
      this.#socket = null
      this.#isOpen = false
      this.#broken()
      this.#events.closed(code, why)
    })
  }

  close(): void {
    this.#socket?.close()
  }

  #streamed(entries: readonly Entry[], from: Seq): void {
    this.#events.entries(entries, from)
    for (const listener of listeners) listener(entries)
  }

  subscribe(from: Seq): void {
    if (this.#isOpen) this.#socket?.send(JSON.stringify({ subscribe: { from } }))
  }

  /** Calls an operation of the contract; `again`: the key of an earlier call that may have been carried out. Rejects with `SkeinError`: a refusal, or `timed_out` where nobody knows whether it was done. */
  call<Name extends OperationName>(name: Name, input: Input<Name>, again: string = crypto.randomUUID()): Promise<Output<Name>> {
    const id = this.#nextId
    this.#nextId += 1
    const key = KINDS[name] === "command" ? { key: again } : {}
    const isRepeatable = KINDS[name] !== "action"
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        text: JSON.stringify({ id, op: name, in: input, ...key }),
        isRepeatable,
        sent: false,
        timer: window.setTimeout(() => this.#giveUp(id, pending.sent ? unknownOutcome() : noHub()), ANSWER_MS),
        resolve: (output) => resolve(output as Output<Name>),
        reject,
      }
      this.#pending.set(id, pending)
      if (this.#isOpen) this.#send(pending)
    })
  }

  #send(pending: Pending): void {
    pending.sent = true
    this.#socket?.send(pending.text)
  }

  #answered(id: number, { ok, error }: Frame): void {
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    this.#pending.delete(id)
    clearTimeout(pending.timer)
    if (error === undefined) pending.resolve(ok)
    else pending.reject(refusalOf(error))
  }

  #giveUp(id: number, error: SkeinError): void {
    this.#pending.get(id)?.reject(error)
    this.#pending.delete(id)
  }

  #broken(): void {
    for (const [id, pending] of this.#pending) if (pending.sent && !pending.isRepeatable) this.#giveUp(id, unknownOutcome())
  }
}

function unknownOutcome(): SkeinError {
  return new SkeinError("timed_out", "no answer came: whether it was done is unknown", "Look at what the page shows now, then decide again.")
}

function noHub(): SkeinError {
  return new SkeinError("hub_unreachable", "the hub does not answer", "Start it: skein up. The page connects by itself.")
}

/** The hub tells in UTC until when a refusal holds: here it is read on the reader's own clock, as all else on the page. */
function refusalOf({ code, message, remedy, details, retryAfterMs }: ErrorBody): SkeinError {
  const told = (text: string): string => withRetryAt(text, details, dateTime)
  return new SkeinError(code, told(message), told(remedy), details, retryAfterMs)
}
