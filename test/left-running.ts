import { readdirSync, readFileSync, rmSync } from "node:fs"
import { endOrphans, endServers } from "../src/runtime/tmux/leftover.ts"

const LOOK_AGAIN_MS = 20
const LOOKS_MAX = 250

/** Processes whose command line or environment holds one of these texts. Only where there is a /proc. */
export function runningWith(...texts: string[]): { pid: number; line: string }[] {
  return processes().flatMap((pid) => {
    if (pid === process.pid) return []
    const line = nulls(`/proc/${pid}/cmdline`)
    const all = `${line} ${nulls(`/proc/${pid}/environ`)}`
    return texts.some((text) => all.includes(text)) ? [{ pid, line }] : []
  })
}

/** What of a rig still runs: processes that name its folder or its tmux server. */
export function leftRunning({ folder, socket }: { folder: string; socket: string }): string[] {
  return runningWith(folder, socket).map(({ pid, line }) => `${pid} ${line}`)
}

/** Ends all that has this in its environment, with what that starts meanwhile, and removes what its tmux servers leave. Returns when it is gone. */
export function endAllWith(variable: string): void {
  const servers = new Set<string>()
  for (let looks = 0; looks < LOOKS_MAX; looks += 1) {
    const left = runningWith(variable)
    for (const { pid, line } of left) {
      const [, flag, name] = line.split(" ")
      if (flag === "-L" && name !== undefined) servers.add(name)
      kill(pid)
    }
    if (left.length === 0) break
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_AGAIN_MS)
  }
  for (const name of servers) removeServer(name)
}

/** What is left of a tmux server: one that waits for a client of a supervisor that the test killed; and its socket, which tmux leaves where it was. */
export function removeServer(name: string): void {
  endOrphans(name)
  endServers(name)
  rmSync(`${process.env["TMUX_TMPDIR"] ?? "/tmp"}/tmux-${process.getuid?.() ?? 0}/${name}`, { force: true })
}

export function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It is gone already.
  }
}

function processes(): number[] {
  try {
    return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
  } catch {
    return []
  }
}

function nulls(path: string): string {
  try {
    return readFileSync(path, "utf8").replaceAll("\0", " ")
  } catch {
    return ""
  }
}
