import type { IncomingMessage, ServerResponse } from "node:http"
import { SkeinError } from "../contract/errors.ts"
import type { Loop } from "../hub/loop.ts"
import type { Frame } from "../hub/subscriptions.ts"
import type { Caller } from "./auth.ts"
import { headerOf, SECURE_HEADERS } from "./request.ts"

/** Bytes that may wait for a slow reader before it is told to come again. */
const BUFFER_MAX = 4 * 1024 * 1024
/** Time for its reader to take the last of a stream, in ms. */
const LAST_MS = 30_000

/** One live event stream; `end` closes it with a last event. */
export type EventStream = { caller: Caller; end(event: "expired" | "revoked" | "closing"): void }

/**
 * The stream of entries as Server-Sent Events: each message `entries` holds up to 128 of one durable batch as a JSON array, its id is the last seq in
 * it. `Last-Event-ID` (or `?from=SEQ`, first seq wanted; by default the next one) resumes it without a gap. A comment comes every `beatMs`.
 */
export function streamEvents(
  loop: Loop,
  caller: Caller,
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  beatMs: number,
  closed: (stream: EventStream) => void,
): EventStream {
  const from = firstWanted(loop, request, url)
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8", ...SECURE_HEADERS, "Cache-Control": "no-store, no-transform" })
  response.write("retry: 1000\n\n")
  let unsubscribe: (() => void) | null = null
  const timer = setInterval(() => void response.write(": beat\n\n"), beatMs)
  timer.unref()
  const end = (text: string): void => {
    unsubscribe?.()
    // Where nobody reads, the response closes long after its end, and a beat written to it meanwhile would end the hub.
    clearInterval(timer)
    if (response.writableEnded) return
    response.end(text)
    setTimeout(() => response.destroy(), LAST_MS).unref()
  }
  const stream: EventStream = { caller, end: (event) => end(`event: ${event}\ndata: {}\n\n`) }
  response.on("close", () => {
    clearInterval(timer)
    unsubscribe?.()
    closed(stream)
  })
  if (request.method === "HEAD") {
    end("")
    return stream
  }
  unsubscribe = loop.subscribe(from, {
    deliver: (frame) => void response.write(messageOf(frame)),
    writable: () => response.writableLength < BUFFER_MAX && !response.writableEnded,
    drained: (then) => (response.writableNeedDrain ? void response.once("drain", then) : then()),
    resync: (seq) => end(`event: resync\ndata: {"from":${seq}}\n\n`),
    end: () => stream.end("closing"),
  })
  return stream
}

/** A frame as a message, encoded once for all who listen. */
const messages = new WeakMap<Frame, Buffer>()

function messageOf(frame: Frame): Buffer {
  let bytes = messages.get(frame)
  if (bytes === undefined) {
    bytes = Buffer.from(`id: ${frame.to}\nevent: entries\ndata: ${frame.text}\n\n`)
    messages.set(frame, bytes)
  }
  return bytes
}

function firstWanted(loop: Loop, request: IncomingMessage, url: URL): number {
  const last = headerOf(request, "last-event-id")
  const text = last ?? url.searchParams.get("from")
  if (text === null) return loop.head.seq + 1
  const seq = Number(text)
  if (!/^\d{1,15}$/.test(text) || !Number.isSafeInteger(seq))
    throw new SkeinError(
      "invalid_input",
      `${last === null ? "from" : "Last-Event-ID"} is no seq`,
      "Give a whole number: the first seq wanted, or the last one seen.",
      {},
    )
  const first = last === null ? Math.max(1, seq) : seq + 1
  if (first > loop.head.seq + 1)
    throw new SkeinError(
      "invalid_input",
      `the ledger ends at ${loop.head.seq}, before ${first}`,
      "Subscribe from its head on: the state that you have is of another ledger.",
      { head: loop.head.seq },
    )
  return first
}
