import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect } from "vitest"
import { flightOf } from "../../src/core/flight.ts"
import { memorySnapshots } from "../../src/hub/snapshots.ts"
import { replay } from "../../src/hub/replay.ts"
import { sha256 } from "../../src/ledger/sha256.ts"
import { openSqlite } from "../../src/ledger/sqlite.ts"
import { json } from "../cli-driver.ts"
import { busyFlight } from "./busy-flight.ts"
import { inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
const directory = mkdtempSync(join(tmpdir(), "skein-travel-"))
const path = join(directory, "main.sqlite")
let rig: PageRig
beforeAll(async () => {
  // Few entries between two snapshots: some moments are reached from one, some from the first entry.
  rig = await startPageRig({ openLedger: () => Promise.resolve(openSqlite({ path })), snapshots: memorySnapshots(), limits: { snapshotEntries: 25 } })
  await busyFlight(rig)
})
afterAll(async () => {
  await rig.close()
  rmSync(directory, { recursive: true, force: true })
})

const BOSS = { agent: "operator", session: null, role: "operator" as const }
const WAIT = { timeout: 15_000 }

/** Waits until the page shows the state after an entry. */
async function shows(page: Page, seq: number): Promise<void> {
  await page.waitForSelector(`.timeline [data-shown="${seq}"]`, WAIT)
}

async function digestAt(page: Page, seq: number): Promise<string> {
  await shows(page, seq)
  await page.click("text=make its digest")
  await expect.poll(() => page.textContent(".verified [role=status]"), WAIT).toContain(`after entry ${seq.toLocaleString("en")}`)
  return (await page.textContent(".digest")) ?? ""
}

inChromium("three moments of a run have the digest that `skein ledger replay --to` makes, whichever way the page came to them", async () => {
  const { seq: head } = rig.hub.loop.head
  const moments = [Math.floor(head * 0.5), Math.floor(head * 0.9), Math.floor(head * 0.2)]
  const { page, complaints } = await rig.open(`#/ledger@${moments[0]}`)
  const digests = new Map<number, string>()
  for (const seq of [...moments, moments[0] as number, head - 1]) {
    await page.evaluate(`location.hash = "#/ledger@${seq}"`)
    const digest = await digestAt(page, seq)
    expect(digests.get(seq) ?? digest, `the same moment twice: ${seq}`).toBe(digest)
    digests.set(seq, digest)
  }
  for (const [seq, digest] of digests) {
    const [replayed] = await json<{ digest: string; entries: number }>(directory, ["ledger", "replay", "--to", String(seq), "--file", path])
    expect(replayed, `entry ${seq}`).toMatchObject({ entries: seq, digest })
  }
  expect(complaints).toEqual([])
})

inChromium("in a long ledger the page goes back from what it holds by the hub's steps, to the digests that a replay makes", async () => {
  const long = join(directory, "long.sqlite")
  const limits = { snapshotEntries: 1_000_000, rungEntries: 1_000, queueWaitMs: 60_000 }
  const ledger = (): Promise<ReturnType<typeof openSqlite>> => Promise.resolve(openSqlite({ path: long }))
  const other = await startPageRig({ openLedger: ledger, snapshots: memorySnapshots(), ladder: memorySnapshots(), limits })
  try {
    const { loop } = other.hub
    const actor = { agent: "ada", session: null, role: "worker" as const }
    await other.hub.agent("ada", { maxActive: 1_000 })
    for (let wave = 0; wave < 20; wave += 1) {
      const ids = Array.from({ length: 50 }, (_, at) => `t${wave}-${at}`)
      await Promise.all(ids.map((id) => loop.execute("task.add", BOSS, { id, title: id }, { key: { id, hash: "0".repeat(32) } })))
      for (let round = 0; round < 4; round += 1) {
        const held = await Promise.all(ids.map((task) => loop.execute("task.claim", actor, { task })))
        await Promise.all(held.map(({ task, fence }) => loop.execute("task.release", actor, { task: task.id, fence, reason: "later" })))
      }
    }
    const { seq: head } = loop.head
    await expect.poll(async () => (await other.hub.hub.ladder("main")?.rungs())?.at(-1) ?? 0, { timeout: 30_000 }).toBeGreaterThan(head - 2_000)
    const { page, complaints } = await other.open("#/ledger")
    const asked: string[] = []
    page.on("request", (request) => asked.push(new URL(request.url()).pathname.split("/")[1] ?? ""))
    for (const share of [0.7, 0.95, 0.5]) {
      const seq = Math.floor(head * share)
      await page.evaluate(`location.hash = "#/ledger@${seq}"`)
      const digest = await digestAt(page, seq)
      const copy = openSqlite({ path: long, readOnly: true })
      const replayed = await replay(copy, sha256, { to: seq, compare: false })
      await copy.close()
      expect(replayed.digest, `entry ${seq}`).toBe(digest)
    }
    expect(asked).toContain("back")
    expect(complaints).toEqual([])
  } finally {
    await other.close()
  }
})

inChromium("Flight at a moment shows who had which task then, and says of presence that it was not recorded", async () => {
  const { page, complaints } = await rig.open()
  const { seq: head } = rig.hub.loop.head
  for (const seq of [Math.floor(head * 0.7), Math.floor(head * 0.4)]) {
    await page.evaluate(`location.hash = "#/flight@${seq}"`)
    await shows(page, seq)
    const ledger = openSqlite({ path, readOnly: true })
    const { state } = await replay(ledger, sha256, { to: seq, compare: false })
    await ledger.close()
    await keepPicture(page, "flight-past")
    const agents = flightOf(state).agents.map(({ name, tasks }) => [name, tasks.map(({ id }) => id)])
    const rows = `[...document.querySelectorAll("table.cards tbody tr")].map((row) => [row.querySelector("th a").textContent, [...row.querySelectorAll("[data-label=task] a")].map((task) => task.textContent)])`
    await expect.poll(() => page.evaluate(rows), WAIT).toEqual(agents)
    expect(await page.locator("td[data-label=presence]").allTextContents()).toEqual(agents.map(() => "not recorded"))
  }
  expect(complaints).toEqual([])
})

inChromium("the slider goes by keys, the moment is in the address, a link to it shows it, play goes on and live comes back", async () => {
  const { page, complaints } = await rig.open()
  const slider = page.getByRole("slider", { name: /moment/ })
  await slider.waitFor(WAIT)
  const { seq: head } = rig.hub.loop.head
  await slider.focus()
  await page.keyboard.press("Home")
  await shows(page, 1)
  await page.keyboard.press("ArrowRight")
  await page.keyboard.press("ArrowRight")
  await shows(page, 3)
  await page.keyboard.press("ArrowLeft")
  await shows(page, 2)
  await expect.poll(() => page.url(), WAIT).toMatch(/@2$/)
  expect(await slider.getAttribute("aria-valuetext")).toMatch(/^entry 2 of /)
  const shared = await rig.open(new URL(page.url()).hash)
  await shows(shared.page, 2)
  const box = await slider.boundingBox()
  await page.mouse.click((box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + (box?.height ?? 0) / 2)
  const shown = async (): Promise<number> => Number(await page.getAttribute(".timeline [data-shown]", "data-shown"))
  await expect.poll(async () => Math.abs((await shown()) - head / 2), WAIT).toBeLessThan(5)
  await page.locator("main").focus()
  const before = await shown()
  await page.keyboard.press("p")
  await expect.poll(shown, WAIT).toBeGreaterThan(before + 1)
  await page.keyboard.press("p")
  await page.selectOption(".timeline select", "1000")
  await page.getByRole("button", { name: "play" }).click()
  await page.waitForSelector("header .state-live", WAIT)
  await expect.poll(() => page.url(), WAIT).not.toContain("@")
  expect([...complaints, ...shared.complaints]).toEqual([])
})

inChromium("a link to an entry that is not there yet says so, and leads back to now", async () => {
  const { page } = await rig.open("#/flight@999999")
  await page.waitForSelector(".timeline [role=alert]", WAIT)
  expect(await page.textContent(".timeline [role=alert]")).toContain("the ledger ends at entry")
  await page.locator("body").press("n")
  await page.waitForSelector("header .state-live", WAIT)
})

inChromium("a moment after the ledger's end is said to be none, however far, and the way back from it is from the end", async () => {
  const { page, complaints } = await rig.open("#/flight@999999999999999")
  await page.getByText(/This moment cannot be shown: the ledger ends at entry \d+/).waitFor(WAIT)
  const { seq } = rig.hub.loop.head
  await page.keyboard.press(",")
  await shows(page, seq - 1)
  await page.evaluate(`location.hash = "#/flight@0"`)
  await shows(page, 1)
  expect(complaints).toEqual([])
})
