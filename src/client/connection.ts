import type { IncomingMessage } from "node:http"
import { WebSocket } from "ws"
import { type ErrorCode, SkeinError } from "../contract/errors.ts"
import { readMessages } from "../contract/frame-reader.ts"
import type { OperationName } from "../contract/names.ts"
import { readingTogether } from "../contract/read-buffer.ts"
import type { Seq, SessionId } from "../core/ids.ts"
import { Calls } from "./calls.ts"
import { type Frame, framesIn, isFrame, type Welcome } from "./frames.ts"
import { bearerFor, type Identity } from "./identity.ts"
import { Outgoing } from "./outgoing.ts"
import { errorFrom, noHub, unreachable } from "./post.ts"
import { fullJitterMs } from "./retry.ts"
import { EventReaders } from "./stream.ts"

export type ConnectionOptions = {
  url: URL
  workspace: string | undefined
  session: SessionId | undefined
  identity: Identity
  timeoutMs: number
  /** Backoff between attempts to connect: full jitter from `baseMs`, doubled each time, `capMs` at the most. */
  reconnect: { baseMs: number; capMs: number }
  random(): number
  /** `SILENCE_MS` unless told. */
  silenceMs?: number
  /** `RENEW_AGAIN_MS` unless told. */
  renewAgainMs?: number
}

/** Errors after which another connection would end the same way. */
const FATAL = new Set<ErrorCode>([
  "unauthenticated",
  "foreign_workspace",
  "claim_mismatch",
  "retired",
  "forbidden",
  "not_found",
  "wrong_status",
  "origin_refused",
])
/** A token is renewed when so much of its life is over. */
const RENEW_AT = 0.8
/** After a renewal that failed another is tried: the token in use is still good for a fifth of its life, three minutes of a hub's own. */
const RENEW_AGAIN_MS = 8_000
/** No hub says more where it refuses a WebSocket. */
const REFUSAL_MAX_CHARS = 64 * 1024
/** A longer time would be taken for none. */
const TIMER_MAX_MS = 2 ** 31 - 1
/** The hub pings every 15 s: a connection that is silent for longer than two of these is dead. */
export const SILENCE_MS = 40_000

/**
 * One WebSocket to the hub that mends itself. States: `connecting` (calls wait), `open`, `closed` (for good).
 *
 * What a break does to calls is in `Calls`; sessions and the event stream are taken up again, each where it stood.
 */
export class Connection {
  readonly events: EventReaders
  readonly #o: ConnectionOptions
  readonly #calls: Calls
  #ws: WebSocket | null = null
  #state: "connecting" | "open" | "closed" = "connecting"
  #failure: SkeinError | null = null
  #attempt = 0
  readonly #outgoing = new Outgoing()
  #session: SessionId | undefined
  /** Sessions that this client beats for, with the time between two beats. */
  readonly #beating = new Map<SessionId, NodeJS.Timeout>()
  #renewal: NodeJS.Timeout | undefined
  #reconnection: NodeJS.Timeout | undefined
  #silence: NodeJS.Timeout | undefined
  readonly #silenceMs: number
  /** When anything came last, by `performance.now()`. */
  #heardMs = 0
  #welcome: Welcome | null = null
  #greeted: { resolve(welcome: Welcome): void; reject(error: unknown): void }[] = []
  /** Ends what is asked of the hub besides the connection: a closed one keeps no process alive. */
  readonly #closing = new AbortController()
  /** The last fault of the way to the hub, for whoever gives up waiting. */
  #trouble: SkeinError | null = null

