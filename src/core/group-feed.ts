import type { AgentId, Seq, ThreadId } from "./ids.ts"
import type { Thread } from "./thread.ts"

/** `rows`: a thread at each of its last messages; only that which is in `threads` too still counts. */
type Feed = { threads: Map<ThreadId, Seq>; rows: { id: ThreadId; seq: Seq }[]; sorted: boolean }

/** Stale rows that are let be, on top of one for each thread. */
const SLACK = 1_024

/**
 * The open threads of each group (`role:worker`, `everyone`) in the order of their last messages, and up to where each reader has read all of them: so
 * that asking what is unread costs what is new, not what there is. Never recorded; what an undo takes back is forgotten with it.
 */
export class GroupFeed {
  readonly #groups = new Map<string, Feed>()
  readonly #readThrough = new Map<string, Seq>()

  onThread(id: ThreadId, before: Thread | undefined, after: Thread | undefined): void {
    const was = before === undefined || before.status === "closed" ? {} : before.groups
    const is = after === undefined || after.status === "closed" ? {} : after.groups
    if (was === is && before?.lastSeq === after?.lastSeq) return
    // Taken back: what was read then may be unread now.
    if (before !== undefined && (after === undefined || after.lastSeq < before.lastSeq)) this.#readThrough.clear()
    for (const group of Object.keys(was)) if (!(group in is)) this.#groups.get(group)?.threads.delete(id)
    if (after === undefined) return
    for (const group of Object.keys(is)) this.#note(group, id, after.lastSeq)
  }

  /** A cursor that goes back is an undo. */
  forget(): void {
    this.#readThrough.clear()
  }

  /** Threads of the group that may hold something which the reader has not read. */
  toRead(group: string, agent: AgentId): ThreadId[] {
    const feed = this.#groups.get(group)
    if (feed === undefined) return []
    if (!feed.sorted) sort(feed)
    const through = this.#readThrough.get(`${agent} ${group}`) ?? 0
    const found: ThreadId[] = []
    for (let at = feed.rows.length - 1; at >= 0; at -= 1) {
      const { id, seq } = feed.rows[at]!
      if (seq <= through) break
      if (feed.threads.get(id) === seq) found.push(id)
    }
    return found
  }

  /**
   * `oldest`: the last message of the thread that waits longest with something unread; null: all is read. Goes as far as the newest message that
   * stands: one that comes later, also after an undo of it, is newer than what is left.
   */
  haveRead(group: string, agent: AgentId, oldest: Seq | null): void {
    const newest = this.#groups.get(group)?.rows.at(-1)?.seq ?? 0
    this.#readThrough.set(`${agent} ${group}`, oldest === null ? newest : Math.min(newest, oldest - 1))
  }

  #note(group: string, id: ThreadId, seq: Seq): void {
    let feed = this.#groups.get(group)
    if (feed === undefined) this.#groups.set(group, (feed = { threads: new Map(), rows: [], sorted: true }))
    if (feed.threads.get(id) === seq) return
    feed.threads.set(id, seq)
    feed.rows.push({ id, seq })
    if (seq < (feed.rows.at(-2)?.seq ?? 0)) feed.sorted = false
    if (feed.rows.length > feed.threads.size * 2 + SLACK) sort(feed)
  }
}

function sort(feed: Feed): void {
  feed.rows = [...feed.threads].map(([id, seq]) => ({ id, seq })).sort((a, b) => a.seq - b.seq)
  feed.sorted = true
}
