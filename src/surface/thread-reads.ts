import { SkeinError } from "../contract/errors.ts"
import type { Output } from "../contract/operations.ts"
import { decodeEntry } from "../core/entry.ts"
import { Heap, type HeapNode } from "../core/heap.ts"
import type { AgentId, Seq, ThreadId } from "../core/ids.ts"
import { countThrough, ledgerSeqs } from "../core/message-page.ts"
import { type MessageView, viewMessage } from "../core/message-view.ts"
import { outlineOf, summarize } from "../core/summary.ts"
import type { Thread } from "../core/thread.ts"
import { cursorOf, unreadOf } from "../core/unread.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Loop } from "../hub/loop.ts"
import type { Doers } from "./context.ts"
import { confirmTrigger } from "./trigger-actions.ts"

type ThreadReads = "thread.list" | "thread.show" | "thread.summarize" | "message.read" | "message.search" | "message.unread"

/** An answer of `message.read` ends with the message that passes this many characters of entries. */
const READ_MAX = 1024 * 1024
/** What one search looks at, in messages and in characters of entries. */
const SEARCH_MESSAGES = 5_000
const SEARCH_MAX = 8 * 1024 * 1024
/** Messages read at once; between two such reads the hub goes on with other work. */
const READ_AT_ONCE = 64
const FINDINGS_MAX = 200
const EXCERPT_CHARACTERS = 200

export const threadReads: Doers<ThreadReads> = {
  "thread.list": ({ read, caller }, { status, mine, limit, cursor }) =>
    read((state) => {
      const fits = (thread: Thread): boolean =>
        (status.length === 0 || status.includes(thread.status)) &&
        (cursor === null || newest(thread) < cursor) &&
        (!mine || cursorOf(state, caller.actor, thread) !== null)
      const found = [...state.threads.values()].filter(fits).sort((a, b) => newest(b) - newest(a))
      const page = found.slice(0, limit)
      const last = page.at(-1)
      return { threads: page.map((thread) => viewThread(state, thread)), cursor: found.length > limit && last !== undefined ? newest(last) : null }
    }),

  "thread.show": ({ read }, { thread: id }) =>
    read((state) => {
      const thread = threadIn(state, id)
      const cursors = state.forum.membersOf(id).map((agent) => {
        const role = state.agents.get(agent)?.role ?? "operator"
        const { lastReadSeq, unread } = cursorOf(state, { agent, role }, thread)!
        return { agent, lastReadSeq, unread }
      })
      return { thread: viewThread(state, thread), cursors, findings: state.forum.findingsOf(id).slice(-FINDINGS_MAX) }
    }),

  "thread.summarize": async ({ loop, read, caller }, { thread: id, maxBytes }) => {
    const { thread, outline, seqs, seq } = await read((state) => {
      const found = threadIn(state, id)
      const parts = outlineOf(state, found)
      const numbers = [...new Set([...parts.findings, ...parts.decided, ...parts.last])].sort((a, b) => a - b)
      return { thread: found, outline: parts, seqs: numbers.map((number) => [number, ledgerSeqs(state, found, number, number)[0]!] as const), seq: state.seq }
    })
    const messages = new Map<number, MessageView>()
    for (const [number, message] of await messagesAt(loop, seqs, caller.actor.agent)) messages.set(number, message)
    const { text, shown, byHub } = summarize(thread, outline, messages, maxBytes)
    const { openFindings, decisions } = outline
    return { thread: id, status: thread.status, text, headSeq: thread.head, openFindings, decisions, shown, byHub, seq }
  },

  "message.read": async (context, { thread: id, sinceSeq, limit, trigger }) => {
    const { loop, read, caller } = context
    if (trigger !== undefined) await confirmTrigger(context, { job: trigger, evidence: "nonce" })
    const { thread, own, since, seqs } = await read((state) => {
      const found = threadIn(state, id)
      const cursor = cursorOf(state, caller.actor, found)?.lastReadSeq ?? null
      const from = sinceSeq ?? cursor ?? 0
      return { thread: found, own: cursor, since: from, seqs: ledgerSeqs(state, found, from + 1, from + limit) }
    })
    const messages: MessageView[] = []
    let size = 0
    for (let at = 0; at < seqs.length && size < READ_MAX; at += READ_AT_ONCE) {
      const part = seqs.slice(at, at + READ_AT_ONCE).map((seq, index) => [since + at + index + 1, seq] as const)
      for (const [, message] of await messagesAt(loop, part, caller.actor.agent)) {
        if (size >= READ_MAX) break
        messages.push(message)
        size += message.body.length
      }
    }
    const last = messages.at(-1)?.message ?? since
    return { thread: id, status: thread.status, messages, headSeq: thread.head, lastReadSeq: own, next: last < thread.head ? last : null }
  },

  "message.unread": ({ read, caller }, { limit }) =>
    read((state) => {
      const all = unreadOf(state, caller.actor)
      const threads = all.slice(0, limit).map((row) => ({ ...row, title: state.threads.get(row.thread)!.title }))
      return { threads, total: all.reduce((sum, { unread }) => sum + unread, 0), seq: state.seq }
    }),

  "message.search": async ({ loop, read, caller }, { text, thread, limit, before }) => {
    const needle = folded(text)
    const { numbered, more } = await read((state) => newestMessages(state, thread === null ? null : threadIn(state, thread), before, SEARCH_MESSAGES))
    const hits: Output<"message.search">["hits"] = []
    let searched = 0
    let size = 0
    let last: Seq | null = null
    while (searched < numbered.length && hits.length < limit && size < SEARCH_MAX) {
      const part = numbered.slice(searched, searched + READ_AT_ONCE)
      for (const [, found] of await messagesAt(loop, part, caller.actor.agent)) {
        if (hits.length === limit || size >= SEARCH_MAX) break
        searched += 1
        last = found.seq
        size += found.body.length
        const excerpt = excerptOf(found.body, needle)
        if (excerpt !== null) {
          const { thread: id, message, seq, atMs, sender, kind, voice } = found
          hits.push({ thread: id, message, seq, atMs, sender, kind, excerpt, ...(voice === undefined ? {} : { voice }) })
        }
      }
    }
    const truncated = more || searched < numbered.length
    return { hits, searched, truncated, before: truncated ? last : null }
  },
}

