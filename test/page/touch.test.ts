import type { CDPSession, Page } from "playwright-core"
import { afterAll, beforeAll, expect } from "vitest"
import { EVERYWHERE, fullFlight, goToPlace } from "./full-flight.ts"
import { inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await fullFlight(rig)
})
afterAll(() => rig.close())

type Point = { x: number; y: number }
const WAIT = { timeout: 15_000 }
const TABLET = { viewport: { width: 1_024, height: 768 }, hasTouch: true, isMobile: true }

/** Fingers on the glass, each along its way; then they are taken off. */
async function touch(glass: CDPSession, ways: readonly (readonly [Point, Point])[]): Promise<void> {
  const STEPS = 10
  const at = (share: number) => ways.map(([from, to], id) => ({ id, x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share }))
  await glass.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: at(0) })
  for (let step = 1; step <= STEPS; step += 1) await glass.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: at(step / STEPS) })
  await glass.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] })
}

async function middleOf(page: Page, selector: string): Promise<Point> {
  const box = (await page.locator(selector).boundingBox()) as { x: number; y: number; width: number; height: number }
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
}

const scaleOf = async (page: Page): Promise<number> => Number(await page.getAttribute(".graph-box", "data-scale"))

/** The task that a tap opens; it is closed again. */
async function tapped(page: Page, { x, y }: Point): Promise<string> {
  await page.touchscreen.tap(x, y)
  const title = await page.locator(".task-panel h2").textContent()
  await page.locator(".task-panel").getByRole("button", { name: "close" }).tap()
  await page.locator(".task-panel").waitFor({ state: "detached" })
  return title ?? ""
}

inChromium("the plan goes by hand: a finger that moves takes it along, two zoom it about what is between them, a tap opens a task", async () => {
  const { page, complaints } = await rig.open("#/plan/orders.1", TABLET)
  await page.locator(".task-row", { hasText: "totals" }).waitFor()
  await page.locator(".plan-head", { hasText: "with more care" }).waitFor({ state: "detached" })
  // Its task comes into the middle, where the fingers then find it.
  await page.focus(".task-rows")
  await page.keyboard.press("Home")
  // The focus may have brought the list into sight; from here on nothing moves the page.
  const scrolled = await page.evaluate("scrollY")
  const middle = await middleOf(page, ".graph-box")
  await page.getByRole("button", { name: "Zoom in" }).tap()
  const glass = await page.context().newCDPSession(page)
  // Wherever the task is: a tap opens it, and after the finger has moved the graph by so much, a tap so much further does.
  const place = await findTask(page, middle)
  const opened = await tapped(page, place)
  await touch(glass, [[place, { x: place.x + 90, y: place.y + 60 }]])
  expect(await page.locator(".task-panel").count(), "what is moved is not opened").toBe(0)
  expect(await tapped(page, { x: place.x + 90, y: place.y + 60 })).toBe(opened)
  const before = await scaleOf(page)
  const at = { x: place.x + 90, y: place.y + 60 }
  await touch(glass, [
    [
      { x: at.x - 40, y: at.y },
      { x: at.x - 80, y: at.y },
    ],
    [
      { x: at.x + 40, y: at.y },
      { x: at.x + 80, y: at.y },
    ],
  ])
  await expect.poll(() => scaleOf(page)).toBeCloseTo(2 * before, 1)
  expect(await page.locator(".task-panel").count(), "what is zoomed is not opened").toBe(0)
  expect(await tapped(page, at)).toBe(opened)
  expect(await page.evaluate("visualViewport.scale"), "the page itself is not zoomed").toBe(1)
  expect(await page.evaluate("scrollY"), "the page itself is not moved").toBe(scrolled)
  expect(complaints).toEqual([])
})

/** A point of the graph where there is a task, near the middle. */
async function findTask(page: Page, middle: Point): Promise<Point> {
  for (let ring = 0; ring < 12; ring += 1)
    for (const [dx, dy] of [
      [0, 0],
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
      [1, 1],
      [-1, -1],
    ] as const) {
      const point = { x: middle.x + dx * ring * 22, y: middle.y + dy * ring * 16 }
      await page.touchscreen.tap(point.x, point.y)
      if ((await page.locator(".task-panel").count()) === 0) continue
      await page.locator(".task-panel").getByRole("button", { name: "close" }).tap()
      await page.locator(".task-panel").waitFor({ state: "detached" })
      return point
    }
  throw new Error("no task was found on the graph")
}

