import { Child } from "./child.ts"
import { cpuUs, memoryOf } from "./cpu.ts"
import { round, show, table } from "./figure.ts"
import type { Interval } from "./flood.ts"
import { sleep } from "./scratch.ts"
import { startHub } from "./skein.ts"

export type BackpressureOptions = { directory: string; connections: number; seconds: number }
export const BACKPRESSURE: Omit<BackpressureOptions, "directory"> = { connections: 64, seconds: 6 }

type Phase = {
  name: string
  offeredPerS: number
  acceptedPerS: number
  overloadedPerS: number
  p50Ms: number
  p99Ms: number
  retryAfterMs: number
  other: number
  rssMb: number
  cpuPercent: number
}
export type BackpressureReport = { capacityPerS: number; phases: Phase[]; peakMb: number; recoveryMs: number | null }

const STEP_MS = 250

/** Durable writes offered at half, twice and again half of what the hub can hold, whether it answers or not. */
export async function benchBackpressure({ directory, connections, seconds }: BackpressureOptions): Promise<BackpressureReport> {
  const hub = await startHub(directory)
  const flood = new Child("./flood.ts")
  await flood.call("open", { ...hub.address, count: connections })
  const offer = (perSecond: number): Promise<void> => flood.call("offer", { perSecond })

  const phase = async (name: string, perSecond: number, phaseSeconds: number): Promise<Phase> => {
    await offer(perSecond)
    // The queue needs a moment to become what this load makes of it.
    await sleep(500)
    await flood.call("take")
    const before = cpuUs(hub.pid)
    const startMs = performance.now()
    let rss = 0
    for (let at = 0; at < phaseSeconds * 1_000; at += STEP_MS) {
      await sleep(STEP_MS)
      rss = Math.max(rss, memoryOf(hub.pid).rssBytes)
    }
    const took = (performance.now() - startMs) / 1_000
    const { offered, accepted, overloaded, other, p50Ms, p99Ms, retryAfterP50Ms } = await flood.call<Interval>("take")
    return {
      name,
      offeredPerS: round(offered / took),
      acceptedPerS: round(accepted / took),
      overloadedPerS: round(overloaded / took),
      p50Ms: round(p50Ms),
      p99Ms: round(p99Ms),
      retryAfterMs: round(retryAfterP50Ms),
      other,
      rssMb: round(rss / 1e6),
      cpuPercent: round((cpuUs(hub.pid) - before) / 1e4 / took),
    }
  }

  const capacityPerS = await findCapacity(offer, flood)
  const half = await phase("half of it", capacityPerS / 2, seconds / 2)
  const twice = await phase("twice of it", capacityPerS * 2, seconds)
  const recoveryMs = await recover(() => offer(capacityPerS / 2), flood, half.p99Ms)
  const after = await phase("half again", capacityPerS / 2, seconds / 2)
  await offer(0)
  const peakMb = round(memoryOf(hub.pid).peakBytes / 1e6)
  await flood.stop()
  await hub.stop()
  return { capacityPerS, phases: [half, twice, after], peakMb, recoveryMs }
}

/** The most that is accepted in a second: more is offered until more makes no difference. */
async function findCapacity(offer: (perSecond: number) => Promise<void>, flood: Child): Promise<number> {
  let best = 0
  for (let perSecond = 4_000; perSecond <= 256_000; perSecond *= 1.5) {
    await offer(perSecond)
    await sleep(400)
    await flood.call("take")
    const startMs = performance.now()
    await sleep(1_200)
    const { accepted } = await flood.call<Interval>("take")
    const rate = accepted / ((performance.now() - startMs) / 1_000)
    const better = rate > best * 1.05
    best = Math.max(best, rate)
    if (!better) break
  }
  await offer(0)
  await sleep(1_500)
  await flood.call("take")
  return round(best)
}

/** How long after the load fell answers are as quick as before: twice the undisturbed p99 counts as that. */
async function recover(fall: () => Promise<void>, flood: Child, calmP99Ms: number): Promise<number | null> {
  await fall()
  const startMs = performance.now()
  for (let tries = 0; tries < 200; tries += 1) {
    await flood.call("take")
    await sleep(50)
    const { accepted, overloaded, p99Ms } = await flood.call<Interval>("take")
    if (accepted > 0 && overloaded === 0 && p99Ms <= Math.max(5, calmP99Ms * 2)) return round(performance.now() - startMs)
  }
  return null
}

export function describeBackpressure({ capacityPerS, phases, peakMb, recoveryMs }: BackpressureReport): string {
  const rows = phases.map(({ name, offeredPerS, acceptedPerS, overloadedPerS, p50Ms, p99Ms, retryAfterMs, other, rssMb, cpuPercent }) => [
    name,
    ...[offeredPerS, acceptedPerS, overloadedPerS, p50Ms, p99Ms, retryAfterMs, other, rssMb, cpuPercent].map(show),
  ])
  return [
    `the hub holds ${show(capacityPerS)} durable updates a second`,
    table(["load", "offered/s", "accepted/s", "overloaded/s", "p50", "p99 ms", "retry-after ms", "other", "MB", "CPU %"], rows),
    `peak memory ${show(peakMb)} MB; as quick as before ${recoveryMs === null ? "not within 10 s" : `${show(recoveryMs)} ms`} after the load fell`,
  ].join("\n\n")
}
