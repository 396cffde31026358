import { afterAll, beforeAll, expect } from "vitest"
import { faultsOf, inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
})
afterAll(() => rig.close())

inChromium("the page of all operations can be used by everybody: on a phone, in the dark, by keys, and by axe", { timeout: 60_000 }, async () => {
  for (const [width, colorScheme] of [
    [320, "dark"],
    [1280, "light"],
  ] as const) {
    // Its policy lets no script run, axe among them.
    const { page, complaints } = await rig.open("", { viewport: { width, height: 800 }, colorScheme, bypassCSP: true })
    await page.goto(`${rig.hub.url}/api#task.claim`)
    expect(await page.locator("main section").count()).toBeGreaterThan(100)
    // A few of them: all at once are a page of a kilometre.
    await page.evaluate(`[...document.querySelectorAll("section")].slice(3).forEach((section) => section.remove())`)
    await page.evaluate(`for (const part of document.querySelectorAll("details")) part.open = true`)
    expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0)
    expect(await faultsOf(page)).toEqual([])
    expect(complaints).toEqual([])
  }
})
