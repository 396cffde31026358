import { readFile } from "node:fs/promises"
import { afterAll, beforeAll, expect } from "vitest"
import { check } from "../../src/ledger/proof.ts"
import { parseVerifier } from "../../src/ledger/note.ts"
import { busyFlight, HOSTILE } from "./busy-flight.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await busyFlight(rig)
  await rig.operator.task.add({ id: "hostile", title: "Hostile", body: `${HOSTILE}\n${"x".repeat(30_000)}` })
})
afterAll(() => rig.close())

const NARROW = { width: 400, height: 800 }
const WAIT = { timeout: 15_000 }

inChromium("the ledger is a stream that goes by keys: the newest entry first, each with all that it says as text and nothing else", async () => {
  const { page, complaints } = await rig.open("#/ledger")
  await page.waitForSelector(".window [role=option]", WAIT)
  const head = rig.hub.loop.head.seq
  await page.focus(".window")
  await page.keyboard.press("End")
  await page.waitForSelector("#entry-1 >> text=workspace.created", WAIT)
  await page.keyboard.press("Home")
  await page.keyboard.press("Enter")
  await page.waitForSelector('section[aria-label^="Entry "] .facts', WAIT)
  // The hub may have renewed leases since the page was opened: what is newest is not what was.
  const newest = Number((await page.getAttribute('section[aria-label^="Entry "]', "aria-label"))?.slice("Entry ".length))
  expect(newest).toBeGreaterThanOrEqual(head)
  expect(newest).toBeLessThanOrEqual(rig.hub.loop.head.seq)
  await page.keyboard.press("Escape")
  await page.fill(".filters [data-search]", "onerror")
  await page.waitForSelector("text=/1 found|2 found/", WAIT)
  await page.locator(".window [role=option]").first().click()
  const data = page.locator(".entry .data")
  await data.waitFor(WAIT)
  expect(await data.textContent()).toContain("<script>window.hacked=1</script>")
  expect(await data.locator("img, script").count()).toBe(0)
  await data.getByRole("button", { name: /show all/ }).click()
  expect((await data.textContent())?.length).toBeGreaterThan(30_000)
  expect(await page.evaluate("window.hacked")).toBeUndefined()
  expect(await faultsOf(page)).toEqual([])
  expect(complaints).toEqual([])
})

inChromium("filters find by type, actor, task and text, stand in the address, and find what comes", async () => {
  const { page } = await rig.open("#/ledger")
  await page.getByLabel("type begins with").fill("task.claimed")
  await page.waitForSelector("text=/^5 found/", WAIT)
  await page.getByLabel("by", { exact: true }).fill("ada")
  await page.waitForSelector("text=/^2 found/", WAIT)
  await page.getByLabel("task", { exact: true }).fill("orders.1/store")
  await page.waitForSelector("text=/^1 found/", WAIT)
  const address = (): string => decodeURIComponent(new URL(page.url()).hash)
  await expect.poll(address, WAIT).toBe("#/ledger?type=task.claimed&actor=ada&task=orders.1/store")
  await page.getByRole("button", { name: "clear" }).click()
  await page.getByLabel("task", { exact: true }).fill("later")
  await page.waitForSelector("text=/^0 found/", WAIT)
  await rig.operator.task.add({ id: "later", title: "Comes while one looks" })
  await page.waitForSelector("text=/^1 found/", WAIT)
})

inChromium("an entry tells what led to it, is proved to outsiders, and is a moment to share", async () => {
  const { page, complaints } = await rig.open("#/ledger?type=task.completed")
  await page.locator(".window [role=option]").first().click(WAIT)
  const causes = page.locator(".causes li")
  await expect.poll(() => causes.count(), WAIT).toBeGreaterThan(1)
  const led = await causes.allTextContents()
  expect(led[0]).toContain("usage.reported")
  expect(led.at(-1)).toContain("task.added")
  expect(led.join()).toContain("same task, before")
  await rig.hub.loop.checkpoint()
  await keepPicture(page, "ledger")
  const download = page.waitForEvent("download", WAIT)
  await page.getByRole("button", { name: "get the proof" }).click()
  const proof = JSON.parse(await readFile(await (await download).path(), "utf8")) as { seq: number }
  expect(check(proof, { log: [parseVerifier(rig.hub.vkey)] })).toMatchObject({ ok: true, entry: { type: "task.completed" } })
  await page.waitForSelector("text=it holds against the checkpoint", WAIT)
  await page.getByRole("link", { name: "the page at this moment" }).click()
  await page.waitForSelector(`.timeline [data-shown="${proof.seq}"]`, WAIT)
  expect(complaints).toEqual([])
})

inChromium("an entry that was changed on its way does not chain, and the page says which", async () => {
  const { page } = await rig.open("#/flight")
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer()
    server.onMessage((message) => {
      const text = String(message)
      socket.send(text.includes('"bytes":') ? text.replaceAll("Read orders from the feed", "Read orders from the fees") : text)
    })
  })
  await page.goto(`${rig.hub.url}/#/ledger`)
  await page.reload()
  await page.waitForSelector(".verified [role=alert]", WAIT)
  expect(await page.textContent(".verified [role=alert]")).toMatch(/entry \d+ was changed: its bytes do not chain to entry \d+/)
})

inChromium("on a narrow screen the name of the view is in sight, and so is an entry that is opened", async () => {
  const { page, complaints } = await rig.open("#/charts", { viewport: NARROW })
  const nav = page.locator("nav [aria-current]")
  await nav.getByText("Charts").waitFor()
  const box = await nav.boundingBox()
  expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(NARROW.width)
  await page.goto(`${page.url().replace(/#.*/, "")}#/ledger`)
  await page.locator(".row", { hasText: "task.completed" }).first().click()
  await page.getByRole("heading", { name: /^Entry \d+$/ }).waitFor()
  const topOf = (selector: string): Promise<number> => page.evaluate<number>(`document.querySelector("${selector}").getBoundingClientRect().top`)
  expect(await topOf("section.entry")).toBeLessThan((await topOf("footer")) - 40)
  expect(complaints).toEqual([])
})
