import type { Entry } from "../core/entry.ts"
import { visible } from "./visible.ts"

/** What an entry's data says, on one line, cut where it is long. */
export function gist({ data }: Entry, max = 240): string {
  if (typeof data !== "object" || data === null) return ""
  const text = Object.entries(data)
    .filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0))
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join(" · ")
  return visible(text.length > max ? `${text.slice(0, max)} …` : text)
}
