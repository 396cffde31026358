import { join } from "node:path"
import type { Actor } from "../src/core/entry.ts"
import { checkFiles } from "../src/surface/file-reads.ts"
import type { Verdict } from "./claims.ts"
import { Skipped } from "./engine.ts"
import { median, round, show, spread, type Spread, table } from "./figure.ts"
import { openOn, OPERATOR } from "./open-hub.ts"
import { installClients, load } from "./peer.ts"

export type LeasesOptions = { directory: string; files: number; leases: number; asks: number; rounds: number; peer: boolean }
export const LEASES: Omit<LeasesOptions, "directory"> = { files: 30_000, leases: 1_000, asks: 500, rounds: 3, peer: true }

/** `check`: may I edit this path; `reserve`: a lease that meets nobody's, through the durable commit; `refuse`: one that meets somebody's. */
type Times = { check: Spread; reserve: Spread; refuse: Spread }
export type LeasesReport = {
  files: number
  leases: number
  skein: Times
  /** The same questions put to every lease one after the other, by compiled picomatch patterns; a glob is asked for by the files of the repository that it matches. */
  picomatch: { check: Spread; reserve: Spread } | { skipped: string }
  /** Median of the peer over ours: by how much we are faster. */
  ratio: { check: number | null; reserve: number | null }
  agree: boolean
  gate: Record<string, Verdict>
}

/** p99 in ms, as promised of 1,000 leases on a repository of 30,000 files. */
const LIMIT_MS = 5
const AGENTS = 50
const HOUR_MS = 3_600_000
const EXTENSIONS = ["ts", "test.ts", "md", "json", "css"]

/** 1,000 leases of 50 agents on a repository of 30,000 files, and what it then costs to ask about a path, to reserve more, and to be refused. */
export async function benchLeases({ directory, files, leases, asks, rounds, peer }: LeasesOptions): Promise<LeasesReport> {
  const tree = repositoryOf(files)
  const globs = globsOf(tree, leases)
  const paths = Array.from({ length: asks }, (_, at) => tree[(at * 7_919) % tree.length] as string)
  const free = Array.from({ length: asks }, (_, at) => `free/area-${at}/**/*.{ts,md}`)
  const taken = Array.from({ length: asks }, (_, at) => globOver(globs[(at * 7) % globs.length] as string))
  const own: (Times & { held: boolean[] })[] = []
  const theirs: { check: Spread; reserve: Spread; held: boolean[] }[] = []
  let skipped: string | null = peer ? null : "not asked for"
  for (let at = 0; at < rounds; at += 1) {
    own.push(await ours(join(directory, `leases-${at}`), globs, paths, free, taken))
    try {
      if (skipped === null) theirs.push(bruteForce(globs, tree, paths, taken))
    } catch (error) {
      if (!(error instanceof Skipped)) throw error
      skipped = error.message
    }
  }
  const skein = {
    check: middle(own.map(({ check }) => check)),
    reserve: middle(own.map(({ reserve }) => reserve)),
    refuse: middle(own.map(({ refuse }) => refuse)),
  }
  const [first] = theirs
  const beside = first === undefined ? null : { check: middle(theirs.map(({ check }) => check)), reserve: middle(theirs.map(({ reserve }) => reserve)) }
  return {
    files,
    leases,
    skein,
    picomatch: beside ?? { skipped: skipped ?? "" },
    ratio: {
      check: beside === null ? null : round(beside.check.p50Ms / skein.check.p50Ms),
      reserve: beside === null ? null : round(beside.reserve.p50Ms / skein.refuse.p50Ms),
    },
    agree: first === undefined || first.held.every((held, at) => held === own[0]?.held[at]),
    gate: Object.fromEntries(
      Object.entries(skein).map(([name, { p99Ms }]) => [`${name}P99Ms`, { value: p99Ms, limit: LIMIT_MS, ok: p99Ms < LIMIT_MS }] as [string, Verdict]),
    ),
  }
}

/** Through the loop, as every caller's command goes: queue, decide, durable commit. */
async function ours(
  directory: string,
  globs: readonly string[],
  paths: readonly string[],
  free: readonly string[],
  taken: readonly string[],
): Promise<Times & { held: boolean[] }> {
  const hub = await openOn(directory)
  try {
    const loop = await hub.create("main")
    for (let at = 0; at <= AGENTS; at += 1) await loop.execute("agent.add", OPERATOR, { name: `agent-${at}` })
    const wish = (glob: string): { globs: string[]; mode: "exclusive"; ttlMs: number; reason: string; task: null; fence: null } => {
      return { globs: [glob], mode: "exclusive", ttlMs: HOUR_MS, reason: "bench", task: null, fence: null }
    }
    // Whose globs meet goes to one agent, so that all of them are held.
    await Promise.all(globs.map((glob, at) => loop.execute("files.reserve", actor(ownerOf(glob, at)), wish(glob))))
    const stranger = actor(AGENTS)
    const check: number[] = []
    const held: boolean[] = []
    for (const path of paths) {
      const startMs = performance.now()
      const answer = await loop.read((state, nowMs) => checkFiles(state, stranger, { paths: [path], write: true }, nowMs))
      check.push(performance.now() - startMs)
      held.push(!answer.allowed)
    }
    const refuse = await timed(taken, (glob) => loop.execute("files.reserve", stranger, wish(glob)))
    const reserve: number[] = []
    for (const glob of free) {
      const startMs = performance.now()
      const { lease } = await loop.execute("files.reserve", stranger, wish(glob))
      reserve.push(performance.now() - startMs)
      await loop.execute("files.release", stranger, { lease, globs: null, reason: "bench" })
    }
    return { check: spread(check), reserve: spread(reserve), refuse: spread(refuse), held }
  } finally {
    await hub.close()
  }
}

