import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import type { Browser, BrowserContext, CDPSession, Page } from "playwright-core"
import type { Client, Output } from "../src/client/client.ts"
import { findChromium, launchChromium } from "../test/page/chromium.ts"
import type { Verdict } from "./claims.ts"
import { median, percentile, round, show, table } from "./figure.ts"
import { manyNotes, notesAtPace, type Sent, startTeam, type Worker } from "./page-team.ts"
import { describePan, measurePan, panVerdict, type PanReport } from "./page-pan.ts"
import { removeLast, sleep } from "./scratch.ts"
import { type HubAddress, startHub } from "./skein.ts"

export type PageOptions = {
  directory: string
  agents: number
  tasks: number
  rounds: number
  perSecond: number
  paceMs: number
  panSteps: number
  entries: number
}
export const PAGE: Omit<PageOptions, "directory"> = { agents: 20, tasks: 1_000, rounds: 9, perSecond: 500, paceMs: 15_000, panSteps: 150, entries: 1_000_000 }

export type PageReport = {
  agents: number
  tasks: number
  browser: string
  /** All files of the page as they go over the wire with brotli, and those of them that the first view needs. */
  weight: { allKb: number; firstKb: number }
  /** From the start of the navigation, nothing in any cache, to the first frame with every agent in it. */
  paint: { p50Ms: number; maxMs: number }
  /**
   * From the time that an entry carries, which is when the hub decided it and before it was on the disk, to the end of the frame that shows it; and from
   * just before the agent's call. `longTasksMs`: of how long no frame could be drawn in all, by what the browser calls long tasks.
   */
  pixel: { askedPerS: number; reachedPerS: number; count: number; p50Ms: number; p95Ms: number; p99Ms: number; fromCallP95Ms: number; longTasksMs: number }
  pan: PanReport
  memory: { entries: number; perS: number; heapMb: number[]; growthMb: number; lagEntries: number }
  gate: Record<string, Verdict>
}

/** The page as a director has it open, in a real browser, at a hub that users start. */
export async function benchPage({ directory, agents, tasks, rounds, perSecond, paceMs, panSteps, entries }: PageOptions): Promise<PageReport> {
  if (findChromium() === null) throw new Error("the page is measured in Chromium: install it, or name it in SKEIN_CHROMIUM")
  const hub = await startHub(directory)
  const browser = await launchChromium(["--js-flags=--expose-gc"], directory)
  removeLast()
  const { operator, workers } = await startTeam(hub.address, agents, tasks)
  try {
    const weight = await weigh(browser, hub.address)
    const paint = await measurePaint(browser, hub.address, agents, rounds)
    const context = await signedIn(browser, hub.address)
    const page = await context.newPage()
    await page.addInitScript({ content: WATCH_NOTES })
    await page.goto(`${hub.address.url}/#/flight`)
    await waitForAgents(page, agents)
    const pixel = await measurePixels(page, operator, workers, perSecond, paceMs)
    const pan = await measurePan(context, hub.address.url, "bench.1", tasks, panSteps, rounds)
    const memory = await measureMemory(page, await context.newCDPSession(page), workers, entries)
    const holds = (value: number, limit: number): Verdict => ({ value, limit, ok: value <= limit })
    const gate = {
      paintMs: holds(paint.p50Ms, 1_000),
      weightKb: holds(weight.allKb, 250),
      pixelP95Ms: holds(pixel.p95Ms, 100),
      panFps: panVerdict(pan),
      // Flat: what half a million entries leave behind is less than two bytes each, which is what the garbage collector is uncertain by.
      heapGrowthMb: holds(memory.growthMb, 1),
    }
    return { agents, tasks, browser: browser.version(), weight, paint, pixel, pan, memory, gate }
  } finally {
    await browser.close()
    for (const { client } of workers) await client.close()
    await operator.close()
    await hub.stop()
  }
}

async function signedIn(browser: Browser, { url, credential }: HubAddress): Promise<BrowserContext> {
  const context = await browser.newContext({ viewport: { width: 1_600, height: 1_000 } })
  const response = await fetch(`${url}/enter/link`, { method: "POST", headers: { Authorization: `Bearer ${credential}` } })
  const { path } = (await response.json()) as { path: string }
  const page = await context.newPage()
  await page.goto(url + path)
  await page.waitForSelector("header .state-live")
  await page.close()
  return context
}

async function waitForAgents(page: Page, agents: number): Promise<void> {
  await page.waitForSelector(`tbody tr:nth-child(${agents})`)
}

