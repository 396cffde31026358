import { startBullmq } from "./bullmq.ts"
import { Child } from "./child.ts"
import { cpuUs } from "./cpu.ts"
import { type Claim, type Engine, type EngineName, Skipped } from "./engine.ts"
import { medians, percentile, round, show, spread, table } from "./figure.ts"
import { type Floors, measureFloors, startFloor } from "./floor.ts"
import type { Acknowledged, Heard, W1, W2 } from "./load.ts"
import { startLoop } from "./loop.ts"
import { installClients } from "./peer.ts"
import { startPostgres } from "./postgres.ts"
import { startRedis } from "./redis.ts"
import { sleep } from "./scratch.ts"
import { startSkein } from "./skein.ts"

export type ClaimsOptions = {
  directory: string
  rounds: number
  /** Rounds before those, of which nothing is kept. */
  warmRounds: number
  /** After each engine's turn it is waited for quiet no longer than this. */
  quietWithinMs: number
  /** Sequential claims a round. */
  w1: number
  /** Open tasks a round, and the connections that claim them. */
  w2: number
  clients: number
  /** W4 is W2 with questions that each claim so many tasks, of the engines that can. */
  atOnce: number
  /** Claims a round that a subscriber is timed on. */
  w3: number
  engines: readonly EngineName[]
}

export const CLAIMS: Omit<ClaimsOptions, "directory"> = {
  rounds: 5,
  warmRounds: 5,
  quietWithinMs: 15_000,
  w1: 1_000,
  w2: 5_000,
  clients: 64,
  atOnce: 8,
  w3: 100,
  engines: ["floor", "loop", "skein", "http", "redis", "bullmq", "postgres"],
}

type Many = { claimsPerS: number; p50Ms: number; p99Ms: number; doubled: number; lost: number; cpuUsPerClaim: number; clientCpuUsPerClaim: number }
export type Figures = {
  w1: { p50Ms: number; p99Ms: number }
  w2: Omit<Many, "cpuUsPerClaim" | "clientCpuUsPerClaim">
  /** null: it gives one task at a time. */
  w4: Many | null
  /** From the acknowledgement at the claimer to the event at a subscriber in another process; negative: the event was first. */
  w3: { p50Ms: number; p99Ms: number; fromRequestP50Ms: number }
  cpuUsPerClaim: number
  clientCpuUsPerClaim: number
}
/** A gate's verdict; `ok` is null where what it compares with did not take part. */
export type Verdict = { value: number | null; limit: number; ok: boolean | null; stretch?: true }
export type ClaimsReport = Partial<Figures> & {
  /** Tasks that a question of W4 asks for. */
  atOnce: number
  http: Figures | null
  inProcess: Figures | null
  /** null: it did not take part. */
  floor: (Floors & Figures) | null
  peers: Partial<Record<EngineName, Figures>>
  skipped: { engine: EngineName; why: string; remedy: string }[]
  gate: Record<string, Verdict>
}

type Station = { engine: Engine; load: Child; listener: Child | null; rounds: RoundFigures[] }
type RoundFigures = {
  w1p50: number
  w1p99: number
  w2: Many
  w4: Many | null
  ack: number[]
  request: number[]
}

const starters: Record<EngineName, (directory: string) => Promise<Engine>> = {
  floor: startFloor,
  loop: startLoop,
  skein: (directory) => startSkein(directory, "skein"),
  http: (directory) => startSkein(directory, "http"),
  redis: (directory) => startRedis(directory, "redis"),
  bullmq: startBullmq,
  postgres: startPostgres,
}
/** Quiet is so many looks in a row at which all servers together used less than this share of one core. */
const LOOK_MS = 300
const QUIET_LOOKS = 2
const BUSY_SHARE = 0.05
const FLOORS = ["fdatasync", "fdatasyncPreallocated", "ws", "http"] as const
const PEERS: readonly EngineName[] = ["redis", "bullmq", "postgres"]

