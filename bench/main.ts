/** `npm run bench -- VERB [--json]`: every figure in the docs comes from here. One JSON object on one line with --json, tables without. */
import { cpus, release } from "node:os"
import { parseArgs } from "node:util"
import { benchClaims, CLAIMS, describeClaims } from "./claims.ts"
import type { EngineName } from "./engine.ts"
import { scratch } from "./scratch.ts"

type Bench = (directory: string, options: { rounds: number | null; engines: EngineName[] | null }) => Promise<{ report: object; text: string }>

const benches: Record<string, Bench> = {
  async claims(directory, { rounds, engines }) {
    const report = await benchClaims({ ...CLAIMS, directory, rounds: rounds ?? CLAIMS.rounds, engines: engines ?? CLAIMS.engines })
    return { report, text: describeClaims(report) }
  },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, rounds: { type: "string" }, engines: { type: "string" } },
})
const [verb = ""] = positionals
const bench = benches[verb]
if (bench === undefined || positionals.length > 1) {
  process.stderr.write(`npm run bench -- ${Object.keys(benches).join("|")} [--json] [--rounds N] [--engines a,b]\n`)
  process.exit(2)
}
// A bench that hangs is a bench that failed.
setTimeout(() => {
  process.stderr.write("bench: gave up after 10 minutes\n")
  process.exit(1)
}, 600_000).unref()
process.once("SIGINT", () => process.exit(130))
process.once("SIGTERM", () => process.exit(143))

const startedMs = performance.now()
const { report, text } = await bench(scratch(), {
  rounds: values.rounds === undefined ? null : Number(values.rounds),
  engines: (values.engines?.split(",") as EngineName[] | undefined) ?? null,
})
const machine = { cpu: cpus()[0]?.model ?? "", cores: cpus().length, node: process.versions.node, kernel: release() }
const seconds = Math.round((performance.now() - startedMs) / 100) / 10
if (values.json) process.stdout.write(`${JSON.stringify({ bench: verb, at: new Date().toISOString(), machine, seconds, ...report })}\n`)
else process.stdout.write(`${text}\n\n${machine.cores} cores of ${machine.cpu}, Node ${machine.node}, ${seconds} s\n`)
process.exit(0)
