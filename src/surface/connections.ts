import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import { SkeinError } from "../contract/errors.ts"
import { type Place, Places, STRANGERS_MAX, type Who } from "./places.ts"
import { rawAnswer } from "./request.ts"
import { answering, isAnswered, isReadByNode } from "./under-way.ts"

/** Between two rounds in which strangers give way, in ms. */
const ROUND_MS = 1
/** When whoever found no place may try again, in ms. */
const AGAIN_MS = 1_000

/** What is known of a connection as such. */
export type Guest = {
  /** As what it is read now. */
  socket: Duplex & { readonly bytesRead?: number; readonly bytesWritten?: number; readonly _handle?: { readonly writeQueueSize?: number } | null }
  /** A call that came whole is under way. */
  isBusy: boolean
  /** Who it is, is being looked at. */
  isLookedAt: boolean
  /** Set on a WebSocket: says why it ends, and ends it. */
  turnAway: ((error: SkeinError) => void) | null
  /** So much had been read of it, in bytes, when Node's HTTP had last answered on it. */
  answeredBytes: number
  /** How far its answers had got when last looked at, and since when, once the hub goes down. */
  got?: { mark: string; sinceMs: number }
}

/** The connections of one server, each in its place. */
export class Connections {
  readonly #places: Places<Guest>
  /** By all that it was read as: whoever asks knows one of them. */
  readonly #bySocket = new Map<object, Place<Guest>>()
  #isRoundDue = false

  constructor(agentsMax: number) {
    this.#places = new Places({ agentsMax, strangersMax: STRANGERS_MAX, isIdle, isLookedAt })
  }

  guest(socket: Duplex): Guest {
    return this.#bySocket.get(socket)?.guest ?? newGuest(socket)
  }

  /** Somebody whose token was seen asks on the connection. Throws `overloaded` where there is no place for it. */
  know(socket: object, who: Who): void {
    const place = this.#bySocket.get(socket)
    if (place === undefined) return
    const decision = this.#places.know(place, who)
    // It may have taken a place that a stranger had as long as no agent needed it.
    if (this.#places.isCrowded) this.#roundLater()
    if (decision === null) return
    if ("refused" in decision) throw decision.refused === "agent" ? tooManyOf(who, this.#places.agentMax) : tooMany(this.#places.agents)
    decision.ends.guest.socket.destroy()
  }

  /** Node's HTTP has answered all that was read of it. */
  answered(socket: Socket): void {
    const place = this.#bySocket.get(socket)
    if (place !== undefined) place.guest.answeredBytes = socket.bytesRead
  }

  /** Somebody has connected. */
  enter(socket: Duplex): Guest {
    // The server tells of it again where an upgrade was passed over.
    const known = this.#bySocket.get(socket)
    if (known !== undefined) return known.guest
    const place = this.#places.enter(newGuest(socket))
    this.#hold(socket, place)
    if (this.#places.isCrowded) this.#roundLater()
    return place.guest
  }

  /** The connection goes on as another socket, with which the one before it closes. */
  moved(guest: Guest, socket: Duplex): void {
    const place = this.#bySocket.get(guest.socket)
    guest.socket = socket
    if (place !== undefined && !this.#bySocket.has(socket)) this.#hold(socket, place)
  }

  /**
   * For a hub that goes down, again and again until nobody is left: whoever has its answer is let go, and so is whoever has taken nothing of it for `patienceMs`. Node's own
   * `closeIdleConnections` takes an answer that was written for one that has arrived.
   */
  letGo(nowMs: number, patienceMs: number): void {
    for (const { guest } of this.#bySocket.values()) {
      const mark = markOf(guest)
      if (guest.got?.mark !== mark) guest.got = { mark, sinceMs: nowMs }
      if (hasItsAnswer(guest) || nowMs - guest.got.sinceMs >= patienceMs) guest.socket.destroy()
    }
  }

  #hold(socket: Duplex, place: Place<Guest>): void {
    this.#bySocket.set(socket, place)
    socket.once("close", () => {
      this.#bySocket.delete(socket)
      this.#places.leave(place)
    })
  }

  /** Once what has arrived is read: whoever came just now may have said who it is. */
  #roundLater(): void {
    if (this.#isRoundDue) return
    this.#isRoundDue = true
    setTimeout(() => setImmediate(() => this.#round()), ROUND_MS)
  }

  #round(): void {
    this.#isRoundDue = false
    const gone = this.#places.round()
    if (gone.length > 0) {
      const error = tooManyStrangers()
      const answer = rawAnswer(error)
      for (const { guest } of gone) sendAway(guest, error, answer)
    }
    if (this.#places.isCrowded) this.#roundLater()
  }
}

function newGuest(socket: Duplex): Guest {
  return { socket, isBusy: false, isLookedAt: false, turnAway: null, answeredBytes: 0 }
}

function isIdle(guest: Guest): boolean {
  if (guest.turnAway !== null || guest.isBusy || guest.socket.writableLength > 0) return false
  const answer = answering(guest.socket)
  return answer === null || answer.writableEnded
}

/** Of those that Node's HTTP reads: others end by themselves. */
function hasItsAnswer(guest: Guest): boolean {
  const { socket } = guest
  return isReadByNode(socket) && isIdle(guest) && !socket.writableEnded && !isHalfAsked(guest)
}

/** Changes with whatever its reader takes. */
function markOf({ socket: { bytesWritten, writableLength, _handle } }: Guest): string {
  return `${bytesWritten} ${writableLength} ${_handle?.writeQueueSize}`
}

function isLookedAt(guest: Guest): boolean {
  if (guest.isLookedAt || (guest.isBusy && guest.socket.writableLength === 0)) return true
  const answer = answering(guest.socket)
  return answer !== null && answer.req.complete && !answer.headersSent
}

/** Without waiting for its reader: it would hold the connection for as long as it likes. */
function sendAway(guest: Guest, error: SkeinError, answer: string | Buffer): void {
  const { socket, turnAway } = guest
  if (turnAway !== null) {
    turnAway(error)
    return
  }
  if (isAsking(guest) && socket.writable && socket.writableLength === 0) socket.write(answer)
  socket.destroy()
}

/** An answer that nobody has asked for may be taken for that to another request (RFC 9112, section 6.3), and half an answer goes before one. */
function isAsking(guest: Guest): boolean {
  const { socket, isBusy } = guest
  if (!isReadByNode(socket)) return isBusy
  if (isAnswered(socket)) return false
  const answer = answering(socket)
  return answer === null ? isHalfAsked(guest) : !answer.headersSent
}

/** Whether Node's HTTP has read a part of a request, and waits for the rest of it. */
function isHalfAsked({ socket, answeredBytes }: Guest): boolean {
  return (socket.bytesRead ?? 0) > answeredBytes
}

function tooManyOf({ actor: { agent } }: Who, max: number): SkeinError {
  return new SkeinError(
    "overloaded",
    `${agent} has ${max} connections already, which is as many as one agent may have`,
    "Close those that are not needed; one WebSocket carries 1,000 calls at once.",
    { agent, limit: max },
    AGAIN_MS,
  )
}

function tooMany(max: number): SkeinError {
  return new SkeinError(
    "overloaded",
    `agents have ${max} connections already, which is as many as the hub takes`,
    "Come again after `retryAfterMs`; the operator can revoke the credential of an agent that needs fewer.",
    { limit: max },
    AGAIN_MS,
  )
}

function tooManyStrangers(): SkeinError {
  return new SkeinError(
    "overloaded",
    "more connections than there are places for have not said who they are",
    "Connect again, and send the request, or the hello, with its token at once.",
    {},
    AGAIN_MS,
  )
}
