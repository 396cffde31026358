import { type Signal, signal } from "@preact/signals"
import type { Seq } from "../core/ids.ts"
import { moment } from "./moment.ts"

/** What the address says: `#/VIEW/PART/PART?FILTER=WORD@SEQ`. Without `@SEQ` it is the page as it is. */
export type Route = {
  readonly view: string
  readonly parts: readonly string[]
  readonly filters: Readonly<Record<string, string>>
  readonly moment: "live" | Seq
}

/** The view that an address without one means. */
const HOME = "flight"

/** Browsers take about 100 changes of the address in 10 s; a slider makes more. */
const ADDRESS_MS = 250
/** The address that is to be written next. */
let wanted: string | null = null

export const route: Signal<Route> = signal(parseRoute(""))

/** Reads the part of an address behind the `#`. What cannot be read is passed over. */
export function parseRoute(hash: string): Route {
  const at = /@(\d{1,15})$/.exec(hash)
  const text = (at === null ? hash : hash.slice(0, at.index)).replace(/^#?\/?/, "")
  const [path = "", query = ""] = text.split("?", 2)
  const [view = "", ...parts] = path
    .split("/")
    .filter((part) => part !== "")
    .map(decode)
  return {
    view: view === "" ? HOME : view,
    parts,
    filters: Object.fromEntries(new URLSearchParams(query)),
    moment: at === null ? "live" : Math.max(1, Number(at[1])),
  }
}

/** The address of a view, at the moment that is shown. */
export function hrefOf(view: string, parts: readonly string[] = [], filters: Readonly<Record<string, string>> = {}, at: "live" | Seq = moment.value): string {
  const query = new URLSearchParams(filters).toString()
  return `#/${[view, ...parts].map(encodeURIComponent).join("/")}${query === "" ? "" : `?${query}`}${at === "live" ? "" : `@${at}`}`
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

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
