import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect } from "vitest"
import { busyFlight } from "./busy-flight.ts"
import { faultsOf, inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await busyFlight(rig)
})
afterAll(() => rig.close())

const WAIT = { timeout: 15_000 }

/** From now on, what is said to whoever listens instead of looking: each change of a live region, and of which. */
async function listen(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(`(() => {
    window.said = []
    new MutationObserver((changes) => {
      for (const { target, type, addedNodes } of changes) {
        const at = target instanceof Element ? target : target.parentElement
        const region = at?.closest("[role=status], [role=alert], [aria-live]")
        if (region === null || region === undefined || region.getAttribute("aria-live") === "off") continue
        const text = type === "characterData" ? target.data : [...addedNodes].map((node) => node.textContent).join(" ")
        if (text.trim() !== "") window.said.push(text)
      }
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  })()`)
  return () => page.evaluate<string[]>("window.said")
}

/** Something that needs somebody, and a way to end it. */
async function failed(task: string): Promise<() => Promise<unknown>> {
  await rig.operator.task.add({ id: task, title: `Try ${task}`, maxAttempts: 1 })
  const agent = await rig.agent(`of-${task}`)
  const { fence } = await agent.task.claim({ task })
  await agent.task.fail({ task, fence, reason: `${task} cannot be done`, retry: false })
  return () => rig.operator.task.reset({ task, reason: "it can" })
}

inChromium("an alert is said once to whoever listens, on whichever view, and not again however often the page is drawn", async () => {
  const { page, complaints } = await rig.open("#/threads")
  const region = page.locator("[data-alerts-said]")
  await expect.poll(() => region.textContent(), WAIT).toContain("orders.1/docs failed")
  const said = await listen(page)
  const mend = await failed("bridge")
  await expect.poll(said, WAIT).toEqual(["Needs you: bridge failed: bridge cannot be done"])
  // Drawn anew by what happens, by another view, and by the hub's view being asked again: nothing of it is news.
  await page.evaluate(`location.hash = "#/flight"`)
  await page.waitForSelector(".flight-alerts >> text=bridge cannot be done")
  const drawn = Number((await page.textContent("header .number"))?.replace(/\D/g, ""))
  for (let turn = 0; turn < 5; turn += 1) await rig.operator.task.add({ id: `more${turn}`, title: "More" })
  await expect.poll(async () => Number((await page.textContent("header .number"))?.replace(/\D/g, "")), WAIT).toBeGreaterThan(drawn + 4)
  // Presence is the hub's word alone: it was asked again.
  await rig.agent("late")
  await page.locator('tr:has(th:has-text("late")) .state-active').waitFor(WAIT)
  expect(await said()).toHaveLength(1)
  // Gone and there again is news.
  await mend()
  await page.waitForSelector(".flight-alerts >> text=bridge cannot be done", { state: "detached", ...WAIT })
  const agent = await rig.agent("second")
  const { fence } = await agent.task.claim({ task: "bridge" })
  await agent.task.fail({ task: "bridge", fence, reason: "it really cannot", retry: false })
  await expect
    .poll(async () => (await said()).filter((text) => text.startsWith("Needs you")), WAIT)
    .toEqual(["Needs you: bridge failed: bridge cannot be done", "Needs you: bridge failed: it really cannot"])
  expect(complaints).toEqual([])
})

inChromium("what goes on by itself, an age or the rest of a lease, is not said each second", async () => {
  const clerk = await rig.agent("clerk")
  await clerk.files.reserve({ globs: ["src/ledger/**"], mode: "exclusive", reason: "the fold" })
  const { page } = await rig.open("#/files?path=src/ledger/a.ts")
  const answer = page.locator(".held-answer")
  await expect.poll(() => answer.textContent(), WAIT).toContain("clerk holds src/ledger/a.ts")
  const before = await answer.textContent()
  const said = await listen(page)
  await expect.poll(() => answer.textContent(), WAIT).not.toBe(before)
  expect(await said()).toEqual([])
  await rig.hub.stop()
  const age = (): Promise<string> => page.textContent("header .state-lost").then((text) => text ?? "")
  await expect.poll(age, WAIT).toContain("ago")
  const [early, heard] = [await age(), (await said()).length]
  await expect.poll(age, WAIT).not.toBe(early)
  expect((await said()).slice(heard)).toEqual([])
  await rig.hub.restart()
  await page.waitForSelector("header .state-live", WAIT)
})

inChromium("at a moment of the past Flight shows what needed somebody then, and offers nothing to do about it", async () => {
  const before = rig.hub.loop.head.seq
  const mend = await failed("tunnel")
  const { seq: broken } = rig.hub.loop.head
  await mend()
  const { page, complaints } = await rig.open(`#/flight@${broken}`)
  const alerts = page.locator(".flight-alerts")
  await alerts.getByText("tunnel failed: tunnel cannot be done").waitFor(WAIT)
  expect(await alerts.locator("h2").textContent()).toBe("Needed somebody then what a policy denied is not recorded")
  expect(await alerts.getByRole("button").count()).toBe(0)
  expect(await faultsOf(page)).toEqual([])
  await page.evaluate(`location.hash = "#/flight@${before}"`)
  await page.waitForSelector(`.timeline [data-shown="${before}"]`, WAIT)
  expect(await alerts.textContent()).not.toContain("tunnel")
  await page.evaluate(`location.hash = "#/flight"`)
  await page.locator("h2", { hasText: "Needs you" }).waitFor(WAIT)
  expect(await alerts.textContent()).not.toContain("tunnel")
  expect(complaints).toEqual([])
})
