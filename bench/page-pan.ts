import type { BrowserContext, CDPSession, Page } from "playwright-core"
import type { Verdict } from "./claims.ts"
import { median, percentile, round, show } from "./figure.ts"

/**
 * A hand that draws a sheet to and fro, so many rounds. `fps`: frames with a new drawing in each second, median and worst of the rounds; intervals are those between
 * such frames. `missed`: frames of the screen without one, of which `still` came in time, and the hand's next step had not: it is taken when the browser has answered
 * the last. `cpuMs`: what the page's thread worked for one drawing, which does not grow with what else the machine does.
 */
export type Pan = { fps: number; worstFps: number; p50Ms: number; p95Ms: number; missed: number; still: number; cpuMs: number }
/** A frame that came to the page: when, whether the hand had moved since the one before, and whether the sheet was drawn elsewhere in it. */
export type Frame = { atMs: number; isMoved: boolean; isDrawn: boolean }
export type Round = { frames: readonly Frame[]; cpuMs: number }
/** `layoutMs`: until the careful layout is there, made beside the page. `near`: at a size that can be read; `whole`: all tasks in sight at once. `floor`: an empty sheet on a page without anything else, by the same hand, in turn with the graph. */
export type PanReport = { tasks: number; layoutMs: number; floor: Pan; near: Pan; whole: Pan }

/** As far as the hand moves in one step, in CSS pixels. */
const STEP = 6
const TURN = 25
/** No hand moves in the very frame in which it presses. */
const REST_MS = 50

const SCREEN_MS = 1_000 / 60

/** Asks for its frames before the graph does: what the graph drew in one is seen with the next. */
const WATCH_FRAMES = `
window.benchFrames = []
let [place, isMoved] = ["", false]
addEventListener("pointermove", ({ buttons }) => (isMoved ||= buttons === 1), true)
const look = (atMs) => {
  const now = document.querySelector(".graph-box canvas")?.style.transform ?? ""
  const before = window.benchFrames.at(-1)
  if (before !== undefined) before.isDrawn = now !== place
  window.benchFrames.push({ atMs, isMoved, isDrawn: false })
  place = now; isMoved = false
  requestAnimationFrame(look)
}
requestAnimationFrame(look)`

const SHEET = `<body style="margin: 0"><div class="graph-box" style="height: 800px; overflow: hidden"><canvas style="will-change: transform"></canvas></div>`
const DRAW_SHEET = `
const { style } = document.querySelector("canvas")
let [asked, there] = [0, ""]
addEventListener("pointermove", ({ clientX, clientY }) => {
  there = "translate(" + (clientX - 800) + "px, " + (clientY - 400) + "px)"
  asked ||= requestAnimationFrame(() => { asked = 0; style.transform = there })
})`

/** Pans the graph of a plan by a real mouse, so many steps a round, in a browser that is signed in; and beside it an empty sheet. */
export async function measurePan(context: BrowserContext, url: string, plan: string, tasks: number, steps: number, rounds: number): Promise<PanReport> {
  const bare = await context.newPage()
  await bare.setContent(SHEET)
  await bare.evaluate(`{${WATCH_FRAMES}\n${DRAW_SHEET}}`)
  const page = await context.newPage()
  await page.addInitScript({ content: WATCH_FRAMES })
  const startMs = performance.now()
  await page.goto(`${url}/#/plan/${encodeURIComponent(plan)}`)
  await page.waitForSelector(".task-row")
  await page.locator(".plan-head", { hasText: "with more care" }).waitFor({ state: "detached", timeout: 120_000 })
  const layoutMs = round(performance.now() - startMs)
  const [bareSession, session] = [await workOf(bare), await workOf(page)]
  const [floor, near, whole]: [Round[], Round[], Round[]] = [[], [], []]
  for (let at = 0; at < rounds; at += 1) {
    floor.push(await pan(bare, bareSession, steps))
    await page.bringToFront()
    await page.focus(".graph-box")
    await page.keyboard.press("0")
    whole.push(await pan(page, session, steps))
    for (let press = 0; press < 30 && (await scaleOf(page)) < 0.8; press += 1) await page.keyboard.press("+")
    near.push(await pan(page, session, steps))
  }
  await page.close()
  await bare.close()
  return { tasks, layoutMs, floor: paceOf(floor), near: paceOf(near), whole: paceOf(whole) }
}

