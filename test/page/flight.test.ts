import { afterAll, beforeAll, expect } from "vitest"
import { busyFlight, type BusyFlight, HOSTILE } from "./busy-flight.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
let flight: BusyFlight
beforeAll(async () => {
  rig = await startPageRig()
  flight = await busyFlight(rig)
})
afterAll(() => rig.close())

inChromium("Flight shows who does what and said what last, what is blocked and on whom, and what needs somebody", async () => {
  const { page, complaints } = await rig.open()
  const row = async (name: string): Promise<string> => (await page.textContent(`tr:has(th:has-text("${name}"))`)) ?? ""
  await page.waitForSelector("text=Needs you")
  expect(await page.textContent(".alerts")).toContain("orders.1/docs failed: The feed's own documentation is behind a login")
  expect(await page.textContent(".alert-count")).toContain("1 alert")
  expect(await row("ada")).toMatch(/active.*orders\.1\/store.*in progress 40 %.*Tables are there.*ago\$0\.17$/)
  expect(await row("linus")).toMatch(/orders\.1\/prices.*blocked.*Needs the table of currencies/)
  expect(await row("margaret")).toMatch(/login that I do not have.*\$0\.00$/)
  const held = (await page.textContent("section[aria-labelledby=held-up]")) ?? ""
  expect(held).toMatch(/orders\.1\/prices of linus on task orders\.1\/store \(ada has it\): Needs the table/)
  expect(held).toMatch(/orders\.1\/store of ada: 2 tasks wait for it/)
  expect(await page.textContent(".counts")).toBe("◌ waiting 5◑ in progress 2◼ blocked 1● completed 1✕ failed 1")
  expect(await page.textContent("section[aria-labelledby=plans]")).toContain("1 of 10 done")
  await keepPicture(page, "flight")
  expect(complaints).toEqual([])
})

inChromium("what happens is on the page without anybody asking, and the lease that is left counts down", async () => {
  const { page } = await rig.open()
  const { plan, agents } = flight
  const { task } = await rig.operator.task.show({ task: `${plan}/parser` })
  const left = await page.textContent('tr:has(th:has-text("grace")) td[data-label="lease left"]')
  await agents.grace.task.update({ task: task.id, fence: task.fence ?? 0, progress: 0.8, note: "The three records are in euros" })
  await page.waitForSelector("text=The three records are in euros")
  await expect.poll(() => page.textContent('tr:has(th:has-text("linus")) td[data-label="lease left"]'), { timeout: 10_000 }).not.toBe(left)
  await agents.grace.task.complete({ task: task.id, fence: task.fence ?? 0, deliverable: { text: "All of the feed is read" } })
  await page.waitForSelector("text=All of the feed is read")
  expect(await page.textContent(".counts")).toContain("completed 2")
})

