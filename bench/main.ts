/** `npm run bench -- VERB [--json]`: the figures in the docs come from here, but for those that say otherwise. One JSON object on one line with --json, tables without. */
import { existsSync } from "node:fs"
import { cpus, release } from "node:os"
import { dirname, resolve } from "node:path"
import type { EngineName } from "./engine.ts"
import { scratch, sleep } from "./scratch.ts"
import { build, leaveInOrder, readCommandLine, wholeNumber, wrongUse } from "../scripts/command-line.ts"

/** `rounds`, `entries` and `engines` where the caller asked for others than the verb has; `plot`: the file that is to be drawn. */
type Asked = { rounds?: number; entries?: number; engines?: readonly EngineName[]; plot?: string }
type Bench = { takes: (option: string) => boolean; run: (directory: string, asked: Asked) => Promise<{ report: object; text: string }> }

function bench<Options extends object, Report extends object>(
  run: (options: Options & { directory: string }) => Promise<Report>,
  describe: (report: Report) => string,
  defaults: Options,
): Bench {
  return {
    takes: (option) => Object.hasOwn(defaults, option),
    run: async (directory, asked) => {
      const report = await run({ ...defaults, ...asked, directory })
      return { report, text: describe(report) }
    },
  }
}

/** What was not asked for is not loaded: all of them take a second. */
const benches: Record<string, () => Promise<Bench>> = {
  claims: async () => import("./claims.ts").then(({ benchClaims, describeClaims, CLAIMS }) => bench(benchClaims, describeClaims, CLAIMS)),
  fanout: async () => import("./fanout.ts").then(({ benchFanout, describeFanout, FANOUT }) => bench(benchFanout, describeFanout, FANOUT)),
  replay: async () => import("./replay.ts").then(({ benchReplay, describeReplay, REPLAY }) => bench(benchReplay, describeReplay, REPLAY)),
  mcp: async () => import("./mcp.ts").then(({ benchMcp, describeMcp, MCP }) => bench(benchMcp, describeMcp, MCP)),
  leases: async () => import("./leases.ts").then(({ benchLeases, describeLeases, LEASES }) => bench(benchLeases, describeLeases, LEASES)),
  memory: async () => import("./memory.ts").then(({ benchMemory, describeMemory, MEMORY }) => bench(benchMemory, describeMemory, MEMORY)),
  cli: async () => import("./cli.ts").then(({ benchCli, describeCli, CLI }) => bench(benchCli, describeCli, CLI)),
  growth: async () => import("./growth.ts").then(({ benchGrowth, describeGrowth, GROWTH }) => bench(benchGrowth, describeGrowth, GROWTH)),
  governor: async () => import("./governor.ts").then(({ benchGovernor, describeGovernor, GOVERNOR }) => bench(benchGovernor, describeGovernor, GOVERNOR)),
  guard: async () => import("./guard.ts").then(({ benchGuard, describeGuard, GUARD }) => bench(benchGuard, describeGuard, GUARD)),
  page: async () => import("./page.ts").then(({ benchPage, describePage, PAGE }) => bench(benchPage, describePage, PAGE)),
  policy: async () => import("./policy.ts").then(({ benchPolicy, describePolicy, POLICY }) => bench(benchPolicy, describePolicy, POLICY)),
  travel: async () => import("./page-travel.ts").then(({ benchTravel, describeTravel, TRAVEL }) => bench(benchTravel, describeTravel, TRAVEL)),
  wake: async () => import("./wake.ts").then(({ benchWake, describeWake, WAKE }) => bench(benchWake, describeWake, WAKE)),
  backpressure: async () =>
    import("./backpressure.ts").then(({ benchBackpressure, describeBackpressure, BACKPRESSURE }) =>
      bench(benchBackpressure, describeBackpressure, BACKPRESSURE),
    ),
}
const ABOUT = `Verbs:
  claims        durable claims: one client (w1), 64 clients (w2), to a subscriber (w3), eight tasks at once (w4); beside Redis, BullMQ, Postgres and the bare floor
  fanout        one event to 1,000 subscribers
  replay        verify and fold 1,000,000 entries
  mcp           50 clients claim over MCP
  leases        leases on the files of a large repository
  memory        the hub's memory with 10,000 tasks and 1,000 agents, and heartbeats of 10,000
  cli           a call of the command line beside the bare start of Node
  growth        a claim's cost as tasks, agents and history grow
  governor      how rules of assignment find who is good at what
  guard         a guarded commit beside one without hooks
  page          the page in a real browser: first paint, event to pixel, memory
  policy        decisions of a policy beside the libraries for it
  travel        jumps on the page to any moment of 1,000,000 entries
  wake          from a message to the agent that it wakes
  backpressure  twice the load that a hub holds
Options:
  --json         one JSON object on one line (npm run -s bench -- VERB --json prints nothing else)
  --rounds N     so many rounds: claims, fanout, replay, mcp, leases, cli, growth, governor, guard, page, policy, travel, wake
  --entries N    so many entries: replay, page, travel
  --plot FILE    draws it, as SVG: growth
  --engines a,b  of claims only these: floor, loop, skein, http, redis, bullmq, postgres
Peers are installed with: sh bench/peers/debian.sh. A bench goes without one that is missing, and says so. Files are written below SKEIN_BENCH_DIR, or where
temporary files go.`

