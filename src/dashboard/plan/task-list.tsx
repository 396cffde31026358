import type { JSX } from "preact"
import { memo } from "preact/compat"
import { useEffect, useRef, useState } from "preact/hooks"
import { count } from "../figures.ts"
import { remPx } from "../scale.ts"
import { InLink, State, Text } from "../text.tsx"
import { clipped } from "../visible.ts"
import type { Face } from "./faces.ts"
import type { TaskGraph } from "./graph.ts"

type Props = {
  graph: TaskGraph
  faces: readonly Face[]
  critical: readonly number[]
  cursor: number
  open: number
  query: string
  onQuery: (text: string) => void
  onCursor: (at: number) => void
  onOpen: (at: number) => void
}

/** Every row is as high as this, in rem: `plan.css` says so too. */
const ROW_REM = 2.75
/** Characters of a title that a row has; a row is no place for a button that shows more, and the panel has all of it. */
const LINE = 80
/** Rows that are drawn besides those in sight. */
const BESIDES = 6

/**
 * The tasks of the graph as a list, for whoever works by keys or by ear: up and down go along it, right and left along what waits for what, Enter opens.
 * Only the rows in sight are there; each says which of how many it is.
 */
export function TaskList({ graph, faces, critical, cursor, open, query, onQuery, onCursor, onOpen }: Props): JSX.Element {
  const shown = matching(faces, query)
  const box = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  const [height, setHeight] = useState(400)
  const isCritical = new Set(critical)
  const position = shown.indexOf(cursor)
  const rowPx = ROW_REM * remPx.value
  useEffect(() => {
    const { current } = box
    if (current === null) return
    const size = new ResizeObserver(() => setHeight(current.clientHeight))
    size.observe(current)
    return () => size.disconnect()
  }, [])
  useEffect(() => {
    const { current } = box
    if (current === null || position < 0) return
    if (position * rowPx < current.scrollTop) current.scrollTop = position * rowPx
    else if ((position + 1) * rowPx > current.scrollTop + current.clientHeight) current.scrollTop = (position + 1) * rowPx - current.clientHeight
  }, [position])
  const first = Math.max(0, Math.floor(top / rowPx) - BESIDES)
  const end = Math.min(shown.length, Math.ceil((top + height) / rowPx) + BESIDES)
  // The row at the cursor is always there, for `aria-activedescendant` to name it.
  const rows = Array.from({ length: Math.max(0, end - first) }, (_, at) => first + at)
  if (position >= 0 && (position < first || position >= end)) rows.push(position)
  const press = (event: KeyboardEvent): void => {
    const next = nextOf(event.key, { graph, shown, cursor, position, page: Math.max(1, Math.floor(height / rowPx) - 1) })
    if (next !== null) onCursor(next)
    else if (event.key === "Enter" && cursor >= 0) onOpen(cursor)
    else return
    event.preventDefault()
  }
  return (
    <section class="task-list" aria-label="Tasks">
      <label class="field">
        <span class="quiet">
          {count(shown.length)} of {count(faces.length)} tasks
        </span>
        <input type="search" data-search placeholder="id, title, owner or state" value={query} onInput={({ currentTarget }) => onQuery(currentTarget.value)} />
      </label>
      <div
        class="task-rows"
        ref={box}
        role="listbox"
        tabIndex={0}
        aria-label="Tasks: arrows up and down go along the list, right to what waits for a task, left to what it waits for, Enter opens it"
        aria-activedescendant={position < 0 ? undefined : `task-row-${cursor}`}
        onKeyDown={press}
        onFocus={() => (position < 0 && shown[0] !== undefined ? onCursor(open >= 0 && shown.includes(open) ? open : shown[0]) : undefined)}
        onScroll={({ currentTarget }) => setTop(currentTarget.scrollTop)}
      >
        <div class="task-room" role="presentation" style={{ height: `${shown.length * ROW_REM}rem` }}>
          {rows.map((at) => {
            const number = shown[at] as number
            return (
              <Row
                key={number}
                face={faces[number] as Face}
                number={number}
                at={at}
                of={shown.length}
                isCursor={number === cursor}
                isOpen={number === open}
                isCritical={isCritical.has(number)}
                onOpen={onOpen}
              />
            )
          })}
        </div>
      </div>
    </section>
  )
}

type RowProps = { face: Face; number: number; at: number; of: number; isCursor: boolean; isOpen: boolean; isCritical: boolean; onOpen: (at: number) => void }

const Row = memo(function Row({ face, number, at, of, isCursor, isOpen, isCritical, onOpen }: RowProps): JSX.Element {
  return (
    <div
      id={`task-row-${number}`}
      role="option"
      aria-selected={isOpen}
      aria-setsize={of}
      aria-posinset={at + 1}
      class={`task-row${isCursor ? " at-cursor" : ""}${isOpen ? " is-open" : ""}`}
      style={{ top: `${at * ROW_REM}rem` }}
      onClick={() => onOpen(number)}
    >
      <span class="task-line">
        <strong>
          <InLink.Provider value={true}>
            <Text of={face.name} max={LINE} />
          </InLink.Provider>
        </strong>
        {isCritical ? (
          <span class="critical" title="on the critical path">
            critical
          </span>
        ) : null}
      </span>
      <span class="task-line quiet">
        <State of={face.state} /> <Text of={start(face.owner === null ? face.title : `${face.owner} · ${face.title}`)} />
      </span>
    </div>
  )
})

function start(text: string): string {
  const begin = clipped(text, LINE)
  return begin === null ? text : `${begin}…`
}

/** Where a key leads: along the list, or along an edge of the graph; null where it leads nowhere. */
function nextOf(
  key: string,
  { graph, shown, cursor, position, page }: { graph: TaskGraph; shown: readonly number[]; cursor: number; position: number; page: number },
): number | null {
  const along = (to: number): number | null => shown[Math.min(shown.length - 1, Math.max(0, to))] ?? null
  switch (key) {
    case "ArrowDown":
      return along(position + 1)
    case "ArrowUp":
      return along(position - 1)
    case "PageDown":
      return along(position + page)
    case "PageUp":
      return along(position - page)
    case "Home":
      return along(0)
    case "End":
      return along(shown.length - 1)
    // Where the way leads to a task that the search hides, the search must not keep anybody from it.
    case "ArrowRight":
      return graph.dependents[cursor]?.[0] ?? null
    case "ArrowLeft":
      return graph.dependsOn[cursor]?.[0] ?? null
    default:
      return null
  }
}

/** Numbers of the tasks that have each of the words somewhere. */
function matching(faces: readonly Face[], query: string): number[] {
  const words = query
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "")
  const found: number[] = []
  faces.forEach(({ id, title, owner, state }, at) => {
    const text = words.length === 0 ? "" : `${id} ${title} ${owner ?? ""} ${state.replaceAll("_", " ")} ${state}`.toLowerCase()
    if (words.every((word) => text.includes(word))) found.push(at)
  })
  return found
}
