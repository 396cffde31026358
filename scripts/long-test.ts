/** `node scripts/long-test.ts FILE…`: runs these tests, for scripts whose tests go on for minutes, in a place of their own. */
import { spawn } from "node:child_process"
import { testPlace } from "./test-place.ts"

const env = { ...process.env, TMPDIR: testPlace() }
const tests = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...process.argv.slice(2)], { stdio: "inherit", env })
tests.on("close", (status) => process.exit(status ?? 1))
