import type { JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type { Output } from "../../contract/operations.ts"
import { withInstants } from "../../core/instant.ts"
import type { Thread } from "../../core/thread.ts"
import { placeKey } from "../../core/thread.ts"
import { cursorOf } from "../../core/unread.ts"
import { act } from "../act.ts"
import { count, dateTime } from "../figures.ts"
import { ask, hubAnswers } from "../live.ts"
import { isNow, type Picture } from "../moment.ts"
import { Ago, State, Text, To } from "../text.tsx"
import { Composer } from "./composer.tsx"
import { reader, ThreadVerbs } from "./thread-verbs.tsx"
import { ThreadWakes } from "./wakes.tsx"
import { failureText } from "../failure.ts"

type Message = Output<"message.read">["messages"][number]

/** Messages fetched at once. */
const PAGE = 100
/** How long a message is on the screen before it counts as read, in ms. */
const SEEN_MS = 800
/** Whoever is this near to the end is taken along with new messages, in px. */
const FOLLOWING_PX = 400

/** One thread: what it is about, what was said, who has read how far, and what can be done. `at`: the message to begin at, in place of the newest. */
export function Conversation({ picture, thread, at }: { picture: Picture; thread: Thread; at: number | null }): JSX.Element {
  const { state } = picture
  const { id, title, status, reason, changedBy, head, task } = thread
  const [reply, setReply] = useState<Message | null>(null)
  const { messages, earlier, later, failure } = useMessages(id, head, at)
  const cursor = cursorOf(state, reader(), thread)
  // Where later ones are not shown, nothing says that what came before them was read.
  useReadMark(id, later === null ? messages : [], cursor, at)
  useMessageAt(messages, at)
  const findings = state.forum.findingsOf(id)
  const open = findings.filter((finding) => finding.open)
  return (
    <>
      <h2>
        <Text of={title} max={200} /> <State of={status} />
      </h2>
      <p class="quiet">
        <Text of={id} max={120} /> · {count(head)} {head === 1 ? "message" : "messages"}
        {task === null ? null : (
          <>
            {" · about "}
            <To view="plan" part={task} />
          </>
        )}
        {reason === null ? null : (
          <>
            {" · "}
            {changedBy === null ? "the hub" : <To view="agents" part={changedBy} />}: <Text of={reason} max={200} />
          </>
        )}
      </p>
      {isNow.value ? <ThreadVerbs thread={thread} isIn={cursor !== null} /> : null}
      <div class="talk">
        <div class="talk-about">
          <Members picture={picture} thread={thread} />
          {open.length === 0 ? null : (
            <p>
              <strong>{count(open.length)}</strong> open {open.length === 1 ? "finding" : "findings"}, at{" "}
              {open.slice(0, 20).map(({ first }) => (
                <span key={first} class="number">
                  {" "}
                  {first}
                </span>
              ))}
            </p>
          )}
          <ThreadWakes picture={picture} thread={id} />
        </div>
        <div>
          <More verb="Earlier messages" show={earlier} />
          <ol class="messages" aria-label="messages">
            {messages.map((message) => (
              <Line
                key={message.message}
                message={message}
                isUnread={cursor !== null && message.message > cursor.lastReadSeq && message.sender !== reader().agent}
                onReply={isNow.value ? setReply : null}
              />
            ))}
          </ol>
          <More verb="Later messages" show={later} />
          {failure === null ? null : (
            <p class="refusal" role="alert">
              <Text of={failure} />
            </p>
          )}
          {isNow.value ? <Composer thread={id} reply={reply} onReply={setReply} /> : <p class="quiet">This is the past: nothing can be said in it.</p>}
        </div>
      </div>
    </>
  )
}

function More({ verb, show }: { verb: string; show: (() => void) | null }): JSX.Element | null {
  if (show === null) return null
  return (
    <p>
      <button type="button" onClick={show}>
        {verb}
      </button>
    </p>
  )
}

function Line({ message, isUnread, onReply }: { message: Message; isUnread: boolean; onReply: ((message: Message) => void) | null }): JSX.Element {
  const { message: number, sender, role, kind, body, atMs, inReplyTo, metadata, to, voice } = message
  const { eventType, severity, file, line } = metadata
  return (
    <li id={`m-${number}`} class={`message message-${kind}`} tabIndex={-1}>
      <div class="quiet">
        <span class="number">{number}</span> <To view="agents" part={sender} /> {role === "worker" ? "" : `(${role})`} <Ago atMs={atMs} />
        {isUnread ? (
          <strong class="unread">
            {" "}
            <span aria-hidden="true">●</span> unread
          </strong>
        ) : null}
        {eventType === null ? null : (
          <>
            {" · "}
            <Text of={eventType} max={64} />
          </>
        )}
        {severity === null ? null : ` · ${severity}`}
        {file === null ? null : (
          <>
            {" · "}
            <Text of={line === null ? file : `${file}:${line}`} max={120} />
          </>
        )}
        {to === null ? null : (
          <>
            {" · to "}
            <Text of={to} max={80} />
          </>
        )}
        {inReplyTo === null ? null : ` · answers ${inReplyTo}`}
        {onReply === null ? null : (
          <button type="button" class="more" onClick={() => onReply(message)} aria-label={`answer message ${number}`}>
            answer
          </button>
        )}
      </div>
      <Text of={withInstants(body, voice, dateTime)} max={2_000} lines />
    </li>
  )
}

/** Who is in it, how far each has read, and a way to wake those who have not. */
function Members({ picture: { state }, thread: { id, head, groups } }: { picture: Picture; thread: Thread }): JSX.Element {
  const members = state.forum.membersOf(id)
  const names = Object.keys(groups)
  const [isWide] = useState(() => matchMedia("(min-width: 1600px)").matches)
  const wake = (target: string): void =>
    void act(
      "trigger.participant",
      { thread: id, target },
      {
        title: `Wake ${target}`,
        text: `It is told to read ${id}. A supervisor must run it; what becomes of it stands here, hop by hop.`,
        verb: "Wake",
        reason: "required",
      },
    )
  return (
    <details open={isWide}>
      <summary>
        {count(members.length)} in it{names.length === 0 ? "" : `, and ${names.join(", ")}`}
      </summary>
      <ul class="plain">
        {members.map((agent) => {
          const place = state.places.get(placeKey(id, agent))
          const unread = place === undefined ? 0 : head - place.lastReadSeq - place.ownAfter
          return (
            <li key={agent}>
              <To view="agents" part={agent} /> has read to {place?.lastReadSeq ?? 0}
              {unread > 0 ? <strong>, {count(unread)} unread</strong> : ""}{" "}
              {isNow.value && state.agents.has(agent) ? (
                <button type="button" class="more" onClick={() => wake(agent)}>
                  wake {agent}
                </button>
              ) : null}
            </li>
          )
        })}
      </ul>
    </details>
  )
}

type Shown = { messages: readonly Message[]; earlier: (() => void) | null; later: (() => void) | null; failure: string | null }

/** The last messages, or those around `at`, as far as there are at the moment that is shown. They never change, so that what was fetched once is kept. */
function useMessages(thread: string, end: number, at: number | null): Shown {
  const kept = useRef(new Map<number, Message>())
  const [from, setFrom] = useState(Math.max(0, Math.min(end - PAGE, (at ?? end) - PAGE / 2)))
  const [to, setTo] = useState(at === null || at + PAGE / 2 >= end ? Number.POSITIVE_INFINITY : at + PAGE / 2)
  const [failure, setFailure] = useState<string | null>(null)
  const [, drawAgain] = useState(0)
  const first = Math.min(from, Math.max(0, end - PAGE))
  const head = Math.min(end, to)
  useEffect(() => {
    let isOver = false
    const fetchAll = async (): Promise<void> => {
      for (let at = first; at < head && !isOver;) {
        if (kept.current.has(at + 1)) {
          at += 1
          continue
        }
        const { messages } = await ask("message.read", { thread, sinceSeq: at, limit: PAGE })
        if (messages.length === 0) break
        for (const message of messages) kept.current.set(message.message, message)
        at = messages.at(-1)?.message ?? head
        drawAgain((times) => times + 1)
      }
      setFailure(null)
    }
    fetchAll().catch((error: unknown) => setFailure(failureText(error)))
    return () => void (isOver = true)
  }, [thread, head, first, hubAnswers.value])
  const messages: Message[] = []
  for (let number = first + 1; number <= head; number += 1) {
    const message = kept.current.get(number)
    if (message !== undefined) messages.push(message)
  }
  return {
    messages,
    earlier: first === 0 ? null : () => setFrom(Math.max(0, first - PAGE)),
    later: head === end ? null : () => setTo(head + PAGE < end ? head + PAGE : Number.POSITIVE_INFINITY),
    failure,
  }
}

/** Goes to the message that was asked for, once it is there. */
function useMessageAt(messages: readonly Message[], at: number | null): void {
  const isThere = messages.some(({ message }) => message === at)
  useEffect(() => {
    const line = isThere ? document.getElementById(`m-${at}`) : null
    line?.scrollIntoView({ block: "center" })
    line?.focus({ preventScroll: true })
  }, [isThere])
}

/** Moves the reader's cursor once the newest messages have been on the screen. */
function useReadMark(thread: string, messages: readonly Message[], cursor: { unread: number; lastReadSeq: number } | null, at: number | null): void {
  const last = messages.at(-1)?.message ?? 0
  const opened = useRef("")
  const isUnread = isNow.value && cursor !== null && cursor.unread > 0 && last > cursor.lastReadSeq
  useEffect(() => {
    if (!isUnread) return undefined
    const timer = setTimeout(() => {
      const shown = document.getElementById(`m-${last}`)?.getBoundingClientRect()
      if (document.visibilityState !== "visible" || shown === undefined || shown.top > innerHeight) return
      // Where another window was quicker there is nothing left to do.
      ask("message.ack", { thread, lastReadSeq: last }).catch(() => undefined)
    }, SEEN_MS)
    return () => clearTimeout(timer)
  }, [isUnread, thread, last])
  useEffect(() => {
    // Who reads further up stays there.
    const root = document.documentElement
    const isAtEnd = root.scrollHeight - root.scrollTop - innerHeight < FOLLOWING_PX
    if (isAtEnd || (at === null && opened.current !== thread)) document.getElementById(`m-${last}`)?.scrollIntoView({ block: "nearest" })
    if (last > 0) opened.current = thread
  }, [thread, last])
}
