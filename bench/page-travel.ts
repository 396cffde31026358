import { join } from "node:path"
import type { Browser, Page } from "playwright-core"
import { connect } from "../src/client/client.ts"
import { findChromium, launchChromium } from "../test/page/chromium.ts"
import { Child } from "./child.ts"
import type { Verdict } from "./claims.ts"
import { median, percentile, round, show, table } from "./figure.ts"
import type { Made } from "./history.ts"
import { removeLast, sleep } from "./scratch.ts"
import { type HubAddress, startHub } from "./skein.ts"

/** `rounds`: pages that are opened anew, each for a first jump; `jumps`: in the last of them. `updates`: entries of a task besides the three that each has. */
export type TravelOptions = { directory: string; entries: number; rounds: number; jumps: number; updates: number }
export const TRAVEL: Omit<TravelOptions, "directory"> = { entries: 1_000_000, rounds: 10, jumps: 100, updates: 20 }

export type TravelReport = {
  entries: number
  tasks: number
  browser: string
  /** From the hub's start until the past was kept in steps. */
  laddered: { rungs: number; seconds: number }
  /** From the navigation to the live page. */
  opened: { p50Ms: number; maxMs: number }
  /** `cpuMs`: what one takes of the page's own thread. From the change of the address to the frame that shows the state of that entry: the first of a page, and those after it. */
  first: { count: number; p50Ms: number; maxMs: number }
  jumps: { count: number; p50Ms: number; p95Ms: number; maxMs: number; longestTaskMs: number; cpuMs: number }
  heapMb: number
  gate: Record<string, Verdict>
}

const STEP_ENTRIES = 10_000
const GIVE_UP_MS = 300_000

/** Jumps to moments of a long ledger, drawn at random, on the page as a director has it open. */
export async function benchTravel({ directory, entries, rounds, jumps, updates }: TravelOptions): Promise<TravelReport> {
  if (findChromium() === null) throw new Error("the page is measured in Chromium: install it, or name it in SKEIN_CHROMIUM")
  const maker = new Child("./history.ts")
  await maker.call<Made>("make", { directory: join(directory, "travel", "skein"), entries, snapshotEntries: null, updates })
  await maker.stop()
  return travelOn(join(directory, "travel"), rounds, jumps)
}

/** The same on a ledger that is there already. */
async function travelOn(home: string, rounds: number, jumps: number): Promise<TravelReport> {
  const hub = await startHub(home)
  const browser = await launchChromium(["--js-flags=--expose-gc"], home)
  removeLast()
  try {
    const { entries, tasks, laddered } = await waitForSteps(hub.address)
    const random = randomFrom(20_261_121)
    const moment = (): number => 1 + Math.floor(random() * (entries - 1))
    const opened: number[] = []
    const first: number[] = []
    let page: Page | null = null
    for (let opening = 0; opening < rounds; opening += 1) {
      await page?.context().close()
      const startMs = performance.now()
      page = await openPage(browser, hub.address)
      opened.push(performance.now() - startMs)
      first.push(await jumpTo(page, moment()))
    }
    if (page === null) throw new Error("no page was opened: at least one round")
    const taken: number[] = []
    const session = await page.context().newCDPSession(page)
    await session.send("Performance.enable", { timeDomain: "threadTicks" })
    const cpuS = async (): Promise<number> => (await session.send("Performance.getMetrics")).metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0
    await page.evaluate("window.benchLongest = 0")
    const startedS = await cpuS()
    for (let at = 0; at < jumps; at += 1) taken.push(await jumpTo(page, moment()))
    const longestTaskMs = round(await page.evaluate<number>("window.benchLongest"))
    const cpuMs = round((((await cpuS()) - startedS) * 1_000) / jumps)
    await session.send("HeapProfiler.collectGarbage")
    const { usedSize } = await session.send("Runtime.getHeapUsage")
    const p95Ms = round(percentile(taken, 0.95))
    const firstMs = round(Math.max(...first))
    const openedMs = round(median(opened))
    return {
      entries,
      tasks,
      browser: browser.version(),
      laddered,
      opened: { p50Ms: openedMs, maxMs: round(Math.max(...opened)) },
      first: { count: first.length, p50Ms: round(median(first)), maxMs: firstMs },
      jumps: { count: jumps, p50Ms: round(median(taken)), p95Ms: round(percentile(taken, 0.95)), maxMs: round(Math.max(...taken)), longestTaskMs, cpuMs },
      heapMb: round(usedSize / 1e6),
      gate: {
        firstJumpWorstMs: { value: firstMs, limit: 1_000, ok: firstMs <= 1_000 },
        jumpP95Ms: { value: p95Ms, limit: 1_000, ok: p95Ms <= 1_000 },
        liveP50Ms: { value: openedMs, limit: 2_000, ok: openedMs <= 2_000 },
      },
    }
  } finally {
    await browser.close()
    await hub.stop()
  }
}

