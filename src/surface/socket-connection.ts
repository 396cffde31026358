import { type RawData, WebSocket } from "ws"
import { SkeinError } from "../contract/errors.ts"
import type { SessionId } from "../core/ids.ts"
import type { Hub } from "../hub/hub.ts"
import type { Loop } from "../hub/loop.ts"
import type { Auth, Caller } from "./auth.ts"
import { encodeFrame, type Outbox } from "./outbox.ts"
import { type Perform, type SurfaceLog, told, workspaceOf } from "./perform.ts"
import { parseJson } from "./request.ts"

/**
 * One protocol for calls and events, JSON text both ways.
 * Client (one frame a message, or an array of them): `{"hello":{token,workspace?,session?}}` first, and again to renew the token; then `{"id":7,"op":"task.claim","in":{},"key":"..."}`, `{"cancel":7}`,
 * `{"subscribe":{"from":1}}`, `{"unsubscribe":true}`, `{"beat":["s_..."]}`.
 * Hub: `{"welcome":{}}`, `{"id":7,"ok":{}}`, `{"id":7,"error":{}}`, `{"error":{}}`, `{"events":[...],"from":1,"to":9}`, `{"resync":10}`; what is ready at
 * once comes as an array of these. Close codes: 4400 not this protocol, 4401 no valid token, 1001 hub going down, 1013 too slow.
 */
export const CLOSE = { badFrame: 4400, unauthenticated: 4401, goingAway: 1001, tooSlow: 1013 } as const

/** Bytes that may wait for a slow reader: then events are resynced; at four times this the connection ends. */
const BUFFER_MAX = 4 * 1024 * 1024
/** Calls of one connection in flight at once. */
const IN_FLIGHT_MAX = 1_000
/** Calls in flight above which nothing more is read from a connection, until half of them are answered. */
const IN_FLIGHT_READ = 256
/** Nothing is read from a connection whose call found the hub overloaded for this long, in ms. */
const REST_MS = 25
/** Time for the first `hello`, in ms. */
const HELLO_MS = 10_000
const HELLO_MAX_BYTES = 16 * 1024
/** Frames in one message. */
const FRAMES_MAX = 1_000

export type SocketOptions = {
  hub: Hub
  auth: Auth
  perform: Perform
  log: SurfaceLog
  /** Longest message, and longest of a `plan.add`, in bytes. */
  bodyMaxBytes: number
  planMaxBytes: number
  /** Time between two pings; a connection that does not answer one before the next is ended. */
  pingMs: number
  requestId(): string
  version: string
}

type Request = {
  id?: unknown
  op?: unknown
  in?: unknown
  key?: unknown
  hello?: unknown
  subscribe?: unknown
  unsubscribe?: unknown
  cancel?: unknown
  beat?: unknown
}

/** One client's WebSocket. */
export class SocketConnection {
  caller: Caller | null = null
  readonly #ws: WebSocket
  readonly #loopback: boolean
  readonly #o: SocketOptions
  readonly #outbox: Outbox
  readonly #gone = new AbortController()
  readonly #inFlight = new Map<number, AbortController | null>()
  /** Sessions that this connection owns: its silence may declare them lost. */
  readonly #sessions = new Map<SessionId, Loop>()
  #answers: string[] = []
  #events: Buffer[] = []
  #eventBytes = 0
  #unsubscribe: (() => void) | null = null
  #alive = true
  #draining = false
  #hello: Promise<void> = Promise.resolve()
  readonly #helloTimer: NodeJS.Timeout
  /** Calls in flight that are answered as soon as may be: a claim that waits may be parked for minutes, and must not stop all else. */
  #working = 0
  /** Until it is over nothing is taken up: the hub was overloaded. */
  #rest: NodeJS.Timeout | null = null
  /** What had been read when the connection was paused; it is taken up, in order, before more is read. */
  readonly #unread: [RawData, boolean][] = []

