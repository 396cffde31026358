import { Bystander, type Stood } from "./bystander.ts"
import { Child } from "./child.ts"
import { cpuUs, memoryOf } from "./cpu.ts"
import { round, show, table } from "./figure.ts"
import type { Interval } from "./flood.ts"
import { sleep } from "./scratch.ts"
import { startHub } from "./skein.ts"

/** `inFlight`: calls that one client of those who heed the protocol has in flight at the most. `capacityPerS`: what the hub holds, where that is not to be found out first. */
export type BackpressureOptions = { directory: string; connections: number; inFlight: number; seconds: number; capacityPerS?: number }
export const BACKPRESSURE: Omit<BackpressureOptions, "directory"> = { connections: 64, inFlight: 64, seconds: 6 }

type Phase = {
  name: string
  offeredPerS: number
  heldBackPerS: number
  acceptedPerS: number
  overloadedPerS: number
  p50Ms: number
  p99Ms: number
  retryAfterMs: number
  other: number
  /** How late the process that offers the load came to it: so much of the latencies may be its own. */
  lateP99Ms: number
  rssMb: number
  cpuPercent: number
  bystander: Stood
}
type Verdict = { promise: string; reached: string; holds: boolean }
/** `recoveryMs`: after the load of those who heed the protocol fell, and until a bystander is served as before once those are gone who do not. */
export type BackpressureReport = {
  capacityPerS: number
  phases: Phase[]
  peakMb: number
  recoveryMs: number | null
  recoveryAfterFloodMs: number | null
  verdicts: Verdict[]
}

const STEP_MS = 250
/** Latencies below this are as good as any: less than one slow sync of the disk. */
const GOOD_MS = 5

/**
 * Durable writes offered at half, twice and again half of what the hub can hold, by clients who heed the protocol: open loop, with a bounded number in flight,
 * and a rest after `overloaded`. Then twice of it by clients who heed nothing, for what that does to others.
 */
export async function benchBackpressure(options: BackpressureOptions): Promise<BackpressureReport> {
  const { directory, connections, inFlight, seconds, capacityPerS: known } = options
  const hub = await startHub(directory)
  const bystander = await Bystander.open(hub.address)
  const open = async (name: string, most: number | null): Promise<Child> => {
    const child = new Child("./flood.ts")
    await child.call("open", { ...hub.address, name, count: connections, inFlight: most })
    return child
  }
  const crowd = await open("crowd", inFlight)
  const phase = async (name: string, from: Child, perSecond: number, phaseSeconds: number): Promise<Phase> => {
    await from.call("offer", { perSecond })
    // The queue needs a moment to become what this load makes of it.
    await sleep(500)
    await from.call("take")
    bystander.start()
    const before = cpuUs(hub.pid)
    const startMs = performance.now()
    let rss = 0
    for (let at = 0; at < phaseSeconds * 1_000; at += STEP_MS) {
      await sleep(STEP_MS)
      rss = Math.max(rss, memoryOf(hub.pid).rssBytes)
    }
    const took = (performance.now() - startMs) / 1_000
    const stood = await bystander.stop()
    const interval = await from.call<Interval>("take")
    return { name, ...figures(interval, took), rssMb: round(rss / 1e6), cpuPercent: round((cpuUs(hub.pid) - before) / 1e4 / took), bystander: stood }
  }

  const capacityPerS = known ?? (await findCapacity(crowd))
  const half = await phase("half of it", crowd, capacityPerS / 2, seconds / 2)
  const twice = await phase("twice of it", crowd, capacityPerS * 2, seconds)
  const recoveryMs = await recover(() => crowd.call("offer", { perSecond: capacityPerS / 2 }), crowd, half.p99Ms)
  const after = await phase("half again", crowd, capacityPerS / 2, seconds / 2)
  await crowd.stop()
  const flooders = await open("flooders", null)
  const flooded = await phase("twice, heeding nothing", flooders, capacityPerS * 2, seconds)
  flooders.kill()
  const recoveryAfterFloodMs = await calm(bystander, half.bystander.p99Ms)
  const peakMb = round(memoryOf(hub.pid).peakBytes / 1e6)
  await bystander.close()
  await hub.stop()
  const phases = [half, twice, after, flooded]
  const report = { capacityPerS, phases, peakMb, recoveryMs, recoveryAfterFloodMs }
  return { ...report, verdicts: judge(report, half, twice, flooded) }
}

function figures(
  { offered, heldBack, accepted, overloaded, other, p50Ms, p99Ms, retryAfterP50Ms, lateP99Ms }: Interval,
  seconds: number,
): Omit<Phase, "name" | "rssMb" | "cpuPercent" | "bystander"> {
  return {
    offeredPerS: round(offered / seconds),
    heldBackPerS: round(heldBack / seconds),
    acceptedPerS: round(accepted / seconds),
    overloadedPerS: round(overloaded / seconds),
    p50Ms: round(p50Ms),
    p99Ms: round(p99Ms),
    retryAfterMs: round(retryAfterP50Ms),
    other,
    lateP99Ms: round(lateP99Ms),
  }
}

