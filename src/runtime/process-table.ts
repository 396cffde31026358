import { execFile } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"

/** One process of this machine, at one moment. */
export type ProcessRow = {
  pid: number
  parent: number
  group: number
  session: number
  /** The group that the keyboard of its terminal leads to; -1 where it has none. */
  foreground: number
  /** It has ended, and its parent has not asked how. */
  zombie: boolean
  /** Of its program, at most 15 characters where the system tells no more. */
  name: string
}

/** All of them. By /proc where there is one: a bare machine need not have `ps`. */
export async function processTable(): Promise<ProcessRow[]> {
  const pids = pidsInProc()
  return pids === null ? byPs(["-ax"]) : pids.flatMap((pid) => inProc(pid) ?? [])
}

/** Null where there is none of that id. */
export async function processRow(pid: number): Promise<ProcessRow | null> {
  return pidsInProc() === null ? ((await byPs(["-p", String(pid)]))[0] ?? null) : inProc(pid)
}

function pidsInProc(): number[] | null {
  try {
    const pids = readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
    return pids.length === 0 ? null : pids
  } catch {
    return null
  }
}

function inProc(pid: number): ProcessRow | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The name, in brackets, may hold anything, brackets too: proc_pid_stat(5).
    const nameEnds = stat.lastIndexOf(")")
    const [state, parent, group, session, , foreground] = stat.slice(nameEnds + 2).split(" ")
    const name = stat.slice(stat.indexOf("(") + 1, nameEnds)
    return { pid, parent: Number(parent), group: Number(group), session: Number(session), foreground: Number(foreground), zombie: state === "Z", name }
  } catch {
    // It has ended meanwhile.
    return null
  }
}

function byPs(which: readonly string[]): Promise<ProcessRow[]> {
  return new Promise((settle) => {
    const columns = "pid=,ppid=,pgid=,tpgid=,sess=,stat=,comm="
    execFile("ps", ["-o", columns, ...which], { timeout: 5_000, maxBuffer: 16 * 1024 * 1024 }, (_error, output) => {
      settle(
        output.split("\n").flatMap((line) => {
          const [, pid, parent, group, foreground, session, state, name] = /^\s*(\d+)\s+(\d+)\s+(-?\d+)\s+(-?\d+)\s+(\S+)\s+(\S+)\s+(.*)$/.exec(line) ?? []
          if (pid === undefined || state === undefined || name === undefined) return []
          const numbers = { pid: Number(pid), parent: Number(parent), group: Number(group), session: Number(session), foreground: Number(foreground) }
          return [{ ...numbers, zombie: state.startsWith("Z"), name: name.trim() }]
        }),
      )
    })
  })
}