  constructor(ws: WebSocket, loopback: boolean, options: SocketOptions, outbox: Outbox) {
    this.#ws = ws
    this.#loopback = loopback
    this.#o = options
    this.#outbox = outbox
    this.#helloTimer = setTimeout(
      () => this.#refuse(new SkeinError("unauthenticated", "no hello came in time", 'Send {"hello":{"token":...}} first.')),
      HELLO_MS,
    )
    ws.on("message", (data, isBinary) => this.#received(data, isBinary))
    ws.on("pong", () => this.#heard())
    // `ws` ends the connection itself; what it says of a bad frame is told at level debug.
    ws.on("error", (error) => options.log.debug({ err: error }, "a connection broke the WebSocket protocol"))
  }

  // What the hub sends

  /** Answers that are ready, as one message. */
  sendAnswers(): void {
    const answers = this.#answers
    if (answers.length === 0) return
    this.#answers = []
    this.#write(answers.length === 1 ? (answers[0] as string) : `[${answers.join(",")}]`)
  }

  sendEvents(): void {
    const events = this.#events
    this.#events = []
    this.#eventBytes = 0
    for (const event of events) this.#write(event)
  }

  close(code: number, reason: string): void {
    this.sendAnswers()
    this.#ws.close(code, reason)
  }

  /** Whether every call that is answered as soon as may be is answered. */
  get idle(): boolean {
    return this.#working === 0
  }

  /** The hub is going down: what comes from now on is not taken up, and comes again on the next connection. */
  drain(): void {
    this.#draining = true
    this.#ws.pause()
  }

  terminate(): void {
    this.#ws.terminate()
  }

  /** The connection is gone: what it waited for ends, its sessions have three heartbeats to come back. */
  closed(): void {
    clearTimeout(this.#helloTimer)
    if (this.#rest !== null) clearTimeout(this.#rest)
    this.#gone.abort()
    for (const controller of this.#inFlight.values()) controller?.abort()
    this.#unsubscribe?.()
    for (const [session, loop] of this.#sessions) loop.detach(session)
    this.#sessions.clear()
  }

  ping(): void {
    if (!this.#alive) {
      this.#ws.terminate()
      return
    }
    if (this.caller !== null && this.#o.auth.isOver(this.caller)) {
      this.#expired()
      return
    }
    this.#alive = false
    this.#ws.ping()
  }

  own(loop: Loop, session: SessionId): void {
    if (this.#sessions.has(session) || this.#ws.readyState !== WebSocket.OPEN) return
    this.#sessions.set(session, loop)
    loop.attach(session)
  }

  disown(session: SessionId): void {
    this.#sessions.get(session)?.detach(session)
    this.#sessions.delete(session)
  }

  #write(data: string | Buffer): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return
    this.#ws.send(data, { binary: false })
    if (this.#ws.bufferedAmount > 4 * BUFFER_MAX) this.#ws.close(CLOSE.tooSlow, "too much waits to be read")
  }

  #answer(text: string): void {
    this.#answers.push(text)
    this.#outbox.answer(this)
  }

  /** An error that ends the connection: said as a frame, then as the close code. */
  #refuse(error: SkeinError, code: number = CLOSE.unauthenticated): void {
    this.#answers.push(JSON.stringify({ error }))
    this.close(code, error.code)
  }

  #expired(): void {
    this.#refuse(new SkeinError("token_expired", "the token is over", "Renew it in time with another hello; now connect again.", {}, 0))
  }

  // What the client sends

  #heard(): void {
    this.#alive = true
    for (const [session, loop] of this.#sessions) loop.beat(session)
  }

  /**
   * Takes up a message, or keeps it for later: a connection with much in flight, or one that was told `overloaded`, is not read. What its client sends
   * meanwhile fills that client's own socket, and costs the hub nothing; refusing it all, one by one, would cost what the hub has too little of.
   */
  #received(data: RawData, isBinary: boolean): void {
    if (this.#draining) return
    if (this.#rest === null && this.#working < IN_FLIGHT_READ && this.#unread.length === 0) this.#message(data, isBinary)
    else this.#unread.push([data, isBinary])
  }

  #goOn(): void {
    if (!this.#ws.isPaused || this.#draining) return
    while (this.#rest === null && this.#working < IN_FLIGHT_READ) {
      const next = this.#unread.shift()
      if (next === undefined) {
        this.#ws.resume()
        return
      }
      this.#message(...next)
    }
  }

  #message(data: RawData, isBinary: boolean): void {
    if (isBinary) {
      this.#refuse(new SkeinError("unsupported_media_type", "a binary frame", "Send JSON as text frames."), CLOSE.badFrame)
      return
    }
    const bytes = data as Buffer
    if (this.caller === null && bytes.length > HELLO_MAX_BYTES) {
      this.#refuse(
        new SkeinError("body_too_large", `a hello is at most ${HELLO_MAX_BYTES} bytes`, "Send the token and nothing else.", { limit: HELLO_MAX_BYTES }),
        CLOSE.badFrame,
      )
      return
    }
    let frames: Request[]
    try {
      const parsed = parseJson(bytes)
      frames = (Array.isArray(parsed) ? parsed : [parsed]) as Request[]
      if (frames.length > FRAMES_MAX || frames.some((frame) => typeof frame !== "object" || frame === null || Array.isArray(frame))) throw notFrames()
    } catch (error) {
      this.#refuse(told(this.#o.log, error, { requestId: this.#o.requestId() }), CLOSE.badFrame)
      return
    }
    this.#alive = true
    for (const frame of frames) this.#greeted(frame, bytes.length)
  }

  /** The hello goes first, whatever came with it. */
  #greeted(frame: Request, size: number): void {
    if (frame.hello !== undefined) this.#greet(frame.hello)
    else if (this.caller === null) void this.#hello.then(() => this.#frame(frame, size))
    else this.#frame(frame, size)
  }

  #frame(frame: Request, size: number): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return
    if (this.caller === null) this.#refuse(new SkeinError("unauthenticated", "the first frame must be a hello", 'Send {"hello":{"token":...}} first.'))
    else if (this.#o.auth.isOver(this.caller)) this.#expired()
    else if (typeof frame.op === "string") this.#call(this.caller, frame as Request & { op: string }, size)
    else if (Array.isArray(frame.beat)) this.#beat(this.caller, frame.beat)
    else if (frame.subscribe !== undefined) this.#subscribe(this.caller, frame.subscribe)
    else if (frame.unsubscribe === true) this.#endSubscription()
    else if (Number.isSafeInteger(frame.cancel)) this.#inFlight.get(frame.cancel as number)?.abort()
    else
      this.#answer(
        JSON.stringify({
          id: idOf(frame.id),
          error: new SkeinError("invalid_input", "a frame of no known kind", "Send one of hello, id + op + in, cancel, subscribe, unsubscribe, beat."),
        }),
      )
  }

