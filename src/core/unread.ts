import type { Actor } from "./entry.ts"
import type { Seq, ThreadId } from "./ids.ts"
import { countOf, groupCursor } from "./message-page.ts"
import { placeKey, type Thread } from "./thread.ts"
import type { Workspace } from "./workspace.ts"

/** What a participant has not read of a thread; its own messages do not count. */
export type Unread = { thread: ThreadId; unread: number; lastReadSeq: number; headSeq: number }
type Reader = Pick<Actor, "agent" | "role">

/** Where the caller's cursor stands in a thread, and what it has not read; null where it is not in it. */
export function cursorOf(state: Workspace, reader: Reader, thread: Thread): Unread | null {
  const { id, head } = thread
  const place = state.places.get(placeKey(id, reader.agent))
  const group = groupCursor(state, thread, reader)
  if (group === null && place?.joined !== true) return null
  // One who only sent something there before its group was told is asked to read from the group's beginning on.
  const lastReadSeq = place?.joined === true ? place.lastReadSeq : Math.max(place?.lastReadSeq ?? 0, group ?? 0)
  const own = lastReadSeq === place?.lastReadSeq ? place.ownAfter : countOf(state, id, place?.number ?? 0, lastReadSeq + 1, head)
  return { thread: id, unread: head - lastReadSeq - own, lastReadSeq, headSeq: head }
}

/**
 * The threads in which somebody has something to read, the one that waits longest for an answer last: by their last message, newest first. Closed threads
 * are left out. Costs as much as there are threads with something unread, and threads of its groups since the oldest of these.
 */
export function unreadOf(state: Workspace, reader: Reader): Unread[] {
  const { groups } = state.forum
  const { agent, role } = reader
  const own = ["everyone", `role:${role}`]
  const ids = new Set([...state.forum.unreadBy(agent), ...own.flatMap((group) => groups.toRead(group, agent))])
  const threads = [...ids].map((id) => state.threads.get(id) as Thread).sort((a, b) => b.lastSeq - a.lastSeq)
  let oldest: Seq | null = null
  const unread = threads.flatMap((thread) => {
    const cursor = thread.status === "closed" ? null : cursorOf(state, reader, thread)
    if (cursor === null || cursor.unread === 0) return []
    oldest = thread.lastSeq
    return [cursor]
  })
  for (const group of own) groups.haveRead(group, agent, oldest)
  return unread
}
