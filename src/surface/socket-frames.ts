import { isUtf8 } from "node:buffer"
import { SkeinError } from "../contract/errors.ts"
import type { Caller } from "./auth.ts"
import { mayPlan } from "./perform.ts"
import { parseJson } from "./request.ts"

/**
 * One protocol for calls and events, JSON text both ways.
 * Client (one frame a message, or an array of them): `{"hello":{token,workspace?,session?}}` first, and again to renew the token; then `{"id":7,"op":"task.claim","in":{},"key":"..."}`, `{"cancel":7}`,
 * `{"subscribe":{"from":1}}`, `{"unsubscribe":true}`, `{"beat":["s_..."]}`.
 * Hub: `{"welcome":{}}`, `{"id":7,"ok":{}}`, `{"id":7,"error":{}}`, `{"error":{}}`, `{"events":[...],"from":1,"to":9}`, `{"resync":10}`; what is ready at
 * once comes as an array of these. Close codes: 4400 not this protocol, 4401 no valid token, 1001 hub going down, 1007 text that is no UTF-8, 1013 too slow, or no place.
 */
export const CLOSE = { badFrame: 4400, notUtf8: 1007, unauthenticated: 4401, goingAway: 1001, tryAgain: 1013 } as const

/** Calls of one connection in flight at once. */
export const IN_FLIGHT_MAX = 1_000
export const HELLO_MAX_BYTES = 16 * 1024
/** Sessions in one beat. */
export const BEATS_MAX = 1_000
/** Frames in one message. */
const FRAMES_MAX = 1_000

