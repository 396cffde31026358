import { afterAll, beforeAll, expect } from "vitest"
import { inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
})
afterAll(() => rig.close())

inChromium("a link signs in once, leaves a clean address, and a cookie that no script can read and no other site can send", async () => {
  const { page, complaints } = await rig.open()
  expect(page.url()).toBe(`${rig.hub.url}/`)
  const [cookie, ...more] = await page.context().cookies()
  expect(more).toEqual([])
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/", domain: "127.0.0.1" })
  expect(cookie?.name).toMatch(/^skein_[0-9a-f]{16}$/)
  expect(await page.evaluate("document.cookie")).toBe("")
  expect(complaints).toEqual([])
})