/** The most that is accepted in a second: more is offered until it falls behind what is offered. */
async function findCapacity(crowd: Child): Promise<number> {
  let best = 0
  // One round in which the machine was busy elsewhere says nothing.
  let behind = 0
  for (let perSecond = 8_000; perSecond <= 256_000; perSecond *= 1.4) {
    await crowd.call("offer", { perSecond })
    await sleep(400)
    await crowd.call("take")
    const startMs = performance.now()
    await sleep(1_200)
    const { accepted } = await crowd.call<Interval>("take")
    const rate = accepted / ((performance.now() - startMs) / 1_000)
    behind = rate > 0.8 * perSecond ? 0 : behind + 1
    best = Math.max(best, rate)
    if (behind === 2) break
  }
  await crowd.call("offer", { perSecond: 0 })
  await sleep(1_500)
  await crowd.call("take")
  return round(best)
}

/** How long after the load fell answers are as quick as before, and none is refused: twice the undisturbed p99 counts as that. */
async function recover(fall: () => Promise<void>, crowd: Child, calmP99Ms: number): Promise<number | null> {
  await fall()
  const startMs = performance.now()
  for (let tries = 0; tries < 200; tries += 1) {
    await crowd.call("take")
    await sleep(50)
    const { accepted, overloaded, p99Ms } = await crowd.call<Interval>("take")
    if (accepted > 0 && overloaded === 0 && p99Ms <= Math.max(GOOD_MS, calmP99Ms * 2)) return round(performance.now() - startMs)
  }
  return null
}

/** How long until twenty calls of the bystander in a row are as quick as before. */
async function calm(bystander: Bystander, calmP99Ms: number): Promise<number | null> {
  const startMs = performance.now()
  while (performance.now() - startMs < 10_000) {
    const fromMs = performance.now()
    const { p99Ms, failed } = await bystander.ask((asked) => asked >= 20)
    if (failed === 0 && p99Ms <= Math.max(GOOD_MS, calmP99Ms * 2)) return round(fromMs - startMs)
  }
  return null
}

function judge(
  { phases, capacityPerS, recoveryMs, recoveryAfterFloodMs }: Omit<BackpressureReport, "verdicts">,
  half: Phase,
  twice: Phase,
  flooded: Phase,
): Verdict[] {
  const ms = (value: number | null): string => (value === null ? "not within 10 s" : `${show(value)} ms`)
  const rssMb = phases.map((one) => one.rssMb)
  const boundMs = Math.max(25, 3 * half.p99Ms)
  return [
    {
      promise: "at twice the load it says overloaded, with a time",
      reached: `${show(twice.overloadedPerS)}/s, ${ms(twice.retryAfterMs)}`,
      holds: twice.overloadedPerS > 0 && twice.retryAfterMs > 0 && twice.other === 0,
    },
    {
      promise: "and goes on with what it holds (four fifths)",
      reached: `${show(twice.acceptedPerS)} of ${show(capacityPerS)}/s`,
      holds: twice.acceptedPerS >= 0.8 * capacityPerS,
    },
    {
      promise: "accepted work keeps its latency (p99, three times the calm one or 25 ms)",
      reached: `${ms(twice.p99Ms)}, calm ${ms(half.p99Ms)}`,
      holds: twice.p99Ms <= boundMs,
    },
    {
      promise: "a bystander among those who heed the protocol (p99, the same)",
      reached: `${ms(twice.bystander.p99Ms)}, calm ${ms(half.bystander.p99Ms)}`,
      holds: twice.bystander.failed === 0 && twice.bystander.p99Ms <= boundMs,
    },
    {
      promise: "a bystander among those who do not (p99, twice that)",
      reached: ms(flooded.bystander.p99Ms),
      holds: flooded.bystander.failed === 0 && flooded.bystander.p99Ms <= 2 * boundMs,
    },
    { promise: "memory is bounded (1 GB)", reached: `${show(Math.max(...rssMb))} MB`, holds: Math.max(...rssMb) < 1_000 },
    { promise: "it recovers at once (1 s)", reached: ms(recoveryMs), holds: recoveryMs !== null && recoveryMs <= 1_000 },
    {
      promise: "also from those who heed nothing, once they are gone",
      reached: ms(recoveryAfterFloodMs),
      holds: recoveryAfterFloodMs !== null && recoveryAfterFloodMs <= 1_000,
    },
  ]
}

export function describeBackpressure({ capacityPerS, phases, peakMb, verdicts }: BackpressureReport): string {
  const crowd = phases.map((one) => [
    one.name,
    ...[one.offeredPerS, one.heldBackPerS, one.acceptedPerS, one.overloadedPerS, one.p50Ms, one.p99Ms, one.retryAfterMs, one.other, one.lateP99Ms].map(show),
    ...[one.rssMb, one.cpuPercent].map(show),
  ])
  const stood = phases.map(({ name, bystander }) => [name, ...[bystander.count, bystander.failed, bystander.p50Ms, bystander.p99Ms].map(show)])
  return [
    `the hub holds ${show(capacityPerS)} durable updates a second`,
    table(["load", "offered/s", "held back/s", "accepted/s", "overloaded/s", "p50", "p99 ms", "retry-after ms", "other", "late p99", "MB", "CPU %"], crowd),
    table(["a bystander at", "calls", "failed", "p50", "p99 ms"], stood),
    table(
      ["promise", "reached", ""],
      verdicts.map(({ promise, reached, holds }) => [promise, reached, holds ? "holds" : "does not hold"]),
    ),
    `peak memory ${show(peakMb)} MB`,
  ].join("\n\n")
}
