import type { Refusal } from "../core/refusal.ts"
import type { CommandName } from "../core/command.ts"
import { type Actor, HUB } from "../core/entry.ts"
import type { Walk } from "../core/ready.ts"

/** Idempotency: the caller's key, and the first 128 bits of the SHA-256 of what it asked, in hex. */
export type Key = { id: string; hash: string }

/** A caller's connection. Who has ended its side of it may be gone, and is taken for that where it takes long. */
export type From = { readonly readable: boolean }

/** The longest that a claim is parked. */
export const WAIT_MAX_MS = 150_000

/** A command that waits for its batch, and then for its answer. */
export type Waiting = {
  name: CommandName
  actor: Actor
  /** A checkpoint is taken of the state that it is decided against; all else is as the caller gave it. */
  input: unknown
  key: Key | null
  signal: AbortSignal | undefined
  from: From | undefined
  /** Until when it may be parked, on the workspace's clock; null: answered at once. */
  parkUntilMs: number | null
  /** Was parked before: its timer runs until it is answered. */
  timed: boolean
  /** How often it was decided and came to no end; undefined: it was not, since it was parked. */
  putOff?: number | undefined
  /** Where its search goes on, since it was put off for the `since`th time; `inVain`: how often it was before, in searches after which it was not yet decided. */
  search?: { walk: Walk | null; since: number; inVain: number } | undefined
  resolve(output: unknown): void
  reject(error: unknown): void
}

/** Refusals of a claim that somebody else's work, or time, may take back. */
const MAY_CHANGE: ReadonlySet<string> = new Set(["nothing_ready", "at_limit", "budget_spent", "breaker_open", "policy_denied"])

/** Until when a claim that was refused waits; null where it does not. Where the refusal names a time it decides again then: no entry will tell of it. */
export function parksUntilMs({ parkUntilMs }: Waiting, { refused, details }: Refusal): number | null {
  if (parkUntilMs === null || !MAY_CHANGE.has(refused)) return null
  const { retryAtMs } = details
  return typeof retryAtMs === "number" ? Math.min(parkUntilMs, retryAtMs) : parkUntilMs
}

/** What the hub does of itself. */
export function ownCommand(name: CommandName, input: unknown, resolve: () => void, reject: (error: unknown) => void): Waiting {
  return { name, actor: HUB, input, key: null, signal: undefined, from: undefined, parkUntilMs: null, timed: false, resolve, reject }
}
