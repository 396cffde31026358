/**
 * `npm test`: builds, then type check, lint, format and dead code side by side with each other, then the tests.
 * Everything runs even when something failed, so that one run tells all; a failed check counts as one failed test.
 * `--no-tests` stops before the tests, `--no-checks` begins with them; what else follows is handed to vitest (`npm test -- src/core`).
 */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { closingLine, type Tally } from "../test/reporter.ts"
import { testPlace } from "./test-place.ts"

type Outcome = { passed: boolean; output: string; seconds: number }

const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> }

/** Runs the command line of one npm script to its end. Its output is kept back, so that checks that run side by side do not mix. */
function run(script: string): Promise<Outcome> {
  const startedMs = performance.now()
  return new Promise((resolve) => {
    let output = ""
    // npm put node_modules/.bin on the path already; asking npm again would cost a quarter second a check.
    const child = spawn(scripts[script] ?? `npm run ${script}`, { stdio: ["ignore", "pipe", "pipe"], shell: true })
    const keep = (chunk: string): void => void (output += chunk)
    child.stdout.setEncoding("utf8").on("data", keep)
    child.stderr.setEncoding("utf8").on("data", keep)
    child.on("error", (error) => keep(String(error)))
    child.on("close", (status) => resolve({ passed: status === 0, output, seconds: (performance.now() - startedMs) / 1000 }))
  })
}

function report(script: string, { passed, output, seconds }: Outcome): void {
  console.log(`${passed ? "ok    " : "FAILED"}  npm run ${script}  (${seconds.toFixed(1)} s)`)
  if (!passed) console.log(`\n----- npm run ${script} failed -----\n${output.trimEnd()}\n-----\n`)
}

async function runTests(args: string[]): Promise<Tally> {
  const place = testPlace()
  const file = join(place, "tally.json")
  const status = await new Promise<number | null>((resolve) => {
    // Hundreds of processes run the same sources: each would strip their types and compile them anew.
    const env = { ...process.env, TMPDIR: place, SKEIN_TALLY: file, NODE_COMPILE_CACHE: join(place, "compiled") }
    const child = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...args], { stdio: "inherit", env })
    child.on("close", resolve)
  })
  try {
    const tally = JSON.parse(readFileSync(file, "utf8")) as Tally
    // vitest may fail without a failed test: no file matched, a run that was broken off.
    return status === 0 || tally.failed > 0 ? tally : { ...tally, failed: 1 }
  } catch {
    console.log("\n----- the tests ended without a result -----\n")
    return { passed: 0, failed: 1, skipped: 0 }
  }
}

const args = process.argv.slice(2)
const outcomes = new Map<string, Outcome>()
async function check(script: string): Promise<void> {
  const outcome = await run(script)
  outcomes.set(script, outcome)
  report(script, outcome)
}

if (!args.includes("--no-checks")) {
  await check("build")
  await Promise.all(["typecheck", "lint", "format:check", "deadcode"].map(check))
}
const failed = [...outcomes].filter(([, { passed }]) => !passed).map(([script]) => script)
const built = !failed.includes("build")
let tally: Tally = { passed: 0, failed: 0, skipped: 0 }
if (!args.includes("--no-tests")) {
  if (built) tally = await runTests(args.filter((word) => word !== "--no-checks"))
  else console.log("\n----- the tests did not run: they need the build -----\n")
}
if (failed.length > 0) console.log(`failed checks: ${failed.map((script) => `npm run ${script}`).join(", ")}`)
tally.failed += failed.length
process.exitCode = tally.failed === 0 ? 0 : 1
console.log(closingLine(tally))
