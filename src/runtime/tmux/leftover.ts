import { readdirSync } from "node:fs"
import { textOf } from "../../repo/text-file.ts"

/** Set for each control client: the process that it belongs to. tmux itself reads and writes a client's streams, so the client outlives its owner. */
export const OWNER = "SKEIN_CONTROL_OF"

/**
 * Ends the control clients of a server whose owners have died. One that had something to be told when its owner died is never rid of it (tmux 3.3a), and a
 * server that is to end waits for it for ever: nobody reaches that server then, and no other one can be started. Only where there is a /proc.
 */
export function endOrphans(socket: string): void {
  for (const { pid, words } of processesOf(socket)) {
    if (words[3] !== "-C") continue
    const owner = (textOf(`/proc/${pid}/environ`) ?? "").split("\0").find((variable) => variable.startsWith(`${OWNER}=`))
    const parent = (textOf(`/proc/${pid}/stat`) ?? "").split(") ").at(-1)?.split(" ")[1]
    if (owner !== undefined && owner !== `${OWNER}=${parent}`) end(pid)
  }
}

/** Ends the servers of that name themselves: those that were asked to end, and do not. */
export function endServers(socket: string): void {
  for (const pid of serversOf(socket)) end(pid)
}

/** The processes of the servers of that name, also of one that is going down and answers nobody. */
export function serversOf(socket: string): number[] {
  return processesOf(socket).flatMap(({ pid, words }) => (words.includes("new-session") ? [pid] : []))
}

/** What was started as `tmux -L SOCKET`: a server keeps the words by which it was started. */
function processesOf(socket: string): { pid: number; words: string[] }[] {
  return pids().flatMap((pid) => {
    const words = (textOf(`/proc/${pid}/cmdline`) ?? "").split("\0")
    return words[1] === "-L" && words[2] === socket && words[0]?.split("/").at(-1) === "tmux" ? [{ pid, words }] : []
  })
}

function pids(): number[] {
  try {
    return readdirSync("/proc").flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []))
  } catch {
    return []
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL")
  } catch {
    // It has ended meanwhile.
  }
}
