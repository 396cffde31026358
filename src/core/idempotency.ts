import type { Entry } from "./entry.ts"
import type { AgentId, Seq } from "./ids.ts"
import { refuse, type Refusal } from "./refusal.ts"
import type { Workspace } from "./workspace.ts"

/** What became of a command: the entries that it made, from which its answer is built again. */
export type Remembered = { hash: string; first: Seq; last: Seq; atMs: number }

/** How long a key is remembered, in ms of entry time, and how many are at the most. */
export const KEY_WINDOW_MS = 24 * 3_600_000
export const KEYS_MAX = 1_000_000

/** A remembered key as the state digest counts it. */
export function rememberedText({ hash, first, last, atMs }: Remembered): string {
  return `${hash} ${first} ${last} ${atMs}`
}

export function keyOf(agent: AgentId, commandId: string): string {
  return `${agent} ${commandId}`
}

/** What the same key did before: null where it is new, a refusal where it came with another payload. */
export function recall(state: Workspace, agent: AgentId, commandId: string, hash: string): Remembered | Refusal | null {
  const remembered = state.keys.get(keyOf(agent, commandId))
  if (remembered === undefined) return null
  if (remembered.hash === hash) return remembered
  return refuse("idempotency_conflict", `key ${commandId} came before with another payload`, "Use a new key for a new request.", {
    commandId,
    firstSeq: remembered.first,
  })
}

export function remember(state: Workspace, { seq, atMs, actor, commandId, commandHash }: Entry): void {
  if (commandId === null || commandHash === null) return
  const key = keyOf(actor.agent, commandId)
  const known = state.keys.get(key)
  const goesOn = known?.hash === commandHash && known.last === seq - 1
  state.keys.put(key, goesOn ? { ...known, last: seq } : { hash: commandHash, first: seq, last: seq, atMs })
  for (let oldest = state.keyAges.oldest; oldest !== undefined; oldest = state.keyAges.oldest) {
    if (oldest.atMs + KEY_WINDOW_MS >= atMs && state.keys.size <= KEYS_MAX) break
    state.keys.delete(oldest.key)
  }
}

type Age = { key: string; first: Seq; atMs: number }

/** The keys by age: a queue that an undo can run backwards. */
export class KeyAges {
  #ages: Age[] = []
  #start = 0

  get oldest(): Age | undefined {
    return this.#ages[this.#start]
  }

  onChange = (key: string, before: Remembered | undefined, after: Remembered | undefined): void => {
    if (before !== undefined && before.first !== after?.first) this.#drop(key)
    if (after !== undefined && before?.first !== after.first) this.#add({ key, first: after.first, atMs: after.atMs })
  }

  #add(age: Age): void {
    const oldest = this.oldest
    // An undo gives back what was forgotten: it goes to the front again.
    if (oldest !== undefined && age.first < oldest.first) {
      if (this.#start > 0) this.#ages[(this.#start -= 1)] = age
      else this.#ages.unshift(age)
    } else this.#ages.push(age)
  }

  #drop(key: string): void {
    if (this.oldest?.key === key) {
      this.#start += 1
      if (this.#start < 1_024 || this.#start * 2 < this.#ages.length) return
      this.#ages = this.#ages.slice(this.#start)
      this.#start = 0
    } else if (this.#ages.at(-1)?.key === key) this.#ages.pop()
    else {
      const at = this.#ages.findIndex((age, index) => index >= this.#start && age.key === key)
      if (at >= 0) this.#ages.splice(at, 1)
    }
  }
}
