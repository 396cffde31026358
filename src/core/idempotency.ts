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

/** The key under which a command is remembered. A command is looked up, then recorded: the text that its first turn made serves the second. */
class KeyText {
  #agent: AgentId = ""
  #commandId = ""
  #text = " "

  of(agent: AgentId, commandId: string): string {
    if (commandId === this.#commandId && agent === this.#agent) return this.#text
    this.#agent = agent
    this.#commandId = commandId
    return (this.#text = `${agent} ${commandId}`)
  }
}

/** What the same key did before: null where it is new, a refusal where it came with another payload. */
export function recall(state: Workspace, agent: AgentId, commandId: string, hash: string): Remembered | Refusal | null {
  const remembered = state.keys.get(state.keyAges.text.of(agent, commandId))
  if (remembered === undefined) return null
  if (remembered.hash === hash) return remembered
  return refuse("idempotency_conflict", `key ${commandId} came before with another payload`, "Use a new key for a new request.", {
    commandId,
    firstSeq: remembered.first,
  })
}

export function remember(state: Workspace, { seq, atMs, actor, commandId, commandHash }: Entry): void {
  if (commandId === null || commandHash === null) return
  const key = state.keyAges.text.of(actor.agent, commandId)
  const known = state.keys.get(key)
  const goesOn = known?.hash === commandHash && known.last === seq - 1
  state.keys.replace(key, known, goesOn ? { ...known, last: seq } : { hash: commandHash, first: seq, last: seq, atMs })
  const { keyAges } = state
  for (let oldest = keyAges.oldest; oldest !== undefined; oldest = keyAges.oldest) {
    if (keyAges.oldestAtMs + KEY_WINDOW_MS >= atMs && state.keys.size <= KEYS_MAX) break
    state.keys.delete(oldest)
  }
}

/** Free places at the front of the queue of keys. */
const ROOM = 1_024

/** The keys by age: a queue that an undo can run backwards. In columns, since there may be a million. */
export class KeyAges {
  readonly text = new KeyText()
  #keys: string[] = []
  #firsts: Seq[] = []
  #atMs: number[] = []
  /** What comes before it is forgotten already. */
  #start = 0

  get oldest(): string | undefined {
    return this.#keys[this.#start]
  }

  /** When the oldest was first used. */
  get oldestAtMs(): number {
    return this.#atMs[this.#start] as number
  }

  onChange = (key: string, before: Remembered | undefined, after: Remembered | undefined): void => {
    if (before !== undefined && before.first !== after?.first) this.#drop(key)
    if (after !== undefined && before?.first !== after.first) this.#add(key, after)
  }

  #add(key: string, { first, atMs }: Remembered): void {
    // An undo gives back what was forgotten: it goes to the front again.
    const toFront = this.#start < this.#keys.length && first < (this.#firsts[this.#start] as Seq)
    if (toFront && this.#start === 0) this.#makeRoom()
    const at = toFront ? (this.#start -= 1) : this.#keys.length
    this.#keys[at] = key
    this.#firsts[at] = first
    this.#atMs[at] = atMs
  }

  #drop(key: string): void {
    if (this.oldest === key) {
      this.#start += 1
      if (this.#start >= 2 * ROOM && this.#start * 2 >= this.#keys.length) this.#letGo()
      return
    }
    const at = this.#keys.lastIndexOf(key)
    for (const column of [this.#keys, this.#firsts, this.#atMs]) column.splice(at, 1)
  }

  /** Lets go of what is forgotten, but for some room that an undo may need. */
  #letGo(): void {
    const from = this.#start - ROOM
    this.#keys = this.#keys.slice(from)
    this.#firsts = this.#firsts.slice(from)
    this.#atMs = this.#atMs.slice(from)
    this.#start = ROOM
  }

  #makeRoom(): void {
    const none = Array.from({ length: ROOM }, () => 0)
    this.#keys = [...none.map(() => ""), ...this.#keys]
    this.#firsts = [...none, ...this.#firsts]
    this.#atMs = [...none, ...this.#atMs]
    this.#start = ROOM
  }
}