  #call(caller: Caller, { id, op, in: input, key = null }: Request & { op: string }, size: number): void {
    if (!Number.isSafeInteger(id) || (id as number) < 0 || this.#inFlight.has(id as number)) {
      this.#answer(
        JSON.stringify({
          id: null,
          error: new SkeinError("invalid_input", "a call needs an id of its own: a whole number that no call in flight has", "Count up from 1."),
        }),
      )
      return
    }
    const call = id as number
    const limit = op === "plan.add" ? this.#o.planMaxBytes : this.#o.bodyMaxBytes
    if (size > limit) {
      this.#fail(
        call,
        new SkeinError("body_too_large", `the frame is over ${limit} bytes`, "Put what is large in a file or a commit and name it; a plan may be 8 MiB.", {
          limit,
        }),
      )
      return
    }
    if (key !== null && typeof key !== "string") {
      this.#fail(call, new SkeinError("invalid_input", "the idempotency key is not one", "Use 1 to 128 of A-Z a-z 0-9 . _ : -", {}))
      return
    }
    if (this.#inFlight.size >= IN_FLIGHT_MAX) {
      this.#fail(
        call,
        new SkeinError("rate_limited", `${IN_FLIGHT_MAX} calls of this connection are in flight`, "Wait for answers before sending more.", {}, 100),
      )
      return
    }
    const requestId = this.#o.requestId()
    const waits = op === "task.claimNext"
    const cancel = waits ? new AbortController() : null
    this.#inFlight.set(call, cancel)
    const parks = waits && (input as { waitMs?: unknown } | null | undefined)?.waitMs !== undefined
    if (!parks) this.#working += 1
    if (this.#o.hub.workspace(caller.workspace)?.full === true) this.#pause()
    else if (this.#working >= IN_FLIGHT_READ) this.#ws.pause()
    const answered = (): void => {
      this.#inFlight.delete(call)
      if (!parks) this.#working -= 1
      if (this.#working <= IN_FLIGHT_READ / 2) this.#goOn()
    }
    this.#o.perform(caller, { operation: op, input, key, requestId, connection: this, ...(cancel === null ? {} : { signal: cancel.signal }) }).then(
      (ok) => {
        answered()
        this.#answer(`{"id":${call},"ok":${JSON.stringify(ok)}}`)
      },
      (error: unknown) => {
        answered()
        this.#fail(call, told(this.#o.log, error, { requestId }))
      },
    )
  }

  #pause(): void {
    if (this.#rest !== null) return
    this.#ws.pause()
    this.#rest = setTimeout(() => {
      this.#rest = null
      this.#goOn()
    }, REST_MS)
    this.#rest.unref()
  }

  #fail(id: number, error: SkeinError): void {
    this.#answer(`{"id":${id},"error":${JSON.stringify(error)}}`)
  }

  #greet(hello: unknown): void {
    const greeting = this.#hello.then(() => this.#welcome(hello))
    this.#hello = greeting.catch((error: unknown) => {
      this.#refuse(told(this.#o.log, error, { requestId: this.#o.requestId() }))
    })
  }

  async #welcome(hello: unknown): Promise<void> {
    const {
      token,
      workspace = null,
      session = null,
    } = (typeof hello === "object" && hello !== null ? hello : {}) as { token?: unknown; workspace?: unknown; session?: unknown }
    if (typeof token !== "string" || !isTextOrNull(workspace) || !isTextOrNull(session)) {
      throw new SkeinError("invalid_input", "a hello has a token, and may have a workspace and a session", 'Send {"hello":{"token":"...","workspace":"main"}}.')
    }
    const caller = await this.#o.auth.caller(token, { workspace, session, loopback: this.#loopback })
    // Who the connection belongs to never changes: a renewal is the same agent in the same workspace.
    if (this.caller !== null && (this.caller.actor.agent !== caller.actor.agent || this.caller.workspace !== caller.workspace)) {
      throw new SkeinError(
        "claim_mismatch",
        `the connection belongs to ${this.caller.actor.agent} in ${this.caller.workspace}`,
        "Open another connection for another identity.",
      )
    }
    if (this.#ws.readyState !== WebSocket.OPEN) return
    clearTimeout(this.#helloTimer)
    this.caller = caller
    const loop = workspaceOf(this.#o.hub, caller)
    if (caller.actor.session !== null) this.own(loop, caller.actor.session)
    const { agent, role, session: bound } = caller.actor
    this.#answer(
      JSON.stringify({
        welcome: {
          version: this.#o.version,
          workspace: caller.workspace,
          agent,
          role,
          session: bound,
          head: loop.head.seq,
          nowMs: loop.nowMs(),
          expiresAtMs: caller.expiresAtMs,
        },
      }),
    )
  }

  #beat({ actor, workspace }: Caller, sessions: unknown[]): void {
    const loop = this.#o.hub.workspace(workspace)
    if (loop === null) return
    for (const session of sessions.slice(0, 1_000)) {
      if (typeof session !== "string") continue
      if (this.#sessions.has(session) || actor.session === session) loop.beat(session)
      else {
        // Not one that this connection is known to own: the operation checks whose it is, and it may be taken over after a reconnect.
        const call = { operation: "session.beat", input: { sessions: [session] }, key: null, requestId: this.#o.requestId() }
        void this.#o.perform({ actor, workspace, credential: null, expiresAtMs: null }, call).then(
          (answer) => {
            if ((answer as { heard: string[] }).heard.includes(session)) this.own(loop, session)
          },
          () => undefined,
        )
      }
    }
  }

  #subscribe(caller: Caller, wanted: unknown): void {
    const from = (wanted as { from?: unknown } | null)?.from
    const loop = workspaceOf(this.#o.hub, caller)
    if (!Number.isSafeInteger(from) || (from as number) < 1 || (from as number) > loop.head.seq + 1) {
      const error = new SkeinError(
        "invalid_input",
        `a subscription begins at a seq from 1 to ${loop.head.seq + 1}`,
        "Subscribe from the last seq that you have seen + 1.",
        { head: loop.head.seq },
      )
      this.#answer(JSON.stringify({ subscribe: idOf(from), error }))
      return
    }
    this.#endSubscription()
    this.#unsubscribe = loop.subscribe(from as number, {
      deliver: (frame) => {
        const bytes = encodeFrame(frame)
        this.#events.push(bytes)
        this.#eventBytes += bytes.length
        this.#outbox.event(this)
      },
      writable: () => this.#ws.readyState === WebSocket.OPEN && this.#ws.bufferedAmount + this.#eventBytes < BUFFER_MAX,
      resync: (seq) => {
        this.#unsubscribe = null
        this.#events.push(Buffer.from(`{"resync":${seq}}`))
        this.#outbox.event(this)
      },
      end: () => this.close(CLOSE.goingAway, "the stream ended"),
    })
  }

  #endSubscription(): void {
    this.#unsubscribe?.()
    this.#unsubscribe = null
    this.#events = []
    this.#eventBytes = 0
  }
}

/** What may be said back: a number. Anything else may be as deep as a frame is long, and would take the hub's stack with it. */
function idOf(given: unknown): number | null {
  return typeof given === "number" ? given : null
}

function notFrames(): SkeinError {
  return new SkeinError(
    "invalid_input",
    "a message is one JSON object, or an array of up to 1,000 of them",
    'Send {"id":1,"op":"task.claim","in":{}} and the like.',
  )
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || (typeof value === "string" && value !== "")
}
