import { readdirSync, readFileSync } from "node:fs"

/** CPU time that a process, its threads and its children have used, in µs. Linux only: everything is read from /proc. */
export function cpuUs(pid: number): number {
  return [pid, ...descendants(pid)].reduce((sum, one) => sum + ofProcess(one), 0)
}

/** Resident memory of one process in bytes, and the most it ever was. */
export function memoryOf(pid: number): { rssBytes: number; peakBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8")
  const kib = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN)
  return { rssBytes: kib("VmRSS") * 1024, peakBytes: kib("VmHWM") * 1024 }
}

/** The scheduler counts a thread's time on a core in ns; `stat` would round to ticks of 10 ms. */
function ofProcess(pid: number): number {
  let nanoseconds = 0
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0])
  } catch {
    // It ended while we looked.
  }
  return nanoseconds / 1_000
}

function descendants(pid: number): number[] {
  const children: number[] = []
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const text = readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim()
      if (text !== "") children.push(...text.split(" ").map(Number))
    }
  } catch {
    // It ended while we looked.
  }
  return children.flatMap((child) => [child, ...descendants(child)])
}
