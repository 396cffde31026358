import { isDeepStrictEqual } from "node:util"
import { expect } from "vitest"

/** `expect(actual, what).toBe(wanted)` for rules that hold a million times in a run: `expect` itself takes 10 µs, and is asked only where it has something to say. */
export function expectSame(actual: unknown, wanted: unknown, what?: string): void {
  if (!Object.is(actual, wanted)) expect(actual, what).toBe(wanted)
}

/** `expect(actual, what).toEqual(wanted)`, likewise. */
export function expectEqual(actual: unknown, wanted: unknown, what?: string): void {
  if (!isDeepStrictEqual(actual, wanted)) expect(actual, what).toEqual(wanted)
}
