/**
 * `node scripts/long-test.ts FILE…`: runs these tests, for scripts whose tests go on for minutes. They have a folder for temporary files of their own; whatever was started
 * in it is ended, and the folder removed, when the tests are over or are interrupted: what runs in sessions of its own hears of no Ctrl-C, and vitest kills who started it.
 */
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { endAllWith } from "../test/left-running.ts"
import { leaveInOrder } from "./command-line.ts"

leaveInOrder()
const place = mkdtempSync(join(tmpdir(), "skein-tests-"))
process.once("exit", () => {
  endAllWith(`TMPDIR=${place}`)
  rmSync(place, { recursive: true, force: true, maxRetries: 5 })
})
const env = { ...process.env, TMPDIR: place }
const tests = spawn(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...process.argv.slice(2)], { stdio: "inherit", env })
tests.on("close", (status) => process.exit(status ?? 1))