inChromium("a finger on the slider goes through time, on a phone too", async () => {
  const { page, complaints } = await rig.open("#/flight", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true })
  const slider = ".timeline input[type=range]"
  await page.waitForSelector(slider, WAIT)
  const box = (await page.locator(slider).boundingBox()) as { x: number; y: number; width: number; height: number }
  const y = box.y + box.height / 2
  const glass = await page.context().newCDPSession(page)
  await touch(glass, [
    [
      { x: box.x + box.width - 8, y },
      { x: box.x + box.width / 2, y },
    ],
  ])
  const { seq: head } = rig.hub.loop.head
  const shown = async (): Promise<number> => Number(await page.getAttribute(".timeline [data-shown]", "data-shown"))
  await expect.poll(async () => Math.abs((await shown()) - head / 2), WAIT).toBeLessThan(head / 8)
  await page.getByRole("button", { name: "live", exact: true }).tap()
  await page.waitForSelector("header .state-live", WAIT)
  expect(complaints).toEqual([])
})

/** A finger that goes up the glass from a point, as one does who reads on, and rests before it is taken off: nothing goes on by itself. */
async function readOn(page: Page, glass: CDPSession, { x, y }: Point): Promise<void> {
  await glass.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [{ x, y }] })
  for (let up = 20; up <= 200; up += 20) await glass.send("Input.dispatchTouchEvent", { type: "touchMove", touchPoints: [{ x, y: y - up }] })
  await page.waitForTimeout(200)
  await glass.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] })
}

for (const viewport of [
  { width: 390, height: 844 },
  { width: 768, height: 1_024 },
])
  inChromium(`whatever is done by keys or with a mouse is done by a finger: ${viewport.width} px`, { timeout: 60_000 }, async () => {
    const { page, complaints } = await rig.open("#/flight", { viewport, hasTouch: true, isMobile: true })
    const glass = await page.context().newCDPSession(page)
    const button = (name: string) => page.getByRole("button", { name, exact: true })
    const isOver = (): Promise<void> => page.locator("dialog").waitFor({ state: "detached" })
    await page.waitForSelector(".timeline input", WAIT)
    for (const title of ["Charts", "Files", "Flight"]) {
      await page.locator("nav").getByRole("link", { name: title, exact: true }).tap()
      await expect.poll(() => page.title()).toContain(`${title} ·`)
      await page.locator("main h2, main figcaption").first().waitFor()
      await readOn(page, glass, { x: viewport.width / 2, y: 600 })
      expect(await page.evaluate("scrollY"), `${title} goes with the finger`).toBeGreaterThan(100)
    }
    // What asks before it is done.
    await page.locator(".alerts li button").first().tap()
    await page.locator("dialog textarea").tap()
    expect(await page.evaluate("document.activeElement.tagName")).toBe("TEXTAREA")
    await button("Leave it").tap()
    await isOver()
    // All that can be found or done: no phone has a Ctrl+K.
    await button("find").tap()
    const found = page.getByRole("option")
    await found.filter({ hasText: "task.add" }).waitFor()
    const list = await middleOf(page, ".palette ul")
    await readOn(page, glass, list)
    expect(await page.evaluate("document.querySelector('.palette ul').scrollTop")).toBeGreaterThan(100)
    await found.filter({ hasText: "task.add" }).tap()
    await page.locator("form.verb").waitFor()
    await readOn(page, glass, await middleOf(page, "form.verb"))
    expect(await page.evaluate("document.querySelector('form.verb').scrollTop")).toBeGreaterThan(100)
    await button("Leave it").tap()
    await isOver()
    await button("find").tap()
    await found.filter({ hasText: "Ledger" }).first().tap()
    await page.locator(".row-type").first().waitFor()
    await readOn(page, glass, await middleOf(page, ".window"))
    expect(await page.evaluate("document.querySelector('.window').scrollTop")).toBeGreaterThan(100)
    await page.locator(".row").nth(12).tap()
    await page.locator(".entry-head").getByRole("button", { name: "close" }).tap()
    await page.locator(".entry-head").waitFor({ state: "detached" })
    expect(complaints).toEqual([])
  })

