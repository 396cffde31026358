import { connect } from "../src/client/client.ts"
import { Child } from "./child.ts"
import { cpuUs } from "./cpu.ts"
import { median, round, show, type Spread, spread, table } from "./figure.ts"
import type { W2 } from "./load.ts"
import { sleep } from "./scratch.ts"
import { addAgent, addTasks, startHub } from "./skein.ts"
import type { Delivered, Delivery } from "./subscribers.ts"

export type FanoutOptions = { directory: string; subscribers: number; rounds: number; paced: number; burst: number; clients: number }
export const FANOUT: Omit<FanoutOptions, "directory"> = { subscribers: 1_000, rounds: 5, paced: 50, burst: 1_000, clients: 16 }

export type FanoutReport = {
  subscribers: number
  /** One claim at a time: from its acknowledgement to each of the subscribers. */
  paced: Spread & { lastSubscriberP50Ms: number; cpuUsPerDelivery: number }
  /** Claims as fast as they come: each event reaches every subscriber, those of one commit share a frame. */
  burst: {
    eventsPerS: number
    deliveriesPerS: number
    eventsPerFrame: number
    cpuUsPerDelivery: number
    cpuUsPerFrame: number
    seconds: number
    mbPerS: number
  }
}

/** One event to a thousand subscribers of another process. */
export async function benchFanout({ directory, subscribers, rounds, paced, burst, clients }: FanoutOptions): Promise<FanoutReport> {
  const hub = await startHub(directory)
  const { url, credential } = hub.address
  const operator = await connect({ url, credential })
  const listeners = new Child("./subscribers.ts")
  const load = new Child("./load.ts")
  await load.call("open", { engine: "skein", address: hub.address })
  await load.call("connect", clients)
  const claimant = await connect({ url, credential: await addAgent(operator, "paced") })
  const head = await operator.call("ledger.head", {})
  await listeners.call("open", { url, token: credential, count: subscribers, from: head.seq + 1 })

  const latencies: number[] = []
  const lasts: number[] = []
  let pacedCpu = 0
  let pacedDeliveries = 0
  await addTasks(
    operator,
    Array.from({ length: paced * rounds }, (_, at) => `paced-${at}`),
  )
  await reach(listeners, (await operator.call("ledger.head", {})).seq)
  await listeners.call("take")
  for (let at = 0; at < paced * rounds; at += 1) {
    const before = cpuUs(hub.pid)
    const { claims } = await claimant.call("task.claimNext", {})
    const ackNs = process.hrtime.bigint()
    const seq = claims[0]?.fence ?? 0
    await reach(listeners, seq)
    pacedCpu += cpuUs(hub.pid) - before
    const { deliveries } = await listeners.call<Delivered>("take")
    const ms = arrivals(deliveries, seq).map((atNs) => Number(atNs - ackNs) / 1e6)
    pacedDeliveries += ms.length
    latencies.push(...ms)
    lasts.push(Math.max(...ms))
  }

  const bursts: FanoutReport["burst"][] = []
  for (let at = 0; at < rounds; at += 1) {
    await addTasks(
      operator,
      Array.from({ length: burst }, (_, task) => `burst-${at}-${task}`),
    )
    const start = (await operator.call("ledger.head", {})).seq
    await reach(listeners, start)
    await listeners.call("take")
    const before = cpuUs(hub.pid)
    const startMs = performance.now()
    await load.call<W2>("w2", 1)
    const end = (await operator.call("ledger.head", {})).seq
    await reach(listeners, end)
    const seconds = (performance.now() - startMs) / 1_000
    const cpu = cpuUs(hub.pid) - before
    const { frames, bytes } = await listeners.call<Delivered>("take")
    const delivered = (end - start) * subscribers
    bursts.push({
      eventsPerS: (end - start) / seconds,
      deliveriesPerS: delivered / seconds,
      eventsPerFrame: delivered / frames,
      cpuUsPerDelivery: cpu / delivered,
      cpuUsPerFrame: cpu / frames,
      seconds,
      mbPerS: bytes / 1e6 / seconds,
    })
  }
  await Promise.all([operator.close(), claimant.close(), listeners.stop(), load.stop()])
  await hub.stop()
  const middle = (field: keyof FanoutReport["burst"]): number => round(median(bursts.map((one) => one[field])))
  return {
    subscribers,
    paced: { ...spread(latencies), lastSubscriberP50Ms: round(median(lasts)), cpuUsPerDelivery: round(pacedCpu / pacedDeliveries) },
    burst: {
      eventsPerS: middle("eventsPerS"),
      deliveriesPerS: middle("deliveriesPerS"),
      eventsPerFrame: middle("eventsPerFrame"),
      cpuUsPerDelivery: middle("cpuUsPerDelivery"),
      cpuUsPerFrame: middle("cpuUsPerFrame"),
      seconds: middle("seconds"),
      mbPerS: middle("mbPerS"),
    },
  }
}

/** When entry `seq` reached each subscriber. What follows in a frame of its own is no second arrival: the hub records a checkpoint every second. */
export function arrivals(deliveries: readonly Delivery[], seq: number): bigint[] {
  const first = new Map<number, bigint>()
  for (const { subscriber, to, atNs } of deliveries) if (to >= seq && !first.has(subscriber)) first.set(subscriber, atNs)
  return [...first.values()]
}

/** Waits until every subscriber has everything up to `seq`. */
async function reach(listeners: Child, seq: number): Promise<void> {
  const deadline = performance.now() + 60_000
  while ((await listeners.call<number>("reached")) < seq) {
    if (performance.now() > deadline) throw new Error(`subscribers did not reach entry ${seq}`)
    await sleep(2)
  }
}

export function describeFanout({ subscribers, paced, burst }: FanoutReport): string {
  return [
    table(
      [`one event to ${subscribers} subscribers`, "p50", "p90", "p99", "the last ms", "CPU us each"],
      [["from the acknowledgement", ...[paced.p50Ms, paced.p90Ms, paced.p99Ms, paced.lastSubscriberP50Ms, paced.cpuUsPerDelivery].map(show)]],
    ),
    table(
      ["as fast as they come", "events/s", "deliveries/s", "events a frame", "CPU us a delivery", "a frame", "MB/s"],
      [["burst", ...[burst.eventsPerS, burst.deliveriesPerS, burst.eventsPerFrame, burst.cpuUsPerDelivery, burst.cpuUsPerFrame, burst.mbPerS].map(show)]],
    ),
  ].join("\n\n")
}
