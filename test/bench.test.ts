import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test, vi } from "vitest"
import { benchBackpressure } from "../bench/backpressure.ts"
import { endChildren } from "../bench/child.ts"
import { benchClaims, compare, describeClaims } from "../bench/claims.ts"
import { benchCli } from "../bench/cli.ts"
import { arrivals, benchFanout } from "../bench/fanout.ts"
import { medians, percentile, spread } from "../bench/figure.ts"
import { benchGrowth, GROWTH } from "../bench/growth.ts"
import { benchMcp, describeMcp } from "../bench/mcp.ts"
import { benchGuard, describeGuard } from "../bench/guard.ts"
import { benchLeases, describeLeases } from "../bench/leases.ts"
import { benchMemory } from "../bench/memory.ts"
import { plot } from "../bench/plot.ts"
import { benchPolicy, describePolicy } from "../bench/policy.ts"
import { type Pan, paceOf, panVerdict } from "../bench/page-pan.ts"
import { requireProgram } from "../bench/peer.ts"
import { benchReplay } from "../bench/replay.ts"

/** The bench at its smallest, so that it cannot rot. No figure is judged here: they depend on the machine. */

let directory = ""
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "skein-bench-test-"))
})
afterEach(() => {
  endChildren()
  rmSync(directory, { recursive: true, force: true })
})
const at = (name: string): string => join(directory, name)

test("claims: every engine that needs no peer claims each task once, and a gate without its peer has no verdict", async () => {
  const report = await benchClaims({
    directory,
    rounds: 1,
    warmRounds: 1,
    quietWithinMs: 300,
    w1: 10,
    w2: 60,
    clients: 4,
    atOnce: 8,
    w3: 4,
    engines: ["floor", "loop", "skein", "http"],
  })
  expect(report.w2).toMatchObject({ doubled: 0, lost: 0 })
  expect(report.http?.w2).toMatchObject({ doubled: 0, lost: 0 })
  expect(report.w4).toMatchObject({ doubled: 0, lost: 0 })
  expect(report.w4?.claimsPerS).toBeGreaterThan(0)
  expect(report.floor?.w4).toBeNull()
  expect(report.w1?.p50Ms).toBeGreaterThan(0)
  expect(report.w3?.fromRequestP50Ms).toBeGreaterThan(0)
  expect(report.cpuUsPerClaim).toBeGreaterThan(0)
  expect(report.floor?.fdatasync.p50Ms).toBeGreaterThan(0)
  expect(report.gate["w1VsRedis"]).toEqual({ value: null, limit: 1.25, ok: null })
  expect(report.gate["cpuUsPerClaim"]?.value).toBe(report.cpuUsPerClaim)
  expect(describeClaims(report)).toContain("Skein, WebSocket")
})

test("what two were told to hold counts as doubled, what nobody holds as lost, whoever says so", () => {
  const claim = (task: string, fence: number): { task: string; fence: number } => ({ task, fence })
  expect(compare("t", 2, [claim("t0", 1), claim("t1", 2)], [claim("t0", 1), claim("t1", 2)])).toEqual({ doubled: 0, lost: 0 })
  expect(compare("t", 2, [claim("t0", 1), claim("t0", 2)], null)).toEqual({ doubled: 1, lost: 1 })
  expect(compare("t", 2, [claim("t0", 1), claim("t1", 2)], [claim("t0", 1)])).toEqual({ doubled: 0, lost: 1 })
  expect(compare("t", 1, [claim("t0", 1)], [claim("t0", 1), claim("t0", 3)])).toEqual({ doubled: 1, lost: 1 })
})

test("a peer's server is looked for on the path, too: not everybody has it where Debian puts it", () => {
  vi.stubEnv("PATH", `/nowhere:${directory}`)
  expect(() => requireProgram("some-server", ["/usr/bin/some-server"])).toThrow("some-server is not installed")
  writeFileSync(at("some-server"), "")
  expect(requireProgram("some-server", ["/usr/bin/some-server"])).toBe(at("some-server"))
  vi.unstubAllEnvs()
})

