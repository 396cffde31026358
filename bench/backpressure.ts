import { connect } from "../src/client/client.ts"
import { Child } from "./child.ts"
import { cpuUs, memoryOf } from "./cpu.ts"
import { percentile, round, show, table } from "./figure.ts"
import type { Interval } from "./flood.ts"
import { sleep } from "./scratch.ts"
import { addAgent, startHub } from "./skein.ts"
import { Wire } from "./wire.ts"

/** `capacityPerS`: what the hub holds, where that is not to be found out first. */
export type BackpressureOptions = { directory: string; connections: number; seconds: number; capacityPerS?: number }
export const BACKPRESSURE: Omit<BackpressureOptions, "directory"> = { connections: 64, seconds: 6 }

/** `bystander`: a client that asks one thing at a time while the others flood the hub, each answer timed from its own asking. */
type Phase = {
  name: string
  bystander: { p50Ms: number; p99Ms: number; acceptedPerS: number; overloadedPerS: number }
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
export async function benchBackpressure({ directory, connections, seconds, capacityPerS: known }: BackpressureOptions): Promise<BackpressureReport> {
  const hub = await startHub(directory)
  const flood = new Child("./flood.ts")
  await flood.call("open", { ...hub.address, count: connections })
  const bystander = await Bystander.open(hub.address)
  const offer = (perSecond: number): Promise<void> => flood.call("offer", { perSecond })

  const phase = async (name: string, perSecond: number, phaseSeconds: number): Promise<Phase> => {
    await offer(perSecond)
    // The queue needs a moment to become what this load makes of it.
    await sleep(500)
    await flood.call("take")
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
    const { offered, accepted, overloaded, other, p50Ms, p99Ms, retryAfterP50Ms } = await flood.call<Interval>("take")
    return {
      name,
      bystander: stood,
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

  const capacityPerS = known ?? (await findCapacity(offer, flood))
  const half = await phase("half of it", capacityPerS / 2, seconds / 2)
  const twice = await phase("twice of it", capacityPerS * 2, seconds)
  const recoveryMs = await recover(() => offer(capacityPerS / 2), flood, half.p99Ms)
  const after = await phase("half again", capacityPerS / 2, seconds / 2)
  await offer(0)
  const peakMb = round(memoryOf(hub.pid).peakBytes / 1e6)
  bystander.close()
  await flood.stop()
  await hub.stop()
  return { capacityPerS, phases: [half, twice, after], peakMb, recoveryMs }
}

class Bystander {
  readonly #wire: Wire
  readonly #held: { task: string; fence: number }
  #calls = 0
  #going: Promise<{ latencies: number[]; overloaded: number; seconds: number }> | null = null
  #stopped = false

  private constructor(wire: Wire, held: { task: string; fence: number }) {
    this.#wire = wire
    this.#held = held
  }

  static async open({ url, credential }: { url: string; credential: string }): Promise<Bystander> {
    const operator = await connect({ url, credential })
    await operator.task.add({ id: "bystander", title: "Stands by" })
    const wire = await Wire.open(url, await addAgent(operator, "bystander"))
    await operator.close()
    const { ok } = await wire.ask({ id: 0, op: "task.claim", in: { task: "bystander" } })
    return new Bystander(wire, { task: "bystander", fence: ok?.["fence"] as number })
  }

  start(): void {
    this.#stopped = false
    this.#going = this.#ask()
  }

  async stop(): Promise<Phase["bystander"]> {
    this.#stopped = true
    const { latencies, overloaded, seconds } = (await this.#going) ?? { latencies: [], overloaded: 0, seconds: 1 }
    return {
      p50Ms: round(percentile(latencies, 0.5)),
      p99Ms: round(percentile(latencies, 0.99)),
      acceptedPerS: round(latencies.length / seconds),
      overloadedPerS: round(overloaded / seconds),
    }
  }

  close(): void {
    this.#wire.close()
  }

  async #ask(): Promise<{ latencies: number[]; overloaded: number; seconds: number }> {
    const latencies: number[] = []
    let overloaded = 0
    const startMs = performance.now()
    while (!this.#stopped) {
      const askedMs = performance.now()
      const { ok, error } = await this.#wire.ask({ id: (this.#calls += 1), op: "task.update", in: { ...this.#held, progress: 0.5 } })
      if (ok !== undefined) latencies.push(performance.now() - askedMs)
      else if (error?.code === "overloaded") overloaded += 1
      else throw new Error(`the bystander heard ${JSON.stringify(error)}`)
      await sleep(ok === undefined ? (error?.retryAfterMs ?? 20) : 1)
    }
    return { latencies, overloaded, seconds: (performance.now() - startMs) / 1_000 }
  }
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
  const flooded = phases.map((one) => [
    one.name,
    ...[one.offeredPerS, one.acceptedPerS, one.overloadedPerS, one.p50Ms, one.p99Ms, one.retryAfterMs, one.other, one.rssMb, one.cpuPercent].map(show),
  ])
  const stood = phases.map(({ name, bystander }) => [name, ...[bystander.acceptedPerS, bystander.overloadedPerS, bystander.p50Ms, bystander.p99Ms].map(show)])
  return [
    `the hub holds ${show(capacityPerS)} durable updates a second`,
    table(["load", "offered/s", "accepted/s", "overloaded/s", "p50", "p99 ms", "retry-after ms", "other", "MB", "CPU %"], flooded),
    table(["a bystander at", "accepted/s", "overloaded/s", "p50", "p99 ms"], stood),
    `peak memory ${show(peakMb)} MB; as quick as before ${recoveryMs === null ? "not within 10 s" : `${show(recoveryMs)} ms`} after the load fell`,
  ].join("\n\n")
}
