import { type ComponentChildren, createContext, type JSX } from "preact"
import { useContext, useState } from "preact/hooks"
import { showUsd } from "../core/money.ts"
import { count, dateTime, duration } from "./figures.ts"
import { clock } from "./moment.ts"
import { hrefOf } from "./route.ts"
import { clipped, visible } from "./visible.ts"

/** Characters that the button takes which shows the rest: a rest that is no longer is shown at once. */
const ROOM_OF_BUTTON = 24

/** Whether a text stands in a link, a button or an option: there is no room for a further button in it, and what it leads to shows the rest. */
export const InLink = createContext(false)

/**
 * A text that somebody else wrote. It is only ever a text node, isolated from the direction of what is around it, its hidden characters visible, and
 * clipped where it is long. `lines`: its line breaks count.
 */
export function Text({ of: text, max = 300, lines = false }: { of: string; max?: number; lines?: boolean }): JSX.Element {
  const [isWhole, setWhole] = useState(false)
  const isInLink = useContext(InLink)
  const start = isWhole || text.length <= max + ROOM_OF_BUTTON ? null : clipped(text, max)
  return (
    <>
      <bdi class={lines ? "text lines" : "text"}>
        {visible(start ?? text)}
        {start !== null && isInLink ? " …" : ""}
      </bdi>
      {start === null || isInLink ? null : (
        <button type="button" class="more" onClick={() => setWhole(true)}>
          … show all {count(text.length)} characters
        </button>
      )}
    </>
  )
}

/** How long ago it was, going on by itself. */
export function Ago({ atMs }: { atMs: number }): JSX.Element {
  return (
    <time title={dateTime(atMs)} dateTime={new Date(atMs).toISOString()}>
      {duration(clock.value - atMs)} ago
    </time>
  )
}

/** How long it is until then, going on by itself. */
export function Left({ untilMs }: { untilMs: number }): JSX.Element {
  const leftMs = untilMs - clock.value
  return <time title={dateTime(untilMs)}>{leftMs <= 0 ? "over" : duration(leftMs)}</time>
}

export function Money({ microUsd }: { microUsd: number }): JSX.Element {
  return (
    <span class="number" title={`${count(microUsd)} micro-USD`}>
      {showUsd(microUsd)}
    </span>
  )
}

/** Shape and word of each state, so that no colour is needed to tell them apart. */
const SHAPES: Readonly<Record<string, string>> = {
  waiting: "◌",
  ready: "○",
  claimed: "◔",
  in_progress: "◑",
  blocked: "◼",
  review: "◇",
  completed: "●",
  failed: "✕",
  cancelled: "⊘",
  unreachable: "⊗",
  active: "●",
  idle: "◐",
  lost: "✕",
  offline: "○",
  retired: "⊘",
  live: "●",
  ended: "○",
  open: "✕",
  closed: "●",
  half_open: "◐",
}

/** The shape that goes with a state. */
export function shapeOf(state: string): string {
  return SHAPES[state] ?? "◦"
}

/** A state by shape and word; colour is only a third hint. */
export function State({ of: state }: { of: string }): JSX.Element {
  return (
    <span class={`state state-${/^[a-z_]+$/.test(state) ? state : "other"}`}>
      <span aria-hidden="true">{shapeOf(state)}</span> {visible(state.replaceAll("_", " "))}
    </span>
  )
}

/** What the ledger does not hold is known of no moment but now. */
export function NotRecorded(): JSX.Element {
  return <span class="quiet">not recorded</span>
}

/** A way to a task, an agent or a thread, which keeps the moment. */
export function To({ view, part, children }: { view: string; part: string; children?: ComponentChildren }): JSX.Element {
  return (
    <a href={hrefOf(view, [part])}>
      <InLink.Provider value={true}>{children ?? <Text of={part} max={80} />}</InLink.Provider>
    </a>
  )
}
