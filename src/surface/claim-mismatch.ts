import { SkeinError } from "../contract/errors.ts"

/** Identity in a payload that is not the caller's. */
export function mismatch(field: string, given: unknown, own: unknown): SkeinError {
  return new SkeinError(
    "claim_mismatch",
    `the payload's ${field} is ${JSON.stringify(given)}, the caller's is ${JSON.stringify(own)}`,
    "Leave identity out of the payload: it is taken from the token.",
    { field },
  )
}
