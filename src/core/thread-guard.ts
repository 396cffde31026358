import { type DirectiveEvent, directorOf, sent } from "./directive.ts"
import type { Actor } from "./entry.ts"
import type { ThreadId } from "./ids.ts"
import { markOf } from "./finding-mark.ts"
import type { MessageEvent, Metadata, PostMessage } from "./message.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { permits } from "./role.ts"
import { audienceOf, type Thread } from "./thread.ts"
import { decideSetThreadStatus, isInbox, type ThreadEvent } from "./thread-life.ts"
import { wakePolicy } from "./wake-policy.ts"
import type { Workspace } from "./workspace.ts"

export type EscalateThread = { thread: ThreadId; reason: string }
export type UnblockThread = { thread: ThreadId; reason: string }
export type OverrideCloseThread = { thread: ThreadId; reason: string }

type Said = ThreadEvent | DirectiveEvent

/** Why a message that goes round in circles is the last one, or null. A thread of one target has no subject, so nothing is progress in it. */
export function circleOf(state: Workspace, actor: Actor, thread: Thread, { body, metadata }: Pick<PostMessage, "body" | "metadata">): string | null {
  if (isInbox(thread.id) || (thread.status !== "active" && thread.status !== "resolved") || permits("orchestrator", actor.role)) return null
  const { turnsMax, findingsMax } = wakePolicy(state)
  const times = timesFound(state, thread.id, body, metadata)
  if (times > 1 && times % findingsMax === 0) return `the same finding came ${times} times`
  const isProgress = metadata.eventType === "commit" || times === 1
  return !isProgress && thread.turns + 1 >= turnsMax ? `${thread.turns + 1} turns without progress` : null
}

/** How often a finding has come once this message is there; 0 for what is none. */
function timesFound(state: Workspace, thread: ThreadId, body: string, metadata: Metadata): number {
  if (metadata.eventType !== "finding") return 0
  return (state.findings.get(`${thread}#${markOf(body, metadata)}`)?.times ?? 0) + 1
}

/**
 * What the hub adds to a message after which it blocks the thread: no agent goes on before an orchestrator or the operator says so. `newcomers`: whom that
 * message brings into the thread, as an audience names them; told by the hub, it is unread for them too.
 */
export function autoBlock(state: Workspace, thread: Thread, why: string, newcomers: readonly string[]): Said[] {
  const { id, status, head } = thread
  // The message itself is one more.
  const data = {
    id,
    message: head + 2,
    from: status,
    to: "blocked",
    reason: `THREAD_AUTO_BLOCKED: ${why}`,
    audience: [...new Set([...audienceOf(state, thread, ""), ...newcomers])].sort(),
    auto: true,
  } as const
  const text = `thread ${id} is blocked: ${why}. Look into it, then: skein thread unblock ${id} --reason ...`
  return [{ type: "thread.status_changed", data, causedBy: null }, ...tellDirectors(state, id, text)]
}

/** Told to the operator, and to orchestrators where there are some. */
function tellDirectors(state: Workspace, thread: ThreadId, text: string): DirectiveEvent[] {
  return [...new Set([directorOf(state), "operator"] as const)].map((role) =>
    sent({ kind: "blocker", directive: null, to: { role }, task: null, priority: "high", text, payload: { thread }, requiresAck: false }),
  )
}

/** Hands a thread that cannot go on by itself to an orchestrator or the operator: it is blocked until one of them continues it. */
export function decideEscalateThread(state: Workspace, actor: Actor, { thread: id, reason }: EscalateThread): Said[] | Refusal {
  const changed = decideSetThreadStatus(state, actor, { thread: id, status: "blocked", reason })
  if ("refused" in changed) return changed
  return [...changed, ...tellDirectors(state, id, `${actor.agent} escalates thread ${id}: ${reason}`)]
}

/** Continues a blocked thread: its turns are counted anew. */
export function decideUnblockThread(state: Workspace, actor: Actor, { thread: id, reason }: UnblockThread): ThreadEvent[] | Refusal {
  const thread = state.threads.get(id)
  if (thread !== undefined && thread.status !== "blocked" && thread.status !== "active")
    return refuse("wrong_status", `thread ${id} is ${thread.status}, not blocked`, "Open it again with thread.setStatus.", {
      thread: id,
      status: thread.status,
    })
  return decideSetThreadStatus(state, actor, { thread: id, status: "active", reason })
}

/** Closes a thread over any dispute. */
export function decideOverrideClose(state: Workspace, actor: Actor, { thread, reason }: OverrideCloseThread): ThreadEvent[] | Refusal {
  return decideSetThreadStatus(state, actor, { thread, status: "closed", reason })
}

export type PostEvent = MessageEvent | Said
