/** `npm run bench -- VERB [--json]`: every figure in the docs comes from here. One JSON object on one line with --json, tables without. */
import { cpus, release } from "node:os"
import { BACKPRESSURE, benchBackpressure, describeBackpressure } from "./backpressure.ts"
import { benchClaims, CLAIMS, describeClaims } from "./claims.ts"
import { benchCli, CLI, describeCli } from "./cli.ts"
import type { EngineName } from "./engine.ts"
import { benchFanout, describeFanout, FANOUT } from "./fanout.ts"
import { benchGovernor, describeGovernor, GOVERNOR } from "./governor.ts"
import { benchGrowth, describeGrowth, GROWTH } from "./growth.ts"
import { benchMcp, describeMcp, MCP } from "./mcp.ts"
import { benchGuard, describeGuard, GUARD } from "./guard.ts"
import { benchLeases, describeLeases, LEASES } from "./leases.ts"
import { benchMemory, describeMemory, MEMORY } from "./memory.ts"
import { benchPage, describePage, PAGE } from "./page.ts"
import { benchPolicy, describePolicy, POLICY } from "./policy.ts"
import { benchTravel, describeTravel, TRAVEL } from "./page-travel.ts"
import { benchReplay, describeReplay, REPLAY } from "./replay.ts"
import { benchWake, describeWake, WAKE } from "./wake.ts"
import { scratch } from "./scratch.ts"
import { leaveInOrder, readCommandLine, wholeNumber, wrongUse } from "../scripts/command-line.ts"

/** `rounds`, `entries` and `engines` where the caller asked for others than the verb has. */
type Asked = { rounds?: number; entries?: number; engines?: readonly EngineName[] }
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

const benches: Record<string, Bench> = {
  claims: bench(benchClaims, describeClaims, CLAIMS),
  fanout: bench(benchFanout, describeFanout, FANOUT),
  replay: bench(benchReplay, describeReplay, REPLAY),
  mcp: bench(benchMcp, describeMcp, MCP),
  leases: bench(benchLeases, describeLeases, LEASES),
  memory: bench(benchMemory, describeMemory, MEMORY),
  cli: bench(benchCli, describeCli, CLI),
  growth: bench(benchGrowth, describeGrowth, GROWTH),
  governor: bench(benchGovernor, describeGovernor, GOVERNOR),
  guard: bench(benchGuard, describeGuard, GUARD),
  page: bench(benchPage, describePage, PAGE),
  policy: bench(benchPolicy, describePolicy, POLICY),
  travel: bench(benchTravel, describeTravel, TRAVEL),
  wake: bench(benchWake, describeWake, WAKE),
  backpressure: bench(benchBackpressure, describeBackpressure, BACKPRESSURE),
}
/** A bench that hangs is a bench that failed. */
const GIVE_UP_MS = 15 * 60_000

const USAGE = `npm run bench -- ${Object.keys(benches).join("|")} [--json] [--rounds N] [--entries N] [--engines a,b]`
const { values, positionals } = readCommandLine(
  {
    allowPositionals: true,
    options: { json: { type: "boolean", default: false }, rounds: { type: "string" }, entries: { type: "string" }, engines: { type: "string" } },
  },
  USAGE,
)
const [verb = "", ...more] = positionals
const chosen = Object.hasOwn(benches, verb) ? benches[verb] : undefined
if (chosen === undefined) wrongUse(verb === "" ? "which bench?" : `there is no bench "${verb}"`, USAGE)
if (more.length > 0) wrongUse(`one bench at a time: "${more.join(" ")}" is too much`, USAGE)
for (const option of ["rounds", "entries", "engines"] as const)
  if (values[option] !== undefined && !chosen.takes(option)) wrongUse(`bench ${verb} has no --${option}`, USAGE)

function enginesOf(text: string): EngineName[] {
  const unknown = text.split(",").find((name) => !(CLAIMS.engines as readonly string[]).includes(name))
  if (unknown !== undefined) wrongUse(`there is no engine "${unknown}": choose of ${CLAIMS.engines.join(",")}`, USAGE)
  return CLAIMS.engines.filter((name) => text.split(",").includes(name))
}

const asked: Asked = {
  ...(values.rounds === undefined ? {} : { rounds: wholeNumber("rounds", values.rounds, 1, USAGE) }),
  ...(values.entries === undefined ? {} : { entries: wholeNumber("entries", values.entries, 1, USAGE) }),
  ...(values.engines === undefined ? {} : { engines: enginesOf(values.engines) }),
}
setTimeout(() => {
  process.stderr.write("bench: gave up after 15 minutes\n")
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

const startedMs = performance.now()
const { report, text } = await chosen.run(directory(), asked)
const machine = { cpu: cpus()[0]?.model ?? "", cores: cpus().length, node: process.versions.node, kernel: release() }
const seconds = Math.round((performance.now() - startedMs) / 100) / 10
if (values.json) process.stdout.write(`${JSON.stringify({ bench: verb, at: new Date().toISOString(), machine, seconds, ...report })}\n`)
else process.stdout.write(`${text}\n\n${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, ${seconds} s\n`)
process.exit(0)
