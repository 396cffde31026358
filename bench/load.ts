/** The process that makes the load: it holds the clients of one engine, does as it is told, and says what it saw. */
import { bullmqDriver } from "./bullmq.ts"
import { answer } from "./child.ts"
import type { Address, Claim, Claimant, Driver, EngineName } from "./engine.ts"
import { floorDriver } from "./floor.ts"
import { loopDriver } from "./loop.ts"
import { postgresDriver } from "./postgres.ts"
import { redisDriver } from "./redis.ts"
import { skeinDriver } from "./skein.ts"

export type W1 = { latenciesMs: number[] }
export type W2 = { seconds: number; latenciesMs: number[]; claims: Claim[]; clientCpuUs: number }
/** When a claim was asked for, acknowledged and heard of, on the clock that all processes of a machine share, in ns. */
export type Acknowledged = { task: string; requestNs: bigint; ackNs: bigint }
export type Heard = { task: string; atNs: bigint }

const drivers: Record<EngineName, (address: Address) => Promise<Driver>> = {
  floor: floorDriver,
  loop: loopDriver,
  skein: (address) => skeinDriver(address, "websocket"),
  http: (address) => skeinDriver(address, "http"),
  redis: redisDriver,
  bullmq: bullmqDriver,
  postgres: postgresDriver,
}

let driver: Driver | null = null
const claimants: Claimant[] = []
let announcer: Claimant | null = null
let heard: Heard[] = []
let unlisten: (() => unknown) | null = null

function opened(): Driver {
  if (driver === null) throw new Error("open first")
  return driver
}

answer({
  async open({ engine, address }: { engine: EngineName; address: Address }) {
    driver = await drivers[engine](address)
  },
  async fill({ prefix, count }: { prefix: string; count: number }) {
    await opened().fill(Array.from({ length: count }, (_, at) => `${prefix}${at}`))
  },
  async connect(count: number) {
    while (claimants.length < count) claimants.push(await opened().claimant({ announce: false }))
  },
  async listen() {
    heard = []
    unlisten = await opened().listen((task) => heard.push({ task, atNs: process.hrtime.bigint() }))
  },
  async unlisten() {
    await unlisten?.()
  },
  heard() {
    const all = heard
    heard = []
    return all
  },
  async clear() {
    await opened().clear?.()
  },
  async w1(count: number): Promise<W1> {
    const [claimant] = claimants as [Claimant]
    const latenciesMs: number[] = []
    for (let at = 0; at < count; at += 1) {
      const startMs = performance.now()
      const claim = await claimant.claim()
      latenciesMs.push(performance.now() - startMs)
      if (claim === null) throw new Error(`nothing was left after ${at} of ${count} claims`)
    }
    return { latenciesMs }
  },
  givesSeveral(): boolean {
    return claimants[0]?.claimSeveral !== undefined
  },
  /** `atOnce`: tasks that each question asks for; more than one only of an engine that gives several. */
  async w2(atOnce: number): Promise<W2> {
    const latenciesMs: number[] = []
    const claims: Claim[] = []
    const ask = async (claimant: Claimant): Promise<boolean> => {
      if (atOnce === 1) {
        const claim = await claimant.claim()
        if (claim !== null) claims.push(claim)
        return claim !== null
      }
      const several = (await claimant.claimSeveral?.(atOnce)) ?? []
      claims.push(...several)
      return several.length > 0
    }
    const before = process.cpuUsage()
    const startMs = performance.now()
    await Promise.all(
      claimants.map(async (claimant) => {
        for (;;) {
          const askedMs = performance.now()
          if (!(await ask(claimant))) return
          latenciesMs.push(performance.now() - askedMs)
        }
      }),
    )
    const seconds = (performance.now() - startMs) / 1_000
    const { user, system } = process.cpuUsage(before)
    return { seconds, latenciesMs, claims, clientCpuUs: user + system }
  },
  async w3({ count, gapMs }: { count: number; gapMs: number }): Promise<Acknowledged[]> {
    announcer ??= await opened().claimant({ announce: true })
    const acknowledged: Acknowledged[] = []
    for (let at = 0; at < count; at += 1) {
      const requestNs = process.hrtime.bigint()
      const claim = await announcer.claim()
      const ackNs = process.hrtime.bigint()
      if (claim === null) throw new Error("nothing was left to claim")
      acknowledged.push({ task: claim.task, requestNs, ackNs })
      // The next claim must not share the subscriber's attention with the last one's event.
      await new Promise((resolve) => {
        setTimeout(resolve, gapMs)
      })
    }
    return acknowledged
  },
  async stop() {
    await driver?.close()
  },
})