/** A thread without messages is as new as its creation. */
function newest({ lastSeq, createdSeq }: Thread): Seq {
  return Math.max(lastSeq, createdSeq)
}

function threadIn(state: Workspace, id: ThreadId): Thread {
  const thread = state.threads.get(id)
  if (thread !== undefined) return thread
  throw new SkeinError("not_found", `there is no thread ${id}`, "`skein thread list` lists the threads.", { thread: id })
}

function viewThread(state: Workspace, thread: Thread): Output<"thread.show">["thread"] {
  const { id, title, type, status, reason, changedBy, changedAtMs, createdBy, createdAtMs, head, lastAtMs, task, turns, groups } = thread
  const participants = state.forum.membersOf(id)
  const of = { id, title, type, status, reason, changedBy, changedAtMs, createdBy, createdAtMs, headSeq: head, lastAtMs, task, turns }
  return { ...of, participants, groups: Object.keys(groups).sort() }
}

/** The numbers and ledger seqs of the newest messages before a seq, newest first, of one thread or of all; `more`: whether there are older ones. */
function newestMessages(state: Workspace, only: Thread | null, before: Seq | null, limit: number): { numbered: [number, Seq][]; more: boolean } {
  type Tail = HeapNode & { thread: Thread; number: number; seq: Seq }
  const heap = new Heap<Tail>((a, b) => a.seq > b.seq)
  const push = (thread: Thread, number: number): void => {
    const seq = number === 0 ? undefined : ledgerSeqs(state, thread, number, number)[0]
    if (seq !== undefined) heap.push({ at: -1, thread, number, seq })
  }
  for (const thread of only === null ? state.threads.values() : [only]) push(thread, thread.head === 0 ? 0 : lastBefore(state, thread, before))
  const numbered: [number, Seq][] = []
  for (let top = heap.top; top !== undefined && numbered.length < limit; top = heap.top) {
    heap.remove(top)
    numbered.push([top.number, top.seq])
    push(top.thread, top.number - 1)
  }
  return { numbered, more: heap.size > 0 }
}

function lastBefore(state: Workspace, thread: Thread, before: Seq | null): number {
  return before === null ? thread.head : countThrough(state, thread, before - 1)
}

/** Messages from the ledger, in the order given. Neighbours there are read at once. */
async function messagesAt(loop: Loop, numbered: readonly (readonly [number, Seq])[], of: AgentId): Promise<[number, MessageView][]> {
  const bytes = new Map<Seq, string>()
  const seqs = numbered.map(([, seq]) => seq).sort((a, b) => a - b)
  for (let at = 0; at < seqs.length;) {
    const first = seqs[at]!
    let last = first
    // A few other entries between two messages cost less than another query.
    while (at < seqs.length && seqs[at]! - last <= 4) last = seqs[at++]!
    for (const stored of await loop.entries(first, last - first + 1, of)) bytes.set(stored.seq, stored.bytes)
  }
  return numbered.map(([number, seq]) => {
    const message = viewMessage(decodeEntry(bytes.get(seq) ?? ""), number)
    if (message === null) throw new Error(`entry ${seq} is no message`)
    return [number, message]
  })
}

function folded(text: string): string {
  return text.normalize("NFC").toLowerCase()
}

/** What stands around the first place where the needle is, or null where it is nowhere. */
function excerptOf(body: string, needle: string): string | null {
  const text = body.normalize("NFC")
  const at = folded(text).indexOf(needle)
  if (at < 0) return null
  const from = Math.max(0, at - EXCERPT_CHARACTERS / 4)
  const part = text.slice(from, from + EXCERPT_CHARACTERS).toWellFormed()
  return `${from > 0 ? "…" : ""}${part}${from + EXCERPT_CHARACTERS < text.length ? "…" : ""}`
}
