import type { Entry } from "../core/entry.ts"
import type { Seq, SessionId } from "../core/ids.ts"

/** What the hub says of the caller when it is connected. */
export type Welcome = {
  version: string
  workspace: string
  agent: string
  role: string
  session: SessionId | null
  head: Seq
  nowMs: number
  expiresAtMs: number | null
}

/** One thing that the hub says: docs/reference/wire.md lists them. */
export type Frame = {
  id?: number
  ok?: unknown
  error?: unknown
  welcome?: Welcome
  events?: Entry[]
  from?: number
  to?: number
  resync?: number
  subscribe?: unknown
}

/** What a message holds: one frame, or an array of them. */
export function framesIn(message: string): unknown[] {
  try {
    const parsed = JSON.parse(message) as unknown
    return Array.isArray(parsed) ? parsed : [parsed]
  } catch {
    return [null]
  }
}

/** Whether it is a frame that can be acted on: something else may be listening where the hub was. */
export function isFrame(frame: unknown): frame is Frame {
  if (typeof frame !== "object" || frame === null) return false
  const { events, from, to, welcome } = frame as Frame
  if (events !== undefined && !(Array.isArray(events) && Number.isSafeInteger(from) && Number.isSafeInteger(to))) return false
  return welcome === undefined || (typeof welcome === "object" && welcome !== null)
}
