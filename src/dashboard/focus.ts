/** What had the focus last, and all that it stands in, from within: where to go on when it is gone. */
let last: { element: HTMLElement; within: readonly Element[] } | null = null

const FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), summary, [tabindex]"

/**
 * Keeps the focus where somebody has put it while the live picture is drawn anew. What was only moved gets it back; of what is gone the nearest thing
 * that is left in the same place does: who goes by keys or by ear must not be thrown to the top of the page because somebody else was quicker.
 */
export function keepFocus(): void {
  document.addEventListener("focusin", ({ target }) => {
    if (!(target instanceof HTMLElement)) return
    const within: Element[] = []
    for (let at = target.parentElement; at !== null && at !== document.body; at = at.parentElement) within.push(at)
    last = { element: target, within }
  })
  // Who presses beside everything means to let go.
  document.addEventListener("pointerdown", () => (last = null), { capture: true })
  new MutationObserver(restore).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["disabled"] })
}

function restore(): void {
  const active = document.activeElement
  if (last === null || (active !== null && active !== document.body && active.isConnected)) return
  const { element, within } = last
  if (element.isConnected) element.focus({ preventScroll: true })
  if (document.activeElement === element) return
  for (const place of within) {
    if (!place.isConnected) continue
    if (place.contains(document.getElementById("main")) && place.id !== "main") {
      // What is left of it is the whole page, as after a dialog that nothing opened: not to its top, to what it shows.
      document.getElementById("main")?.focus({ preventScroll: true })
      return
    }
    const next = place.querySelector<HTMLElement>(FOCUSABLE) ?? (place.matches(FOCUSABLE) ? (place as HTMLElement) : null)
    next?.focus({ preventScroll: true })
    if (next !== null && document.activeElement === next) return
  }
}
