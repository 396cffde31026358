import { afterAll, beforeAll, expect } from "vitest"
import { count } from "../../src/dashboard/figures.ts"
import { busyFlight, type BusyFlight } from "./busy-flight.ts"
import { inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
let flight: BusyFlight
beforeAll(async () => {
  rig = await startPageRig({ limits: { snapshotEntries: 20 } })
  flight = await busyFlight(rig)
})
afterAll(() => rig.close())

inChromium("a page whose hub goes down says so and how old its picture is, and goes on by itself when it is back", async () => {
  const { page } = await rig.open()
  await page.waitForSelector("text=Tables are there")
  await rig.hub.stop()
  await page.waitForSelector("text=The hub does not answer; what you see is")
  // What it knew is still there to be read.
  expect(await page.isVisible("text=Tables are there")).toBe(true)
  await rig.hub.restart()
  await page.waitForSelector("header .state-live", { timeout: 20_000 })
  expect(await page.isVisible("text=The hub does not answer")).toBe(false)
  const { plan, agents } = flight
  const { task } = await rig.operator.task.show({ task: `${plan}/store` })
  await agents.ada.task.update({ task: `${plan}/store`, fence: task.fence ?? 0, progress: 0.9, note: "Nearly there, after the restart" })
  await page.waitForSelector("text=Nearly there, after the restart")
})

inChromium("a view that is first opened while the hub is away, and a moment, come when it is back", async () => {
  const { page } = await rig.open()
  await rig.hub.stop()
  await page.waitForSelector("text=The hub does not answer")
  const modules: string[] = []
  page.on("request", (request) => request.resourceType() === "script" && modules.push(request.url()))
  await page.getByRole("link", { name: "Money" }).click()
  await page.waitForSelector("text=it comes when the hub answers")
  expect(modules, "Firefox never asks again for a module that could not be had once").toEqual([])
  await rig.hub.restart()
  await page.locator("main h2").getByText("Budgets").waitFor()
  await rig.hub.stop()
  await page.waitForSelector("text=The hub does not answer")
  await page.clock.install()
  await page.evaluate(`location.hash = "#/money@5"`)
  await page.waitForSelector("text=Reading the ledger")
  // By then nobody waits for the hub's answer any more.
  await page.clock.fastForward(16_000)
  await page.waitForSelector("text=This moment cannot be shown")
  await rig.hub.restart()
  await page.waitForSelector(`.timeline [data-shown="5"]`, { timeout: 20_000 })
})

inChromium("a page whose files the hub has no more says that it must be loaded again", async () => {
  const { page } = await rig.open()
  await page.route("**/assets/money-*", (route) => route.fulfill({ status: 404 }))
  await page.getByRole("link", { name: "Money" }).click()
  await page.getByRole("alert").getByText("This page cannot go on").waitFor()
})

inChromium("a page folds on from the newest snapshot to what replaying every entry gives", async () => {
  // More than the page would rather read entry by entry.
  const tasks = Array.from({ length: 2_500 }, (_, at) => ({ id: `t${at}`, title: `Task ${at}` }))
  await rig.operator.plan.add({ name: "large", title: "Large", digest: "1".repeat(64), commit: null, agents: [], tasks })
  await expect.poll(async () => (await rig.operator.ledger.snapshots({})).snapshots.length, { timeout: 15_000 }).toBeGreaterThan(0)
  const { page, complaints } = await rig.open()
  expect(await page.evaluate("performance.getEntriesByType('resource').some(({ name }) => name.includes('/snapshots/'))")).toBe(true)
  await page.waitForSelector("text=Nearly there, after the restart")
  const { counts, head } = await rig.operator.hub.status({})
  await expect.poll(() => page.textContent("header .number")).toBe(`entry ${count(head.seq)}`)
  expect(await page.textContent(".counts")).toContain(`completed ${counts["completed"]}`)
  expect(complaints).toEqual([])
})