/** One frame as it came: nothing about it is taken for granted. */
export type Request = {
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

/** How a call begins that is longer than others may be. */
const LONG_CALL = /^\s*\{\s*"id"\s*:\s*(\d{1,15})\s*,\s*"op"\s*:\s*"([A-Za-z.]{1,64})"/
const LONG_CALL_BYTES = 256

/**
 * The frames of one message. Throws what ends the connection with `closeCode`. `caller`: null where nobody has said hello yet. Of a message over `maxBytes`
 * only a plan of one who may send it is parsed: the hub does nothing else meanwhile, for a second where 8 MiB are brackets.
 */
export function readFrames(text: string | Buffer, isBinary: boolean, caller: Caller | null, maxBytes: number): Request[] {
  if (isBinary) throw new SkeinError("unsupported_media_type", "a binary frame", "Send JSON as text frames.")
  if (caller === null && text.length > HELLO_MAX_BYTES) throw longHello()
  if (caller !== null && text.length > maxBytes) {
    const [, id, op] = LONG_CALL.exec(typeof text === "string" ? text.slice(0, LONG_CALL_BYTES) : text.toString("latin1", 0, LONG_CALL_BYTES)) ?? []
    if (id === undefined) throw longMessage(maxBytes)
    if (op !== "plan.add" || !mayPlan(caller)) return [{ id: Number(id), op }]
  }
  const parsed = parseJson(text)
  const frames = (Array.isArray(parsed) ? parsed : [parsed]) as Request[]
  if (frames.length > FRAMES_MAX || frames.some((frame) => typeof frame !== "object" || frame === null || Array.isArray(frame))) {
    throw new SkeinError(
      "invalid_input",
      "a message is one JSON object, or an array of up to 1,000 of them",
      'Send {"id":1,"op":"task.claim","in":{}} and the like.',
    )
  }
  return frames
}

/** What ends a connection whose message cannot be read: RFC 6455, 8.1, has a code of its own for text that is no UTF-8. */
export function closeCode(text: string | Buffer, isBinary: boolean): number {
  return isBinary || typeof text === "string" || isUtf8(text) ? CLOSE.badFrame : CLOSE.notUtf8
}

/** What a hello says. `hasCookie`: it is the page's, which needs no token. Throws `invalid_input`. */
export function readHello(hello: unknown, hasCookie: boolean): { token: string | null; workspace: string | null; session: string | null } {
  const given = (typeof hello === "object" && hello !== null ? hello : {}) as { token?: unknown; workspace?: unknown; session?: unknown }
  const { token = null, workspace = null, session = null } = given
  const isByCookie = given.token === undefined && session === null && hasCookie
  const hasToken = typeof token === "string"
  if ((!isByCookie && !hasToken) || !isTextOrNull(workspace) || !isTextOrNull(session)) throw wrongHello()
  return { token: hasToken ? token : null, workspace, session }
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || (typeof value === "string" && value !== "")
}

/** A call's id, or null where it cannot be one. */
export function callId({ id }: Request, inFlight: ReadonlyMap<number, unknown>): number | null {
  return Number.isSafeInteger(id) && (id as number) >= 0 && !inFlight.has(id as number) ? (id as number) : null
}

/** What may be said back: a number. Anything else may be as deep as a frame is long, and would take the hub's stack with it. */
export function echo(given: unknown): number | null {
  return typeof given === "number" ? given : null
}

/** What is wrong with a call before anybody looks at what it asks. */
export function wrongCall({ key = null }: Request, size: number, maxBytes: number, inFlight: number): SkeinError | null {
  if (size > maxBytes) return longFrame(maxBytes)
  if (key !== null && typeof key !== "string")
    return new SkeinError("invalid_input", "the idempotency key is not one", "Use 1 to 128 of A-Z a-z 0-9 . _ : -", {})
  if (inFlight >= IN_FLIGHT_MAX)
    return new SkeinError("rate_limited", `${IN_FLIGHT_MAX} calls of this connection are in flight`, "Wait for answers before sending more.", {}, 100)
  return null
}

export function longFrame(maxBytes: number): SkeinError {
  return new SkeinError("body_too_large", `the frame is over ${maxBytes} bytes`, "Put what is large in a file or a commit and name it; a plan may be 8 MiB.", {
    limit: maxBytes,
  })
}

function longMessage(maxBytes: number): SkeinError {
  return new SkeinError(
    "body_too_large",
    `a message over ${maxBytes} bytes is one call, and says first which`,
    'Begin it with {"id":1,"op":"plan.add"; send what is no plan in shorter messages.',
    { limit: maxBytes },
  )
}

export function needsId(): SkeinError {
  return new SkeinError("invalid_input", "a call needs an id of its own: a whole number that no call in flight has", "Count up from 1.")
}

export function unknownFrame(): SkeinError {
  return new SkeinError("invalid_input", "a frame of no known kind", "Send one of hello, id + op + in, cancel, subscribe, unsubscribe, beat.")
}

export function noHello(): SkeinError {
  return new SkeinError("unauthenticated", "no hello came in time", 'Send {"hello":{"token":...}} first.')
}

export function needsHello(): SkeinError {
  return new SkeinError("unauthenticated", "the first frame must be a hello", 'Send {"hello":{"token":...}} first.')
}

export function longHello(): SkeinError {
  return new SkeinError("body_too_large", `a hello is at most ${HELLO_MAX_BYTES} bytes`, "Send the token and nothing else.", { limit: HELLO_MAX_BYTES })
}

function wrongHello(): SkeinError {
  return new SkeinError("invalid_input", "a hello has a token, and may have a workspace and a session", 'Send {"hello":{"token":"...","workspace":"main"}}.')
}

export function twoHellos(): SkeinError {
  return new SkeinError("invalid_input", "a message has two hellos", "Send one, and the next when it is answered.")
}

export function foreignIdentity({ actor, workspace }: Caller): SkeinError {
  return new SkeinError("claim_mismatch", `the connection belongs to ${actor.agent} in ${workspace}`, "Open another connection for another identity.")
}

export function expired(): SkeinError {
  return new SkeinError("token_expired", "the token is over", "Renew it in time with another hello; now connect again.", {}, 0)
}

export function beyondHead(head: number): SkeinError {
  return new SkeinError("invalid_input", `a subscription begins at a seq from 1 to ${head + 1}`, "Subscribe from the last seq that you have seen + 1.", {
    head,
  })
}
