import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { newRunning, parseRunning, parseWanted, type Running, type Wanted } from "./supervised.ts"
import { SkeinError } from "../contract/errors.ts"
import { shellWord } from "../repo/shell-word.ts"
import { textOf } from "../repo/text-file.ts"

/** The supervisor that runs, as its file says. `born`: when its process began, by the system's own count; tells it from a later process of the same id. */
export type SupervisorFile = { pid: number; born: string; session: string | null; agent: string; startedAtMs: number }

/**
 * The registry of one workspace's agents on this machine, `.skein/supervisor/`: plain files. `wanted/` is written by commands, `running/` and
 * `supervisor.json` by the one supervisor. Each file is replaced whole: whoever dies in the middle leaves the old one.
 */
export class SupervisorFolder {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  /** Makes the folders, mode 0700. */
  prepare(): void {
    for (const folder of ["wanted", "running"]) mkdirSync(join(this.path, folder), { recursive: true, mode: 0o700 })
  }

  wanted(): Wanted[] {
    return this.#names("wanted").flatMap((agent) => this.wantedOf(agent) ?? [])
  }

  wantedOf(agent: string): Wanted | null {
    const text = textOf(join(this.path, "wanted", `${agent}.json`))
    const read = text === null ? null : parseWanted(text)
    return read?.agent === agent ? read : null
  }

  /** Throws `SkeinError` where its supervisor could not record how it runs. */
  want(wanted: Wanted): void {
    this.prepare()
    const record = join(this.path, "running", `${wanted.agent}.json`)
    if (lstatSync(record, { throwIfNoEntry: false })?.isDirectory() === true)
      throw new SkeinError(
        "invalid",
        `${record} is a folder, and the supervisor's record of ${wanted.agent} belongs there`,
        `Move it away: mv ${shellWord(record)} ${shellWord(`${record}.old`)}`,
        { agent: wanted.agent },
      )
    replace(join(this.path, "wanted", `${wanted.agent}.json`), wanted)
  }

  running(): Running[] {
    return this.#names("running").map((agent) => this.runningOf(agent))
  }

  /** As it runs; nothing is known of one without a record. */
  runningOf(agent: string): Running {
    const text = textOf(join(this.path, "running", `${agent}.json`))
    const read = text === null ? null : parseRunning(text)
    return read?.agent === agent ? read : newRunning(agent)
  }

  record(running: Running): void {
    replace(join(this.path, "running", `${running.agent}.json`), running)
  }

  forget(agent: string): void {
    rmSync(join(this.path, "wanted", `${agent}.json`), { force: true })
    rmSync(join(this.path, "running", `${agent}.json`), { force: true })
  }

  /** The supervisor that lives, or null. */
  holder(): SupervisorFile | null {
    const file = this.lastHolder()
    return file !== null && file.born !== "" && bornOf(file.pid) === file.born ? file : null
  }

  /** The last supervisor, whether it lives or not. */
  lastHolder(): SupervisorFile | null {
    try {
      const { pid, born, session, agent, startedAtMs } = JSON.parse(textOf(join(this.path, "supervisor.json")) ?? "") as Partial<SupervisorFile>
      if (typeof pid !== "number" || typeof born !== "string" || typeof agent !== "string") return null
      return { pid, born, session: typeof session === "string" ? session : null, agent, startedAtMs: typeof startedAtMs === "number" ? startedAtMs : 0 }
    } catch {
      return null
    }
  }

  /** Takes the place of the one supervisor; false where another lives. Two that begin in the same moment: the file's last writer stays, the other sees it by `isHeld`. */
  hold(file: Omit<SupervisorFile, "pid" | "born">): boolean {
    const holder = this.holder()
    if (holder !== null && holder.pid !== process.pid) return false
    this.prepare()
    replace(join(this.path, "supervisor.json"), { ...file, pid: process.pid, born: bornOf(process.pid) ?? "" })
    return true
  }

  /** Whether this process still is the one supervisor. */
  isHeld(): boolean {
    return this.lastHolder()?.pid === process.pid
  }

  release(): void {
    if (this.isHeld()) rmSync(join(this.path, "supervisor.json"), { force: true })
  }

  #names(folder: string): string[] {
    try {
      return readdirSync(join(this.path, folder))
        .flatMap((file) => (file.endsWith(".json") ? [file.slice(0, -".json".length)] : []))
        .sort()
    } catch {
      return []
    }
  }
}

/** What a supervisor is told that finds another in its place. */
export function held(folder: SupervisorFolder): SkeinError {
  const holder = folder.lastHolder()
  return new SkeinError(
    "already_exists",
    `another supervisor runs here${holder === null ? "" : ` (process ${holder.pid})`}`,
    "One is enough for all agents of this machine; to replace it, end that one first.",
    holder === null ? {} : { pid: holder.pid },
  )
}

/** When a process began, as the system counts it; null where none of that id lives. Where the system does not tell (no /proc), the id alone has to do. */
export function bornOf(pid: number): string | null {
  const stat = textOf(`/proc/${pid}/stat`)
  if (stat !== null) {
    // The name, in brackets, may hold anything; the start is the 22nd field, the 20th behind it. One that waits to be reaped has ended.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return fields[0] === "Z" ? null : (fields[19] ?? null)
  }
  try {
    process.kill(pid, 0)
    return "unknown"
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM" ? "unknown" : null
  }
}

function replace(path: string, content: object): void {
  const draft = `${path}.${process.pid}.part`
  try {
    writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 })
    renameSync(draft, path)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}
