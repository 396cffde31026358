import type { AgentId, Seq, ThreadId } from "./ids.ts"
import { ledgerSeqs, lastOfOthers } from "./message-page.ts"
import { placeKey, type Thread } from "./thread.ts"
import { isAutoBlocked, isLive, type TriggerId, unreadJobId, type Wake, wakeKey } from "./trigger.ts"
import { unreadOf } from "./unread.ts"
import type { Workspace } from "./workspace.ts"

/** An unread state that calls for a wake. */
export type WakeDue = { id: TriggerId; thread: ThreadId; target: AgentId; message: number; lastReadSeq: number; unread: number; lastSeq: Seq }

/**
 * Whom to wake, and for what: every agent that a supervisor wakes, in every thread in which it has something to read. Left out are agents in the
 * middle of a turn (`busy`: they come by themselves), retired ones, threads that are closed or that the hub has blocked, and an unread state that
 * was made a job before, unless the session that was woken for it has ended without reading. The answer follows from the state and `busy` alone; what is recorded of it takes it out of the next answer.
 */
export function wakesDue(state: Workspace, busy: ReadonlySet<AgentId>): WakeDue[] {
  const due: WakeDue[] = []
  for (const target of state.jobs.covered()) {
    const agent = state.agents.get(target)
    if (agent === undefined || agent.status === "retired" || busy.has(target)) continue
    for (const { thread, unread, lastReadSeq } of unreadOf(state, { agent: target, role: agent.role })) {
      if (isAutoBlocked(state, thread)) continue
      const message = lastOfOthers(state, state.threads.get(thread) as Thread, state.places.get(placeKey(thread, target))?.number ?? 0)
      const key = wakeKey(thread, target)
      const known = state.wakes.get(key)
      if (known !== undefined && known.message === message && known.lastReadSeq === lastReadSeq && !diedUnread(state, known)) continue
      if (state.jobs.of(key).some(isLive)) continue
      const [lastSeq] = ledgerSeqs(state, state.threads.get(thread) as Thread, message, message) as [Seq]
      due.push({ id: unreadJobId(lastSeq, lastReadSeq, target), thread, target, message, lastReadSeq, unread, lastSeq })
    }
  }
  return due.sort((a, b) => a.lastSeq - b.lastSeq || (a.target < b.target ? -1 : 1))
}

/** Whether the session to which a wake was delivered is gone: what it left unread is nobody's then. */
function diedUnread(state: Workspace, { job: id }: Wake): boolean {
  const job = state.triggers.get(id)
  return job?.status === "delivered" && job.session !== null && state.sessions.get(job.session)?.status !== "live"
}
