import { configDefaults, defineConfig } from "vitest/config"
import { LongFirst } from "./test/sequence.ts"
import { SHARING } from "./test/sharing.ts"

export default defineConfig({
  test: {
    // Processes, not threads: tests start agents, send signals and change directory.
    pool: "forks",
    // Three on two processors: terminals and timers that are waited for would leave them idle.
    maxWorkers: 3,
    // Of tests in one file that mostly wait: more at once would starve each other on two processors.
    maxConcurrency: 3,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    // What is waited for comes at once or never, but for processes that have to share two processors: only the second shall end a test.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Terminals, browsers and real agents share two processors with the tests beside them: on CI one that fails tries once more, and the report says so.
    retry: process.env["CI"] === undefined ? 0 : 1,
    reporters: ["default", "./test/reporter.ts"],
    // Every file is in the one or the other. They run by their names, in one queue: the long files first, the short ones fill up what is left.
    sequence: { sequencer: LongFirst },
    projects: [
      { extends: true, test: { name: "alone", include: ["src/**/*.test.{ts,tsx}", "test/**/*.test.ts"], exclude: [...configDefaults.exclude, ...SHARING] } },
      { extends: true, test: { name: "sharing", include: SHARING, isolate: false } },
    ],
  },
})
