import { accessSync, constants } from "node:fs"

/**
 * How the C library of Linux is to keep the hub's memory, which only the environment can tell it: one heap for all threads, and what is free at its end
 * goes back from 1 MiB on. By itself it has a heap a thread, and keeps up to 64 MiB of each once a large block was freed: 20 MB after 10,000 tasks were
 * added. Elsewhere nothing reads it.
 */
export const HUB_MEMORY: Readonly<Record<string, string>> = { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "1048576" }

/**
 * How Node is to keep it, in MiB: with more for young objects, 64 by itself, what of them lives on is copied in pauses of up to 40 ms, which a hundredth of all
 * claims meets; with 8 the pauses come so often that they cost as much.
 */
const HUB_ARGS: readonly string[] = ["--max-semi-space-size=16"]

/** What Node is told before the launcher's name; nothing where `NODE_OPTIONS`, which would have to give way, says it already. */
export function hubArgs(nodeOptions = process.env["NODE_OPTIONS"] ?? ""): readonly string[] {
  return /--max[-_]semi[-_]space[-_]size/.test(nodeOptions) ? [] : HUB_ARGS
}

/**
 * Puts this same command, begun anew so, in the place of this process: its id, its terminal and its caller stay the same. Returns where
 * that is not needed (whoever set one of them decides) or cannot be.
 */
export function beginWithHubMemory(): void {
  if (process.platform !== "linux" || Object.keys(HUB_MEMORY).some((name) => process.env[name] !== undefined)) return
  const { execPath } = process
  try {
    // Node ends itself (SIGABRT) where the system refuses `execve`, as when it was updated under this process and its file is gone.
    accessSync(execPath, constants.X_OK)
    // Node 22.15 and 23.11 brought it.
    process.execve?.(execPath, [execPath, ...hubArgs(), ...process.execArgv, ...process.argv.slice(1)], { ...process.env, ...HUB_MEMORY })
  } catch {
    // It goes on as it is, with more memory.
  }
}
