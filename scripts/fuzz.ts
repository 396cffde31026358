/**
 * `npm run fuzz -- [--minutes N] [--from SEED] [--target NAME,NAME] [--cases N]`: attacks every entrance with changed input, one target after the
 * other, until the time is over. Prints the seed of the run, what came of the cases, and for each broken promise its seed, what was sent, and the
 * choices that are left of it; `--target NAME --from SEED --cases 1` makes the case again. Exit status 1 when one was found.
 */
import { campaign, type Outcome } from "../test/fuzz/campaign.ts"
import { TARGETS } from "../test/fuzz/targets.ts"
import { build, leaveInOrder, readCommandLine, wholeNumber, wrongUse } from "./command-line.ts"

const NAMES = Object.keys(TARGETS)
const USAGE = `npm run fuzz -- [--minutes N] [--from SEED] [--target ${NAMES.join("|")}] [--cases N]`
const { values } = readCommandLine(
  { options: { minutes: { type: "string", default: "5" }, from: { type: "string" }, target: { type: "string" }, cases: { type: "string" } } },
  USAGE,
  `Attacks every entrance with changed input, one after the other, until the time is over.
  --minutes N            for so long, shared out among the targets (5)
  --from SEED            the seed of the first case of each (another each time; it is printed)
  --target NAME,NAME     only these
  --cases N              no more than so many cases a target
Ends with status 1 where a promise was broken: prints the seed of the case, and what was sent. --target NAME --from SEED --cases 1 makes it again.`,
)
const minutes = Number(values.minutes)
if (!(minutes > 0 && minutes < Number.POSITIVE_INFINITY)) wrongUse(`--minutes takes a number above 0, not "${values.minutes}"`, USAGE)
const from = wholeNumber("from", values.from ?? `${Date.now() % 2 ** 31}`, 0, USAGE)
const cases = values.cases === undefined ? Number.POSITIVE_INFINITY : wholeNumber("cases", values.cases, 1, USAGE)
const wanted = values.target?.split(",") ?? NAMES
for (const name of wanted) if (!NAMES.includes(name)) wrongUse(`there is no target "${name}"`, USAGE)
const names = NAMES.filter((name) => wanted.includes(name))
leaveInOrder()
build()

function print({ target, cases: done, tookMs, grewBytes, outcomes, found }: Outcome): void {
  const seconds = tookMs / 1_000
  console.log(`\n${target}: ${done} cases in ${seconds.toFixed(1)} s (${(done / seconds).toFixed(0)}/s), memory ${(grewBytes / 2 ** 20).toFixed(1)} MiB`)
  for (const [outcome, count] of [...outcomes].sort(([, a], [, b]) => b - a).slice(0, 24)) console.log(`  ${String(count).padStart(7)}  ${outcome}`)
  if (found === null) return
  console.log(`\nFOUND by ${target} at seed ${found.seed}: ${found.message}\n--- sent ---\n${found.sent}\n--- choices ---\n[${found.made.join(",")}]\n`)
}

console.log(`fuzz: --from ${from}, ${minutes} min over ${names.join(", ")}`)
let failed = false
for (const name of names) {
  const target = await (TARGETS[name] as (typeof TARGETS)[string])()
  const outcome = await campaign(target, { seed: from, cases, untilMs: performance.now() + (minutes * 60_000) / names.length })
  print(outcome)
  failed ||= outcome.found !== null
}
console.log(failed ? "\nfuzz: broken promises were found" : "\nfuzz: nothing found")
process.exit(failed ? 1 : 0)