test("fan-out: every subscriber hears every event", async () => {
  const { paced, burst } = await benchFanout({ directory: at("fanout"), subscribers: 5, rounds: 1, paced: 3, burst: 20, clients: 2 })
  expect(paced.count).toBe(15)
  expect(burst.eventsPerS).toBeGreaterThan(0)
})

test("fan-out: a claim arrives once at each subscriber, though a checkpoint follows it at once", () => {
  const claimed = [0, 1].map((subscriber) => ({ subscriber, to: 7, atNs: BigInt(10 + subscriber) }))
  const checkpoint = [0, 1].map((subscriber) => ({ subscriber, to: 8, atNs: BigInt(20 + subscriber) }))
  expect(arrivals([{ subscriber: 0, to: 6, atNs: 5n }, ...claimed, ...checkpoint], 7)).toEqual([10n, 11n])
  // One batch, one frame.
  expect(arrivals(checkpoint, 7)).toEqual([20n, 21n])
})

test("leases: every lease is held, every glob that meets one is refused, and without its peer there is no ratio", async () => {
  const report = await benchLeases({ directory, files: 600, leases: 40, asks: 20, rounds: 1, peer: false })
  expect(report.skein.reserve.count).toBe(20)
  expect(report.skein.check.p50Ms).toBeGreaterThan(0)
  expect(report.ratio).toEqual({ check: null, reserve: null })
  expect(describeLeases(report)).toContain("40 leases, 600 files")
})

test("replay: every checkpoint on the way holds", async () => {
  const report = await benchReplay({ directory, entries: 2_500, rounds: 1 })
  expect(report.entries).toBeGreaterThanOrEqual(2_500)
  expect(report.checkpoints).toBeGreaterThan(0)
  expect(report.allHold).toBe(true)
})

test("growth draws where it is asked to, and else nowhere: a checkout is left as it was", () => {
  expect(GROWTH.plot).toBeNull()
})

test("growth: a point for each step and a start with and without a snapshot, drawn as a plot", async () => {
  const file = at("growth.svg")
  const report = await benchGrowth({ directory, rounds: 1, tasks: [20, 40], agents: 5, teams: [5, 10], open: 20, claims: 20, starts: [1_200], plot: file })
  expect(report.byTasks.map(({ tasks }) => tasks)).toEqual([20, 40])
  expect(report.byAgents.map(({ agents }) => agents)).toEqual([5, 10])
  expect(report.starts[0]?.fromSnapshotS).toBeGreaterThan(0)
  expect(readFileSync(file, "utf8").match(/<circle/g)).toHaveLength(4)
})

test("mcp: many clients at once claim each task once, beside a constant and our own HTTP", async () => {
  const report = await benchMcp({ directory: at("mcp"), clients: 10, tasks: 60, rounds: 1 })
  expect(report).toMatchObject({ doubled: 0, lost: 0 })
  for (const { callsPerS, p99Ms } of [report.mcp, report.constant, report.http]) expect(Math.min(callsPerS, p99Ms)).toBeGreaterThan(0)
  expect(describeMcp(report)).toContain("claim_task over MCP")
})

test("memory, backpressure and the CLI are measured on the hub that users start", async () => {
  const memory = await benchMemory({ directory: at("memory"), tasks: 20, agents: 5, beating: 10, supervisors: 2, watchMs: 200, settleMs: 100, idleMs: 100 })
  expect(memory.rssMb).toBeGreaterThan(10)
  expect(memory.heartbeats.everyMs).toBe(15_000)
  const pressure = await benchBackpressure({ directory: at("pressure"), connections: 4, inFlight: 16, seconds: 0.5, capacityPerS: 500 })
  expect(pressure.phases.map(({ other }) => other)).toEqual([0, 0, 0, 0])
  expect(pressure.phases[0]?.acceptedPerS).toBeGreaterThan(0)
  const cli = await benchCli({ directory: at("cli"), rounds: 1, warmRounds: 0 })
  expect(cli.ratio).toBeGreaterThan(0)
})

