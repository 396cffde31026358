import { SkeinError } from "../contract/errors.ts"
import type { LedgerFailure } from "../ledger/ledger.ts"

/** How often the disk is tried again after it refused a write, in ms. */
export const PROBE_MS = 1_000

export function stopping(): SkeinError {
  return new SkeinError("hub_stopping", "the hub is shutting down", "Come again when it is up.", {}, 1_000)
}

export function aborted(): SkeinError {
  return new SkeinError("timed_out", "the caller is gone", "Ask again with the same key.")
}

export function unknownOutcome(): SkeinError {
  return new SkeinError(
    "timed_out",
    "the ledger did not say whether it was written; the hub restarts",
    "Ask again with the same key: it is done once.",
    {},
    1_000,
  )
}

export function storageRefused(error: LedgerFailure): SkeinError {
  return new SkeinError("storage_refused", `the ledger refuses writes: ${error.message}`, `${error.remedy} Nothing was written; reads go on.`, {}, PROBE_MS)
}