/** W1, W2 and W3 on every engine, the rounds interleaved, so that whatever else the machine does falls on all of them. */
export async function benchClaims(options: ClaimsOptions): Promise<ClaimsReport> {
  const skipped: ClaimsReport["skipped"] = []
  const stations: Station[] = []
  for (const name of options.engines) {
    try {
      if (PEERS.includes(name)) installClients()
      stations.push(await station(name, options))
    } catch (error) {
      if (!(error instanceof Skipped)) throw error
      skipped.push({ engine: name, why: error.message, remedy: error.remedy })
      process.stderr.write(`bench: WITHOUT ${name}: ${error.message}. ${error.remedy}\n`)
    }
  }
  // What is measured is a server that has been at work for a while: an engine that compiles as it goes needs some 30,000 claims for it.
  const play = async (one: Station, how: ClaimsOptions, label: string): Promise<void> => {
    await playRound(one, how, label)
    await quiet(stations, options.quietWithinMs)
  }
  for (let at = 0; at < options.warmRounds; at += 1) for (const one of stations) await play(one, { ...options, w3: Math.ceil(options.w3 / 10) }, `warm${at}`)
  for (const one of stations) one.rounds = []
  const floors: Floors[] = []
  for (let at = 0; at < options.rounds; at += 1) {
    const floor = stations.find(({ engine }) => engine.name === "floor")
    if (floor) floors.push(await measureFloors(options.directory, floor.engine, options.w1))
    // Who goes first changes from round to round.
    for (let place = 0; place < stations.length; place += 1) await play(stations[(at + place) % stations.length] as Station, options, `r${at}`)
  }
  for (const { load, listener, engine } of stations) {
    await listener?.stop()
    await load.stop()
    await engine.stop()
  }
  return { atOnce: options.atOnce, ...report(stations, floors, skipped) }
}

async function station(name: EngineName, { directory, clients }: ClaimsOptions): Promise<Station> {
  const engine = await starters[name](directory)
  const load = new Child("./load.ts")
  await load.call("open", { engine: name, address: engine.address })
  await load.call("connect", clients)
  // The loop without sockets has nobody in another process.
  const listener = name === "loop" ? null : new Child("./load.ts")
  await listener?.call("open", { engine: name, address: engine.address })
  return { engine, load, listener, rounds: [] }
}

/** What an engine does after its turn (tidying up its files, snapshots, collecting garbage) must not fall into another's: waits until none does anything. */
async function quiet(stations: readonly Station[], withinMs: number): Promise<void> {
  const used = (): number => stations.reduce((sum, { engine, load }) => sum + cpuUs(engine.pid ?? load.pid), 0)
  const untilMs = performance.now() + withinMs
  for (let rests = 0; rests < QUIET_LOOKS && performance.now() < untilMs;) {
    const before = used()
    await sleep(LOOK_MS)
    rests = used() - before < BUSY_SHARE * LOOK_MS * 1_000 ? rests + 1 : 0
  }
}

async function playRound(station: Station, { w1, w2, w3, atOnce }: ClaimsOptions, label: string): Promise<void> {
  const { engine, load, listener, rounds } = station
  await load.call("fill", { prefix: `${label}-w1-`, count: w1 })
  await sleep(50)
  const { latenciesMs } = await load.call<W1>("w1", w1)
  const one = { p50: percentile(latenciesMs, 0.5), p99: percentile(latenciesMs, 0.99) }

  const two = await playMany(station, `${label}-w2-`, w2, 1)
  const four = (await load.call<boolean>("givesSeveral")) ? await playMany(station, `${label}-w4-`, w2, atOnce) : null

  const ack: number[] = []
  const request: number[] = []
  if (listener !== null) {
    await load.call("fill", { prefix: `${label}-w3-`, count: w3 })
    // Only now: a subscriber that hears of every claim of W1 and W2 would cost what no peer is asked for.
    await listener.call("listen")
    await sleep(50)
    const acknowledged = await load.call<Acknowledged[]>("w3", { count: w3, gapMs: 2 })
    await sleep(50)
    const heard = new Map((await listener.call<Heard[]>("heard")).map(({ task, atNs }) => [task, atNs]))
    await listener.call("unlisten")
    for (const { task, requestNs, ackNs } of acknowledged) {
      const atNs = heard.get(task)
      if (atNs === undefined) throw new Error(`${engine.name}: the subscriber never heard of ${task}`)
      ack.push(Number(atNs - ackNs) / 1e6)
      request.push(Number(atNs - requestNs) / 1e6)
    }
  }
  await load.call("clear")
  rounds.push({ w1p50: one.p50, w1p99: one.p99, w2: two, w4: four, ack, request })
}

