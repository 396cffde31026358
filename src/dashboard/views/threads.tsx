import type { JSX } from "preact"
import { useState } from "preact/hooks"
import type { Output } from "../../contract/operations.ts"
import type { ThreadId } from "../../core/ids.ts"
import { withInstants } from "../../core/instant.ts"
import type { Thread } from "../../core/thread.ts"
import { cursorOf } from "../../core/unread.ts"
import type { Workspace } from "../../core/workspace.ts"
import { tellRefusal } from "../act.ts"
import { count, dateTime } from "../figures.ts"
import { LinkList } from "../link-list.tsx"
import { ask } from "../live.ts"
import { isNow } from "../moment.ts"
import { usePaced } from "../paced.ts"
import { goTo, hrefOf, setFilters } from "../route.ts"
import { Ago, InLink, State, Text, To } from "../text.tsx"
import { openVerb, verbNamed } from "../verbs.ts"
import type { ViewProps } from "../views.ts"
import { Conversation } from "./conversation.tsx"
import { reader } from "./thread-verbs.tsx"

/** Threads listed at once; the search finds the others. */
const SHOWN = 200

type Row = { thread: Thread; unread: number }

export function Threads({ picture, parts, filters }: ViewProps): JSX.Element {
  const { state } = picture
  const id = parts.join("/")
  const wanted = filters["q"] ?? ""
  const rows = usePaced(picture, rowsOf)
  const thread = id === "" ? undefined : state.threads.get(id)
  const at = /^\d{1,15}$/.test(filters["at"] ?? "") ? Number(filters["at"]) : null
  return (
    <div class={id === "" ? "pair" : "pair pair-open"}>
      <section class="pair-list" aria-label="Threads">
        <Finder wanted={wanted} />
        <List rows={rows} wanted={wanted} open={id} />
        <Found text={wanted} />
      </section>
      <section class="pair-rest" aria-label={id === "" ? "No thread chosen" : `Thread ${id}`}>
        {id === "" ? (
          <p class="quiet">Choose a thread.</p>
        ) : thread === undefined ? (
          <p>
            There is no thread <Text of={id} max={120} /> at this moment.
          </p>
        ) : (
          <Conversation key={`${id} ${at ?? ""}`} picture={picture} thread={thread} at={at} />
        )}
      </section>
    </div>
  )
}

/** What has something unread first, then the newest. */
function rowsOf(state: Workspace): readonly Row[] {
  const who = reader()
  return [...state.threads.values()]
    .map((thread) => ({ thread, unread: thread.status === "closed" ? 0 : (cursorOf(state, who, thread)?.unread ?? 0) }))
    .sort((a, b) => Math.sign(b.unread) - Math.sign(a.unread) || b.thread.lastSeq - a.thread.lastSeq || b.thread.createdSeq - a.thread.createdSeq)
}

function Finder({ wanted }: { wanted: string }): JSX.Element {
  const begin = async (): Promise<void> => {
    const verb = await verbNamed("thread.create")
    if (verb !== null) openVerb.value = { verb, given: {} }
  }
  return (
    <div class="tools">
      <input
        data-search
        type="search"
        aria-label="find threads and messages"
        placeholder="find threads and messages  /"
        value={wanted}
        onInput={({ currentTarget: { value } }) => setFilters(value === "" ? {} : { q: value })}
      />
      <button type="button" onClick={() => void begin()} disabled={!isNow.value}>
        New
      </button>
    </div>
  )
}

function List({ rows, wanted, open }: { rows: readonly Row[]; wanted: string; open: ThreadId }): JSX.Element {
  const words = wanted.toLowerCase()
  const fitting = words === "" ? rows : rows.filter(({ thread: { id, title } }) => `${id} ${title}`.toLowerCase().includes(words))
  return (
    <>
      {fitting.length === 0 ? <p class="quiet">{rows.length === 0 ? "Nobody has said anything yet." : "No thread is called so."}</p> : null}
      <LinkList rows={fitting.slice(0, SHOWN)} keyOf={({ thread: { id } }) => id} hrefOf={({ thread: { id } }) => hrefOf("threads", id.split("/"))} open={open}>
        {({ thread: { id, title, status, head, lastAtMs, createdAtMs }, unread }) => (
          <>
            {unread === 0 ? null : (
              <strong class="unread">
                <span aria-hidden="true">●</span> {count(unread)} unread
              </strong>
            )}
            <span class="title">
              <Text of={title} max={120} />
            </span>
            <span class="quiet">
              <Text of={id} max={80} /> · {count(head)} {head === 1 ? "message" : "messages"} · <Ago atMs={head === 0 ? createdAtMs : lastAtMs} />
              {status === "active" ? null : (
                <>
                  {" · "}
                  <State of={status} />
                </>
              )}
            </span>
          </>
        )}
      </LinkList>
      {fitting.length > SHOWN ? <p class="quiet">{count(fitting.length - SHOWN)} more: search for them.</p> : null}
    </>
  )
}

/** Messages that hold a text: asked of the hub, which has the bodies. */
function Found({ text }: { text: string }): JSX.Element | null {
  const [found, setFound] = useState<{ text: string; hits: Awaited<ReturnType<typeof search>> } | null>(null)
  if (text.length < 2) return null
  if (found?.text !== text)
    return (
      <p>
        <button type="button" onClick={() => void search(text).then((hits) => setFound({ text, hits }), tellRefusal)}>
          Search in what was said
        </button>
      </p>
    )
  return (
    <section aria-label="messages found">
      <h2>In messages</h2>
      {found.hits.length === 0 ? <p class="quiet">Nobody said that.</p> : null}
      <ul class="plain">
        {found.hits.map(({ thread, message, sender, excerpt, voice, atMs }) => (
          <li key={`${thread}#${message}`}>
            <button type="button" class="link" onClick={() => goTo("threads", thread.split("/"), { q: text, at: String(message) })}>
              <InLink.Provider value={true}>
                <Text of={thread} max={60} />
              </InLink.Provider>{" "}
              {message}
            </button>{" "}
            <To view="agents" part={sender} />: <Text of={withInstants(excerpt, voice, dateTime)} max={200} />{" "}
            <span class="quiet">
              <Ago atMs={atMs} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  )
}

async function search(text: string): Promise<Output<"message.search">["hits"]> {
  const { hits } = await ask("message.search", { text: text.slice(0, 200) })
  return hits
}
