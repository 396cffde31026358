/** A hub that grows: claims are timed while more and more is open around them. In its own process, so that its CPU is the loop's. */
import { PerformanceObserver } from "node:perf_hooks"
import type { Actor } from "../src/core/entry.ts"
import type { Loop } from "../src/hub/loop.ts"
import { answer } from "./child.ts"
import { AT_ONCE } from "./loop.ts"
import { openOn, OPERATOR } from "./open-hub.ts"

export type Point = {
  tasks: number
  agents: number
  p50Ms: number
  p99Ms: number
  cpuUsPerClaim: number
  claimsPerS: number
  gcUsPerClaim: number
  rssMb: number
  seq: number
}

let loop: Loop | null = null
let open = 0
let named = 0
let agents = 0
let keys = 0
let gcMs = 0
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) gcMs += duration
}).observe({ entryTypes: ["gc"] })

const FILTER = { plan: null, labels: [], filler: null, max: 1 }
const CLAIMANTS = 64

function opened(): Loop {
  if (loop === null) throw new Error("open first")
  return loop
}

async function fillTo(tasks: number): Promise<void> {
  while (open < tasks) {
    const count = Math.min(AT_ONCE, tasks - open)
    await Promise.all(Array.from({ length: count }, () => opened().execute("task.add", OPERATOR, { id: `t${(named += 1)}`, title: `Task ${named}` })))
    open += count
  }
}

function actor(at: number): Actor {
  return { agent: `agent-${at % agents}`, session: null, role: "worker" }
}

async function claim(by: Actor): Promise<void> {
  open -= 1
  const { claims } = await opened().execute("task.claimNext", by, FILTER, { key: { id: `k${(keys += 1)}`, hash: "00112233445566778899aabbccddeeff" } })
  if (claims.length !== 1) throw new Error("a claim without a task")
}

answer({
  async open({ directory }: { directory: string }) {
    // However long filling takes it is no load that stays; no more than CLAIMANTS claims ever wait.
    loop = await (await openOn(directory, { queueWaitMs: 600_000, batchMax: 4 * AT_ONCE, decideMs: 600_000 })).create("main")
  },
  async grow({ tasks, agents: wanted }: { tasks: number; agents: number }): Promise<number> {
    while (agents < wanted) {
      const count = Math.min(AT_ONCE, wanted - agents)
      await Promise.all(
        Array.from({ length: count }, () => opened().execute("agent.add", OPERATOR, { name: `agent-${(agents += 1) - 1}`, maxActive: 1_000_000 })),
      )
    }
    await fillTo(tasks)
    return opened().head.seq
  },
  /** Claims in small helpings, refilled between them unseen by the clock, so that `tasks` stays what it says. */
  async measure({ tasks, claims }: { tasks: number; claims: number }): Promise<Point> {
    const helping = Math.max(1, Math.min(claims, Math.floor(tasks / 2)))
    const latencies: number[] = []
    let cpu = 0
    let seconds = 0
    let collected = 0
    for (let made = 0; made < claims; made += helping) {
      await fillTo(tasks)
      await new Promise((resolve) => {
        setTimeout(resolve, 30)
      })
      // One after the other: the latency.
      const alone = Math.min(helping, Math.ceil(claims / 8))
      for (let at = 0; at < alone && latencies.length < claims / 8; at += 1) {
        const startMs = performance.now()
        await claim(actor(at))
        latencies.push(performance.now() - startMs)
      }
      await fillTo(tasks)
      // Many at once: the cost.
      const before = process.cpuUsage()
      const gcBefore = gcMs
      const startMs = performance.now()
      let left = helping
      await Promise.all(
        Array.from({ length: CLAIMANTS }, async (_, at) => {
          for (let turn = 0; left > 0; turn += 1) {
            left -= 1
            await claim(actor(at + turn * CLAIMANTS))
          }
        }),
      )
      seconds += (performance.now() - startMs) / 1_000
      const { user, system } = process.cpuUsage(before)
      cpu += user + system
      collected += gcMs - gcBefore
    }
    const total = Math.ceil(claims / helping) * helping
    const sorted = latencies.toSorted((a, b) => a - b)
    return {
      tasks,
      agents,
      p50Ms: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
      p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
      cpuUsPerClaim: cpu / total,
      claimsPerS: total / seconds,
      gcUsPerClaim: (collected * 1_000) / total,
      rssMb: process.memoryUsage.rss() / 1e6,
      seq: opened().head.seq,
    }
  },
})
