import { connect } from "../src/client/client.ts"
import type { Verdict } from "./claims.ts"
import { cpuUs, memoryOf } from "./cpu.ts"
import { round, show, table } from "./figure.ts"
import { sleep } from "./scratch.ts"
import { addTasks, type HubAddress, patiently, startHub } from "./skein.ts"
import { Child } from "./child.ts"

export type MemoryOptions = {
  directory: string
  tasks: number
  agents: number
  beating: number
  supervisors: number
  watchMs: number
  settleMs: number
  idleMs: number
}
export const MEMORY: Omit<MemoryOptions, "directory"> = {
  tasks: 10_000,
  agents: 1_000,
  beating: 10_000,
  supervisors: 50,
  watchMs: 30_000,
  settleMs: 3_000,
  idleMs: 70_000,
}

export type MemoryReport = {
  tasks: number
  agents: number
  /** The hub's resident memory: just started; when the last task was answered; once nothing came for `idleMs`; and the most that it ever was until then. */
  emptyMb: number
  atOnceMb: number
  rssMb: number
  peakMb: number
  heartbeats: { agents: number; everyMs: number; beatsPerS: number; cpuPercentOfCore: number; idleCpuPercentOfCore: number; rssMb: number; seconds: number }
  gate: Record<string, Verdict>
}

/** What a hub weighs with work for a large team in it, and what it costs to hear from every agent that it lives. */
export async function benchMemory({ directory, tasks, agents, beating, supervisors, watchMs, settleMs, idleMs }: MemoryOptions): Promise<MemoryReport> {
  const hub = await startHub(directory)
  const operator = await connect(hub.address)
  const emptyMb = memoryOf(hub.pid).rssBytes / 1e6
  await addAgents(operator, "worker", agents)
  await addTasks(
    operator,
    Array.from({ length: tasks }, (_, at) => `task-${at}`),
  )
  const atOnceMb = round(memoryOf(hub.pid).rssBytes / 1e6)
  // Its own housekeeping (digest, checkpoint, the ledger's log) is done by then, and it has given back what it does not need at rest.
  await sleep(idleMs)
  const { rssBytes, peakBytes } = memoryOf(hub.pid)

  const heartbeats = await measureBeats(hub.address, hub.pid, { beating, supervisors, watchMs, settleMs })
  await operator.close()
  await hub.stop()
  const rssMb = round(rssBytes / 1e6)
  return {
    tasks,
    agents,
    emptyMb: round(emptyMb),
    atOnceMb,
    rssMb,
    peakMb: round(peakBytes / 1e6),
    heartbeats,
    gate: {
      rssMb: { value: rssMb, limit: 120, ok: rssMb <= 120 },
      heartbeatCpuPercent: { value: heartbeats.cpuPercentOfCore, limit: 10, ok: heartbeats.cpuPercentOfCore <= 10 },
    },
  }
}

async function measureBeats(
  address: HubAddress,
  pid: number,
  { beating, supervisors, watchMs, settleMs }: Pick<MemoryOptions, "beating" | "supervisors" | "watchMs" | "settleMs">,
): Promise<MemoryReport["heartbeats"]> {
  const beaters = new Child("./beaters.ts")
  const { everyMs } = await beaters.call<{ everyMs: number }>("open", { ...address, beating, supervisors })
  await sleep(settleMs)
  const before = cpuUs(pid)
  const startMs = performance.now()
  await sleep(watchMs)
  const seconds = (performance.now() - startMs) / 1_000
  const cpu = cpuUs(pid) - before
  const { rssBytes } = memoryOf(pid)
  await beaters.stop()
  await sleep(settleMs)
  // Nobody beats any more: what the hub costs by itself.
  const idleBefore = cpuUs(pid)
  await sleep(settleMs)
  const idle = cpuUs(pid) - idleBefore
  return {
    agents: beating,
    everyMs,
    beatsPerS: round((beating / everyMs) * 1_000),
    cpuPercentOfCore: round(cpu / 1e4 / seconds),
    idleCpuPercentOfCore: round(idle / 10 / settleMs),
    rssMb: round(rssBytes / 1e6),
    seconds: round(seconds),
  }
}

async function addAgents(operator: Awaited<ReturnType<typeof connect>>, prefix: string, count: number): Promise<void> {
  for (let at = 0; at < count; at += 500) {
    await Promise.all(Array.from({ length: Math.min(500, count - at) }, (_, index) => patiently(() => operator.agent.add({ name: `${prefix}-${at + index}` }))))
  }
}

export function describeMemory({ tasks, agents, emptyMb, atOnceMb, rssMb, peakMb, heartbeats, gate }: MemoryReport): string {
  const says = (name: string): string => (gate[name]?.ok === true ? "holds" : "FAILS")
  return [
    table(
      [`hub with ${show(tasks)} tasks and ${show(agents)} agents`, "MB"],
      [
        ["just started", show(emptyMb)],
        ["with all of them, at once", show(atOnceMb)],
        [`with all of them, once it is quiet (limit 120: ${says("rssMb")})`, show(rssMb)],
        ["the most on the way there", show(peakMb)],
      ],
    ),
    table(
      [`heartbeats of ${show(heartbeats.agents)} agents`, ""],
      [
        ["beats a second", show(heartbeats.beatsPerS)],
        [`CPU, % of a core (limit 10: ${says("heartbeatCpuPercent")})`, show(heartbeats.cpuPercentOfCore)],
        ["CPU with nobody there, % of a core", show(heartbeats.idleCpuPercentOfCore)],
        ["MB", show(heartbeats.rssMb)],
      ],
    ),
  ].join("\n\n")
}
