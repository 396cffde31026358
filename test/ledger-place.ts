import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { TestContext } from "vitest"

/** Where a test's ledger is to lie: in a folder of its own, which goes with the test. */
export function ledgerPlace({ onTestFinished }: TestContext): { folder: string; path: string } {
  const folder = mkdtempSync(join(tmpdir(), "skein-sqlite-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return { folder, path: join(folder, "main.sqlite") }
}
