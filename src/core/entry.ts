import type { AgentId, Seq, SessionId } from "./ids.ts"
import { textJson } from "./json-text.ts"
import { UPCASTS, upcast, type Upcasts } from "./upcast.ts"

/** What a caller may do; see `permits` in `core/role.ts`. */
export type Role = "operator" | "orchestrator" | "worker" | "supervisor" | "observer" | "plugin"

/** Who did it, as the surface verified it from a token; never what a payload says of itself. */
export type Actor = { agent: AgentId; session: SessionId | null; role: Role }

/** The hub itself: it ends leases, declares sessions lost and records checkpoints. */
export const HUB: Actor = { agent: "hub", session: null, role: "supervisor" }

/** An event before it has its place in the ledger. `v` is the version of its type's data; old ones are up-cast on read. */
export type Recorded<Type extends string = string, Data = unknown> = { type: Type; data: Data; causedBy?: Seq | null }

/** One line of the ledger: an event with its place, time, actor and the command that caused it. */
export type Entry<Type extends string = string, Data = unknown> = {
  seq: Seq
  /** The hub's clock in milliseconds since 1970; never decreases from one entry to the next. */
  atMs: number
  type: Type
  /** Version of this type's data; 1 unless said otherwise. */
  v: number
  actor: Actor
  /** The caller's idempotency key, or null for what the hub does of itself. */
  commandId: string | null
  /** First 128 bits of the SHA-256 of the command's payload in hex: the same key with another payload is refused. */
  commandHash: string | null
  /** The entry that led to this one, where there is one: `skein ledger why` walks it. */
  causedBy: Seq | null
  data: Data
}

/** What the fold throws on an entry of a type that this version does not know: it MUST NOT go on as if nothing had happened. */
export function unknownType(event: never): Error {
  return new Error(`entry is of unknown type ${(event as { type: string }).type}`)
}

/** The longest entry in bytes, so that a transparency log's tiles can carry it. */
export const ENTRY_MAX_BYTES = 65_535

/** The bytes that are stored, hashed and replayed: JSON in UTF-8, keys in this order. Encoded once, never re-encoded. */
export function encodeEntry(entry: Entry): string {
  const { seq, atMs, type, v, actor, commandId, commandHash, causedBy, data } = entry
  // Written out: JSON.stringify takes three times as long. The data is of one piece: those of a plan's thousands of tasks, each of a hundred, took five times as long.
  const by = `{"agent":${textJson(actor.agent)},"session":${textJson(actor.session)},"role":"${actor.role}"}`
  return `{"seq":${seq},"atMs":${atMs},"type":"${type}","v":${v},"actor":${by},"commandId":${textJson(commandId)},"commandHash":${textJson(commandHash)},"causedBy":${causedBy},"data":${JSON.stringify(data)}}`
}

/**
 * Reads stored bytes back, as today's code knows them: the one door by which bytes become entries, so that nobody folds an old version as it stands.
 * Throws `SyntaxError` on bytes that are no entry: the ledger's audit names the seq.
 */
export function decodeEntry(bytes: string, upcasts: Upcasts = UPCASTS): Entry {
  const entry = JSON.parse(bytes) as Entry
  if (!Number.isSafeInteger(entry.seq) || typeof entry.type !== "string") throw new SyntaxError("not a ledger entry")
  return upcast(entry, upcasts)
}
