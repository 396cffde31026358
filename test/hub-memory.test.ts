import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"

const SKEIN = join(import.meta.dirname, "..", "bin", "skein.cjs")

test.runIf(process.platform === "linux")("a hub in the foreground has its memory kept frugally, and is the process that was started", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-memory-"))
  const { MALLOC_ARENA_MAX: _, MALLOC_TRIM_THRESHOLD_: __, ...env } = process.env
  const hub = spawn(process.execPath, [SKEIN, "up", "--foreground", "--json", "--global"], { env: { ...env, XDG_STATE_HOME: folder } })
  try {
    const [said] = (await once(hub.stdout, "data")) as [Buffer]
    expect(JSON.parse(String(said))).toMatchObject({ up: true, pid: hub.pid })
    expect(readFileSync(`/proc/${hub.pid}/environ`, "utf8").split("\0")).toContain("MALLOC_ARENA_MAX=1")
    expect(readFileSync(`/proc/${hub.pid}/cmdline`, "utf8").split("\0")).toContain("--max-semi-space-size=16")
  } finally {
    hub.kill("SIGTERM")
    await once(hub, "exit")
    rmSync(folder, { recursive: true, force: true })
  }
  expect(hub.exitCode).toBe(0)
})
