/**
 * `npm run simulate -- --seeds N --from SEED [--trouble MS]`: lives through N simulated teams with their misfortunes, longer ones than the tests do,
 * and breaks off at the first broken promise with the command that repeats it. `--trouble` is the virtual time of trouble of each, 60,000 ms. The same seeds
 * make the same trace hash.
 */
import type { Outcome } from "../test/simulation/world.ts"
import { createHash } from "node:crypto"
import { leaveInOrder, readCommandLine, wholeNumber, wrongUse } from "./command-line.ts"

const USAGE = "npm run simulate -- [--seeds N] [--from SEED] [--trouble MS]"
const { values } = readCommandLine(
  { options: { seeds: { type: "string", default: "200" }, from: { type: "string", default: "1" }, trouble: { type: "string", default: "60000" } } },
  USAGE,
  `Lives through N simulated teams with their misfortunes, and ends with status 1 at the first broken promise, which it prints with the command that repeats it.
  --seeds N      so many teams (200)
  --from SEED    the first one's seed (1); the next have the next ones
  --trouble MS   how long each is in trouble, in virtual time (60000)
The same seeds make the same trace hash: that of all that happened to one, or of the hashes of several.`,
)
const seeds = wholeNumber("seeds", values.seeds, 1, USAGE)
const from = wholeNumber("from", values.from, 0, USAGE)
const troubleMs = wholeNumber("trouble", values.trouble, 1, USAGE)
if (!Number.isSafeInteger(from + seeds)) wrongUse(`seeds end at ${Number.MAX_SAFE_INTEGER}: ${seeds} of them do not begin at ${from}`, USAGE)
leaveInOrder()
// Loaded once the command line is known to be right: it takes most of a second.
const { simulate } = await import("../test/simulation/world.ts")

const startedMs = performance.now()
const total = { seeds: 0, entries: 0, acknowledged: 0, lostRaces: 0, starts: 0 }
const types = new Map<string, number>()
const traces: string[] = []
for (let seed = from; seed < from + seeds; seed += 1) {
  const outcome: Outcome = await simulate({ seed, troubleMs }).catch((error: Error) => {
    console.error(error.message)
    process.exit(1)
  })
  total.seeds += 1
  total.entries += outcome.entries
  total.acknowledged += outcome.acknowledged
  total.lostRaces += outcome.lostRaces
  total.starts += outcome.starts
  for (const [type, count] of outcome.types) types.set(type, (types.get(type) ?? 0) + count)
  traces.push(outcome.trace)
  if (total.seeds % 50 === 0) console.log(`seed ${seed}: ${total.seeds} of ${seeds}, ${((performance.now() - startedMs) / 1000).toFixed(0)} s`)
}
const counts = [...types].sort(([a], [b]) => (a < b ? -1 : 1)).map(([type, count]) => `${type} ${count}`)
console.log(`entries by type: ${counts.join(", ")}`)
console.log(`trace ${seeds === 1 ? traces[0] : createHash("sha256").update(traces.join("\n")).digest("hex")}`)
console.log(
  `${total.seeds} seeds from ${from}: ${total.entries} entries, ${total.acknowledged} acknowledged, ${total.lostRaces} races lost, ${total.starts} hub starts; no promise broken (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`,
)
process.exit(0)
