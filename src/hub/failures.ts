import { SkeinError } from "../contract/errors.ts"
import type { LedgerFailure } from "../ledger/ledger.ts"

/** How often the disk is tried again after it refused a write, in ms. */
export const PROBE_MS = 1_000

/** To a caller of whom nobody here knows whether it has a key: a client may have drawn one by itself. */
const AGAIN = "Ask again with the same key, if you gave one: it is done once. Else look first whether it was done."

export function stopping(): SkeinError {
  return new SkeinError("hub_stopping", "the hub is shutting down", "Come again when it is up.", {}, 1_000)
}

export function aborted(): SkeinError {
  return new SkeinError("timed_out", "the caller is gone", AGAIN)
}

export function unknownOutcome(): SkeinError {
  return new SkeinError("timed_out", "the ledger did not say whether it was written; the hub restarts", AGAIN, {}, 1_000)
}

export function storageRefused(error: LedgerFailure): SkeinError {
  return new SkeinError("storage_refused", `the ledger refuses writes: ${error.message}`, `${error.remedy}; reads go on`, {}, PROBE_MS)
}

/** Made by the thousand when the hub has no time to spare: without its stack, which would be nine tenths of its cost and tell nobody anything. */
export function overloaded(queue: number, retryAfterMs: number): SkeinError {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return new SkeinError("overloaded", `${queue} commands wait already; nothing was done`, "Come again after `retryAfterMs`.", { queue }, retryAfterMs)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

export function failedInside(command: string, recorded: boolean): SkeinError {
  return new SkeinError(
    "internal",
    `${command} failed inside Skein; ${recorded ? "it was done, but has no answer" : "nothing was done"}`,
    "Report it with the hub's log.",
  )
}

export function unreadable(): SkeinError {
  return new SkeinError("timed_out", "it was done before, but its answer could not be read back", "Look at what came of it, or ask again with the same key.")
}
