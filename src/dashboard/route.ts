import { type Signal, signal } from "@preact/signals"
import type { Seq } from "../core/ids.ts"
import { addressOf, parseRoute, type Route } from "./address.ts"
import { moment } from "./moment.ts"

/** Browsers take about 100 changes of the address in 10 s; a slider makes more. */
const ADDRESS_MS = 250
/** The address that is to be written next. */
let wanted: string | null = null

export const route: Signal<Route> = signal(parseRoute(""))

/** The address of a view, at the moment that is shown. */
export function hrefOf(view: string, parts: readonly string[] = [], filters: Readonly<Record<string, string>> = {}, at: "live" | Seq = moment.value): string {
  return addressOf({ view, parts, filters, moment: at })
}

/** Goes to a view; it can be gone back from. */
export function goTo(view: string, parts: readonly string[] = [], filters: Readonly<Record<string, string>> = {}): void {
  wanted = null
  location.hash = hrefOf(view, parts, filters)
}

/** Shows the filters of the view that is shown, without a step to go back to. */
export function setFilters(filters: Readonly<Record<string, string>>): void {
  const { view, parts } = route.peek()
  route.value = { ...route.peek(), filters }
  writeAddress(hrefOf(view, parts, filters, moment.peek()))
}

/** Shows the same view at another moment. The address follows, at the pace that browsers allow, without a step to go back to. */
export function goToMoment(at: "live" | Seq): void {
  moment.value = at
  const { view, parts, filters } = route.peek()
  route.value = { ...route.peek(), moment: at }
  writeAddress(hrefOf(view, parts, filters, at))
}

/** Follows the address from now on. */
export function followAddress(): void {
  const read = (): void => {
    wanted = null
    const next = parseRoute(location.hash)
    // A view begins at its top; one that was gone back to is where it was.
    if (history.state === null) {
      history.replaceState("seen", "")
      if (next.view !== route.peek().view) scrollTo(0, 0)
    }
    moment.value = next.moment
    route.value = next
  }
  addEventListener("hashchange", read)
  read()
}

function writeAddress(href: string): void {
  if (wanted === null)
    setTimeout(() => {
      if (wanted !== null) history.replaceState(history.state, "", wanted)
      wanted = null
    }, ADDRESS_MS)
  wanted = href
}
