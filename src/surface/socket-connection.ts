import type { Duplex } from "node:stream"
import { WebSocket } from "ws"
import type { SkeinError } from "../contract/errors.ts"
import { asciiFrame, textFrame } from "../contract/frame.ts"
import { type Message, readMessages } from "../contract/frame-reader.ts"
import type { Output } from "../contract/operations.ts"
import { sessionId } from "../contract/schema.ts"
import type { SessionId } from "../core/ids.ts"
import type { Loop } from "../hub/loop.ts"
import { answerText } from "./answer-text.ts"
import { Answers } from "./answers.ts"
import type { Caller } from "./auth.ts"
import { Intake } from "./intake.ts"
import type { Outbox } from "./outbox.ts"
import { type Call, kindOf, told, waits, workspaceOf } from "./perform.ts"
import { ReadTurns } from "./read-turns.ts"
import type { Refusals } from "./rate.ts"
import { SocketEvents } from "./socket-events.ts"
import type { Peer, SocketOptions } from "./socket-options.ts"
// prettier-ignore
import { BEATS_MAX, callId, CLOSE, closeCode, echo, expired, foreignIdentity, longFrame, longHello, needsHello, needsId, noHello, readFrames, readHello, type Request, twoHellos, unknownFrame, wrongCall } from "./socket-frames.ts"

/** Bytes that may wait for a slow reader: then its reads wait, and events are resynced; where four times this waits, what it read not counted, and more is to be said, the connection ends. */
const BUFFER_MAX = 4 * 1024 * 1024
/** Time for the first `hello`, in ms. */
const HELLO_MS = 10_000
/** Bytes that may come before it is heard: a hello, and what was read with it. Whoever nobody knows holds no more of the hub's memory. */
const STRANGER_MAX_BYTES = 128 * 1024

/** A call in flight. `takesTurn`: its answer is as long as a page may be. */
type Asked = Call & { id: number; parks: boolean; takesTurn: boolean }

/** One client's WebSocket. */
export class SocketConnection {
  caller: Caller | null = null
  readonly #ws: WebSocket
  /** What `ws` writes to: frames of text go there directly. */
  readonly #socket: Duplex
  readonly #peer: Peer
  readonly #o: SocketOptions
  readonly #outbox: Outbox
  readonly #inFlight = new Map<number, AbortController | null>()
  /** Sessions that this connection owns: its silence may declare them lost. */
  readonly #sessions = new Map<SessionId, Loop>()
  readonly #answers = new Answers()
  /** Bytes of what waits to be sent that answer reads, or claims of many tasks, at the most. */
  #readBytes = 0
  readonly #reads = new ReadTurns(() => this.#socket.writableLength + this.#answers.chars < BUFFER_MAX)
  readonly #events: SocketEvents
  #alive = true
  #hello: Promise<void> = Promise.resolve()
  readonly #helloTimer: NodeJS.Timeout
  readonly #intake: Intake
  /** The caller's workspace; it never changes. */
  #loop: Loop | null = null