inChromium("the foot of a phone stays as high as it is, also in the past of a long ledger", async () => {
  for (const width of [360, 390]) {
    const { page } = await rig.open("#/flight", { viewport: { width, height: 740 }, hasTouch: true, isMobile: true })
    const foot = async (): Promise<number> => (await page.locator("footer").boundingBox())?.height ?? 0
    await page.waitForSelector(".timeline input", WAIT)
    const height = await foot()
    expect(height).toBeGreaterThan(0)
    await page.evaluate("location.hash = '#/flight@20'")
    await page.waitForSelector('.timeline [data-shown="20"]', WAIT)
    await expect.poll(() => page.textContent(".timeline-at")).toMatch(/\d\d:\d\d:\d\d/)
    expect(await foot()).toBe(height)
    await page.evaluate("document.querySelector('.timeline-at > span').textContent = '1,000,000 / 1,000,000'")
    expect(await foot()).toBe(height)
    await page.context().close()
  }
})

/**
 * What a finger could hit wrongly (WCAG 2.2, 2.5.8): whatever is smaller than 24 by 24 CSS pixels, unless a circle of that width about its middle
 * touches no other target nor another's circle, or it stands in a sentence.
 */
const TOO_SMALL = `(() => {
  const SIZE = 24
  const seen = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [role=option], [tabindex='0']")].filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.classList.contains("skip") && !one.disabled)
  // What a list has scrolled away, or the bar below lies over, is hit by nobody.
  const isAway = (one) => {
    const box = one.getBoundingClientRect()
    for (let list = one.parentElement; list !== null && list !== document.body; list = list.parentElement) {
      const { top, bottom } = list.getBoundingClientRect()
      if (getComputedStyle(list).overflowY !== "visible" && (box.bottom <= top || box.top >= bottom)) return true
    }
    return false
  }
  const areaOf = (one) => one.closest("footer, header, main")
  const targets = seen.filter((one) => !isAway(one)).map((one) => {
    const rects = [...one.getClientRects()].filter(({ width, height }) => width > 0 && height > 0)
    const box = one.getBoundingClientRect()
    return { one, rects, box, isSmall: box.width < SIZE - 0.01 || box.height < SIZE - 0.01, x: box.x + box.width / 2, y: box.y + box.height / 2 }
  })
  const inSentence = ({ one }) => {
    if (getComputedStyle(one).display !== "inline") return false
    const block = one.closest("p, li, dd, td, th, figcaption, div")
    return block !== null && block.textContent.trim() !== one.textContent.trim()
  }
  const distance = ({ left, right, top, bottom }, x, y) => Math.hypot(Math.max(left - x, 0, x - right), Math.max(top - y, 0, y - bottom))
  const isCrowded = (small) =>
    targets.some((other) => {
      if (other === small || areaOf(other.one) !== areaOf(small.one) || other.one.contains(small.one) || small.one.contains(other.one)) return false
      if (other.isSmall) return Math.hypot(other.x - small.x, other.y - small.y) < SIZE
      return other.rects.some((rect) => distance(rect, small.x, small.y) < SIZE / 2)
    })
  return targets.filter((target) => target.isSmall && target.rects.length > 0 && !inSentence(target) && isCrowded(target)).map(({ one, box }) => one.outerHTML.slice(0, 120) + " " + Math.round(box.width) + "x" + Math.round(box.height))
})()`

inChromium("nothing is too small for a finger, in any view, on a phone, on a tablet, or with a mouse", { timeout: 60_000 }, async () => {
  for (const options of [{ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }, TABLET, { viewport: { width: 1_280, height: 800 } }]) {
    const { page } = await rig.open("", options)
    for (const name of EVERYWHERE) {
      await goToPlace(page, name)
      expect.soft(await page.evaluate(TOO_SMALL), `${name} at ${options.viewport.width}`).toEqual([])
    }
    await page.context().close()
  }
})