/** What the first view needs is what the browser asks for; all there is, what the build made. */
async function weigh(browser: Browser, address: HubAddress): Promise<PageReport["weight"]> {
  const built = join(import.meta.dirname, "..", "dist", "dashboard")
  const files = readdirSync(built, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name.endsWith(".br"))
  const all = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
  const context = await signedIn(browser, address)
  const page = await context.newPage()
  let first = readFileSync(join(built, "index.html.br")).length
  page.on("response", (response) => {
    const { pathname } = new URL(response.url())
    if (pathname.startsWith("/assets/")) first += statSync(join(built, `${pathname}.br`)).size
  })
  await page.goto(`${address.url}/#/flight`)
  await page.waitForSelector("tbody tr")
  await context.close()
  return { allKb: round(all / 1_000), firstKb: round(first / 1_000) }
}

/** The time of the first frame in which `window.benchWanted` agents are drawn. */
const WATCH_PAINT = `
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    if (document.querySelectorAll("tbody tr").length < window.benchWanted) return
    observer.disconnect()
    requestAnimationFrame(() => { const channel = new MessageChannel(); channel.port1.onmessage = () => (document.documentElement.dataset.painted = performance.now()); channel.port2.postMessage(0) })
  }
  const observer = new MutationObserver(look)
  observer.observe(document.body, { childList: true, subtree: true })
})`

async function measurePaint(browser: Browser, address: HubAddress, agents: number, rounds: number): Promise<PageReport["paint"]> {
  const taken: number[] = []
  for (let at = -1; at < rounds; at += 1) {
    // A context of its own each time: nothing is cached.
    const context = await signedIn(browser, address)
    const page = await context.newPage()
    const session = await context.newCDPSession(page)
    await session.send("Network.enable")
    await session.send("Network.setCacheDisabled", { cacheDisabled: true })
    await page.addInitScript({ content: `window.benchWanted = ${agents};${WATCH_PAINT}` })
    await page.goto(`${address.url}/#/flight`)
    const painted = await page.waitForSelector("html[data-painted]", { state: "attached" })
    if (at >= 0) taken.push(Number(await painted.getAttribute("data-painted")))
    await context.close()
  }
  return { p50Ms: round(median(taken)), maxMs: round(Math.max(...taken)) }
}

/** Notes by the frame that showed them first: agent, number, and the time at the end of that frame in ms since 1970. And what kept frames from being drawn. */
const WATCH_NOTES = `
window.benchSeen = []; window.benchLongMs = 0
addEventListener("DOMContentLoaded", () => {
  const fresh = new Map(); let isAsked = false
  const shown = () => {
    isAsked = false
    const atMs = performance.timeOrigin + performance.now()
    for (const [agent, number] of fresh) window.benchSeen.push({ agent, number, atMs })
    fresh.clear()
  }
  const read = (text) => {
    const found = /(agent-\\d+) #(\\d+) at work/.exec(text)
    if (found === null) return
    fresh.set(found[1], Number(found[2]))
    if (isAsked) return
    isAsked = true
    // The page draws within animation frames alone: the next task comes when this one was handed over.
    const channel = new MessageChannel(); channel.port1.onmessage = shown; channel.port2.postMessage(0)
  }
  new MutationObserver((changes) => { for (const { target } of changes) read(target.textContent ?? "") })
    .observe(document.body, { childList: true, characterData: true, subtree: true })
  new PerformanceObserver((list) => { for (const { duration } of list.getEntries()) window.benchLongMs += duration }).observe({ type: "longtask" })
})`

async function measurePixels(page: Page, operator: Client, workers: readonly Worker[], perSecond: number, paceMs: number): Promise<PageReport["pixel"]> {
  // Warm: compiled, and the heap as large as it will be.
  await notesAtPace(workers, perSecond, Math.min(2_000, paceMs))
  await sleep(300)
  await page.evaluate("window.benchSeen = []; window.benchLongMs = 0")
  const { seq } = await operator.ledger.head({})
  const { sent, perSecond: reached } = await notesAtPace(workers, perSecond, paceMs)
  await sleep(500)
  const seen = await page.evaluate<Sent[]>("window.benchSeen")
  const latencies = latenciesOf(await recordedSince(operator, seq), seen)
  return {
    askedPerS: perSecond,
    reachedPerS: round(reached),
    count: latencies.length,
    p50Ms: round(median(latencies)),
    p95Ms: round(percentile(latencies, 0.95)),
    p99Ms: round(percentile(latencies, 0.99)),
    fromCallP95Ms: round(percentile(latenciesOf(sent, seen), 0.95)),
    longTasksMs: round(await page.evaluate<number>("window.benchLongMs")),
  }
}

