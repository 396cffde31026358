import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { endAllWith } from "../test/left-running.ts"
import { leaveInOrder } from "./command-line.ts"

/**
 * A folder for all temporary files of tests: whoever runs them hands it on as TMPDIR. Whatever was started with it is ended, and the folder removed, when this process
 * ends, by Ctrl-C too: what runs in sessions of its own hears of none, and vitest kills who started it.
 */
export function testPlace(): string {
  leaveInOrder()
  const place = mkdtempSync(join(tmpdir(), "skein-tests-"))
  process.once("exit", () => {
    endAllWith(`TMPDIR=${place}`)
    rmSync(place, { recursive: true, force: true, maxRetries: 5 })
  })
  return place
}