async function playMany({ engine, load }: Station, prefix: string, count: number, atOnce: number): Promise<Many> {
  await load.call("fill", { prefix, count })
  await sleep(50)
  const pid = engine.pid ?? load.pid
  const before = cpuUs(pid)
  const { claims, seconds, latenciesMs, clientCpuUs } = await load.call<W2>("w2", atOnce)
  const cpuUsPerClaim = (cpuUs(pid) - before) / count
  const { doubled, lost } = compare(prefix, count, claims, await engine.stored())
  const { p50Ms, p99Ms } = spread(latenciesMs)
  return { claimsPerS: count / seconds, p50Ms, p99Ms, doubled, lost, cpuUsPerClaim, clientCpuUsPerClaim: clientCpuUs / count }
}

/** Tasks that two were told to hold, and tasks that nobody holds, by what the clients heard and by what the store says. */
export function compare(prefix: string, count: number, answered: readonly Claim[], stored: readonly Claim[] | null): { doubled: number; lost: number } {
  const told = new Map<string, number>()
  let doubled = 0
  for (const { task, fence } of answered) {
    if (told.has(task)) doubled += 1
    told.set(task, fence)
  }
  const kept = new Map<string, number>()
  for (const { task, fence } of stored ?? []) {
    if (!task.startsWith(prefix)) continue
    if (kept.has(task)) doubled += 1
    kept.set(task, fence)
  }
  let lost = 0
  for (let at = 0; at < count; at += 1) {
    const task = `${prefix}${at}`
    const fence = told.get(task)
    if (fence === undefined || (stored !== null && kept.get(task) !== fence)) lost += 1
  }
  return { doubled, lost }
}

function figures({ rounds, listener }: Station): Figures {
  const w3 = rounds.map(({ ack, request }) => ({ p50Ms: percentile(ack, 0.5), p99Ms: percentile(ack, 0.99), fromRequestP50Ms: percentile(request, 0.5) }))
  const { cpuUsPerClaim, clientCpuUsPerClaim, ...w2 } = ofRounds(rounds.map((one) => one.w2))
  const four = rounds.flatMap((one) => one.w4 ?? [])
  return {
    w1: medians(rounds.map(({ w1p50, w1p99 }) => ({ p50Ms: w1p50, p99Ms: w1p99 }))),
    w2,
    w4: four.length === 0 ? null : ofRounds(four),
    w3: listener === null ? { p50Ms: Number.NaN, p99Ms: Number.NaN, fromRequestP50Ms: Number.NaN } : medians(w3),
    cpuUsPerClaim,
    clientCpuUsPerClaim,
  }
}

/** Medians, but every task that was doubled or lost in any round. */
function ofRounds(rounds: readonly Many[]): Many {
  const sum = (of: "doubled" | "lost"): number => rounds.reduce((all, one) => all + one[of], 0)
  return { ...medians(rounds), doubled: sum("doubled"), lost: sum("lost") }
}

function report(stations: readonly Station[], floors: readonly Floors[], skipped: ClaimsReport["skipped"]): Omit<ClaimsReport, "atOnce"> {
  const of = (name: EngineName): Figures | null => {
    const found = stations.find(({ engine }) => engine.name === name)
    return found === undefined ? null : figures(found)
  }
  const skein = of("skein")
  const http = of("http")
  const peers = Object.fromEntries(PEERS.flatMap((name) => (of(name) === null ? [] : [[name, of(name)]]))) as Partial<Record<EngineName, Figures>>
  const bare = of("floor")
  const floor = bare === null ? null : { ...mediansOfFloors(floors), ...bare }
  return { ...skein, http, inProcess: of("loop"), floor, peers, skipped, gate: gate(skein, http, floor, peers) }
}

function mediansOfFloors(floors: readonly Floors[]): Floors {
  return Object.fromEntries(FLOORS.map((name) => [name, medians(floors.map((one) => one[name]))])) as Floors
}

