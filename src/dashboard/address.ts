import type { Seq } from "../core/ids.ts"

/** What the address says: `#/VIEW/PART/PART?FILTER=WORD@SEQ`. Without `@SEQ` it is the page as it is. */
export type Route = {
  readonly view: string
  readonly parts: readonly string[]
  readonly filters: Readonly<Record<string, string>>
  readonly moment: "live" | Seq
}

/** The view that an address without one means. */
const HOME = "flight"

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

/** What `parseRoute` reads. */
export function addressOf({ view, parts, filters, moment }: Route): string {
  const query = new URLSearchParams(filters).toString()
  return `#/${[view, ...parts].map(encodeURIComponent).join("/")}${query === "" ? "" : `?${query}`}${moment === "live" ? "" : `@${moment}`}`
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
