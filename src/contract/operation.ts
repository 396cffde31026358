import type * as z from "zod"
import type { Role } from "../core/entry.ts"
import type { ErrorCode } from "./errors.ts"

/** One operation as everybody sees it: HTTP, OpenAPI, WebSocket, the client and the reference pages all derive from this row. */
export type Operation<In extends z.ZodType = z.ZodType, Out extends z.ZodType = z.ZodType> = {
  /** Who may call it, at the least; see `permits` in `core/role.ts`. */
  least: Role
  /** One line: what it does. */
  summary: string
  /** Effect, units and what to do next, in sentences of Markdown. */
  text: string
  /** Refusals of its own; what every operation may answer is in `EVERYWHERE`. */
  errors: readonly ErrorCode[]
  input: In
  output: Out
}

export function operation<In extends z.ZodType, Out extends z.ZodType>(row: Operation<In, Out>): Operation<In, Out> {
  return row
}

/** What any operation may answer, besides its own refusals. */
export const EVERYWHERE: readonly ErrorCode[] = [
  "invalid_input",
  "unauthenticated",
  "token_expired",
  "forbidden",
  "claim_mismatch",
  "foreign_workspace",
  "body_too_large",
  "rate_limited",
  "hub_stopping",
  "internal",
]

/** What any command may answer on top of that. */
export const EVERY_COMMAND: readonly ErrorCode[] = ["too_large", "idempotency_conflict", "overloaded", "storage_refused", "timed_out"]
