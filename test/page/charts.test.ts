import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect } from "vitest"
import { busyFlight } from "./busy-flight.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await busyFlight(rig)
})
afterAll(() => rig.close())

const WAIT = { timeout: 20_000 }

/** The sums of a chart's columns, as its table has them. */
async function sums(page: Page, title: string): Promise<number[]> {
  const chart = page.locator("figure", { has: page.locator("figcaption", { hasText: title }) })
  await chart.locator("summary").click()
  const rows = await chart.locator("tbody tr").all()
  const values = await Promise.all(rows.map(async (row) => (await row.locator("td").allTextContents()).map((text) => Number(text.replace("$", "")))))
  await chart.locator("summary").click()
  return values.reduce((before, row) => row.map((value, at) => value + (before[at] ?? 0)), [])
}

/** Whether something was drawn on each canvas. */
async function drawn(page: Page): Promise<boolean[]> {
  return page.evaluate<boolean[]>(
    `[...document.querySelectorAll(".plot canvas")].map((one) => one.getContext("2d").getImageData(0, 0, one.width, one.height).data.some((byte) => byte !== 0))`,
  )
}

inChromium("charts are drawn where the browser's language is none, as in WebKit on a system without one", async () => {
  const { page, complaints } = await rig.open()
  await page.addInitScript(`Object.defineProperty(navigator, "language", { value: "C" })`)
  await page.reload()
  await page.getByRole("link", { name: "Charts" }).click()
  await page.waitForSelector(".plot canvas", WAIT)
  expect(complaints).toEqual([])
})

inChromium("charts tell what the ledger tells, as lines and as figures, of now and of a moment of the past", async () => {
  const { page, complaints } = await rig.open("#/charts")
  await page.waitForSelector(".plot canvas", WAIT)
  expect(await sums(page, "Tasks that ended")).toEqual([1, 1])
  expect((await sums(page, "Cost"))[0]).toBeCloseTo(0.171 + 0.0645 + 0.01225, 3)
  expect((await sums(page, "Leases"))[0]).toBe(5)
  expect((await drawn(page)).slice(0, 7)).toEqual([true, true, true, true, true, true, true])
  await page.waitForSelector("figcaption >> text=Commands that wait in the hub", WAIT)
  expect(await faultsOf(page)).toEqual([])
  await keepPicture(page, "charts")
  const claimed = (await rig.hub.loop.entries(1, 1_000))
    .map(({ bytes }) => JSON.parse(bytes) as { seq: number; type: string })
    .filter(({ type }) => type === "task.claimed")
  const second = claimed[1]?.seq ?? 0
  await page.evaluate(`location.hash = "#/charts@${second}"`)
  await page.waitForSelector(`[data-until="${second}"]`, WAIT)
  await expect.poll(() => sums(page, "Leases"), WAIT).toEqual([2, 0])
  expect(await page.locator("main").textContent()).toContain("not recorded")
  expect(complaints).toEqual([])
})

inChromium("charts fit a narrow screen, in the dark too, and Flight shows the last hour by sparks that lead to them", async () => {
  const { page, complaints } = await rig.open("#/flight", { viewport: { width: 360, height: 740 }, colorScheme: "dark" })
  await page.waitForSelector(".sparks >> text=1 completed", WAIT)
  await page.locator(".sparks a").click()
  await page.waitForSelector(".plot canvas", WAIT)
  await page.selectOption(".chart-span select", "all")
  await expect.poll(() => page.url(), WAIT).toContain("span=all")
  await keepPicture(page, "charts-narrow")
  expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth")).toBe(true)
  expect(await faultsOf(page)).toEqual([])
  expect(complaints).toEqual([])
})

inChromium("where the system's colours hold, a chart's lines are told from its grid and from its words", async () => {
  const { page, complaints } = await rig.open("#/charts")
  await page.waitForSelector(".plot canvas", WAIT)
  await page.emulateMedia({ forcedColors: "active" })
  // Of soft edges the colour is only nearly that which was asked for.
  const drawnIn = (): Promise<boolean[]> =>
    page.evaluate<boolean[]>(`(() => {
      const [box, canvas] = [document.querySelector(".plot-box"), document.querySelector(".plot canvas")]
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
      return ["GrayText", "CanvasText", "Highlight"].map((name) => {
        box.style.color = name
        const wanted = getComputedStyle(box).color.match(/\\d+/g).slice(0, 3).map(Number)
        for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 100 && wanted.every((part, rgb) => Math.abs(data[at + rgb] - part) < 4)) return true
        return false
      })
    })()`)
  await expect.poll(drawnIn, WAIT).toEqual([true, true, true])
  expect(complaints).toEqual([])
})

inChromium("the sparks of Flight follow what the hub streams: the ledger is read for them once", async () => {
  const { page, complaints } = await rig.open("#/flight")
  await page.waitForSelector(".sparks >> text=1 completed", WAIT)
  let reads = 0
  page.on("request", (request) => void (reads += request.url().includes("/entries/") ? 1 : 0))
  const agent = await rig.agent("sparky")
  for (const task of ["spark1", "spark2"]) {
    await rig.operator.task.add({ id: task, title: "Spark" })
    const { fence } = await agent.task.claim({ task })
    await agent.task.complete({ task, fence, deliverable: { text: "done" } })
  }
  await page.waitForSelector(".sparks >> text=3 completed", WAIT)
  expect(reads).toBe(0)
  expect(complaints).toEqual([])
})