/** The limits. A gate whose other side did not take part has no verdict, and says so by null. */
function gate(skein: Figures | null, http: Figures | null, floor: Figures | null, peers: ClaimsReport["peers"]): Record<string, Verdict> {
  const over = (a: number | undefined, b: number | undefined): number | null => (a === undefined || b === undefined ? null : round(a / b))
  const atMost = (value: number | null | undefined, limit: number): Verdict => ({
    value: value ?? null,
    limit,
    ok: value === null || value === undefined ? null : value <= limit,
  })
  const atLeast = (value: number | null, limit: number): Verdict => ({ value, limit, ok: value === null ? null : value >= limit })
  const stretch = (verdict: Verdict): Verdict => ({ ...verdict, stretch: true })
  return {
    w1VsRedis: atMost(over(skein?.w1.p50Ms, peers.redis?.w1.p50Ms), 1.25),
    w1P99VsFloor: atMost(over(skein?.w1.p99Ms, floor?.w1.p99Ms), 3),
    w1P99Ms: atMost(skein?.w1.p99Ms, 10),
    w2VsBullmq: atLeast(over(skein?.w2.claimsPerS, peers.bullmq?.w2.claimsPerS), 1.3),
    w2VsPostgres: atLeast(over(skein?.w2.claimsPerS, peers.postgres?.w2.claimsPerS), 3),
    w2P99Ms: atMost(skein?.w2.p99Ms, 15),
    w2Doubled: atMost(inBoth(skein, "doubled"), 0),
    w2Lost: atMost(inBoth(skein, "lost"), 0),
    w3P50Ms: atMost(skein?.w3.p50Ms, 0.1),
    cpuUsPerClaim: atMost(skein?.cpuUsPerClaim, 45),
    httpCpuUsPerClaim: atMost(http?.cpuUsPerClaim, 65),
    w1VsFloor: stretch(atMost(over(skein?.w1.p50Ms, floor?.w1.p50Ms), 2)),
    w2VsRedis: stretch(atLeast(over(skein?.w2.claimsPerS, peers.redis?.w2.claimsPerS), 1)),
    cpuUsPerClaimStretch: stretch(atMost(skein?.cpuUsPerClaim, 32)),
  }
}

/** In W2 and W4 together. */
function inBoth(skein: Figures | null, of: "doubled" | "lost"): number | undefined {
  return skein === null ? undefined : skein.w2[of] + (skein.w4?.[of] ?? 0)
}

export function describeClaims(claims: ClaimsReport): string {
  const { w1, w2, w3, w4 = null, cpuUsPerClaim, clientCpuUsPerClaim, http, inProcess, floor, peers, skipped } = claims
  const skein =
    w1 && w2 && w3 && cpuUsPerClaim !== undefined && clientCpuUsPerClaim !== undefined ? { w1, w2, w3, w4, cpuUsPerClaim, clientCpuUsPerClaim } : null
  const named: [string, Figures | null | undefined][] = [
    ["Skein, WebSocket", skein],
    ["Skein, HTTP", http],
    ["Skein, in process", inProcess],
    ["Redis, always", peers.redis],
    ["BullMQ, always", peers.bullmq],
    ["Postgres", peers.postgres],
    ["floor", floor],
  ]
  const rows = named.flatMap(([name, one]) => (one ? [rowOf(name, one)] : []))
  const several = named.flatMap(([name, one]) => (one?.w4 ? [severalOf(name, one.w4)] : []))
  const floors = floor === null ? [] : FLOORS.map((name) => [name, show(floor[name].p50Ms), show(floor[name].p99Ms)])
  const verdicts = Object.entries(claims.gate).map(([name, { value, limit, ok, stretch }]) => [
    name,
    show(value),
    show(limit),
    ok === null ? "-" : ok ? "holds" : "FAILS",
    stretch ? "stretch" : "",
  ])
  return [
    table(["durable claims", "W1 p50", "p99 ms", "W2 /s", "p50", "p99 ms", "doubled", "lost", "W3 ack", "request ms", "CPU us", "client us"], rows),
    ...(several.length === 0 ? [] : [table([`${claims.atOnce} at once`, "W4 /s", "p50", "p99 ms", "doubled", "lost", "CPU us", "client us"], several)]),
    ...(floors.length === 0 ? [] : [table(["floor", "p50", "p99 ms"], floors)]),
    table(["gate", "value", "limit", "", ""], verdicts),
    ...skipped.map(({ engine, why, remedy }) => `WITHOUT ${engine}: ${why}. ${remedy}`),
  ].join("\n\n")
}

function rowOf(name: string, { w1, w2, w3, cpuUsPerClaim, clientCpuUsPerClaim }: Figures): string[] {
  const cells = [w1.p50Ms, w1.p99Ms, w2.claimsPerS, w2.p50Ms, w2.p99Ms, w2.doubled, w2.lost, w3.p50Ms, w3.fromRequestP50Ms, cpuUsPerClaim, clientCpuUsPerClaim]
  return [name, ...cells.map(show)]
}

function severalOf(name: string, { claimsPerS, p50Ms, p99Ms, doubled, lost, cpuUsPerClaim, clientCpuUsPerClaim }: Many): string[] {
  return [name, ...[claimsPerS, p50Ms, p99Ms, doubled, lost, cpuUsPerClaim, clientCpuUsPerClaim].map(show)]
}
