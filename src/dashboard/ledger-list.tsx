import type { JSX } from "preact"
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import type { EntryFilter } from "../core/entry-filter.ts"
import type { Seq } from "../core/ids.ts"
import { gist } from "./entry-rows.ts"
import { count, dateTime } from "./figures.ts"
import { LedgerSearch } from "./ledger-scan.ts"
import { remPx } from "./scale.ts"
import { type Shown, STORED_PAGE, storedPage, storedPageOf } from "./stored-pages.ts"
import { Text } from "./text.tsx"
import { visible } from "./visible.ts"
import { failureText } from "./failure.ts"

/** Height of a row, in rem, as `time.css` has it: all are alike, so that only those in sight need be there. */
const ROW_REM = 1.75
/** Rows beyond the edge that are there before they are in sight. */
const MARGIN = 10
/** Browsers draw no element of any height; what is older is reached by the slider. */
const ROWS_MAX = 300_000
/** Pages of entries that a list keeps. */
const PAGES_KEPT = 50
/** Entries that could not be read are asked for again after so long, in ms. */
const AGAIN_MS = 2_000

type Choosing = { chosen: Seq | null; choose: (seq: Seq | null) => void }

/** Every entry up to `top`, the newest first. */
export function LedgerAll({ top, chosen, choose }: { top: Seq } & Choosing): JSX.Element {
  const pages = useRef(new Map<number, readonly Shown[]>())
  const loading = useRef(new Set<number>())
  const [, again] = useState(0)
  const [trouble, setTrouble] = useState<string | null>(null)
  const rowOf = (seq: Seq): Shown | null => pages.current.get(storedPageOf(seq))?.[(seq - 1) % STORED_PAGE] ?? null
  const need = (newest: Seq, oldest: Seq): void => {
    for (let page = storedPageOf(Math.max(1, oldest)); page <= storedPageOf(Math.max(1, newest)); page += 1) {
      const last = Math.min(newest, (page + 1) * STORED_PAGE)
      if (loading.current.has(page) || rowOf(last) !== null) continue
      loading.current.add(page)
      storedPage(page)
        .then((entries) => {
          pages.current.set(page, entries)
          const [oldest] = pages.current.keys()
          if (pages.current.size > PAGES_KEPT && oldest !== undefined) pages.current.delete(oldest)
          setTrouble(null)
        })
        .catch(async (error: unknown) => {
          setTrouble(failureText(error))
          await new Promise((resolve) => setTimeout(resolve, AGAIN_MS))
        })
        .finally(() => {
          loading.current.delete(page)
          again((times) => times + 1)
        })
    }
  }
  return (
    <div>
      {trouble === null ? null : (
        <p class="refusal">
          <Text of={trouble} />
        </p>
      )}
      <Window
        rows={Math.min(top, ROWS_MAX)}
        top={top}
        seqAt={(at) => top - at}
        indexOf={(seq) => top - seq}
        rowAt={(at) => rowOf(top - at)}
        onSight={(first, last) => need(top - first, top - last)}
        chosen={chosen}
        choose={choose}
      />
      {top > ROWS_MAX ? <p class="quiet">Older entries than these {count(ROWS_MAX)}: move the slider.</p> : null}
    </div>
  )
}

/** The entries that fit a filter, found by reading back from `top`. */
export function LedgerFound({ top, filter, chosen, choose }: { top: Seq; filter: EntryFilter } & Choosing): JSX.Element {
  const [, again] = useState(0)
  const [search] = useState(() => new LedgerSearch(filter, () => again((times) => times + 1)))
  useEffect(() => void search.upTo(top), [top])
  useEffect(() => () => search.stop(), [])
  const found = search.found.filter(({ seq }) => seq <= top)
  const { trouble, isAtWork, low } = search
  return (
    <div>
      <Window
        rows={found.length}
        top={found[0]?.seq ?? 0}
        seqAt={(at) => found[at]?.seq ?? 0}
        indexOf={(seq) => found.findIndex((one) => one.seq <= seq)}
        rowAt={(at) => found[at] ?? null}
        onSight={() => undefined}
        chosen={chosen}
        choose={choose}
      />
      <p class="quiet" role="status">
        {count(found.length)} found{low > 1 ? `, from entry ${count(low)} on` : ""}
        {trouble === null ? "" : `; ${visible(trouble)}`}{" "}
        {low > 1 ? (
          <button type="button" disabled={isAtWork} onClick={() => void search.further()}>
            {isAtWork ? "looking …" : "look further back"}
          </button>
        ) : null}
      </p>
    </div>
  )
}

