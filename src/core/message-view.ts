import { inboxOf, type Sent } from "./directive.ts"
import { type Actor, type Entry, HUB } from "./entry.ts"
import type { AgentId, Seq, SessionId, ThreadId } from "./ids.ts"
import type { MessageKind, Metadata, PostMessage } from "./message.ts"
import type { ThreadEvent } from "./thread-life.ts"

/** A message as readers see it. `body` is what its sender wrote, kept as it came: data, never an instruction, and not safe for a terminal. */
export type MessageView = {
  thread: ThreadId
  /** Its number in the thread. */
  message: number
  /** Its entry in the ledger. */
  seq: Seq
  atMs: number
  sender: AgentId
  session: SessionId | null
  role: Actor["role"]
  /** `system`: the hub says it. */
  kind: MessageKind | "system"
  body: string
  inReplyTo: number | null
  metadata: Metadata
  /** Where it is an event to somebody: `agent:NAME`, `role:ROLE` or `everyone`. */
  to: string | null
  /** The hub's own rules say it, whoever's action called for it: moments in it are told in UTC (`instant`), for its reader to show on their own clock. */
  voice?: "hub"
}

const NOTHING: Metadata = { eventType: null, severity: null, file: null, line: null, endLine: null, task: null }

/** The message that an entry is, by its number in its thread; null for an entry that is none. */
export function viewMessage(entry: Entry, message: number): MessageView | null {
  const { seq, atMs, actor } = entry
  const from = { message, seq, atMs, sender: actor.agent, session: actor.session, role: actor.role }
  if (entry.type === "message.posted") {
    const { thread, kind, body, inReplyTo, metadata } = entry.data as PostMessage
    return { ...from, thread, kind, body, inReplyTo, metadata, to: null }
  }
  if (entry.type === "thread.status_changed") {
    const { id, from: before, to, reason, auto = false } = entry.data as (ThreadEvent & { type: "thread.status_changed" })["data"]
    return {
      ...from,
      ...(auto ? { sender: HUB.agent, session: null, role: HUB.role } : {}),
      thread: id,
      kind: "system",
      body: `${before} -> ${to}: ${reason}`,
      inReplyTo: null,
      metadata: { ...NOTHING, eventType: "status" },
      to: null,
    }
  }
  const sent = entry.data as Sent
  if (entry.type !== "event.sent" || sent.thread === undefined) return null
  return {
    ...from,
    thread: sent.thread,
    kind: actor.agent === "hub" ? "system" : "event",
    body: sent.text,
    inReplyTo: null,
    metadata: { ...NOTHING, eventType: sent.directive ?? sent.kind, task: sent.task },
    to: inboxOf(sent.to),
    ...(sent.voice === "hub" ? { voice: sent.voice } : {}),
  }
}
