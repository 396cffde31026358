/**
 * `npm run crash -- --kills N [--seed SEED]`: kills a real hub N times under the load of real clients, tears the tail of its log, and holds after every
 * restart what was promised against what is there. Prints the seed, the counts, and on failure the command that repeats it.
 */
import { build, leaveInOrder, readCommandLine, wholeNumber } from "./command-line.ts"

const USAGE = "npm run crash -- [--kills N] [--seed SEED]"
const { values } = readCommandLine(
  { options: { kills: { type: "string", default: "200" }, seed: { type: "string", default: `${Date.now() % 1_000_000}` } } },
  USAGE,
  `Kills a real hub N times with SIGKILL under the load of real clients, tears the tail of its log, and compares after every restart what was told with what is there.
  --kills N     so many times (200)
  --seed SEED   from which all chance is drawn (another each time; it is printed)
Ends with status 1 where anything acknowledged is lost, with the command that repeats it.`,
)
const kills = wholeNumber("kills", values.kills, 1, USAGE)
const seed = wholeNumber("seed", values.seed, 0, USAGE)
leaveInOrder()
build()
// Loaded once the command line is known to be right: it takes most of a second.
const [{ crashes }, { BUILT }] = await Promise.all([import("../test/crash/crash.ts"), import("../test/crash/hub-process.ts")])
console.log(`seed ${seed}, ${kills} kills`)
const startedMs = performance.now()
try {
  const report = await crashes({ kills, seed, main: BUILT, log: (line) => console.log(line) })
  console.log(JSON.stringify(report))
  console.log(`${kills} kills, nothing acknowledged is lost (${((performance.now() - startedMs) / 1000).toFixed(0)} s)`)
} catch (error) {
  console.error((error as Error).message)
  process.exit(1)
}
