import { type Actor, type Recorded, unknownType } from "./entry.ts"
import type { Seq, TaskId, ThreadId } from "./ids.ts"
import { markOf } from "./finding-mark.ts"
import { append, countOf, type What } from "./message-page.ts"
import { refuse, type Refusal } from "./refusal.ts"
import { aRole, permits } from "./role.ts"
import { audienceOf, openThread, type Participant, placeKey, takePlace, type Thread } from "./thread.ts"
import { full, PARTICIPANTS_MAX, POSTING, threadToPost } from "./thread-life.ts"
import { autoBlock, circleOf, type PostEvent } from "./thread-guard.ts"
import type { TriggerEvent, TriggerId } from "./trigger.ts"
import { cursorOf } from "./unread.ts"
import { decideConfirmTrigger, readBy } from "./wake.ts"
import type { Workspace } from "./workspace.ts"

export const SEVERITIES = ["critical", "high", "medium", "low", "info"] as const
export type Severity = (typeof SEVERITIES)[number]
/** Bodies of messages, in bytes of UTF-8. */
export const MESSAGE_MAX_BYTES = 32_768

/** What a message is about. */
export type Metadata = {
  /** A word; `finding`, `resolution` (of the finding that it answers), `decision` and `commit` mean something to the thread. */
  eventType: string | null
  severity: Severity | null
  file: string | null
  /** 1-based, both inclusive; `endLine` null: one line. */
  line: number | null
  endLine: number | null
  task: TaskId | null
}
export type MessageKind = "chat" | "event"

export type PostMessage = { thread: ThreadId; body: string; kind: MessageKind; inReplyTo: number | null; metadata: Metadata }
/** `trigger`: the nonce of a wake, where one led here. */
export type AckMessage = { thread: ThreadId; lastReadSeq: number; trigger?: TriggerId }

export type MessageEvent =
  | Recorded<"message.posted", PostMessage & { message: number; audience: string[] }>
  | Recorded<"message.acked", { thread: ThreadId; lastReadSeq: number }>

/** Something that is wrong, said in a thread. The same one said again is the same finding: where it is and its text tell. */
export type Finding = {
  thread: ThreadId
  mark: string
  /** Its first and its last message. */
  first: number
  last: number
  /** How often it came, the first time included. */
  times: number
  severity: Severity | null
  open: boolean
}

export function decidePostMessage(state: Workspace, actor: Actor, message: PostMessage): PostEvent[] | Refusal {
  const { thread: id, body, inReplyTo, metadata } = message
  const thread = threadToPost(state, id)
  if ("refused" in thread) return thread
  const least = POSTING[thread.status]
  if (least === null || !permits(least, actor.role)) return notNow(thread, actor)
  const bytes = encoder.encode(body).length
  if (bytes > MESSAGE_MAX_BYTES)
    return refuse(
      "too_large",
      `the message has ${bytes} bytes, over the limit of ${MESSAGE_MAX_BYTES}`,
      "Put what is large in a file or a commit, and name it.",
      {
        bytes,
        limit: MESSAGE_MAX_BYTES,
      },
    )
  if (inReplyTo !== null && inReplyTo > thread.head)
    return refuse(
      "invalid",
      `thread ${id} has no message ${inReplyTo}: its head is ${thread.head}`,
      "Reply to a message of this thread, by its number in it.",
      {
        thread: id,
        inReplyTo,
        head: thread.head,
      },
    )
  if (metadata.task !== null && !state.tasks.has(metadata.task))
    return refuse("not_found", `there is no task ${metadata.task}`, "`skein task list` lists the tasks.", { task: metadata.task })
  const joins = joinsBy(state, thread, actor)
  if (joins && state.forum.membersOf(id).length >= PARTICIPANTS_MAX) return full(id)
  const posted: MessageEvent = { type: "message.posted", data: { ...message, message: thread.head + 1, audience: audienceOf(state, thread, actor.agent) } }
  const circle = circleOf(state, actor, thread, message)
  return circle === null ? [posted] : [posted, ...autoBlock(state, thread, circle, joins ? [`agent:${actor.agent}`] : [])]
}

/** Whether posting makes the caller a participant by name: not where it is one, nor one by its role, nor in another's inbox. */
function joinsBy(state: Workspace, thread: Thread, actor: Actor): boolean {
  return !thread.id.startsWith("agent/") && cursorOf(state, actor, thread) === null
}

function notNow({ id, status, reason }: Thread, { role }: Actor): Refusal {
  const remedy =
    status === "closed"
      ? "Have an orchestrator open it again, or create another thread."
      : "An orchestrator or the operator has to say how it goes on: thread.setStatus."
  return refuse("wrong_status", `thread ${id} is ${status} and takes no message of ${aRole(role)}`, remedy, { thread: id, status, reason })
}