test("guard: what is timed refuses a commit on a held file", async () => {
  const report = await benchGuard({ directory: at("guard"), rounds: 1, warmRounds: 0, files: 5, leases: 2 })
  expect(report.gate["refusesHeld"]).toEqual({ value: 1, limit: 1, ok: true })
  expect(report.timings.guard.p50Ms).toBeGreaterThan(0)
  expect(describeGuard(report)).toContain("guarded")
})

test("percentiles and medians are those of the samples", () => {
  expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3)
  expect(percentile([1, 2, 3, 4], 0.99)).toBe(4)
  expect(percentile([], 0.5)).toBeNaN()
  expect(spread([1, 2, 3])).toEqual({ count: 3, p50Ms: 2, p90Ms: 3, p99Ms: 3, maxMs: 3 })
  expect(
    medians([
      { a: 1, b: 10 },
      { a: 3, b: 30 },
      { a: 2, b: 90 },
    ]),
  ).toEqual({ a: 2, b: 30 })
})

test("a plot says what its axes are, and hides nothing that is markup", () => {
  const svg = plot({
    title: "a < b",
    xTitle: "tasks",
    yTitle: "µs",
    lines: [
      {
        name: "one",
        points: [
          [1, 2],
          [10, 4],
        ],
      },
    ],
  })
  expect(svg).toContain("a &lt; b")
  expect(svg).toContain(">tasks<")
  expect(svg.match(/<circle/g)).toHaveLength(2)
})

test("the policy's bench decides everything alike with the roles, with rules, and with Cedar as it comes", async () => {
  const report = await benchPolicy({ directory, rounds: 1, decisions: 80, agents: 10, tasks: 40, peer: false })
  expect(report.timings.skein?.p50Us).toBeGreaterThan(0)
  expect(report.denied).toBeGreaterThan(0)
  expect(report.skipped).not.toBeNull()
  expect(describePolicy(report)).toContain("no two questions alike")
})

test("a frame of the page's pan is missed where it did not come, where a step is not drawn in it, and where the hand had made no step, which is told apart", () => {
  /** Of each frame: what came of a step, or that there was none; a gap is a frame that the page did not have. */
  const pan = (...rounds: string[]): Pan =>
    paceOf(
      rounds.map((frames) => {
        const all = [...frames].map((what, at) => ({ what, atMs: (at * 1_000) / 60, isMoved: /[dm]/.test(what), isDrawn: what === "d" }))
        return { frames: all.filter(({ what }) => what !== " "), cpuMs: 50 }
      }),
    )
  expect(pan("--ddddddddddd--")).toEqual({ fps: 60, worstFps: 60, p50Ms: 16.67, p95Ms: 16.67, missed: 0, still: 0, cpuMs: 5 })
  expect(pan("--ddd-ddd--ddddd--")).toMatchObject({ fps: 46.15, missed: 3, still: 3 })
  // The first step draws what is around, for all that come: how long that takes is the pan's as well.
  for (const late of ["dddd ddddddd", "ddddmddddddd", "--m dddddddddd-"]) expect(pan(late)).toMatchObject({ fps: 54.55, missed: 1, still: 0 })
  expect(pan("ddddddddddd", "dddddd", "dd    d")).toMatchObject({ fps: 60, worstFps: 20, missed: 4, still: 0 })
})

test("the page's pan holds where it has the 60 frames of a screen, or as many as the browser alone", () => {
  const verdict = (fps: number, floorFps: number): object => panVerdict({ near: { fps }, floor: { fps: floorFps } })
  expect(verdict(59.8, 60)).toEqual({ value: 59.8, limit: 60, ok: true })
  expect(verdict(57, 60)).toEqual({ value: 57, limit: 60, ok: false })
  expect([verdict(41, 41), verdict(60, 75)]).toMatchObject([
    { limit: 41, ok: true },
    { limit: 60, ok: true },
  ])
})
