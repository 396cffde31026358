/** What a list or a table goes along by arrows is marked with: `data-arrows` on the element whose children are its rows. */
const LIST = "[data-arrows]"
const FOCUSABLE = "a[href], button:not(:disabled), summary"

/** The keys of lists, for the help. */
export const LIST_KEYS: readonly { key: string; what: string }[] = [
  { key: "↑ ↓", what: "go along a list, or down a table" },
  { key: "Home End", what: "to the first or the last of it" },
  { key: "Enter", what: "open what is chosen" },
  { key: "← →", what: "in a list of tasks: to what it waits for, to what waits for it" },
  { key: "+ − 0", what: "in the graph of a plan: nearer, further, all of it" },
  { key: "Esc", what: "close what is open" },
]

/** Arrows, Home and End take the focus from row to row of the list that it is in, and stay in the same place of the row where there is one. */
export function listenForArrows(): void {
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.isComposing || event.defaultPrevented) return
    const { target, key } = event
    if (!(target instanceof HTMLElement) || !target.matches(FOCUSABLE)) return
    const list = target.closest(LIST)
    if (list === null) return
    const rows = [...list.children].filter((row) => row.querySelector(FOCUSABLE) !== null)
    const at = rows.findIndex((row) => row.contains(target))
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[key]
    const row = to === undefined ? undefined : rows[to]
    if (to === undefined || at < 0) return
    event.preventDefault()
    if (row === undefined) return
    const place = [...(rows[at] as Element).querySelectorAll(FOCUSABLE)].indexOf(target)
    const within = row.querySelectorAll<HTMLElement>(FOCUSABLE)
    within[Math.min(place, within.length - 1)]?.focus()
  })
}