/** Moves the caller's own cursor; where it stands already, nothing is recorded of it. A wake that led here is delivered by it. */
export function decideAckMessage(state: Workspace, actor: Actor, ack: AckMessage): (MessageEvent | TriggerEvent)[] | Refusal {
  const moved = decideMoveCursor(state, actor, ack)
  if ("refused" in moved) return moved
  const { thread, lastReadSeq, trigger } = ack
  const confirmed = moved.length > 0 ? readBy(state, actor, thread, lastReadSeq) : []
  // A nonce that is wrong or old is no reason to refuse the cursor.
  const named = trigger === undefined ? [] : decideConfirmTrigger(state, actor, { job: trigger, evidence: "nonce" })
  const isNew = ({ data }: TriggerEvent): boolean => !("id" in data) || !confirmed.some((known) => "id" in known.data && known.data.id === data.id)
  return [...moved, ...confirmed, ...("refused" in named ? [] : named.filter(isNew))]
}

function decideMoveCursor(state: Workspace, actor: Actor, { thread: id, lastReadSeq }: AckMessage): MessageEvent[] | Refusal {
  const thread = state.threads.get(id)
  if (thread === undefined) return refuse("not_found", `there is no thread ${id}`, "`skein thread list` lists the threads.", { thread: id })
  const cursor = cursorOf(state, actor, thread)
  if (cursor === null)
    return refuse("forbidden", `${actor.agent} is not in thread ${id} and has no cursor there`, "Join it first: thread.join. Reading needs no cursor.", {
      thread: id,
    })
  const details = { thread: id, lastReadSeq: cursor.lastReadSeq, head: thread.head }
  if (lastReadSeq > thread.head)
    return refuse("cursor_ahead", `thread ${id} has ${thread.head} messages, not ${lastReadSeq}`, "Acknowledge what you have read: up to its head.", details)
  if (lastReadSeq < cursor.lastReadSeq)
    return refuse(
      "cursor_regression",
      `the cursor of ${actor.agent} in ${id} is at ${cursor.lastReadSeq} and never goes back`,
      "Leave it: read on from there.",
      details,
    )
  return lastReadSeq === cursor.lastReadSeq ? [] : [{ type: "message.acked", data: { thread: id, lastReadSeq } }]
}

export function evolveMessage(state: Workspace, event: MessageEvent, { seq, atMs, actor }: { seq: Seq; atMs: number; actor: Actor }): void {
  switch (event.type) {
    case "message.posted": {
      const { thread: id, message, kind, body, inReplyTo, metadata } = event.data
      const opened = openThread(state, id, actor.agent)
      const what = whatOf(kind, metadata)
      // Whoever comes with a message need not read what was said before. In an inbox one only leaves word: its owner's other mail is not the sender's.
      if (joinsBy(state, opened, actor)) takePlace(state, id, actor.agent, opened.head)
      append(state, id, { seq, atMs, sender: actor, what })
      let progress = metadata.eventType === "commit"
      if (what === "finding") progress = found(state, id, message, body, metadata)
      if (what === "resolution" && inReplyTo !== null) resolve(state, id, inReplyTo)
      const thread = state.threads.get(id) as Thread
      const turn = actor.role === "operator" ? 0 : 1
      state.threads.put(id, { ...thread, task: metadata.task ?? thread.task, turns: progress ? 0 : thread.turns + turn })
      break
    }
    case "message.acked": {
      const { thread: id, lastReadSeq } = event.data
      const key = placeKey(id, actor.agent)
      const place: Participant = state.places.get(key) ?? { thread: id, agent: actor.agent, number: 0, joined: false, lastReadSeq: 0, ownAfter: 0 }
      // Counts what was read, not what is left: a long backlog that is read message by message would be counted through each time.
      const ownRead = countOf(state, id, place.number, place.lastReadSeq + 1, lastReadSeq)
      state.places.put(key, { ...place, lastReadSeq, ownAfter: place.ownAfter - ownRead })
      break
    }
    default:
      throw unknownType(event)
  }
}

/** An entry about a task is progress in every thread about it. */
export function noteProgress(state: Workspace, task: TaskId): void {
  for (const id of state.forum.threadsAbout(task)) {
    const thread = state.threads.get(id) as Thread
    if (thread.turns > 0) state.threads.put(id, { ...thread, turns: 0 })
  }
}

function whatOf(kind: MessageKind, { eventType }: Metadata): What {
  return eventType === "finding" || eventType === "decision" || eventType === "resolution" ? eventType : kind
}

/** Whether the finding is new. */
function found(state: Workspace, thread: ThreadId, message: number, body: string, metadata: Metadata): boolean {
  const mark = markOf(body, metadata)
  const key = `${thread}#${mark}`
  const known = state.findings.get(key)
  state.findings.put(
    key,
    known === undefined
      ? { thread, mark, first: message, last: message, times: 1, severity: metadata.severity, open: true }
      : { ...known, last: message, times: known.times + 1, severity: metadata.severity ?? known.severity, open: true },
  )
  return known === undefined
}

function resolve(state: Workspace, thread: ThreadId, message: number): void {
  const finding = state.forum.findingAt(thread, message)
  if (finding !== undefined) state.findings.put(`${thread}#${finding.mark}`, { ...finding, open: false })
}

const encoder = new TextEncoder()
