import type { Refusal, RefusalCode } from "../core/refusal.ts"

/** Failures that are not a decider's *no*: the request, the caller or the machine is at fault. */
export type OperationalCode =
  | "invalid_input"
  | "unauthenticated"
  | "token_expired"
  | "claim_mismatch"
  | "foreign_workspace"
  | "origin_refused"
  | "unsupported_media_type"
  | "method_not_allowed"
  | "unknown_operation"
  | "not_implemented"
  | "request_timeout"
  | "body_too_large"
  | "rate_limited"
  | "overloaded"
  | "storage_refused"
  | "hub_stopping"
  | "hub_unreachable"
  | "timed_out"
  | "internal"

export type ErrorCode = RefusalCode | OperationalCode

/** `retry`: never as it is; after the time that the answer names; or as soon as the reason is gone. */
export type ErrorRow = { http: number; exit: 1 | 2 | 69 | 75; retry: "never" | "later" | "when_changed"; meaning: string }

/** The one table: every code with its HTTP status, the exit status of the CLI and what a caller may do. */
export const ERRORS: Record<ErrorCode, ErrorRow> = {
  not_found: { http: 404, exit: 1, retry: "never", meaning: "What the request names does not exist." },
  already_exists: { http: 409, exit: 1, retry: "never", meaning: "The name is taken." },
  claim_denied: { http: 409, exit: 1, retry: "when_changed", meaning: "Somebody else holds the task; the answer names the holder and the end of its lease." },
  not_ready: { http: 409, exit: 1, retry: "when_changed", meaning: "The task waits for others; the answer names them." },
  not_eligible: { http: 403, exit: 1, retry: "when_changed", meaning: "The agent lacks a capability that the task requires." },
  nothing_ready: { http: 409, exit: 1, retry: "when_changed", meaning: "No task that fits is ready." },
  at_limit: { http: 409, exit: 1, retry: "when_changed", meaning: "The agent, or the plan, has as much at work as it may." },
  stale_fence: { http: 409, exit: 1, retry: "never", meaning: "The lease that the fence stands for is over." },
  not_owner: { http: 403, exit: 1, retry: "never", meaning: "Only the task's owner may do this." },
  wrong_status: { http: 409, exit: 1, retry: "when_changed", meaning: "The task's status does not allow it." },
  forbidden: { http: 403, exit: 1, retry: "never", meaning: "The caller's role does not allow it." },
  cycle: { http: 422, exit: 1, retry: "never", meaning: "Tasks would wait for each other; the answer has the path." },
  unknown_dependency: { http: 422, exit: 1, retry: "never", meaning: "A dependency does not exist." },
  plan_conflict: { http: 409, exit: 1, retry: "never", meaning: "The plan contradicts one that is there." },
  idempotency_conflict: { http: 409, exit: 1, retry: "never", meaning: "The same key came before with another payload." },
  help_taken: { http: 409, exit: 1, retry: "never", meaning: "Another helper was first." },
  cursor_ahead: { http: 409, exit: 1, retry: "when_changed", meaning: "The thread has no such message yet; the answer names its head." },
  cursor_regression: { http: 409, exit: 1, retry: "never", meaning: "A read cursor never goes back; the answer names where it stands." },
  files_conflict: {
    http: 409,
    exit: 1,
    retry: "when_changed",
    meaning: "Another agent holds files that the request can match; the answer names who, which, and until when.",
  },
  budget_spent: {
    http: 409,
    exit: 1,
    retry: "when_changed",
    meaning: "A budget has too little left for the claim, or is closed; the answer names it and its sums.",
  },
  breaker_open: {
    http: 409,
    exit: 1,
    retry: "when_changed",
    meaning: "What the claim needs has failed or was throttled too often lately; the answer names the breaker, and until when.",
  },
  policy_denied: {
    http: 403,
    exit: 1,
    retry: "when_changed",
    meaning: "The workspace's policy does not allow it; the answer names the rule, where one decided.",
  },
  invalid_glob: { http: 422, exit: 2, retry: "never", meaning: "A glob cannot be read; the answer names the place in it." },
  outside_repository: { http: 422, exit: 2, retry: "never", meaning: "A path or glob reaches out of the repository." },
  retired: { http: 409, exit: 1, retry: "never", meaning: "The agent is retired." },
  too_large: { http: 413, exit: 1, retry: "never", meaning: "A value is over its limit; the answer names it." },
  invalid: { http: 422, exit: 1, retry: "never", meaning: "The request contradicts itself or the state." },
  invalid_input: { http: 400, exit: 2, retry: "never", meaning: "The request does not fit its schema; the answer names the place." },
  unauthenticated: { http: 401, exit: 1, retry: "never", meaning: "There is no token, or it is not one of this hub's." },
  token_expired: { http: 401, exit: 1, retry: "later", meaning: "The token is over: mint another from the credential." },
  claim_mismatch: { http: 403, exit: 1, retry: "never", meaning: "The payload names another identity than the token." },
  foreign_workspace: { http: 403, exit: 1, retry: "never", meaning: "The token is for another workspace." },
  origin_refused: { http: 403, exit: 1, retry: "never", meaning: "The Host or Origin header is not this hub's." },
  unsupported_media_type: { http: 415, exit: 2, retry: "never", meaning: "The body must be application/json." },
  method_not_allowed: { http: 405, exit: 2, retry: "never", meaning: "The address does not take this method." },
  unknown_operation: { http: 404, exit: 2, retry: "never", meaning: "There is no such operation." },
  not_implemented: { http: 501, exit: 2, retry: "never", meaning: "The request comes in a coding that the hub does not read." },
  request_timeout: { http: 408, exit: 75, retry: "later", meaning: "The request did not come whole in time, and was not carried out." },
  body_too_large: { http: 413, exit: 1, retry: "never", meaning: "The body is over the limit, which the answer names." },
  rate_limited: { http: 429, exit: 75, retry: "later", meaning: "The caller asks too often; `retryAfterMs` says when to come again." },
  overloaded: {
    http: 429,
    exit: 75,
    retry: "later",
    meaning: "The hub's queue is full, or there is no place for the connection; nothing was done; `retryAfterMs` says when to come again.",
  },
  storage_refused: { http: 503, exit: 75, retry: "later", meaning: "The disk refused the write (full or read-only); nothing was written; reads go on." },
  hub_stopping: { http: 503, exit: 75, retry: "later", meaning: "The hub is shutting down or restarting." },
  hub_unreachable: { http: 503, exit: 69, retry: "later", meaning: "No hub answers at that address." },
  timed_out: { http: 504, exit: 75, retry: "later", meaning: "No answer came in time; with an idempotency key the request can be sent again safely." },
  internal: { http: 500, exit: 1, retry: "never", meaning: "A fault in Skein; the log has the correlation id." },
}

/** The one error that crosses Skein's boundaries: code, message, remedy, and what they speak of. */
export class SkeinError extends Error {
  readonly code: ErrorCode
  /** The next step for the caller, as a sentence. */
  readonly remedy: string
  readonly details: Readonly<Record<string, unknown>>
  /** How long to wait before trying again, in ms, where trying again can help. */
  readonly retryAfterMs: number | null

  constructor(code: ErrorCode, message: string, remedy: string, details: Readonly<Record<string, unknown>> = {}, retryAfterMs: number | null = null) {
    super(message)
    this.name = "SkeinError"
    this.code = code
    this.remedy = remedy
    this.details = details
    this.retryAfterMs = retryAfterMs
  }

  static fromRefusal({ refused, message, remedy, details }: Refusal): SkeinError {
    return new SkeinError(refused, message, remedy, details)
  }

  /** As it crosses the wire. */
  toJSON(): ErrorBody {
    return { code: this.code, message: this.message, remedy: this.remedy, details: this.details, retryAfterMs: this.retryAfterMs }
  }
}

export type ErrorBody = { code: ErrorCode; message: string; remedy: string; details: Readonly<Record<string, unknown>>; retryAfterMs: number | null }
