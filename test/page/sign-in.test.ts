import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { afterAll, beforeAll, expect } from "vitest"
import { inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

const newContext = withBrowser()
let rig: PageRig
let elsewhere: Server
beforeAll(async () => {
  rig = await startPageRig()
  // Another program's page on the same host: the same site by the rules of cookies.
  elsewhere = createServer((_, response) => response.setHeader("Content-Type", "text/html").end("<title>elsewhere</title>"))
  await new Promise<void>((resolve) => elsewhere.listen(0, "127.0.0.1", resolve))
})
afterAll(async () => {
  await rig.close()
  elsewhere.close()
})

inChromium("a link signs in, leaves an address without it, and a cookie that no script can read", async () => {
  const { page, complaints } = await rig.open()
  expect(page.url()).toBe(`${rig.hub.url}/`)
  const [cookie, ...more] = await page.context().cookies()
  expect(more).toEqual([])
  expect(cookie).toMatchObject({ httpOnly: true, sameSite: "Strict", path: "/", domain: "127.0.0.1" })
  expect(await page.evaluate("document.cookie")).toBe("")
  expect(await page.evaluate("history.length")).toBeLessThanOrEqual(2)
  expect(complaints).toEqual([])
})

inChromium("a link that was used tells a second browser how to get another, and the first stays signed in", async () => {
  const link = await rig.link()
  const [first, second] = [await newContext(), await newContext()]
  const page = await first.newPage()
  await page.goto(link)
  await page.waitForSelector("header .state-live")
  const late = await second.newPage()
  await late.goto(link)
  await late.waitForSelector("text=You are not signed in")
  expect(await late.textContent("main pre")).toBe("skein dash")
  expect(late.url()).toBe(`${rig.hub.url}/`)
  // The used link in the browser that used it: no reason to turn it away.
  await page.goto(link)
  await page.waitForSelector("header .state-live")
  await page.click("text=sign out")
  await page.waitForSelector("text=You are not signed in")
  expect(await page.context().cookies()).toEqual([])
})

inChromium("a tab notices that another one signed in, or out", async () => {
  const context = await newContext()
  const page = await context.newPage()
  await page.goto(rig.hub.url)
  await page.waitForSelector("text=You are not signed in")
  const other = await context.newPage()
  await other.goto(await rig.link())
  await other.waitForSelector("header .state-live")
  await page.click("text=look again")
  await page.waitForSelector("header .state-live")
  // And that it signed out.
  await other.click("text=sign out")
  await page.waitForSelector("text=You are not signed in")
  // Whoever does not see it hears it too.
  await expect
    .poll(async () => [await page.title(), await page.evaluate("document.activeElement.innerText")])
    .toEqual(["Signed out · Skein", expect.stringContaining("not signed in")])
})

inChromium("a page of another port can neither act, nor read, nor connect with the cookie", async () => {
  const { page } = await rig.open()
  const foreign = await page.context().newPage()
  await foreign.goto(`http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/`)
  const { url } = rig.hub
  const outcome = (script: string): Promise<unknown> => foreign.evaluate(script)
  const post = `fetch(${JSON.stringify(`${url}/leave`)}, { method: "POST", credentials: "include", mode: "no-cors" }).then(() => "sent", () => "blocked")`
  await outcome(post)
  expect(await outcome(`fetch(${JSON.stringify(`${url}/snapshots/main/1`)}, { credentials: "include" }).then(() => "read", () => "blocked")`)).toBe("blocked")
  const socket = `new Promise((resolve) => { const ws = new WebSocket(${JSON.stringify(`${url.replace("http", "ws")}/ws`)})
    ws.onopen = () => resolve("open"); ws.onerror = () => resolve("blocked") })`
  expect(await outcome(socket)).toBe("blocked")
  expect(
    await outcome(`new Promise((resolve) => { const frame = document.createElement("iframe"); frame.src = ${JSON.stringify(url)}
    frame.onload = () => { try { resolve(frame.contentDocument === null ? "foreign" : "own") } catch { resolve("foreign") } }; document.body.append(frame) })`),
  ).toBe("foreign")
  expect(foreign.frames()[1]?.url()).not.toBe(`${url}/`)
  // Nobody was signed out by all that.
  expect(await page.context().cookies()).toHaveLength(1)
  await page.reload()
  await page.waitForSelector("header .state-live")
})

inChromium("a script that is not the hub's own does not run in the page", async () => {
  const { page, complaints } = await rig.open()
  const injected = `new Promise((resolve) => { const script = document.createElement("script"); script.textContent = "window.hacked = 1"
    document.body.append(script); setTimeout(() => resolve(window.hacked ?? "held"), 50) })`
  expect(await page.evaluate(injected)).toBe("held")
  const outside = `fetch("http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/").then(() => "sent", () => "held")`
  expect(await page.evaluate(outside)).toBe("held")
  expect(complaints.length).toBeGreaterThanOrEqual(2)
  expect(complaints.every((text) => text.includes("Content Security Policy"))).toBe(true)
})

inChromium("signing out ends the live connection of a copy of the cookie in another browser too, and says so where the hub is away", async () => {
  const { page } = await rig.open()
  const [cookie] = await page.context().cookies()
  const copy = await newContext()
  await copy.addCookies([cookie!])
  const taken = await copy.newPage()
  await taken.goto(rig.hub.url)
  await taken.waitForSelector("header .state-live")
  const mine = await rig.open()
  await page.click("text=sign out")
  await page.waitForSelector("text=You are not signed in")
  await taken.waitForSelector("text=You are not signed in")
  // That of another sign-in goes on.
  expect(await mine.page.locator("header .state-live").count()).toBe(1)
  await rig.hub.stop()
  await mine.page.waitForSelector("header .state-lost")
  await mine.page.click("text=sign out")
  await mine.page.waitForSelector(".notice >> text=you are still signed in: the hub does not answer")
  await rig.hub.restart()
  await mine.page.waitForSelector("header .state-live", { timeout: 15_000 })
})
