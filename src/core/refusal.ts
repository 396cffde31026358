/** Every expected *no* of the deciders, by code. The contract's error table gives each its HTTP status, exit status and retry advice. */
export type RefusalCode =
  | "not_found"
  | "already_exists"
  | "claim_denied"
  | "not_ready"
  | "not_eligible"
  | "nothing_ready"
  | "at_limit"
  | "stale_fence"
  | "not_owner"
  | "wrong_status"
  | "forbidden"
  | "cycle"
  | "unknown_dependency"
  | "plan_conflict"
  | "idempotency_conflict"
  | "help_taken"
  | "cursor_ahead"
  | "cursor_regression"
  | "files_conflict"
  | "budget_spent"
  | "breaker_open"
  | "policy_denied"
  | "invalid_glob"
  | "outside_repository"
  | "retired"
  | "too_large"
  | "invalid"

/** An expected *no*, returned as a value: what was refused, why, and what the caller can do about it. */
export type Refusal = {
  refused: RefusalCode
  message: string
  /** The next step for the caller, as a sentence. */
  remedy: string
  /** What the message names, for programs: holder, lease end, path of a cycle and the like. */
  details: Record<string, unknown>
}

export function refuse(refused: RefusalCode, message: string, remedy: string, details: Record<string, unknown> = {}): Refusal {
  return { refused, message, remedy, details }
}

export function isRefusal(decision: object): decision is Refusal {
  return "refused" in decision
}