/** The notes after an entry, with the times that their entries carry. */
async function recordedSince(operator: Client, seq: number): Promise<Sent[]> {
  const found: Sent[] = []
  for (let from: number | null = seq + 1; from !== null;) {
    const { entries, next }: Output<"ledger.read"> = await operator.ledger.read({ from, limit: 1_000 })
    for (const { bytes } of entries) {
      const { atMs, actor, data } = JSON.parse(bytes) as { atMs: number; actor: { agent: string }; data: { note?: string } }
      const number = /#(\d+) at work$/.exec(data.note ?? "")?.[1]
      if (number !== undefined) found.push({ agent: actor.agent, number: Number(number), atMs })
    }
    from = next
  }
  return found
}

/** What came within one frame is shown by the last of it: a note is on the page when it or a later one of its agent is. */
export function latenciesOf(sent: readonly Sent[], seen: readonly Sent[]): number[] {
  const byAgent = Map.groupBy(seen, ({ agent }) => agent)
  return sent.map(({ agent, number, atMs }) => {
    const first = byAgent.get(agent)?.find((one) => one.number >= number)
    if (first === undefined) throw new Error(`note ${number} of ${agent} never came to the page`)
    return first.atMs - atMs
  })
}

/** Stops in which the heap is measured, after garbage was collected. */
const STOPS = 10

async function measureMemory(page: Page, session: CDPSession, workers: readonly Worker[], entries: number): Promise<PageReport["memory"]> {
  const heapMb: number[] = []
  let lagEntries = 0
  const startMs = performance.now()
  for (let stop = 0; stop < STOPS; stop += 1) {
    await manyNotes(workers, Math.ceil(entries / STOPS))
    const written = workers.reduce((sum, { noted }) => sum + noted, 0)
    const before = await page.evaluate<number>(SHOWN)
    lagEntries = Math.max(lagEntries, written - before)
    for (const { name, noted } of workers) await page.waitForSelector(`text=${name} #${noted} at work`, { timeout: 120_000 })
    await page.evaluate("window.benchSeen = []")
    await session.send("HeapProfiler.collectGarbage")
    const { usedSize } = await session.send("Runtime.getHeapUsage")
    heapMb.push(round(usedSize / 1e6))
  }
  const seconds = (performance.now() - startMs) / 1_000
  // Of the second half: by then what the page keeps of the past on purpose (32,768 entries at the most) is as much as it will be.
  const growthMb = round((heapMb.at(-1) as number) - (heapMb[STOPS / 2 - 1] as number))
  return { entries, perS: round(entries / seconds), heapMb, growthMb, lagEntries }
}

/** How many notes the page shows by now, all agents together. */
const SHOWN = `[...document.querySelectorAll("tbody tr")].reduce((sum, row) => sum + Number(/#(\\d+) at work/.exec(row.textContent)?.[1] ?? 0), 0)`

export function describePage({ agents, tasks, browser, weight, paint, pixel, pan, memory, gate }: PageReport): string {
  const verdicts = Object.entries(gate).map(([name, { value, limit, ok }]) => [name, show(value), show(limit), ok === true ? "holds" : "FAILS"])
  return [
    `Flight with ${agents} agents and ${tasks} tasks, Chromium ${browser} without a graphics card`,
    `weight: ${show(weight.allKb)} kB compressed in all, ${show(weight.firstKb)} kB for the first view`,
    `first useful paint, nothing cached: ${show(paint.p50Ms)} ms (worst ${show(paint.maxMs)})`,
    `event to pixel at ${show(pixel.reachedPerS)} events/s (${show(pixel.askedPerS)} asked): p50 ${show(pixel.p50Ms)}, p95 ${show(pixel.p95Ms)}, p99 ${show(pixel.p99Ms)} ms (p95 from the call on: ${show(pixel.fromCallP95Ms)}) over ${show(pixel.count)} events; long tasks ${show(pixel.longTasksMs)} ms in all`,
    describePan(pan),
    `memory over ${show(memory.entries)} events at ${show(memory.perS)}/s: ${memory.heapMb.map(show).join(", ")} MB after garbage collection; the second half grew by ${show(memory.growthMb)} MB`,
    table(["gate", "value", "limit", ""], verdicts),
  ].join("\n\n")
}
