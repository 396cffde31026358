import { writeFileSync } from "node:fs"
import { afterAll, beforeAll, expect } from "vitest"
import { busyFlight, type BusyFlight } from "./busy-flight.ts"
import { inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
let flight: BusyFlight
beforeAll(async () => {
  rig = await startPageRig()
  flight = await busyFlight(rig)
})
afterAll(() => rig.close())

inChromium("Flight shows who does what, what is blocked and on whom, and what needs somebody", async () => {
  const { page, complaints } = await rig.open()
  await page.waitForSelector("text=Needs you")
  writeFileSync("/tmp/flight.png", await page.screenshot({ fullPage: true }))
  const { page: dark } = await rig.open("", { viewport: { width: 360, height: 740 }, colorScheme: "dark" })
  await dark.waitForSelector("text=Needs you")
  writeFileSync("/tmp/flight-dark.png", await dark.screenshot({ fullPage: true }))
  expect(complaints).toEqual([])
  expect(flight.plan).toBe("orders.1")
})