  constructor(options: ConnectionOptions) {
    this.#o = options
    this.#session = options.session
    this.#silenceMs = options.silenceMs ?? SILENCE_MS
    this.#calls = new Calls({
      isOpen: () => this.#state === "open",
      send: (text) => this.#outgoing.say(text),
      random: options.random,
      trouble: () => this.#trouble ?? unreachable(options.url, "no connection in time"),
    })
    this.events = new EventReaders({ subscribe: (from) => this.#subscribe(from), unsubscribe: () => this.#outgoing.say('{"unsubscribe":true}') })
  }

  get welcome(): Welcome | null {
    return this.#welcome
  }

  /** The first connection: throws what stands in its way, rather than trying on. The signal gives it up. */
  async open(signal?: AbortSignal): Promise<Welcome> {
    const giveUp = (): void => this.#fail(closed())
    const welcome = new Promise<Welcome>((resolve, reject) => this.#greeted.push({ resolve, reject }))
    if (signal?.aborted === true) giveUp()
    else void this.#connect()
    signal?.addEventListener("abort", giveUp, { once: true })
    const timer = setTimeout(() => this.#fail(this.#trouble ?? unreachable(this.#o.url, "no answer")), this.#o.timeoutMs)
    try {
      return await welcome
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener("abort", giveUp)
    }
  }

  call(
    name: OperationName,
    input: unknown,
    { key, signal, timeoutMs }: { key?: string | undefined; signal?: AbortSignal | undefined; timeoutMs?: number | undefined },
  ): Promise<unknown> {
    if (this.#state === "closed") return Promise.reject(this.#failure ?? closed())
    return this.#calls.make(name, input, { key, signal, timeoutMs: timeoutMs ?? this.#o.timeoutMs + waitOf(input) })
  }

  /** Binds the connection to a session, now and after each reconnect: calls are then made in its name. */
  async bind(session: SessionId): Promise<void> {
    this.#session = session
    if (this.#state !== "open") return
    void this.#greet()
    // The answer to an earlier hello may come first.
    for (let bound: SessionId | null = null; bound !== session;) {
      const welcome = await new Promise<Welcome>((resolve, reject) => this.#greeted.push({ resolve, reject }))
      bound = welcome.session
    }
  }

  /** Beats for a session every third of its interval, so that one lost beat does no harm. */
  beat(session: SessionId, heartbeatMs: number): void {
    if (this.#beating.has(session)) return
    const timer = setInterval(() => this.#outgoing.say(JSON.stringify({ beat: [session] })), Math.max(50, heartbeatMs / 3))
    timer.unref()
    this.#beating.set(session, timer)
    this.#outgoing.say(JSON.stringify({ beat: [session] }))
  }

  unbeat(session: SessionId): void {
    clearInterval(this.#beating.get(session))
    this.#beating.delete(session)
    if (this.#session === session) this.#session = undefined
  }

  /** Ends the connection for good; calls in flight are answered `timed_out`. */
  async close(): Promise<void> {
    if (this.#state === "closed") return
    const ws = this.#ws
    this.#outgoing.flush()
    this.#shut(closed(), "closed")
    if (ws === null || ws.readyState === WebSocket.CLOSED) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => ws.terminate(), 1_000)
      ws.once("close", () => {
        clearTimeout(timer)
        resolve()
      })
      ws.close(1000)
    })
  }

  // Connecting

  async #connect(): Promise<void> {
    try {
      const { url, identity, workspace } = this.#o
      const { token, lastsMs } = await bearerFor(url, identity, workspace, { signal: this.#closing.signal })
      if (this.#isClosed()) return
      const address = new URL("/ws", url)
      address.protocol = url.protocol === "https:" ? "wss:" : "ws:"
      const ws = new WebSocket(address, {
        perMessageDeflate: false,
        skipUTF8Validation: true,
        handshakeTimeout: this.#o.timeoutMs,
        maxPayload: 256 * 1024 * 1024,
        finishRequest: (request) => {
          // The one by which `ws` takes the connection over.
          const [upgraded] = request.listeners("upgrade")
          request.removeAllListeners("upgrade")
          request.once("upgrade", (response, socket, head) => {
            const reading = readingTogether(socket)
            this.#outgoing.open(ws, reading)
            ws.once("open", () =>
              readMessages(ws, reading, "hub", (data) => this.#message(typeof data === "string" ? data : (data as Buffer).toString("utf8"))),
            )
            upgraded?.call(request, response, reading, head)
          })
          request.end()
        },
      })
      this.#ws = ws
      ws.on("open", () => {
        ws.send(this.#hello(token))
        this.#renewLater(lastsMs)
        this.#heard()
        this.#listen(this.#silenceMs)
      })
      ws.on("ping", () => this.#heard())
      ws.on("unexpected-response", (_, response) => void this.#refused(ws, response))
      ws.on("error", (error: NodeJS.ErrnoException) => {
        this.#trouble ??= unreachable(url, error.code ?? error.message)
      })
      ws.on("close", () => this.#lost(ws))
    } catch (error) {
      this.#trouble = error instanceof SkeinError ? error : unreachable(this.#o.url, error instanceof Error ? error.message : undefined)
      this.#again()
    }
  }

  /** Answered by HTTP in place of a WebSocket: a hub says why. */
  async #refused(ws: WebSocket, response: IncomingMessage): Promise<void> {
    let text = ""
    try {
      for await (const chunk of response.setEncoding("utf8")) if ((text += chunk as string).length > REFUSAL_MAX_CHARS) break
      const error = errorFrom(JSON.parse(text))
      if (error.code !== "internal") this.#trouble = error
    } catch {
      // Of no hub: what it says is not repeated.
    }
    this.#trouble ??= noHub(this.#o.url, `HTTP ${response.statusCode}`)
    ws.terminate()
  }

  #hello(token: string): string {
    return JSON.stringify({
      hello: {
        token,
        ...(this.#o.workspace === undefined ? {} : { workspace: this.#o.workspace }),
        ...(this.#session === undefined ? {} : { session: this.#session }),
      },
    })
  }

  /** Says hello once more on the open connection: with a renewed token, or for another session. */
  async #greet(): Promise<void> {
    try {
      const { token, lastsMs } = await bearerFor(this.#o.url, this.#o.identity, this.#o.workspace, { signal: this.#closing.signal })
      if (this.#state !== "open") return
      this.#outgoing.say(this.#hello(token))
      this.#renewLater(lastsMs)
    } catch (error) {
      this.#settleGreeted((waiter) => waiter.reject(error))
      this.#renewIn(this.#o.renewAgainMs ?? RENEW_AGAIN_MS)
    }
  }

  #renewLater(lastsMs: number | null): void {
    clearTimeout(this.#renewal)
    if (lastsMs !== null) this.#renewIn(Math.min(TIMER_MAX_MS, Math.max(1_000, lastsMs * RENEW_AT)))
  }

  #renewIn(ms: number): void {
    clearTimeout(this.#renewal)
    this.#renewal = setTimeout(() => void this.#greet(), ms)
    this.#renewal.unref()
  }

  /** Anything that arrives, pings too, says that the connection lives. */
  #heard(): void {
    this.#heardMs = performance.now()
  }

  /** Looks again when the silence may have become too long: to put a timer off with each message costs more. */
  #listen(forMs: number): void {
    this.#silence = setTimeout(() => {
      const leftMs = this.#heardMs + this.#silenceMs - performance.now()
      if (leftMs > 0) this.#listen(leftMs)
      else this.#ws?.terminate()
    }, forMs)
    this.#silence.unref()
  }

  #welcomed(welcome: Welcome): void {
    this.#welcome = welcome
    this.#trouble = null
    this.#settleGreeted((waiter) => waiter.resolve(welcome))
    if (this.#state === "open") return
    this.#state = "open"
    this.#outgoing.begin()
    this.#attempt = 0
    for (const session of this.#beating.keys()) this.#outgoing.say(JSON.stringify({ beat: [session] }))
    this.events.resubscribe()
    this.#calls.sendAll()
  }

  #lost(ws: WebSocket): void {
    if (this.#ws !== ws) return
    this.#ws = null
    clearTimeout(this.#renewal)
    clearTimeout(this.#silence)
    this.#outgoing.end()
    if (this.#isClosed()) return
    this.#state = "connecting"
    this.#calls.broken()
    this.#again()
  }

  #again(): void {
    if (this.#isClosed()) return
    if (this.#trouble !== null && FATAL.has(this.#trouble.code)) {
      this.#fail(this.#trouble)
      return
    }
    // Who waits for the first connection hears at once that nobody is there.
    if (this.#welcome === null && this.#trouble?.code === "hub_unreachable") {
      this.#fail(this.#trouble)
      return
    }
    const { baseMs, capMs } = this.#o.reconnect
    const waitMs = Math.max(this.#trouble?.retryAfterMs ?? 0, 0) * 0.1 + fullJitterMs(this.#attempt, baseMs, capMs, this.#o.random)
    this.#attempt += 1
    this.#reconnection = setTimeout(() => void this.#connect(), waitMs)
  }

  #fail(error: SkeinError): void {
    if (this.#isClosed()) return
    const ws = this.#ws
    this.#shut(error, error)
    ws?.terminate()
  }

  #shut(error: SkeinError, events: SkeinError | "closed"): void {
    this.#state = "closed"
    this.#closing.abort()
    this.#failure = error
    this.#outgoing.end()
    for (const timer of [this.#renewal, this.#reconnection, this.#silence]) clearTimeout(timer)
    for (const timer of this.#beating.values()) clearInterval(timer)
    this.#beating.clear()
    this.#settleGreeted((waiter) => waiter.reject(error))
    this.#calls.endAll(error)
    this.events.close(events)
    this.#ws = null
  }

  #settleGreeted(settle: (waiter: { resolve(welcome: Welcome): void; reject(error: unknown): void }) => void): void {
    const greeted = this.#greeted
    this.#greeted = []
    for (const waiter of greeted) settle(waiter)
  }

  // Talking

  #message(text: string): void {
    this.#heard()
    for (const frame of framesIn(text)) {
      if (isFrame(frame)) this.#frame(frame)
      else {
        this.#trouble = noHub(this.#o.url, "WebSocket")
        this.#ws?.terminate()
        return
      }
    }
  }

  #frame(frame: Frame): void {
    if (frame.events !== undefined) this.events.deliver(frame.from as number, frame.to as number, frame.events)
    else if (typeof frame.id === "number") this.#calls.answered(frame.id, frame.ok, frame.error)
    else if (frame.welcome !== undefined) this.#welcomed(frame.welcome)
    else if (frame.resync !== undefined) this.events.resubscribe()
    else if (frame.error !== undefined) {
      const error = errorFrom(frame.error)
      if (frame.subscribe !== undefined) this.events.end(error)
      // It speaks of the connection, which the hub closes next.
      else this.#trouble = error
    }
  }

  #subscribe(from: Seq): void {
    this.#outgoing.say(JSON.stringify({ subscribe: { from } }))
  }

  /** A method, so that the compiler does not take an earlier look for the last word: every await may have closed it. */
  #isClosed(): boolean {
    return this.#state === "closed"
  }
}

function closed(): SkeinError {
  return new SkeinError("hub_unreachable", "the client is closed", "Connect again.")
}

function waitOf(input: unknown): number {
  const { waitMs } = (input ?? {}) as { waitMs?: unknown }
  return typeof waitMs === "number" ? waitMs : 0
}
