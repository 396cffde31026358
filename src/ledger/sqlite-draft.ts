import { readdirSync, rmSync } from "node:fs"
import { basename, dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"

/** Where this process writes a backup until it is whole: whoever backs up to the same place at the same time has another. */
export function draftOf(path: string): string {
  return `${path}.${process.pid}.part`
}

export function removeDraft(draft: string): void {
  // A journal that was left beside an earlier one would be played back into the next.
  for (const left of [draft, `${draft}-journal`]) rmSync(left, { force: true })
}

/** Takes away the drafts to this place whose processes were killed. What bears such a name and is none, or may be anybody's, stays. */
export function removeAbandoned(path: string): void {
  const [folder, start] = [dirname(path), `${basename(path)}.`]
  for (const file of readdirSync(folder, { withFileTypes: true })) {
    const pid = file.isFile() && file.name.startsWith(start) ? /^(\d+)\.part$/.exec(file.name.slice(start.length))?.[1] : undefined
    const draft = join(folder, file.name)
    if (pid !== undefined && isGone(Number(pid)) && isFree(draft)) removeDraft(draft)
  }
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH"
  }
}

/** Whether nobody writes to the draft: SQLite locks it while it copies, also for a process that has no id here, such as a container's. */
function isFree(draft: string): boolean {
  let database: DatabaseSync | null = null
  try {
    database = new DatabaseSync(draft, { timeout: 0 })
    database.exec("BEGIN EXCLUSIVE")
    return true
  } catch {
    return false
  } finally {
    database?.close()
  }
}
