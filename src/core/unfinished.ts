import type { Walk } from "./ready.ts"

/**
 * Thrown by a decision that has taken as long as one may at a time, and has changed nothing. What it found out is kept: decided again it goes on from there.
 */
export class Unfinished extends Error {
  /** Where it was among the ready tasks; null where it was not. */
  walk: Walk | null = null
}
