import { configDefaults, defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["src/**/*.test.{ts,tsx}", "test/**/*.test.ts"],
    // Two minutes of real agents under a supervisor: with `npm run test:agents`, which names the agents.
    exclude: [...configDefaults.exclude, ...(process.env["SKEIN_TEST_AGENTS"] === undefined ? ["test/agents/supervised.test.ts"] : [])],
    // Processes, not threads: tests start agents, send signals and change directory.
    pool: "forks",
    maxWorkers: 2,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // Tests with terminals and real agents take a text and Enter for one now and then where both processors are busy: on CI such a test may try again, and says so.
    retry: process.env["CI"] === undefined ? 0 : 2,
    reporters: ["default", "./test/reporter.ts"],
  },
})
