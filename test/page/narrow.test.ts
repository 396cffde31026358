import { afterAll, beforeAll, expect } from "vitest"
import { busyFlight } from "./busy-flight.ts"
import { inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await busyFlight(rig)
})
afterAll(() => rig.close())

const viewport = { width: 400, height: 800 }

inChromium("on a narrow screen the name of the view is in sight, and so is an entry that is opened", async () => {
  const { page, complaints } = await rig.open("#/charts", { viewport })
  const nav = page.locator("nav [aria-current]")
  await nav.getByText("Charts").waitFor()
  const box = await nav.boundingBox()
  expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual(viewport.width)
  await page.goto(`${page.url().replace(/#.*/, "")}#/ledger`)
  await page.locator(".row", { hasText: "task.completed" }).first().click()
  await page.getByRole("heading", { name: /^Entry \d+$/ }).waitFor()
  const topOf = (selector: string): Promise<number> => page.evaluate<number>(`document.querySelector("${selector}").getBoundingClientRect().top`)
  expect(await topOf("section.entry")).toBeLessThan((await topOf("footer")) - 40)
  expect(complaints).toEqual([])
})
