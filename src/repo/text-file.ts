import { readFileSync } from "node:fs"

/** What the file says, or null where it cannot be read: whoever asks goes on without it. */
export function textOf(path: string): string | null {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return null
  }
}