async function workOf(page: Page): Promise<CDPSession> {
  const session = await page.context().newCDPSession(page)
  await session.send("Performance.enable", { timeDomain: "threadTicks" })
  return session
}

/** What the page's thread has worked so far, in ms of its processor. */
async function workedMs(session: CDPSession): Promise<number> {
  const { metrics } = await session.send("Performance.getMetrics")
  return 1_000 * (metrics.find(({ name }) => name === "TaskDuration")?.value ?? Number.NaN)
}

/** How near it is, by the graph's own word. */
async function scaleOf(page: Page): Promise<number> {
  return Number((await page.getAttribute(".graph-box", "data-scale")) ?? 1)
}

async function pan(page: Page, session: CDPSession, steps: number): Promise<Round> {
  await page.bringToFront()
  const box = await page.locator(".graph-box").boundingBox()
  if (box === null) throw new Error("the plan has no graph")
  let [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  await page.mouse.move(x, y)
  await page.mouse.down()
  await page.waitForTimeout(REST_MS)
  await page.evaluate("window.benchFrames = []")
  const beforeMs = await workedMs(session)
  for (let step = 0; step < steps; step += 1) {
    const isBack = Math.floor(step / TURN) % 2 === 1
    x += isBack ? -STEP : STEP
    y += isBack ? -STEP / 2 : STEP / 2
    await page.mouse.move(x, y)
  }
  await page.mouse.up()
  const cpuMs = (await workedMs(session)) - beforeMs
  const frames = await page.evaluate<Frame[]>("window.benchFrames")
  return { frames, cpuMs }
}

/** Each round from the hand's first step to its last drawing. */
export function paceOf(rounds: readonly Round[]): Pan {
  const panned = rounds.map(({ frames }) =>
    frames.slice(
      frames.findIndex(({ isMoved }) => isMoved),
      frames.findLastIndex(({ isDrawn }) => isDrawn) + 1,
    ),
  )
  const intervals = panned.map((frames) => {
    const timesMs = [frames[0] as Frame, ...frames.slice(1).filter(({ isDrawn }) => isDrawn)].map(({ atMs }) => atMs)
    return timesMs.slice(1).map((atMs, at) => atMs - (timesMs[at] as number))
  })
  const rates = intervals.map((all) => (all.length * 1_000) / sum(all))
  const drawings = sum(intervals.map(({ length }) => length))
  return {
    fps: round(median(rates)),
    worstFps: round(Math.min(...rates)),
    p50Ms: round(median(intervals.flat())),
    p95Ms: round(percentile(intervals.flat(), 0.95)),
    missed: Math.round(sum(intervals.flat()) / SCREEN_MS) - drawings,
    still: panned.flat().filter(({ isMoved, isDrawn }) => !isMoved && !isDrawn).length,
    cpuMs: round(sum(rounds.map(({ cpuMs }) => cpuMs)) / drawings),
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0)
}

/** A screen has 60 whole frames a second; where the browser alone, by the same hand, reaches fewer, these. */
export function panVerdict({ near, floor }: { near: Pick<Pan, "fps">; floor: Pick<Pan, "fps"> }): Verdict {
  const limit = Math.min(60, Math.round(floor.fps))
  return { value: near.fps, limit, ok: Math.round(near.fps) >= limit }
}

export function describePan({ tasks, layoutMs, floor, near, whole }: PanReport): string {
  const words = ({ fps, worstFps, p50Ms, p95Ms, missed, still, cpuMs }: Pan): string =>
    `${show(fps)} frames/s (worst round ${show(worstFps)}; ${show(missed)} frames missed in all, ${show(still)} of them for want of the hand's step; p50 ${show(p50Ms)}, p95 ${show(p95Ms)} ms from frame to frame, of which ${show(cpuMs)} ms at work)`
  return [
    `pan of the graph of ${show(tasks)} tasks, laid out after ${show(layoutMs)} ms`,
    `  where it can be read: ${words(near)}`,
    `  with all of it in sight: ${words(whole)}`,
    `  the browser alone, an empty sheet: ${words(floor)}`,
  ].join("\n")
}
