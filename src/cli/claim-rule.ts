import { existsSync } from "node:fs"
import { join } from "node:path"
import { readRegular } from "../client/regular-file.ts"

/** The setting where it stands by itself on a line, as nearly everybody writes it. */
const LINE = /^requireClaim:[ \t]+(true|false)[ \t]*(?:#.*)?\r?$/gm

/**
 * Whether agents may change files only while they hold a task: what `config.yaml` of the instance says, else where the git guard is installed. Asked at every
 * commit and every edit, so that one line is read by itself, and the settings as a whole only where they say it in another way. Where those cannot be read
 * nothing is required, and `fault` is told why: what others hold is looked at all the same.
 */
export async function requiresClaim(directory: string, fault: (why: string) => void): Promise<boolean> {
  const unset = existsSync(join(directory, "hooks", "guard.json"))
  let text: string
  try {
    text = readRegular(join(directory, "config.yaml"))
  } catch {
    return unset
  }
  if (!text.includes("requireClaim")) return unset
  const [found, ...more] = text.matchAll(LINE)
  if (found !== undefined && more.length === 0) return found[1] === "true"
  try {
    const { readConfig } = await import("./config.ts")
    return readConfig(directory).requireClaim ?? unset
  } catch (error) {
    fault(error instanceof Error ? error.message : String(error))
    return false
  }
}
