import { afterAll, beforeAll, expect } from "vitest"
import { EVERYWHERE, fullFlight, goToPlace } from "./full-flight.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await fullFlight(rig)
})
afterAll(() => rig.close())

const SCREENS = [
  { width: 2_560, height: 1_440, letterPx: 15 },
  { width: 3_840, height: 2_160, letterPx: 23 },
] as const

/** Of what is in sight of the view: how wide its longest line of prose is, in its own letters; how far to the right anything stands, as a share; whether anything is cut off sideways. */
const MEASURE = `(() => {
  const main = document.querySelector("main")
  let [longest, right] = [0, 0]
  const walk = document.createTreeWalker(main, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const node = walk.currentNode
    if (node.data.trim() === "") continue
    const range = document.createRange()
    range.selectNodeContents(node)
    const letter = parseFloat(getComputedStyle(node.parentElement).fontSize)
    const isProse = node.parentElement.closest("pre, .row, option") === null
    for (const rect of range.getClientRects()) {
      if (rect.width === 0) continue
      right = Math.max(right, rect.right)
      if (isProse) longest = Math.max(longest, rect.width / letter)
    }
  }
  for (const canvas of main.querySelectorAll("canvas, input, textarea, .graph-box")) right = Math.max(right, Math.min(innerWidth, canvas.getBoundingClientRect().right))
  const { scrollWidth, clientWidth } = document.documentElement
  return { letterPx: parseFloat(getComputedStyle(document.body).fontSize), longest, used: right / innerWidth, isCut: scrollWidth > clientWidth }
})()`
/** A line of letters of half their height each: some 120 of them, which an eye still follows back. */
const LINE_MAX = 65

inChromium(
  "on a wall every view fills the room with letters that grow with it, no line is too long to be read, and axe finds nothing",
  { timeout: 120_000 },
  async () => {
    for (const { width, height, letterPx } of SCREENS) {
      const { page, complaints } = await rig.open("", { viewport: { width, height } })
      for (const name of EVERYWHERE) {
        await goToPlace(page, name)
        type Measured = { letterPx: number; longest: number; used: number; isCut: boolean }
        const measured = (): Promise<Measured> => page.evaluate<Measured>(MEASURE)
        await expect.poll(async () => (await measured()).used, { message: `${name} at ${width}: how far to the right it reaches` }).toBeGreaterThan(0.6)
        const found = await measured()
        expect(found, `${name} at ${width}`).toMatchObject({ isCut: false })
        expect(found.letterPx).toBeGreaterThan(letterPx)
        expect(found.longest, `${name} at ${width}: its longest line`).toBeLessThan(LINE_MAX)
        if (width === SCREENS[0].width) expect(await faultsOf(page), name).toEqual([])
      }
      expect(complaints).toEqual([])
      await page.context().close()
    }
  },
)

inChromium("on a wall Flight shows twenty agents, what is held up and the plans at once, without scrolling", async () => {
  const [{ width, height }] = SCREENS
  const { page } = await rig.open("#/flight", { viewport: { width, height } })
  await page.waitForSelector(".sparks")
  await page.waitForSelector("text=Needs you")
  await keepPicture(page, "flight-wall")
  const bottom = (await page.locator("footer").boundingBox())?.y ?? 0
  const ends = await page.evaluate<number[]>(
    `[...document.querySelectorAll(".flight > section, .flight-agents tbody tr")].map((one) => one.getBoundingClientRect().bottom)`,
  )
  expect(ends.length).toBeGreaterThanOrEqual(24)
  expect(Math.max(...ends)).toBeLessThan(bottom)
})

inChromium("rows that are placed by script are as high as the style says, however large the letters: the last one is reached and whole", async () => {
  for (const { width, height } of SCREENS) {
    const { page } = await rig.open("#/ledger", { viewport: { width, height } })
    const isWhole = (list: string, row: string): Promise<boolean> =>
      page.evaluate<boolean>(`(() => {
        const [list, row] = [document.querySelector(${JSON.stringify(list)}), [...document.querySelectorAll(${JSON.stringify(row)})].sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)]
        const [box, last, before] = [list.getBoundingClientRect(), row.at(-1).getBoundingClientRect(), row.at(-2).getBoundingClientRect()]
        return Math.abs(before.bottom - last.top) < 1 && last.bottom <= box.bottom + 1 && box.bottom - last.bottom < 3
      })()`)
    await page.focus(".window")
    await page.keyboard.press("End")
    await page.locator("#entry-1.row-active").waitFor()
    await expect.poll(() => isWhole(".window", ".row")).toBe(true)
    await page.evaluate(`location.hash = "#/plan/archive.1"`)
    await page.focus(".task-rows")
    await page.keyboard.press("End")
    await page.locator(".task-row.at-cursor >> text=step59").waitFor()
    await expect.poll(() => isWhole(".task-rows", ".task-row")).toBe(true)
    await page.context().close()
  }
})

inChromium("a moment of fifteen digits, beyond the end, fits a phone", async () => {
  const { page } = await rig.open("#/flight@999999999999999", { viewport: { width: 320, height: 640 } })
  await page.locator(".timeline [role=alert]").getByText("the ledger ends at entry").waitFor()
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(320)
})

inChromium("where the system's colours hold, the view that is open can be told, and what is drawn keeps its colours", async () => {
  const { page } = await rig.open("", { forcedColors: "active" })
  await goToPlace(page, "plan")
  const colours = (selector: string, property: string): Promise<string[]> =>
    page.evaluate<string[]>(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => getComputedStyle(one).${property})`)
  const [open] = await colours("nav a[aria-current]", "borderBottomColor")
  expect(await colours("nav a:not([aria-current])", "borderBottomColor")).not.toContain(open)
  const [good] = await colours(".graph-box canvas", "color")
  await page.evaluate(`document.querySelector(".graph-box canvas").style.color = "var(--bad)"`)
  expect((await colours(".graph-box canvas", "color"))[0]).not.toBe(good)
})