type Windowed = {
  rows: number
  /** The seq of the first row: when it grows, what is read stays where it is. */
  top: Seq
  seqAt: (at: number) => Seq
  indexOf: (seq: Seq) => number
  rowAt: (at: number) => Shown | null
  onSight: (first: number, last: number) => void
} & Choosing

/** A list of which only what is in sight is there. Arrows move, Enter opens, Escape closes. */
function Window({ rows, top, seqAt, indexOf, rowAt, onSight, chosen, choose }: Windowed): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const [view, setView] = useState({ at: 0, height: 600 })
  const [active, setActive] = useState<Seq | null>(chosen)
  const lastTop = useRef(top)
  const rowPx = ROW_REM * remPx.value
  const first = Math.max(0, Math.floor(view.at / rowPx) - MARGIN)
  const last = Math.min(rows - 1, Math.ceil((view.at + view.height) / rowPx) + MARGIN)
  useLayoutEffect(() => {
    const { current } = box
    if (current !== null && current.scrollTop > 0 && top > lastTop.current) current.scrollTop += Math.max(0, indexOf(lastTop.current)) * rowPx
    lastTop.current = top
  }, [top])
  useEffect(() => {
    if (rows > 0) onSight(first, last)
  })
  const measure = (): void => {
    if (box.current !== null) setView({ at: box.current.scrollTop, height: box.current.clientHeight })
  }
  useEffect(measure, [])
  const move = (by: number): void => {
    const from = active === null ? -1 : indexOf(active)
    const to = Math.min(rows - 1, Math.max(0, from + by))
    setActive(seqAt(to))
    const { current } = box
    if (current === null) return
    if (to * rowPx < current.scrollTop) current.scrollTop = to * rowPx
    else if ((to + 1) * rowPx > current.scrollTop + current.clientHeight) current.scrollTop = (to + 1) * rowPx - current.clientHeight
  }
  const onKeyDown = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor(view.height / rowPx) - 1)
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -rows, End: rows }[event.key]
    if (by !== undefined) move(by)
    else if (event.key === "Enter" && active !== null) choose(active)
    else if (event.key === "Escape" && chosen !== null) choose(null)
    else return
    event.preventDefault()
  }
  const isInSight = active !== null && indexOf(active) >= first && indexOf(active) <= last
  const shown = []
  for (let at = first; at <= last; at += 1) shown.push(at)
  return (
    <div
      ref={box}
      class="window"
      role="listbox"
      aria-label="Entries, the newest first"
      tabIndex={0}
      aria-activedescendant={isInSight ? `entry-${active}` : undefined}
      onScroll={measure}
      onKeyDown={onKeyDown}
    >
      <div role="presentation" style={{ height: `${rows * ROW_REM}rem` }}>
        {shown.map((at) => {
          const seq = seqAt(at)
          return <Row key={seq} at={at} seq={seq} shown={rowAt(at)} isActive={seq === active} isChosen={seq === chosen} choose={choose} activate={setActive} />
        })}
      </div>
    </div>
  )
}

type RowProps = {
  at: number
  seq: Seq
  shown: Shown | null
  isActive: boolean
  isChosen: boolean
  choose: (seq: Seq) => void
  activate: (seq: Seq) => void
}

function Row({ at, seq, shown, isActive, isChosen, choose, activate }: RowProps): JSX.Element {
  const names = ["row", ...(isActive ? ["row-active"] : []), ...(isChosen ? ["row-chosen"] : []), ...(shown?.breaks ? ["row-broken"] : [])]
  return (
    <div
      id={`entry-${seq}`}
      role="option"
      aria-selected={isChosen}
      class={names.join(" ")}
      style={{ transform: `translateY(${at * ROW_REM}rem)` }}
      onClick={() => {
        activate(seq)
        choose(seq)
      }}
    >
      <span class="number row-seq">{count(seq)}</span>
      {shown === null ? (
        <span class="quiet">…</span>
      ) : (
        <>
          <time class="number row-time" dateTime={new Date(shown.entry.atMs).toISOString()}>
            {dateTime(shown.entry.atMs)}
          </time>
          <span class="row-type">{visible(shown.entry.type)}</span>
          <bdi class="row-actor">{visible(shown.entry.actor.agent)}</bdi>
          <bdi class="row-gist">
            {shown.breaks === null ? "" : "✕ does not chain · "}
            {gist(shown.entry)}
          </bdi>
        </>
      )}
    </div>
  )
}
