import { spawn } from "node:child_process"
import { closeSync, constants, mkdirSync, openSync, readdirSync, readFileSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { SkeinError } from "../contract/errors.ts"
import { bornOf, SupervisorFolder, type SupervisorFile } from "../runtime/supervisor-folder.ts"
import type { Context } from "./context.ts"
import type { Instance } from "./instance.ts"
import { beginAnew, LOG_MAX_BYTES } from "./log-file.ts"
import { supervisorFolder, supervisorLog } from "./supervisor-place.ts"

const LAUNCHER = fileURLToPath(new URL("../../bin/skein.cjs", import.meta.url))
const START_MS = 30_000
/** Its agents get their own time to end. */
const STOP_MS = 60_000
const POLL_MS = 25

/** The supervisor of the workspace, started in the background where none runs. Throws `SkeinError` with what it said when it does not come up. */
export async function ensureSupervisor(context: Context): Promise<{ supervisor: SupervisorFile; already: boolean }> {
  const instance = context.instance()
  const { workspace, options } = context
  const folder = supervisorFolder(instance, workspace)
  const running = folder.holder()
  if (running !== null) return { supervisor: running, already: true }
  const log = supervisorLog(instance, workspace)
  mkdirSync(dirname(log), { recursive: true, mode: 0o700 })
  // Half of it is left: what it says is read here until it has started, and must not begin anew meanwhile.
  const found = statSync(log, { throwIfNoEntry: false })
  if (found?.isFile() === true && found.size > LOG_MAX_BYTES / 2) beginAnew(log)
  const from = statSync(log, { throwIfNoEntry: false })?.size ?? 0
  // A pipe in its place is refused, and not waited for.
  const output = openSync(log, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NONBLOCK, 0o600)
  // By bytes: what was said before may hold letters of more than one.
  const said = (): string => readFileSync(log).subarray(from).toString()
  const where = instance.repository === null ? ["--global"] : ["--repo", instance.repository]
  const args = [LAUNCHER, "supervisor", "--json", "--workspace", workspace, ...where, ...(options.url === undefined ? [] : ["--url", options.url])]
  const child = spawn(process.execPath, args, { detached: true, stdio: ["ignore", output, output], cwd: instance.repository ?? instance.directory })
  closeSync(output)
  let ended = false
  child.on("exit", () => (ended = true))
  child.on("error", () => (ended = true))
  child.unref()
  for (const deadline = performance.now() + START_MS; performance.now() < deadline; await sleep(POLL_MS)) {
    const holder = folder.holder()
    // It holds its place before it has connected: with a session of its own it has.
    if (holder !== null && (holder.pid === child.pid || ended) && said().includes('"supervising":true')) {
      return { supervisor: holder, already: false }
    }
    if (ended && holder === null) break
  }
  if (!ended) child.kill("SIGTERM")
  throw notStarted(log, said())
}

/** Ends the supervisors of all workspaces of the instance, with the agents that they run; gives their processes. */
export async function stopSupervisors(instance: Instance): Promise<number[]> {
  const stopped: number[] = []
  for (const folder of supervisorFolders(instance)) {
    const holder = folder.holder()
    if (holder === null) continue
    process.kill(holder.pid, "SIGTERM")
    for (const deadline = performance.now() + STOP_MS; bornOf(holder.pid) === holder.born; await sleep(POLL_MS))
      if (performance.now() > deadline)
        throw new SkeinError(
          "timed_out",
          `the supervisor (process ${holder.pid}) has not ended after ${STOP_MS / 1_000} s`,
          "Look into .skein/logs/supervisor.log; a SIGKILL leaves its agents in their terminals.",
          { pid: holder.pid },
        )
    stopped.push(holder.pid)
  }
  return stopped
}

function supervisorFolders({ directory }: Instance): SupervisorFolder[] {
  const path = join(directory, "supervisor")
  try {
    const others = readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() && entry.name !== "wanted" && entry.name !== "running" ? [join(path, entry.name)] : [],
    )
    return [path, ...others].map((one) => new SupervisorFolder(one))
  } catch {
    return []
  }
}

/** What it said before it ended, as its own error told it. */
function notStarted(log: string, said: string): SkeinError {
  for (const line of said.trim().split("\n").reverse()) {
    try {
      const { error } = JSON.parse(line) as { error?: { message: string; remedy: string; details: Record<string, unknown> } }
      if (error !== undefined) return new SkeinError("invalid", `the supervisor did not start: ${error.message}`, error.remedy, error.details)
    } catch {
      // A line of something else.
    }
  }
  return new SkeinError("timed_out", `the supervisor did not start within ${START_MS / 1_000} s`, `See ${log}, or run it here: skein supervisor`)
}