async function timed(globs: readonly string[], ask: (glob: string) => Promise<unknown>): Promise<number[]> {
  const times: number[] = []
  for (const glob of globs) {
    const startMs = performance.now()
    const accepted = await ask(glob).then(
      () => true,
      () => false,
    )
    times.push(performance.now() - startMs)
    if (accepted) throw new Error(`${glob} was reserved, though another agent has some of it`)
  }
  return times
}

/** No index and no intersection of globs: each path against each lease, and a glob by the files that there are today. */
function bruteForce(
  globs: readonly string[],
  tree: readonly string[],
  paths: readonly string[],
  taken: readonly string[],
): { check: Spread; reserve: Spread; held: boolean[] } {
  installClients()
  const picomatch = load("picomatch")
  const leases = globs.map((glob) => picomatch(glob, { dot: true }))
  const check: number[] = []
  const reserve: number[] = []
  const held: boolean[] = []
  for (const path of paths) {
    const startMs = performance.now()
    const found = leases.some((matches) => matches(path))
    check.push(performance.now() - startMs)
    held.push(found)
  }
  // A tenth: each takes as long as a hundred of ours.
  for (const glob of taken.slice(0, Math.max(1, Math.ceil(taken.length / 10)))) {
    const startMs = performance.now()
    const matches = picomatch(glob, { dot: true })
    const wanted = tree.filter((path) => matches(path))
    leases.some((lease) => wanted.some((path) => lease(path)))
    reserve.push(performance.now() - startMs)
  }
  return { check: spread(check), reserve: spread(reserve), held }
}

/** Packages with folders with files, as a monorepo has them. */
function repositoryOf(files: number): string[] {
  return Array.from({ length: files }, (_, at) => {
    const [pack, folder, name] = [at % 60, Math.floor(at / 60) % 25, Math.floor(at / 1_500)]
    return `packages/p${pack}/src/f${folder}/m${name}.${EXTENSIONS[at % EXTENSIONS.length]}`
  })
}

/** Files, folders, all of one kind in a folder, braces, classes and a `**` in the middle: no two agents' meet. */
function globsOf(tree: readonly string[], leases: number): string[] {
  return Array.from({ length: leases }, (_, at) => {
    const [pack, folder] = [at % 60, Math.floor(at / 60) % 25]
    const dir = `packages/p${pack}/src/f${folder}`
    return [`${dir}/**`, `${dir}/*.ts`, `${dir}/m[0-9].{ts,md}`, `${dir}/**/m1*.json`, tree[(at * 31) % tree.length] as string][at % 5] as string
  })
}

/** One agent has all of a folder, so that the globs of different agents do not meet. */
function ownerOf(glob: string, at: number): number {
  const [, pack = String(at), folder = "0"] = /^packages\/p(\d+)\/src\/f(\d+)\//.exec(glob) ?? []
  return (Number(pack) * 25 + Number(folder)) % AGENTS
}

/** A glob that meets another one in its folder. */
function globOver(glob: string): string {
  return `${glob.split("/").slice(0, 4).join("/")}/**/m*.{ts,md,json,css}`
}

function actor(at: number): Actor {
  return { agent: `agent-${at}`, session: null, role: "worker" }
}

function middle(spreads: readonly Spread[]): Spread {
  const of = (field: keyof Spread): number => median(spreads.map((one) => one[field]))
  return { count: of("count"), p50Ms: of("p50Ms"), p90Ms: of("p90Ms"), p99Ms: of("p99Ms"), maxMs: of("maxMs") }
}

export function describeLeases({ files, leases, skein, picomatch, ratio, agree, gate }: LeasesReport): string {
  const row = (name: string, { p50Ms, p99Ms, maxMs }: Spread): string[] => [name, show(p50Ms), show(p99Ms), show(maxMs)]
  const peer = "skipped" in picomatch ? [] : [row("picomatch, check", picomatch.check), row("picomatch, reserve", picomatch.reserve)]
  const rows = [row("check a path", skein.check), row("reserve (durable)", skein.reserve), row("reserve, refused", skein.refuse), ...peer]
  const verdicts = Object.entries(gate).map(([name, { value, limit, ok }]) => `${name} ${show(value)} < ${show(limit)}: ${ok === true ? "holds" : "FAILS"}`)
  const beside =
    "skipped" in picomatch
      ? `picomatch: ${picomatch.skipped}`
      : `picomatch over every lease takes ${show(ratio.check)} times as long to check, ${show(ratio.reserve)} times to find a conflict; the checks ${agree ? "agree" : "DIFFER"}`
  return [table([`${show(leases)} leases, ${show(files)} files`, "p50 ms", "p99 ms", "max ms"], rows), beside, verdicts.join("\n")].join("\n\n")
}
