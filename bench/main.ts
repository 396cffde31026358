/** `npm run bench -- VERB [--json]`: every figure in the docs comes from here. One JSON object on one line with --json, tables without. */
import { cpus, release } from "node:os"
import { parseArgs } from "node:util"
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

/** `rounds`, `entries` and `engines` where the caller asked for others than the verb has. */
type Asked = { rounds?: number; entries?: number; engines?: readonly EngineName[] }
type Bench = (directory: string, asked: Asked) => Promise<{ report: object; text: string }>

function bench<Options extends object, Report extends object>(
  run: (options: Options & { directory: string }) => Promise<Report>,
  describe: (report: Report) => string,
  defaults: Options,
): Bench {
  return async (directory, asked) => {
    const report = await run({ ...defaults, ...asked, directory })
    return { report, text: describe(report) }
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

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, rounds: { type: "string" }, entries: { type: "string" }, engines: { type: "string" } },
})
const [verb = ""] = positionals
const run = benches[verb]
if (run === undefined || positionals.length > 1) {
  process.stderr.write(`npm run bench -- ${Object.keys(benches).join("|")} [--json] [--rounds N] [--entries N] [--engines a,b]\n`)
  process.exit(2)
}
setTimeout(() => {
  process.stderr.write("bench: gave up after 15 minutes\n")
  process.exit(1)
}, GIVE_UP_MS).unref()
// What was started is ended by the listeners of `exit`.
process.once("SIGINT", () => process.exit(130))
process.once("SIGTERM", () => process.exit(143))

const asked: Asked = {
  ...(values.rounds === undefined ? {} : { rounds: Number(values.rounds) }),
  ...(values.entries === undefined ? {} : { entries: Number(values.entries) }),
  ...(values.engines === undefined ? {} : { engines: values.engines.split(",") as EngineName[] }),
}
const startedMs = performance.now()
const { report, text } = await run(scratch(), asked)
const machine = { cpu: cpus()[0]?.model ?? "", cores: cpus().length, node: process.versions.node, kernel: release() }
const seconds = Math.round((performance.now() - startedMs) / 100) / 10
if (values.json) process.stdout.write(`${JSON.stringify({ bench: verb, at: new Date().toISOString(), machine, seconds, ...report })}\n`)
else process.stdout.write(`${text}\n\n${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, ${seconds} s\n`)
process.exit(0)
