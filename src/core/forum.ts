import { GroupFeed } from "./group-feed.ts"
import { type AgentId, byName, type TaskId, type ThreadId } from "./ids.ts"
import type { Finding } from "./message.ts"
import type { Participant, Thread } from "./thread.ts"
import type { Workspace } from "./workspace.ts"

const none: ReadonlySet<never> = new Set()

/** All that follows from threads, places and findings and is asked for: who is in which thread, who has something to read. Never recorded; an undo moves it back. */
export class Forum {
  readonly #state: Workspace
  readonly #members = new Map<ThreadId, Set<AgentId>>()
  readonly #unread = new Map<AgentId, Set<ThreadId>>()
  /** Threads of `everyone` or of a role (`role:worker`), closed ones left out. */
  readonly groups = new GroupFeed()
  readonly #about = new Map<TaskId, Set<ThreadId>>()
  readonly #findings = new Map<ThreadId, Set<string>>()
  readonly #findingAt = new Map<string, Finding>()

  /** Grows with whatever may give somebody something to read. */
  moves = 0

  constructor(state: Workspace) {
    this.#state = state
  }

  /** Who is in the thread by name, in the order in which people count. */
  membersOf(thread: ThreadId): AgentId[] {
    return [...(this.#members.get(thread) ?? none)].sort(byName)
  }

  /** Threads that an agent is in by name and has something to read in, closed ones left out. */
  unreadBy(agent: AgentId): ReadonlySet<ThreadId> {
    return this.#unread.get(agent) ?? none
  }

  threadsAbout(task: TaskId): ReadonlySet<ThreadId> {
    return this.#about.get(task) ?? none
  }

  /** In the order of their first messages. */
  findingsOf(thread: ThreadId): Finding[] {
    const marks = [...(this.#findings.get(thread) ?? none)]
    return marks.map((mark) => this.#state.findings.get(`${thread}#${mark}`) as Finding).sort((a, b) => a.first - b.first)
  }

  /** The finding whose first or last message this is. */
  findingAt(thread: ThreadId, message: number): Finding | undefined {
    return this.#findingAt.get(`${thread}#${message}`)
  }

  onThread = (id: ThreadId, before: Thread | undefined, after: Thread | undefined): void => {
    const wasOpen = before !== undefined && before.status !== "closed"
    const isOpen = after !== undefined && after.status !== "closed"
    this.groups.onThread(id, before, after)
    if (before?.task !== after?.task) {
      if (typeof before?.task === "string") drop(this.#about, before.task, id)
      if (typeof after?.task === "string") add(this.#about, after.task, id)
    }
    if (before?.head !== after?.head || before?.status !== after?.status) this.moves += 1
    if (before?.head !== after?.head || wasOpen !== isOpen) for (const agent of this.#members.get(id) ?? none) this.#place(id, agent)
  }

  onPlace = (_key: string, before: Participant | undefined, after: Participant | undefined): void => {
    const { thread, agent } = (after ?? before) as Participant
    if (before?.joined !== after?.joined) this.moves += 1
    if (before !== undefined && (after === undefined || after.lastReadSeq < before.lastReadSeq)) this.groups.forget()
    if (after?.joined === true) add(this.#members, thread, agent)
    else drop(this.#members, thread, agent)
    this.#place(thread, agent)
  }

  onFinding = (_key: string, before: Finding | undefined, after: Finding | undefined): void => {
    for (const message of before === undefined ? [] : [before.first, before.last]) this.#findingAt.delete(`${before?.thread}#${message}`)
    for (const message of after === undefined ? [] : [after.first, after.last]) this.#findingAt.set(`${after?.thread}#${message}`, after as Finding)
    if (before === undefined && after !== undefined) add(this.#findings, after.thread, after.mark)
    if (before !== undefined && after === undefined) drop(this.#findings, before.thread, before.mark)
  }

  #place(id: ThreadId, agent: AgentId): void {
    const thread = this.#state.threads.get(id)
    const place = this.#state.places.get(`${id}#${agent}`)
    const waits = thread !== undefined && thread.status !== "closed" && place?.joined === true && thread.head - place.lastReadSeq - place.ownAfter > 0
    if (waits) add(this.#unread, agent, id)
    else drop(this.#unread, agent, id)
  }
}

function add<Item>(sets: Map<string, Set<Item>>, key: string, item: Item): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([item]))
  else set.add(item)
}

function drop<Item>(sets: Map<string, Set<Item>>, key: string, item: Item): void {
  const set = sets.get(key)
  if (set?.delete(item) === true && set.size === 0) sets.delete(key)
}
