import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["src/**/*.test.{ts,tsx}", "test/**/*.test.ts"],
    // Processes, not threads: tests start agents, send signals and change directory.
    pool: "forks",
    // One more than the two processors of the smallest machine: many tests wait for terminals and processes.
    maxWorkers: 3,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    reporters: ["default", "./test/reporter.ts"],
  },
})
