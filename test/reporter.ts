import { writeFileSync } from "node:fs"
import type { Reporter, TestCase, TestModule } from "vitest/node"

/** What a run of the tests came to. A file that could not be loaded, and an error outside of any test, each count as one failed. */
export type Tally = { passed: number; failed: number; skipped: number }

/** The line that CI reads; it stands alone and last. */
export function closingLine({ passed, failed, skipped }: Tally): string {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`
}

/** What a test that passed at its second try failed with at its first: else nobody would learn why. */
function firstTry(test: TestCase): string[] {
  return (test.result().errors ?? []).map(({ stack, message }) => `second try: ${test.module.relativeModuleId}: ${test.fullName}\n${stack ?? message}\n`)
}

/** Writes the tally to the file that `SKEIN_TALLY` names (scripts/test.ts adds its own checks to it), else prints the closing line. */
export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tally: Tally = { passed: 0, failed: errors.length, skipped: 0 }
    for (const module of modules) {
      if (module.errors().length > 0) tally.failed += 1
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === "passed") {
          tally.passed += 1
          for (const text of firstTry(test)) process.stdout.write(text)
        } else if (state === "skipped") tally.skipped += 1
        else tally.failed += 1
      }
    }
    const file = process.env["SKEIN_TALLY"]
    if (file !== undefined) writeFileSync(file, JSON.stringify(tally))
    else process.once("exit", () => process.stdout.write(`${closingLine(tally)}\n`))
  }
}