  constructor(ws: WebSocket, socket: Duplex, peer: Peer, options: SocketOptions, outbox: Outbox, refusals: Refusals) {
    this.#ws = ws
    this.#socket = socket
    this.#peer = peer
    this.#o = options
    this.#outbox = outbox
    const share = (): number => this.#loop?.admission.share ?? Number.POSITIVE_INFINITY
    this.#intake = new Intake({ ws, refusals, share, take: (data, isBinary) => this.#message(data, isBinary) })
    this.#helloTimer = setTimeout(() => this.#refuse(noHello()), HELLO_MS)
    readMessages(ws, socket, "client", (data, isBinary) => this.#intake.received(data, isBinary))
    this.#limitStranger()
    ws.on("pong", () => this.#heard())
    socket.on("drain", () => this.#reads.next())
    this.#events = new SocketEvents({
      socket,
      hasRoom: (bytes) => ws.readyState === WebSocket.OPEN && socket.writableLength + bytes < BUFFER_MAX,
      ready: () => outbox.event(this),
      write: (event) => this.#write(event),
      ended: () => this.close(CLOSE.goingAway, "the stream ended"),
    })
    // `ws` ends the connection itself; what it says of a bad frame is told at level debug.
    ws.on("error", (error) => options.log.debug({ err: error }, "a connection broke the WebSocket protocol"))
  }

  // What the hub sends

  /** Answers that are ready, as one message. */
  sendAnswers(): void {
    const answers = this.#answers.take()
    if (answers === null) return
    const frame = asciiFrame(answers.text) ?? textFrame(answers.text)
    this.#write(frame)
    this.#readBytes += answers.ofReads * frame.length
    this.#reads.next()
  }

  sendEvents(): void {
    this.#events.send()
  }

  close(code: number, reason: string): void {
    // Not only when the other side has closed, which it may put off.
    for (const controller of this.#inFlight.values()) controller?.abort()
    this.sendAnswers()
    this.#intake.end()
    // Paused, it would not see the other side's close.
    this.#ws.resume()
    this.#ws.close(code, reason)
  }

  /** Whether every call that is answered as soon as may be is answered. */
  get idle(): boolean {
    return this.#intake.idle
  }

  /** The hub is going down: what comes from now on is not taken up, and comes again on the next connection. */
  drain(): void {
    this.#intake.end()
  }

  terminate(): void {
    this.#ws.terminate()
  }

  /** There is no place for it any more. */
  turnAway(error: SkeinError): void {
    this.#refuse(error)
    this.#ws.terminate()
  }

  /** The connection is gone: what it waited for ends, its sessions have three heartbeats to come back. */
  closed(): void {
    clearTimeout(this.#helloTimer)
    this.#intake.end()
    this.#reads.end()
    for (const controller of this.#inFlight.values()) controller?.abort()
    this.#events.end()
    for (const [session, loop] of this.#sessions) loop.detach(session)
    this.#sessions.clear()
  }

  ping(): void {
    // While nothing more is read from it, its pong is not either: then it is there as long as it takes what it is answered.
    if (this.#ws.isPaused && (this.#alive || this.#socket.writableLength === 0)) this.#heard()
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

  #write(frame: Buffer | string): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return
    const { writableLength } = this.#socket
    this.#readBytes = Math.min(this.#readBytes, writableLength)
    if (writableLength - this.#readBytes > 4 * BUFFER_MAX) this.#ws.close(CLOSE.tryAgain, "too much waits to be read")
    else this.#socket.write(frame, "latin1")
  }

  #answer(text: string, isRead = false): void {
    const isFirst = this.#answers.chars === 0
    this.#answers.add(text, isRead)
    // Many long ones are not held back for the end of the turn: they may be longer than a text can be.
    if (this.#answers.chars >= BUFFER_MAX) this.sendAnswers()
    else if (isFirst) this.#outbox.answer(this)
  }

  /** An error that ends the connection: said as a frame, then as the close code. */
  #refuse(error: SkeinError, code: number = error.code === "overloaded" ? CLOSE.tryAgain : CLOSE.unauthenticated): void {
    this.#answer(JSON.stringify({ error }))
    this.close(code, error.code)
  }

  #expired(): void {
    this.#refuse(expired())
  }

  #limitStranger(): void {
    let left = STRANGER_MAX_BYTES
    const count = (chunk: Buffer): void => {
      left -= chunk.length
      if (this.caller === null && left >= 0) return
      this.#socket.off("data", count)
      if (this.caller !== null) return
      this.#refuse(longHello(), CLOSE.badFrame)
      // `ws` would gather the rest of it until the other side closes; as it is, it ends the connection by itself.
      this.#ws.pause()
    }
    this.#socket.on("data", count)
  }

  // What the client sends

  #heard(): void {
    this.#alive = true
    for (const [session, loop] of this.#sessions) loop.beat(session)
  }

  #message(data: Message, isBinary: boolean): void {
    const text = data as string | Buffer
    let frames: Request[]
    try {
      frames = readFrames(text, isBinary, this.caller, this.#o.bodyMaxBytes)
    } catch (error) {
      this.#refuse(told(this.#o.log, error, { requestId: this.#o.requestId() }), closeCode(text, isBinary))
      return
    }
    this.#alive = true
    const before = this.#hello
    for (const frame of frames) this.#greeted(frame, text.length, this.#hello !== before)
    // What came with a hello goes before what came after it.
    if (this.#hello !== before) void this.#hello.then(() => this.#intake.goOn())
  }

  /** A hello goes before what follows it in its message: that is said by whoever it names. */
  #greeted(frame: Request, size: number, follows: boolean): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return
    if (frame.hello !== undefined) this.#greet(frame.hello)
    else if (follows || this.caller === null) void this.#hello.then(() => this.#frame(frame, size))
    else this.#frame(frame, size)
  }

  #frame(frame: Request, size: number): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return
    if (this.caller === null) this.#refuse(needsHello())
    else if (this.#o.auth.isOver(this.caller)) this.#expired()
    else if (typeof frame.op === "string") this.#call(this.caller, frame as Request & { op: string }, size)
    else this.#aside(this.caller, frame, size)
  }

  /** What is no call, and so counts against no rate. */
  #aside(caller: Caller, frame: Request, size: number): void {
    this.#intake.aside()
    if (size > this.#o.bodyMaxBytes) this.#answer(JSON.stringify({ id: echo(frame.id), error: longFrame(this.#o.bodyMaxBytes) }))
    else if (Array.isArray(frame.beat)) this.#beat(caller, frame.beat)
    else if (frame.subscribe !== undefined) this.#subscribe(caller, frame.subscribe)
    else if (frame.unsubscribe === true) this.#events.end()
    else if (Number.isSafeInteger(frame.cancel)) this.#inFlight.get(frame.cancel as number)?.abort()
    else this.#answer(JSON.stringify({ id: echo(frame.id), error: unknownFrame() }))
  }

  #call(caller: Caller, request: Request & { op: string }, size: number): void {
    const { op, in: input } = request
    const call = callId(request, this.#inFlight)
    if (call === null) {
      this.#intake.aside()
      this.#answer(JSON.stringify({ id: null, error: needsId() }))
      return
    }
    const wrong = wrongCall(request, size, op === "plan.add" ? this.#o.planMaxBytes : this.#o.bodyMaxBytes, this.#inFlight.size)
    if (wrong !== null) {
      this.#intake.aside()
      this.#fail(call, wrong)
      return
    }
    // Here already, before anything is made for it: under overload a refusal must cost less than the work.
    const admission = this.#loop?.admission
    if (admission?.isFull(caller.actor.agent) === true && kindOf(op) === "command") {
      this.#intake.refused()
      this.#fail(call, admission.refuse())
      return
    }
    const key = typeof request.key === "string" ? request.key : null
    const requestId = this.#o.requestId()
    const parks = waits(op, input)
    // Only what may be parked can be called off: all else is answered as soon as may be.
    const cancel = parks ? new AbortController() : null
    this.#inFlight.set(call, cancel)
    if (!parks) this.#intake.begun()
    const takesTurn = !parks && kindOf(op) === "read"
    const asked: Asked = { id: call, parks, takesTurn, operation: op, input, key, requestId, connection: this, from: this.#socket, signal: cancel?.signal }
    if (takesTurn) this.#reads.begin(() => this.#carryOut(caller, asked))
    else this.#carryOut(caller, asked)
  }

  #carryOut(caller: Caller, asked: Asked): void {
    const { id, operation, requestId } = asked
    void this.#o.perform(caller, asked).then(
      (ok) => {
        // Claims of many tasks are as long as a page is, and whoever is at its limit may ask for them again and again.
        const isLong = operation === "task.claimNext" && (ok as Output<"task.claimNext">).claims.length > 1
        if (!isLong) {
          this.#done(asked, ok)
          return
        }
        asked.takesTurn = true
        this.#reads.begin(() => this.#done(asked, ok))
      },
      (error: unknown) => {
        const failure = told(this.#o.log, error, { requestId })
        if (failure.code === "rate_limited") this.#intake.refused()
        this.#fail(id, failure)
        this.#answered(asked)
      },
    )
  }

  #done(asked: Asked, ok: unknown): void {
    this.#answer(`{"id":${asked.id},"ok":${answerText(asked.operation, ok)}}`, asked.takesTurn)
    this.#answered(asked)
  }

  #answered({ id, parks, takesTurn }: Asked): void {
    this.#inFlight.delete(id)
    this.#alive = true
    if (!parks) this.#intake.answered()
    if (takesTurn) this.#reads.done()
  }

  #fail(id: number, error: SkeinError): void {
    this.#answer(`{"id":${id},"error":${JSON.stringify(error)}}`)
  }

  #greet(hello: unknown): void {
    this.#intake.aside()
    // Who calls is settled before anything else is taken up.
    if (!this.#intake.hold()) {
      this.#refuse(twoHellos(), CLOSE.badFrame)
      return
    }
    const { guest } = this.#peer
    guest.isLookedAt = true
    this.#hello = this.#hello
      .then(() => this.#welcome(hello))
      .catch((error: unknown) => this.#refuse(told(this.#o.log, error, { requestId: this.#o.requestId() })))
      .then(() => void (guest.isLookedAt = false))
  }

  async #welcome(hello: unknown): Promise<void> {
    const { cookie, isLoopback, guest } = this.#peer
    const { token, workspace, session } = readHello(hello, cookie !== null)
    const { auth, connections } = this.#o
    const caller = token === null ? await auth.pageCaller(cookie as string, workspace) : await auth.caller(token, { workspace, session, loopback: isLoopback })
    // Who the connection belongs to never changes: a renewal is the same agent in the same workspace.
    if (this.caller !== null && (this.caller.actor.agent !== caller.actor.agent || this.caller.workspace !== caller.workspace)) {
      throw foreignIdentity(this.caller)
    }
    if (this.#ws.readyState !== WebSocket.OPEN) return
    connections.know(guest.socket, caller)
    clearTimeout(this.#helloTimer)
    this.caller = caller
    const loop = workspaceOf(this.#o.hub, caller)
    this.#loop = loop
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
    const strange: SessionId[] = []
    for (const session of sessions.slice(0, BEATS_MAX)) {
      if (typeof session !== "string") continue
      if (this.#sessions.has(session) || actor.session === session) loop.beat(session)
      else strange.push(session)
    }
    if (strange.length === 0) return
    this.#intake.aside(strange.length)
    // The operation checks whose they are, and they may be taken over after a reconnect. What can be no session keeps no other from it.
    const input = { sessions: strange.filter((id) => sessionId.safeParse(id).success) }
    const call = { operation: "session.beat", input, key: null, requestId: this.#o.requestId() }
    const heard = (answer: unknown): void => {
      for (const session of (answer as { heard: SessionId[] }).heard) this.own(loop, session)
    }
    void this.#o.perform({ actor, workspace, credential: null, expiresAtMs: null }, call).then(heard, () => undefined)
  }

  #subscribe(caller: Caller, wanted: unknown): void {
    const from = (wanted as { from?: unknown } | null)?.from
    const refused = this.#events.subscribe(workspaceOf(this.#o.hub, caller), from)
    if (refused !== null) this.#answer(JSON.stringify({ subscribe: echo(from), error: refused }))
  }
}
