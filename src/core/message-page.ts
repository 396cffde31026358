import type { Actor } from "./entry.ts"
import type { Seq, ThreadId } from "./ids.ts"
import type { Participant, Thread } from "./thread.ts"
import type { Workspace } from "./workspace.ts"

/** What a message is to its thread. */
export const WHAT = ["chat", "event", "system", "finding", "decision", "resolution"] as const
export type What = (typeof WHAT)[number]

/**
 * Where the messages of a thread are: for each its ledger seq, its sender's number there (0: nobody who reads) and what it is, as its place in `WHAT`.
 * In pages of columns, so that a message costs some 20 bytes of memory; all else is in the ledger.
 */
export type Page = { seqs: readonly Seq[]; by: readonly number[]; what: readonly number[] }

/** Messages of one page: what one more message copies. */
const PAGE_MESSAGES = 64

function pageKey(thread: ThreadId, page: number): string {
  return `${thread}#${page}`
}

function pageAt(state: Workspace, thread: ThreadId, page: number): Page {
  return state.pages.get(pageKey(thread, page)) as Page
}

export type Append = {
  seq: Seq
  atMs: number
  /** Null: the hub itself. */
  sender: Pick<Actor, "agent" | "role"> | null
  what: What
}

/** Gives an entry the next number of its thread. */
export function append(state: Workspace, id: ThreadId, { seq, atMs, sender, what }: Append): void {
  const thread = state.threads.get(id) as Thread
  const place = sender === null ? null : placeOfSender(state, thread, sender)
  const key = pageKey(id, Math.floor(thread.head / PAGE_MESSAGES))
  const page = state.pages.get(key)
  const by = place?.number ?? 0
  const code = WHAT.indexOf(what)
  state.pages.replace(
    key,
    page,
    page === undefined ? { seqs: [seq], by: [by], what: [code] } : { seqs: [...page.seqs, seq], by: [...page.by, by], what: [...page.what, code] },
  )
  state.threads.put(id, { ...thread, head: thread.head + 1, lastSeq: seq, lastAtMs: atMs, senders: Math.max(thread.senders, by) })
  if (place !== null) state.places.put(`${id}#${place.agent}`, place)
}

/** The sender's place as it is after one more message of its own. */
function placeOfSender(state: Workspace, thread: Thread, { agent, role }: Pick<Actor, "agent" | "role">): Participant {
  const { id, head, senders } = thread
  const known = state.places.get(`${id}#${agent}`)
  if (known === undefined) {
    const lastReadSeq = groupCursor(state, thread, { agent, role }) ?? head
    return { thread: id, agent, number: senders + 1, joined: false, lastReadSeq, ownAfter: 1 }
  }
  return { ...known, number: known.number === 0 ? senders + 1 : known.number, ownAfter: known.ownAfter + 1 }
}

/** Where reading begins for one who is in the thread by its role or as one of all: with what came after the group and the agent; null for others. */
export function groupCursor(state: Workspace, thread: Thread, { agent, role }: Pick<Actor, "agent" | "role">): number | null {
  const { groups } = thread
  const since = [groups["everyone"], groups[`role:${role}`]].filter((at) => at !== undefined)
  if (since.length === 0) return null
  return Math.max(Math.min(...since), countThrough(state, thread, state.agents.get(agent)?.addedSeq ?? 0))
}

/** The ledger seqs of messages `from` to `to`, as far as there are such. */
export function ledgerSeqs(state: Workspace, { id, head }: Pick<Thread, "id" | "head">, from: number, to: number): Seq[] {
  const seqs: Seq[] = []
  const first = Math.max(1, from)
  const last = Math.min(to, head)
  for (let page = pageOf(first); first <= last && page <= pageOf(last); page += 1) {
    const base = page * PAGE_MESSAGES
    seqs.push(...pageAt(state, id, page).seqs.slice(Math.max(0, first - 1 - base), last - base))
  }
  return seqs
}

/** How many of messages `from` to `to` have this sender. */
export function countOf(state: Workspace, id: ThreadId, sender: number, from: number, to: number): number {
  if (sender === 0 || from > to) return 0
  let count = 0
  for (let page = pageOf(from); page <= pageOf(to); page += 1) {
    const base = page * PAGE_MESSAGES
    for (const by of pageAt(state, id, page).by.slice(Math.max(0, from - 1 - base), to - base)) if (by === sender) count += 1
  }
  return count
}

/** The number of the last message that this sender did not write; 0 where there is none. */
export function lastOfOthers(state: Workspace, { id, head }: Pick<Thread, "id" | "head">, sender: number): number {
  if (sender === 0) return head
  let number = head
  while (number > 0 && pageAt(state, id, pageOf(number)).by[(number - 1) % PAGE_MESSAGES] === sender) number -= 1
  return number
}

/** The numbers of the newest messages that are `what`, newest first. */
export function newestOf(state: Workspace, { id, head }: Pick<Thread, "id" | "head">, what: What, limit: number): number[] {
  const found: number[] = []
  const code = WHAT.indexOf(what)
  for (let page = head === 0 ? -1 : pageOf(head); page >= 0 && found.length < limit; page -= 1) {
    const column = pageAt(state, id, page).what
    for (let at = column.length - 1; at >= 0 && found.length < limit; at -= 1) if (column[at] === code) found.push(page * PAGE_MESSAGES + at + 1)
  }
  return found
}

/** How many messages of the thread stand at or before a ledger seq. O(log n). */
export function countThrough(state: Workspace, { id, head }: Pick<Thread, "id" | "head">, seq: Seq): number {
  let low = 0
  let high = head
  while (low < high) {
    const middle = (low + high) >> 1
    const at = pageAt(state, id, pageOf(middle + 1)).seqs[middle % PAGE_MESSAGES] as Seq
    if (at <= seq) low = middle + 1
    else high = middle
  }
  return low
}

/** The page that a message's number is on. */
function pageOf(number: number): number {
  return Math.floor((number - 1) / PAGE_MESSAGES)
}