async function waitForSteps({ url, credential }: HubAddress): Promise<Pick<TravelReport, "entries" | "tasks" | "laddered">> {
  const startMs = performance.now()
  const operator = await connect({ url, credential })
  try {
    const { seq: entries } = await operator.ledger.head({})
    const { counts } = await operator.hub.status({})
    const tasks = Object.values(counts).reduce((sum, count) => sum + count, 0) - (counts["ready"] ?? 0)
    for (;;) {
      const { rungs } = await operator.ledger.snapshots({})
      if ((rungs.at(-1)?.seq ?? 0) > entries - 2 * STEP_ENTRIES)
        return { entries, tasks, laddered: { rungs: rungs.length, seconds: round((performance.now() - startMs) / 1_000) } }
      if (performance.now() - startMs > GIVE_UP_MS) throw new Error(`after 5 minutes the past is kept up to entry ${rungs.at(-1)?.seq ?? 0} of ${entries} only`)
      await sleep(250)
    }
  } finally {
    await operator.close()
  }
}

/** The end of the frame that shows an entry's state, and the longest that the page did not answer. */
const WATCH = `
window.benchLongest = 0
window.benchShown = new Map()
addEventListener("DOMContentLoaded", () => {
  let asked = null
  const look = () => {
    const shown = document.querySelector(".timeline [data-shown]")?.dataset.shown
    if (shown === undefined || shown === asked) return
    asked = shown
    requestAnimationFrame(() => { const channel = new MessageChannel(); channel.port1.onmessage = () => window.benchShown.set(shown, performance.now()); channel.port2.postMessage(0) })
  }
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-shown"] })
  new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.benchLongest = Math.max(window.benchLongest, duration) }).observe({ type: "longtask" })
})`

async function openPage(browser: Browser, { url, credential }: HubAddress): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1_600, height: 1_000 } })
  const response = await fetch(`${url}/enter/link`, { method: "POST", headers: { Authorization: `Bearer ${credential}` } })
  const { path } = (await response.json()) as { path: string }
  const page = await context.newPage()
  await page.addInitScript({ content: WATCH })
  await page.goto(url + path)
  await page.waitForSelector("header .state-live", { timeout: 120_000 })
  await page.waitForSelector(".timeline [data-shown]", { timeout: 120_000 })
  return page
}

/** Answers how long it took, in ms. */
function jumpTo(page: Page, seq: number): Promise<number> {
  return page.evaluate<number>(`new Promise((resolve) => {
    const startMs = performance.now()
    window.benchShown.delete("${seq}")
    location.hash = "#/flight@${seq}"
    const look = () => (window.benchShown.has("${seq}") ? resolve(window.benchShown.get("${seq}") - startMs) : setTimeout(look, 5))
    look()
  })`)
}

/** The same moments each time: mulberry32, by T. Ettinger. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function describeTravel({ entries, tasks, browser, laddered, opened, first, jumps, heapMb, gate }: TravelReport): string {
  const verdicts = Object.entries(gate).map(([name, { value, limit, ok }]) => [name, show(value), show(limit), ok === true ? "holds" : "FAILS"])
  return [
    `A ledger of ${show(entries)} entries and ${show(tasks)} tasks, Chromium ${browser} without a graphics card`,
    `the past kept in ${laddered.rungs} steps ${show(laddered.seconds)} s after the hub's start`,
    `a page is live after ${show(opened.p50Ms)} ms (worst ${show(opened.maxMs)})`,
    `its first jump: p50 ${show(first.p50Ms)} ms, worst ${show(first.maxMs)} of ${first.count}`,
    `jumps after it: p50 ${show(jumps.p50Ms)}, p95 ${show(jumps.p95Ms)}, worst ${show(jumps.maxMs)} ms of ${jumps.count}; one takes ${show(jumps.cpuMs)} ms of CPU of the page's thread, which was busy for ${show(jumps.longestTaskMs)} ms at the longest; ${show(heapMb)} MB after garbage collection`,
    table(["gate", "value", "limit", ""], verdicts),
  ].join("\n\n")
}
