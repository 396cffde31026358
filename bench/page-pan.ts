import type { BrowserContext, CDPSession, Page } from "playwright-core"
import type { Verdict } from "./claims.ts"
import { median, percentile, round, show } from "./figure.ts"

/**
 * A hand that draws the graph to and fro. `fps`: frames with a new drawing in each second of it; intervals are those between such frames. `cpuMs`: what the page's
 * thread worked for one of them, which does not grow with what else the machine does.
 */
export type Pan = { fps: number; p50Ms: number; p95Ms: number; cpuMs: number }
/** `layoutMs`: until the careful layout is there, made beside the page. `near`: at a size that can be read; `whole`: all tasks in sight at once. `floorFps`: what the browser reaches while nothing is drawn, as busy as the machine is. */
export type PanReport = { tasks: number; layoutMs: number; floorFps: number; near: Pan; whole: Pan }

/** As far as the hand moves in one step, in CSS pixels. */
const STEP = 6
const TURN = 25

/** Times of frames in which the graph stands elsewhere than in the one before, in ms. */
const WATCH_DRAWINGS = `
window.benchDrawn = []
let last = ""
const look = () => {
  const now = document.querySelector(".graph-box canvas")?.style.transform ?? ""
  if (now !== last) window.benchDrawn.push(performance.now())
  last = now
  requestAnimationFrame(look)
}
requestAnimationFrame(look)`

/** Pans the graph of a plan by a real mouse, so many steps, in a browser that is signed in. */
export async function measurePan(context: BrowserContext, url: string, plan: string, tasks: number, steps: number): Promise<PanReport> {
  const page = await context.newPage()
  await page.addInitScript({ content: WATCH_DRAWINGS })
  const session = await context.newCDPSession(page)
  await session.send("Performance.enable", { timeDomain: "threadTicks" })
  const startMs = performance.now()
  await page.goto(`${url}/#/plan/${encodeURIComponent(plan)}`)
  await page.waitForSelector(".task-row")
  await page.locator(".plan-head", { hasText: "with more care" }).waitFor({ state: "detached", timeout: 120_000 })
  const layoutMs = round(performance.now() - startMs)
  const floorFps = await floor(page, steps)
  const whole = await pan(page, session, steps)
  await page.focus(".graph-box")
  for (let press = 0; press < 30 && (await scaleOf(page)) < 0.8; press += 1) await page.keyboard.press("+")
  const near = await pan(page, session, steps)
  await page.close()
  return { tasks, layoutMs, floorFps, near, whole }
}

/** What the page's thread has worked so far, in ms of its processor. */
async function workedMs(session: CDPSession): Promise<number> {
  const { metrics } = await session.send("Performance.getMetrics")
  return 1_000 * (metrics.find(({ name }) => name === "TaskDuration")?.value ?? Number.NaN)
}

async function floor(page: Page, frames: number): Promise<number> {
  const tookMs = await page.evaluate<number>(
    `new Promise((done) => { const startMs = performance.now(); let left = ${frames}; const next = () => ((left -= 1) < 0 ? done(performance.now() - startMs) : requestAnimationFrame(next)); next() })`,
  )
  return round((frames * 1_000) / tookMs)
}

/** How near it is, by the graph's own word. */
async function scaleOf(page: Page): Promise<number> {
  return Number((await page.getAttribute(".graph-box", "data-scale")) ?? 1)
}

async function pan(page: Page, session: CDPSession, steps: number): Promise<Pan> {
  const box = await page.locator(".graph-box").boundingBox()
  if (box === null) throw new Error("the plan has no graph")
  let [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  await page.mouse.move(x, y)
  await page.mouse.down()
  await page.evaluate("window.benchDrawn = []")
  const beforeMs = await workedMs(session)
  for (let step = 0; step < steps; step += 1) {
    const isBack = Math.floor(step / TURN) % 2 === 1
    x += isBack ? -STEP : STEP
    y += isBack ? -STEP / 2 : STEP / 2
    await page.mouse.move(x, y)
  }
  await page.mouse.up()
  const cpuMs = (await workedMs(session)) - beforeMs
  const drawn = await page.evaluate<number[]>("window.benchDrawn")
  const intervals = drawn.slice(1).map((atMs, at) => atMs - (drawn[at] as number))
  const tookMs = (drawn.at(-1) ?? 0) - (drawn[0] ?? 0)
  return {
    fps: round(((drawn.length - 1) * 1_000) / tookMs),
    p50Ms: round(median(intervals)),
    p95Ms: round(percentile(intervals, 0.95)),
    cpuMs: round(cpuMs / drawn.length),
  }
}

/** A screen has 60 whole frames a second; where the browser alone, with nothing to draw, reaches fewer, these. */
export function panVerdict({ near, floorFps }: Pick<PanReport, "floorFps" | "near">): Verdict {
  const limit = Math.min(60, Math.round(floorFps))
  return { value: near.fps, limit, ok: Math.round(near.fps) >= limit }
}

export function describePan({ tasks, layoutMs, floorFps, near, whole }: PanReport): string {
  const words = ({ fps, p50Ms, p95Ms, cpuMs }: Pan): string =>
    `${show(fps)} frames/s (p50 ${show(p50Ms)}, p95 ${show(p95Ms)} ms from frame to frame, of which ${show(cpuMs)} ms at work)`
  return `pan of the graph of ${show(tasks)} tasks: ${words(near)} where it can be read, ${words(whole)} with all of it in sight; laid out after ${show(layoutMs)} ms; the browser alone reached ${show(floorFps)} frames/s`
}
