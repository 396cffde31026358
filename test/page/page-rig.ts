import { mkdirSync } from "node:fs"
import axe from "axe-core"
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core"
import { afterAll, beforeAll, onTestFinished, test } from "vitest"
import { type Client, connect } from "../../src/client/client.ts"
import { memorySnapshots } from "../../src/hub/snapshots.ts"
import { type Instance, type InstanceOptions, startInstance } from "../../src/surface/served.contract.ts"
import { findChromium, launchChromium } from "./chromium.ts"

/** `test`, where there is a browser; else the same test says loudly that it was skipped. */
export const inChromium = test.skipIf(findChromium() === null)
if (findChromium() === null) console.warn("SKIPPED: the page's tests need Chromium; install it, or name it in SKEIN_CHROMIUM")

/** A real hub with a plan at work, and the operator's connection to it. */
export type PageRig = {
  hub: Instance
  operator: Client
  /** A connection of an agent, with a session that the connection owns; it is added where it is not there. */
  agent(name: string): Promise<Client>
  /** What `skein dash` prints. */
  link(): Promise<string>
  /** For a test: signs in and opens the page at an address such as `#/flight`, until the test's end; waits until it is live. The console's errors are in `complaints`. */
  open(hash?: string, options?: BrowserContextOptions): Promise<Opened>
  close(): Promise<void>
}

/** `complaints`: errors of the console and of scripts, which are failures unless a test expects them. */
export type Opened = { page: Page; complaints: string[] }

/** What is drawn is drawn by the processor: without a graphics card it costs less where no card is feigned. */
const ARGS = ["--disable-gpu"]

/** One for all files that share a process (test/sharing.ts). It ends with the process. */
let browser: Browser | null = null

/** A browser for the tests of a file; the answer makes a fresh profile in it. */
export function withBrowser(): () => Promise<BrowserContext> {
  beforeAll(async () => {
    if (findChromium() === null || browser?.isConnected() === true) return
    // What ends a process of tests is this signal. Playwright kills the browser, and removes what it wrote, where a process exits.
    if (browser === null) process.once("SIGTERM", () => process.exit())
    browser = await launchChromium(ARGS)
  })
  afterAll(() => Promise.all((browser?.contexts() ?? []).map((context) => context.close())))
  return () => newContext({})
}

async function newContext(options: BrowserContextOptions): Promise<BrowserContext> {
  if (browser === null) throw new Error("call withBrowser() in the file of the test")
  return browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
}

export async function startPageRig(options: InstanceOptions = {}): Promise<PageRig> {
  const hub = await startInstance({ level: "warn", snapshots: memorySnapshots(), ...options })
  const operator = await connect({ url: hub.url, credential: hub.operator })
  const clients: Client[] = [operator]
  const link = async (): Promise<string> => {
    const response = await fetch(`${hub.url}/enter/link`, { method: "POST", headers: { Authorization: `Bearer ${hub.operator}` } })
    const { path } = (await response.json()) as { path: string }
    return hub.url + path
  }
  return {
    hub,
    operator,
    link,
    agent: async (name) => {
      const client = await connect({ url: hub.url, credential: await hub.agent(name, { role: "worker" }) })
      clients.push(client)
      await client.session.start({ runtime: "script", owned: true })
      return client
    },
    open: async (hash = "", given = {}) => {
      const context = await newContext(given)
      // A page that stayed open would draw all that the tests after it do.
      onTestFinished(() => context.close())
      const page = await context.newPage()
      const complaints: string[] = []
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") complaints.push(message.text())
      })
      page.on("pageerror", (error) => complaints.push(String(error)))
      await page.goto(await link())
      await page.waitForSelector("header .state-live", { timeout: 15_000 })
      if (hash !== "") await page.goto(`${hub.url}/${hash}`)
      return { page, complaints }
    },
    close: async () => {
      for (const client of clients) await client.close()
      await hub.close()
    },
  }
}

/** What axe finds serious or critical against WCAG 2.2 AA, each with where. */
export async function faultsOf(page: Page): Promise<string[]> {
  if (!(await page.evaluate<boolean>("'axe' in window"))) await page.evaluate(axe.source)
  // The page in one piece: what the timeline lies over until it is scrolled to would count as too small to be hit.
  const { width, height } = page.viewportSize() as { width: number; height: number }
  await page.setViewportSize({ width, height: Math.max(height, await page.evaluate<number>("document.documentElement.scrollHeight")) })
  const found = await page.evaluate<{ id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[]>(
    `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], resultTypes: ["violations"] }).then(({ violations }) => violations)`,
  )
  await page.setViewportSize({ width, height })
  const serious = found.filter(({ impact }) => impact === "serious" || impact === "critical")
  return serious.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`))
}

/** Keeps what the page looks like, for whoever asks for it by `SKEIN_TEST_PICTURES`: `artifacts/page/NAME.png`. */
export async function keepPicture(page: Page, name: string): Promise<void> {
  if (process.env["SKEIN_TEST_PICTURES"] === undefined) return
  mkdirSync("artifacts/page", { recursive: true })
  await page.screenshot({ path: `artifacts/page/${name}.png`, fullPage: true })
}