inChromium("whatever an agent writes is shown as text, its hidden characters in the open, and does nothing", async () => {
  const { page, complaints } = await rig.open()
  const long = `${HOSTILE} ${"x".repeat(3_900)}`
  const eve = await rig.agent("eve")
  await rig.operator.task.add({ id: "hostile", title: "<b onclick=alert(1)>", body: long })
  const { fence } = await eve.task.claim({ task: "hostile" })
  await eve.task.update({ task: "hostile", fence, note: HOSTILE })
  await page.waitForSelector('tr:has(th:has-text("eve")) >> text=<script>window.hacked=1</script>')
  const words = (await page.textContent('tr:has(th:has-text("eve")) .words')) ?? ""
  expect(words).toContain("␛[31mred␛[0m ⟨U+202E⟩backwards⟨U+202C⟩")
  expect(words).not.toMatch(/[\u0000-\u001f\u202a-\u202e]/)
  await eve.task.block({ task: "hostile", fence, on: { kind: "external", ref: "ci" }, reason: long })
  const blocked = page.locator("section[aria-labelledby=held-up] li", { hasText: "hostile" })
  await blocked.locator("text=show all").click()
  expect(await blocked.textContent()).toContain("x".repeat(3_900))
  await eve.task.unblock({ task: "hostile", reason: "it was" })
  await eve.task.complete({ task: "hostile", fence, deliverable: { text: `${HOSTILE}${"y".repeat(32_000)}` } })
  await page.locator('tr:has(th:has-text("eve")) >> text=show all 32,').click()
  expect(await page.textContent('tr:has(th:has-text("eve")) .words')).toContain("y".repeat(32_000))
  expect(await page.evaluate("window.hacked ?? document.querySelectorAll('main script, main img').length")).toBe(0)
  expect(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")).toBe(0)
  expect(complaints).toEqual([])
})

inChromium("of an agent that holds many tasks the oldest are shown, and a way to the others", async () => {
  const { page } = await rig.open()
  const ida = await rig.agent("ida")
  await rig.operator.agent.edit({ name: "ida", maxActive: 20, reason: "it can" })
  for (let at = 0; at < 9; at += 1) {
    await rig.operator.task.add({ id: `many${at}`, title: `One of many ${at}` })
    await ida.task.claim({ task: `many${at}` })
  }
  const row = page.locator('tr:has(th:has-text("ida"))')
  await row.getByRole("link", { name: "3 more" }).waitFor()
  expect(await row.locator('[data-label="state"] > div').count()).toBe(6)
  expect(await row.textContent()).not.toContain("many6")
  await row.getByRole("link", { name: "3 more" }).click()
  await page.locator("text=many8").first().waitFor()
})

inChromium("a remedy is asked for first, with the reason that the contract wants; a refusal is shown with what to do about it", async () => {
  const { page } = await rig.open()
  const alert = page.locator(".alerts li", { hasText: "orders.1/docs failed" })
  await alert.locator("button").click()
  const dialog = page.locator("dialog")
  expect(await dialog.locator("button[type=submit]").isDisabled()).toBe(true)
  await page.keyboard.press("Escape")
  expect(await page.locator("dialog").count()).toBe(0)
  await alert.locator("button").click()
  await dialog.locator("textarea").fill("I have the login now")
  // Somebody else is faster: then there is nothing to open.
  await rig.operator.task.reset({ task: "orders.1/docs", reason: "mine" })
  await dialog.locator("button[type=submit]").click()
  await dialog.locator(".refusal").waitFor()
  expect(await dialog.locator(".refusal").textContent()).toContain("orders.1/docs")
  await dialog.locator("text=Leave it").click()
  await alert.waitFor({ state: "detached" })
  const { fence } = await flight.agents.margaret.task.claim({ task: "orders.1/docs" })
  await flight.agents.margaret.task.fail({ task: "orders.1/docs", fence, reason: "Still no login", retry: false })
  await page.getByRole("button", { name: "Open it again: orders.1/docs" }).click()
  await dialog.locator("textarea").fill("I have the login now")
  await dialog.locator("button[type=submit]").click()
  await page.waitForSelector("text=Open orders.1/docs again: done")
  expect((await rig.operator.task.show({ task: "orders.1/docs" })).task).toMatchObject({ state: "ready", reason: "I have the login now" })
})

inChromium("the page can be used from the keyboard alone", async () => {
  const { page } = await rig.open()
  await page.keyboard.press("?")
  await page.waitForSelector("dialog >> text=go to Flight")
  await page.keyboard.press("Escape")
  await page.waitForSelector("dialog", { state: "detached" })
  await page.keyboard.press("g")
  await page.keyboard.press("f")
  await expect.poll(() => page.url()).toBe(`${rig.hub.url}/#/flight`)
  await page.goto(`${rig.hub.url}/`)
  await page.waitForSelector("tbody tr")
  await page.keyboard.press("Tab")
  expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to the view")
  await page.keyboard.press("Enter")
  expect(await page.evaluate("document.activeElement.id")).toBe("main")
})

inChromium("a view that is gone to begins at its top, and the way back leads to where one was in it", async () => {
  const { page } = await rig.open("", { viewport: { width: 1_280, height: 300 } })
  const go = async (name: string, shows: string): Promise<void> => {
    await page.evaluate(`location.hash = "#/${name}"`)
    await page.waitForSelector(shows)
  }
  // Both were there before: while a view is loaded the page is too short to be scrolled.
  await go("money", ".money-parts table")
  await go("flight", ".flight-plans")
  await page.evaluate("scrollTo(0, 250)")
  await go("money", ".money-parts table")
  expect(await page.evaluate("scrollY")).toBe(0)
  await page.goBack()
  await page.waitForSelector(".flight-plans")
  // About there: what comes above it meanwhile moves it.
  await expect.poll(() => page.evaluate("scrollY")).toBeGreaterThan(200)
})

for (const colorScheme of ["light", "dark"] as const)
  for (const width of [360, 1280, 2560])
    inChromium(`Flight has no serious fault of access and nothing to scroll sideways for: ${colorScheme}, ${width} px`, async () => {
      const { page } = await rig.open("", { colorScheme, viewport: { width, height: 800 }, reducedMotion: "reduce" })
      await page.waitForSelector("tbody tr")
      expect(await faultsOf(page)).toEqual([])
      expect(await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")).toBe(0)
      await keepPicture(page, `flight-${colorScheme}-${width}`)
    })
