import type { Entry } from "./entry.ts"
import type { AgentId } from "./ids.ts"
import type { Remembered } from "./key-table.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Workspace } from "./workspace.ts"

/** How long a key is remembered, in ms of entry time, and how many are at the most. */
export const KEY_WINDOW_MS = 24 * 3_600_000
export const KEYS_MAX = 1_000_000

/** What the same key did before: null where it is new, a refusal where it came with another payload. */
export function recall(state: Workspace, agent: AgentId, commandId: string, hash: string): Remembered | Refusal | null {
  const remembered = state.keys.get(state.keys.keyOf(agent, commandId))
  // Keys are forgotten with the next that comes: until then one may be past its time.
  if (remembered === undefined || remembered.atMs + KEY_WINDOW_MS < state.atMs) return null
  if (remembered.hash === hash) return remembered
  return refuse("idempotency_conflict", `key ${commandId} came before with another payload`, "Use a new key for a new request.", {
    commandId,
    firstSeq: remembered.first,
  })
}

/** What of an entry its key asks for. */
export type Keyed = Pick<Entry, "seq" | "atMs" | "actor" | "commandId" | "commandHash">

/** Folds the key of an entry in; no other fold looks at the keys. */
export function remember({ keys }: Pick<Workspace, "keys">, { seq, atMs, actor, commandId, commandHash }: Keyed): void {
  if (commandId === null || commandHash === null) return
  const key = keys.keyOf(actor.agent, commandId)
  const known = keys.get(key)
  const goesOn = known?.hash === commandHash && known.last === seq - 1
  keys.replace(key, known, goesOn ? { ...known, last: seq } : { hash: commandHash, first: seq, last: seq, atMs })
  while ((keys.oldestAtMs ?? atMs) + KEY_WINDOW_MS < atMs || keys.size > KEYS_MAX) keys.delete(keys.oldest as string)
}
