import type { Page } from "playwright-core"
import { afterAll, beforeAll, expect } from "vitest"
import { EVERYWHERE, fullFlight, goToPlace } from "./full-flight.ts"
import { faultsOf, inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await fullFlight(rig)
})
afterAll(() => rig.close())

const WAIT = { timeout: 15_000 }
const focused = (page: Page): Promise<string> =>
  page.evaluate<string>(`document.activeElement?.getAttribute("href") ?? document.activeElement?.textContent ?? ""`)
const focusIsIn = (page: Page, selector: string): Promise<boolean> =>
  page.evaluate<boolean>(`document.activeElement?.closest(${JSON.stringify(selector)}) != null`)

inChromium("a list of agents or threads is one stop of Tab, and goes by arrows, Home and End; the help says so", async () => {
  const { page, complaints } = await rig.open()
  await goToPlace(page, "agents")
  await page.focus(".pair-list [data-search]")
  await page.keyboard.press("Tab")
  expect(await focused(page)).toBe("#/agents/ada")
  await page.keyboard.press("ArrowDown")
  expect(await focused(page)).toBe("#/agents/barbara")
  await page.keyboard.press("End")
  expect(await focused(page)).toBe("#/agents/xia")
  await page.keyboard.press("ArrowDown")
  expect(await focused(page)).toBe("#/agents/xia")
  await page.keyboard.press("Home")
  await page.keyboard.press("ArrowDown")
  await page.keyboard.press("ArrowDown")
  await page.keyboard.press("Enter")
  await page.waitForURL(/#\/agents\/claude$/)
  // The address is there before what it leads to: Tab would pass that by.
  await page.getByRole("region", { name: "Agent claude" }).waitFor()
  expect(await focused(page), "the focus stays in the list").toBe("#/agents/claude")
  await page.keyboard.press("Tab")
  expect(await focusIsIn(page, ".pair-list")).toBe(false)
  await page.keyboard.press("Shift+Tab")
  expect(await focused(page)).toBe("#/agents/claude")
  await goToPlace(page, "threads")
  await page.focus(".pair-list .threads a[tabindex='0']")
  const first = await focused(page)
  await page.keyboard.press("ArrowDown")
  expect(await focused(page)).not.toBe(first)
  await page.keyboard.press("ArrowUp")
  expect(await focused(page)).toBe(first)
  expect(await faultsOf(page)).toEqual([])
  await page.locator("main").focus()
  await page.keyboard.press("?")
  const help = page.getByRole("dialog", { name: "Keys" })
  for (const text of ["go along a list, or down a table", "to the first or the last of it", "open what is chosen"]) await help.getByText(text).waitFor()
  expect(complaints).toEqual([])
})

inChromium("in a table arrows go from row to row in the same column, beyond no end", async () => {
  const { page } = await rig.open()
  await goToPlace(page, "flight")
  await page.focus('.flight-agents a[href="#/plan/archive.1%2Fstep0"]')
  await page.keyboard.press("ArrowDown")
  expect(await focused(page)).toBe("#/plan/archive.1%2Fstep1")
  await page.keyboard.press("Home")
  expect(await focused(page)).toBe("#/plan/orders.1%2Fstore")
  await page.keyboard.press("ArrowUp")
  expect(await focused(page)).toBe("#/plan/orders.1%2Fstore")
  await page.keyboard.press("End")
  expect(await focused(page)).toBe("#/plan/archive.1%2Fstep15")
})

inChromium("what has the focus keeps it while the list is put in another order, and when it is gone its neighbour has it", async () => {
  const { page, complaints } = await rig.open()
  await goToPlace(page, "threads")
  const href = "#/threads/release"
  await page.focus(`.threads a[href="${href}"]`)
  const places = (): Promise<string[]> => page.evaluate<string[]>(`[...document.querySelectorAll(".threads a")].map((one) => one.getAttribute("href"))`)
  expect((await places()).at(-1)).toBe(href)
  await rig.operator.message.post({ thread: "release", body: "On Friday, if the archive is there" })
  await expect.poll(async () => (await places()).at(-1), WAIT).not.toBe(href)
  expect(await focused(page)).toBe(href)
  // Somebody else does what was about to be done.
  await goToPlace(page, "flight")
  await page.locator(".flight-alerts button").focus()
  await rig.operator.task.reset({ task: "orders.1/docs", reason: "mine" })
  await page.locator(".flight-alerts").waitFor({ state: "detached", ...WAIT })
  expect(await page.evaluate("document.activeElement !== document.body")).toBe(true)
  expect(await focusIsIn(page, "main")).toBe(true)
  // A button that goes with its own press.
  const more = page.locator(".flight-held button.more")
  await more.focus()
  await page.keyboard.press("Enter")
  await more.waitFor({ state: "detached" })
  expect(await focusIsIn(page, ".flight-held")).toBe(true)
  // Who presses beside everything lets go, and is not called back.
  await page.mouse.click(640, 5)
  await rig.operator.task.add({ id: "beside", title: "Beside it" })
  await page.locator("header .number", { hasText: String(rig.hub.loop.head.seq) }).waitFor(WAIT)
  expect(await focusIsIn(page, ".flight-held")).toBe(false)
  expect(complaints).toEqual([])
})

/** Where the focus is, whether it can be seen there, and whether something lies over it. */
const STOP = `(() => {
  const one = document.activeElement
  if (one === null || one === document.body) return null
  const outlines = [null, "::after"].map((part) => getComputedStyle(one, part))
  const box = one.getBoundingClientRect()
  const foot = document.querySelector("footer").getBoundingClientRect()
  const isInFoot = one.closest("footer, dialog, .notices") !== null
  window.stops ??= new Set()
  const isKnown = window.stops.has(one)
  window.stops.add(one)
  return {
    what: one.outerHTML.slice(0, 100),
    isKnown,
    isShown: outlines.some(({ outlineStyle, outlineWidth }) => outlineStyle !== "none" && parseFloat(outlineWidth) >= 2),
    isCovered: !isInFoot && (box.top >= foot.top - 1 || box.bottom <= 0),
  }
})()`

inChromium("by Tab every view is gone through once around; the focus is seen at every stop, and nothing lies over it", { timeout: 120_000 }, async () => {
  for (const viewport of [
    { width: 1_280, height: 500 },
    { width: 360, height: 640 },
  ]) {
    const { page } = await rig.open("", { viewport })
    for (const name of EVERYWHERE) {
      await goToPlace(page, name)
      await page.evaluate("window.stops = new Set(); document.activeElement?.blur(); document.querySelector('.skip').focus()")
      let stops = 0
      for (; stops < 250; stops += 1) {
        // Held down: that it is let go is one event more a stop, by which no focus moves.
        await page.keyboard.down("Tab")
        type Stop = { what: string; isKnown: boolean; isShown: boolean; isCovered: boolean } | null
        const stop = await page.evaluate<Stop>(STOP)
        if (stop === null || stop.isKnown) break
        expect.soft(stop, `${name} at ${viewport.width}: ${stop.what}`).toMatchObject({ isShown: true, isCovered: false })
      }
      await page.keyboard.up("Tab")
      expect(stops, `${name}: no trap`).toBeLessThan(250)
      expect(stops, `${name}: all of it`).toBeGreaterThan(10)
    }
    await page.context().close()
  }
})
