import type * as z from "zod"
import type { Role } from "../core/entry.ts"
import type { ErrorCode } from "./errors.ts"

/** What operations are for, across nouns: each is a group of actions that a rule of a policy can name. */
export const PURPOSES = {
  claim: "takes a task",
  spend: "puts money at stake",
  spawn: "lets another agent act",
  wake: "wakes an agent",
  override: "overrules what others do or what protects them",
  merge: "calls work done, or approves it",
} as const
export type Purpose = keyof typeof PURPOSES

/** One operation as everybody sees it: HTTP, OpenAPI, WebSocket, the client and the reference pages all derive from this row. */
export type Operation<In extends z.ZodType = z.ZodType, Out extends z.ZodType = z.ZodType> = {
  /** Who may call it, at the least; see `permits` in `core/role.ts`. */
  least: Role
  /** One line: what it does. */
  summary: string
  /** Effect, units and what to do next, in sentences of Markdown. */
  text: string
  /** What it is for, where a policy should be able to speak of it by that; see `PURPOSES`. */
  purposes?: readonly Purpose[]
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
  "policy_denied",
  "claim_mismatch",
  "foreign_workspace",
  "body_too_large",
  "rate_limited",
  "overloaded",
  "hub_stopping",
  "internal",
]

/** What any command may answer on top of that. */
export const EVERY_COMMAND: readonly ErrorCode[] = ["too_large", "idempotency_conflict", "storage_refused", "timed_out"]
