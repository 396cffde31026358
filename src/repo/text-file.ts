import { readRegular } from "../client/regular-file.ts"

/** What the file says, or null where it cannot be read: whoever asks goes on without it. */
export function textOf(path: string): string | null {
  try {
    return readRegular(path)
  } catch {
    return null
  }
}
