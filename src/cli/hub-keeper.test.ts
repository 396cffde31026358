import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import type { SkeinError } from "../contract/errors.ts"
import { HubKeeper } from "./hub-keeper.ts"
import type { HubFile } from "./instance.ts"

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function gone(): number {
  return spawnSync("true").pid
}

/** Keeps the hub of an instance whose process is gone; `file` is what stands in its `hub.json` then. */
function keep(file: HubFile | null): { told: string[]; lost: Promise<SkeinError>; keeper: HubKeeper } {
  const directory = mkdtempSync(join(tmpdir(), "skein-keeper-"))
  if (file !== null) writeFileSync(join(directory, "hub.json"), JSON.stringify(file))
  const told: string[] = []
  let keeper: HubKeeper | null = null
  const lost = new Promise<SkeinError>((settle) => {
    const hub = { pid: gone(), url: "http://127.0.0.1:7700", startedAtMs: 0, version: "0" }
    keeper = new HubKeeper({ instance: { directory, repository: null }, hub, told: (line) => told.push(line), lost: settle, patienceMs: 300 })
  })
  closing.push(
    () => keeper?.stop(),
    () => rmSync(directory, { recursive: true }),
  )
  return { told, lost, keeper: keeper as unknown as HubKeeper }
}

test("a hub that was stopped is waited for, and then the run cannot go on", async () => {
  const { told, lost } = keep(null)
  expect(await lost).toMatchObject({ code: "hub_unreachable", remedy: expect.stringContaining("The same command") as string })
  expect(told).toEqual([expect.stringContaining("the hub was stopped")])
})

test("a hub that somebody started again is taken for the run's own, so that it is the one to be stopped", async () => {
  const { told, keeper } = keep({ pid: process.pid, url: "http://127.0.0.1:7700", startedAtMs: 0, version: "0" })
  for (let tries = 0; tries < 800 && told.length === 0; tries += 1) await new Promise((settle) => setTimeout(settle, 20))
  expect([told, keeper.pid]).toEqual([[expect.stringContaining("the hub is back")], process.pid])
})

test("a hub that came back at another address ends the run: its agents would look for it in vain", async () => {
  const { lost } = keep({ pid: process.pid, url: "http://127.0.0.1:7701", startedAtMs: 0, version: "0" })
  expect(await lost).toMatchObject({ code: "hub_unreachable", message: expect.stringContaining("7701") as string })
})
