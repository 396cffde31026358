/**
 * `npm run simulate -- --seeds N --from SEED [--trouble MS]`: lives through N simulated teams with their misfortunes, longer ones than the tests do,
 * and breaks off at the first broken promise with the command that repeats it. `--trouble` is the virtual time of trouble of each, 60,000 ms.
 */
import { parseArgs } from "node:util"
import { type Outcome, simulate } from "../test/simulation/world.ts"

const { values } = parseArgs({
  options: { seeds: { type: "string", default: "200" }, from: { type: "string", default: "1" }, trouble: { type: "string", default: "60000" } },
})
const [seeds, from, troubleMs] = [values.seeds, values.from, values.trouble].map(Number)
if (!(Number.isSafeInteger(seeds) && Number.isSafeInteger(from) && Number.isSafeInteger(troubleMs) && Number(seeds) > 0 && Number(troubleMs) > 0)) {
  console.error("usage: npm run simulate -- --seeds N --from SEED [--trouble MS]")
  process.exit(2)
}

const startedMs = performance.now()
const total = { seeds: 0, entries: 0, acknowledged: 0, lostRaces: 0, starts: 0 }
const types = new Map<string, number>()
for (let seed = Number(from); seed < Number(from) + Number(seeds); seed += 1) {
  const outcome: Outcome = await simulate({ seed, troubleMs: Number(troubleMs) }).catch((error: Error) => {
    console.error(error.message)
    process.exit(1)
  })
  total.seeds += 1
  total.entries += outcome.entries
  total.acknowledged += outcome.acknowledged
  total.lostRaces += outcome.lostRaces
  total.starts += outcome.starts
  for (const [type, count] of outcome.types) types.set(type, (types.get(type) ?? 0) + count)
  if (seeds === 1) console.log(`trace ${outcome.trace}`)
  else if (total.seeds % 50 === 0) console.log(`seed ${seed}: ${total.seeds} of ${seeds}, ${((performance.now() - startedMs) / 1000).toFixed(0)} s`)
}
console.log(
  [...types]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([type, count]) => `${type} ${count}`)
    .join(", "),
)
console.log(
  `${total.seeds} seeds from ${from}: ${total.entries} entries, ${total.acknowledged} acknowledged, ${total.lostRaces} races lost, ${total.starts} hub starts; no promise broken (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`,
)
process.exit(0)
