import type { SkeinError } from "../../src/contract/errors.ts"

/** The idempotency key of a command, and the hash of its payload. */
export const keyed = (id: string, hash = "00"): { key: { id: string; hash: string } } => ({ key: { id, hash: hash.padEnd(32, "0") } })

/** The codes of those that were refused, null for the others, in order. */
export async function settled(promises: readonly Promise<unknown>[]): Promise<(string | null)[]> {
  const outcomes = await Promise.allSettled(promises)
  return outcomes.map((outcome) => (outcome.status === "fulfilled" ? null : (outcome.reason as SkeinError).code))
}
