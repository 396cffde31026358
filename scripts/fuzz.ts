/**
 * `npm run fuzz -- [--minutes N] [--from SEED] [--target NAME,NAME] [--cases N]`: attacks every entrance with changed input, one target after the
 * other, until the time is over. Prints the seed of the run, what came of the cases, and for each broken promise its seed, what was sent, and the
 * choices that are left of it; `--target NAME --from SEED --cases 1` makes the case again. Exit status 1 when one was found.
 */
import { parseArgs } from "node:util"
import { campaign, type Outcome } from "../test/fuzz/campaign.ts"
import { TARGETS } from "../test/fuzz/targets.ts"

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "5" }, from: { type: "string" }, target: { type: "string" }, cases: { type: "string" } },
})
const minutes = Number(values.minutes)
const from = Number(values.from ?? Date.now() % 2 ** 31)
const cases = values.cases === undefined ? Number.POSITIVE_INFINITY : Number(values.cases)
const targets = TARGETS.filter(({ name }) => values.target === undefined || values.target.split(",").includes(name))
if (!(minutes > 0) || !Number.isSafeInteger(from) || !(cases > 0) || targets.length === 0) {
  console.error(`usage: npm run fuzz -- [--minutes N] [--from SEED] [--target ${TARGETS.map(({ name }) => name).join("|")}] [--cases N]`)
  process.exit(2)
}

function print({ target, cases: done, tookMs, grewBytes, outcomes, found }: Outcome): void {
  const seconds = tookMs / 1_000
  console.log(`\n${target}: ${done} cases in ${seconds.toFixed(1)} s (${(done / seconds).toFixed(0)}/s), memory ${(grewBytes / 2 ** 20).toFixed(1)} MiB`)
  for (const [outcome, count] of [...outcomes].sort(([, a], [, b]) => b - a).slice(0, 24)) console.log(`  ${String(count).padStart(7)}  ${outcome}`)
  if (found === null) return
  console.log(`\nFOUND by ${target} at seed ${found.seed}: ${found.message}\n--- sent ---\n${found.sent}\n--- choices ---\n[${found.made.join(",")}]\n`)
}

console.log(`fuzz: --from ${from}, ${minutes} min over ${targets.map(({ name }) => name).join(", ")}`)
let failed = false
for (const [at, target] of targets.entries()) {
  const left = targets.length - at
  const startMs = performance.now()
  const shareMs = (minutes * 60_000) / targets.length
  const outcome = await campaign(target, { seed: from, cases, untilMs: startMs + shareMs })
  print(outcome)
  failed ||= outcome.found !== null
  if (left === 1) break
}
console.log(failed ? "\nfuzz: broken promises were found" : "\nfuzz: nothing found")
process.exit(failed ? 1 : 0)