/** A bench that hangs is a bench that failed. */
const GIVE_UP_MS = 15 * 60_000
const HEARD_WITHIN_MS = 100

const USAGE = `npm run bench -- ${Object.keys(benches).join("|")} [--json] [--rounds N] [--entries N] [--engines a,b] [--plot FILE]`
const { values, positionals } = readCommandLine(
  {
    allowPositionals: true,
    options: {
      json: { type: "boolean", default: false },
      rounds: { type: "string" },
      entries: { type: "string" },
      engines: { type: "string" },
      plot: { type: "string" },
    },
  },
  USAGE,
  ABOUT,
)
const [verb = "", ...more] = positionals
const load = Object.hasOwn(benches, verb) ? benches[verb] : undefined
if (load === undefined) wrongUse(verb === "" ? "which bench?" : `there is no bench "${verb}"`, USAGE)
if (more.length > 0) wrongUse(`one bench at a time: "${more.join(" ")}" is too much`, USAGE)
const chosen = await load()
for (const option of ["rounds", "entries", "engines", "plot"] as const)
  if (values[option] !== undefined && !chosen.takes(option)) wrongUse(`bench ${verb} has no --${option}`, USAGE)

async function enginesOf(text: string): Promise<EngineName[]> {
  const { CLAIMS } = await import("./claims.ts")
  const unknown = text.split(",").find((name) => !(CLAIMS.engines as readonly string[]).includes(name))
  if (unknown !== undefined) wrongUse(`there is no engine "${unknown}": choose of ${CLAIMS.engines.join(",")}`, USAGE)
  return CLAIMS.engines.filter((name) => text.split(",").includes(name))
}

/** Where a plot goes. It is made at the end of minutes, so that where it cannot be is said before. */
function plotAt(file: string): string {
  const folder = dirname(resolve(file))
  if (file === "" || !existsSync(folder)) wrongUse(file === "" ? "--plot names no file" : `there is no folder ${folder} for the plot: make it first`, USAGE)
  return resolve(file)
}

const asked: Asked = {
  ...(values.rounds === undefined ? {} : { rounds: wholeNumber("rounds", values.rounds, 1, USAGE) }),
  ...(values.entries === undefined ? {} : { entries: wholeNumber("entries", values.entries, 1, USAGE) }),
  ...(values.engines === undefined ? {} : { engines: await enginesOf(values.engines) }),
  ...(values.plot === undefined ? {} : { plot: plotAt(values.plot) }),
}
setTimeout(() => {
  const fewer = ["rounds", "entries", "engines"].filter((option) => chosen.takes(option)).map((option) => `--${option}`)
  const remedy = fewer.length === 0 ? "" : `, or with less to do (${fewer.join(", ")})`
  process.stderr.write(`bench: gave up after ${GIVE_UP_MS / 60_000} minutes. Run it again when the machine has less else to do${remedy}.\n`)
  process.exit(1)
}, GIVE_UP_MS).unref()
leaveInOrder()

function directory(): string {
  try {
    return scratch()
  } catch (error) {
    process.stderr.write(`bench: ${(error as Error).message}\nName a directory on a disk that you may write to with SKEIN_BENCH_DIR.\n`)
    process.exit(1)
  }
}

const files = directory()
build()
const startedMs = performance.now()
const { report, text } = await chosen.run(files, asked).catch(async (error: unknown) => {
  // A terminal sends Ctrl-C to what the bench has started too: that one of them ended may be heard of before the Ctrl-C itself.
  await sleep(HEARD_WITHIN_MS)
  throw error
})
const machine = { cpu: cpus()[0]?.model ?? "", cores: cpus().length, node: process.versions.node, kernel: release() }
const tookS = Math.round((performance.now() - startedMs) / 100) / 10
if (values.json) process.stdout.write(`${JSON.stringify({ bench: verb, at: new Date().toISOString(), machine, tookS, ...report })}\n`)
else process.stdout.write(`${text}\n\n${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, ${tookS} s\n`)
process.exit(0)
