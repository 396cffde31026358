import { afterAll, beforeAll, expect } from "vitest"
import type { Client } from "../../src/client/client.ts"
import type { PlanTask } from "../../src/core/plan.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

const HOSTILE = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
/** Text that turns round what follows it, a colour of a terminal, and a line of 32 KB. */
const TURNED = `safe \u202Eexe.txt\u202C \u001b[31mred`
const LONG = `${"long ".repeat(6_400)}end`

withBrowser()
let rig: PageRig
let ann: Client
let fence = 0

const task = (id: string, more: Partial<Omit<PlanTask, "id">> = {}): PlanTask => ({ id, title: `Task ${id}`, estimateMs: 60_000, ...more })

beforeAll(async () => {
  rig = await startPageRig()
  ann = await rig.agent("ann")
  const bob = await rig.agent("bob")
  await rig.operator.call("plan.add", {
    name: "ship",
    title: "Ship it",
    digest: "00",
    tasks: [
      task("design", { title: HOSTILE, body: `${HOSTILE}\n${TURNED}\n${LONG}`, touches: ["src/design/**"], maxAttempts: 5 }),
      task("build", { dependsOn: ["design"], estimateMs: 600_000 }),
      task("docs", { dependsOn: ["design"] }),
      task("check", { dependsOn: ["build", "docs"] }),
      ...Array.from({ length: 60 }, (_, at) => task(`part${at}`, { dependsOn: at < 6 ? ["build"] : [`part${at - 6}`] })),
    ],
  })
  await rig.operator.call("task.add", { id: "loose", title: "On its own" })
  const first = await bob.call("task.claim", { task: "ship.1/design" })
  await bob.call("task.update", { task: "ship.1/design", fence: first.fence, progress: 0.4, note: TURNED })
  await bob.call("task.fail", { task: "ship.1/design", fence: first.fence, reason: `the cache is cold ${HOSTILE}`, retry: true })
  fence = (await ann.call("task.claim", { task: "ship.1/design" })).fence
})
afterAll(() => rig.close())

inChromium("the plan shows its tasks with their states, the critical path, and what changes as it changes", async () => {
  const { page, complaints } = await rig.open("#/plan/ship.1")
  await page.waitForSelector(".task-row")
  expect(await page.textContent(".plan-head")).toMatch(/critical path/)
  const row = page.locator(".task-row", { hasText: "design" }).first()
  await row.locator(".state-claimed").waitFor()
  await ann.call("task.update", { task: "ship.1/design", fence, progress: 0.5, note: "half way" })
  await row.locator(".state-in_progress").waitFor()
  await row.click()
  await page.waitForSelector(".task-panel >> text=half way")
  expect(page.url()).toContain("#/plan/ship.1/ship.1%2Fdesign")
  await ann.call("task.update", { task: "ship.1/design", fence, progress: 0.7, note: "nearly there" })
  await page.waitForSelector(".task-panel >> text=nearly there")
  const text = await page.textContent(".task-panel")
  expect(text).toContain("the cache is cold")
  await page.waitForSelector(".task-panel >> text=asked for it")
  // What others wrote is text: nothing of it ran, and what turns text round is shown.
  expect(text).toContain(HOSTILE)
  expect(text).toContain("⟨U+202E⟩")
  expect(text).toContain("␛[31m")
  expect(await page.title()).not.toBe("owned")
  expect(await page.locator("img").count()).toBe(0)
  expect(await page.locator(".task-panel button.more").count()).toBeGreaterThan(0)
  await page.click(".task-panel summary")
  await page.waitForSelector(".task-panel details >> text=task.retried")
  await page.waitForSelector(".task-panel details >> text=task.added")
  expect(await faultsOf(page)).toEqual([])
  await keepPicture(page, "plan")
  expect(complaints).toEqual([])
})

inChromium("keys go along the list and along what waits for what, open a task and close it", async () => {
  const { page, complaints } = await rig.open("#/plan/ship.1")
  await page.waitForSelector(".task-row")
  await page.keyboard.press("/")
  await page.keyboard.type("design")
  await expect.poll(() => page.locator(".task-row").count()).toBe(1)
  await page.focus("[role=listbox]")
  const at = (): Promise<string> =>
    page.evaluate("document.getElementById(document.querySelector('[role=listbox]').getAttribute('aria-activedescendant'))?.textContent ?? ''")
  await page.locator("[role=listbox][aria-activedescendant]").waitFor()
  expect(await at()).toContain("design")
  await page.fill("[data-search]", "")
  await page.focus("[role=listbox]")
  await page.keyboard.press("ArrowRight")
  await expect.poll(at).toContain("build")
  await page.keyboard.press("ArrowLeft")
  await expect.poll(at).toContain("design")
  await page.keyboard.press("End")
  await expect.poll(at).toContain("part59")
  await page.keyboard.press("Enter")
  await page.waitForSelector(".task-panel >> text=ship.1/part59")
  await page.keyboard.press("Escape")
  await page.waitForSelector(".task-panel", { state: "detached" })
  expect(complaints).toEqual([])
})

inChromium("the graph zooms and pans by keys, wheel and hand, and a click opens the task there", async () => {
  const { page, complaints } = await rig.open("#/plan/ship.1")
  const graph = page.locator(".graph-box")
  await graph.waitFor()
  // The careful layout replaces the quick one.
  await page.waitForSelector(".plan-head >> text=with more care", { state: "detached" })
  const drawn = (): Promise<string> =>
    page.evaluate("document.querySelector('.graph-box canvas').style.transform + document.querySelector('.graph-box canvas').toDataURL()")
  await graph.focus()
  let before = await drawn()
  for (const key of ["+", "ArrowLeft", "ArrowDown", "-", "0"]) {
    await page.keyboard.press(key)
    await expect.poll(drawn, { message: key }).not.toBe(before)
    before = await drawn()
  }
  const box = (await graph.boundingBox()) as { x: number; y: number; width: number; height: number }
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  await page.mouse.move(x, y)
  await page.mouse.wheel(0, -200)
  await expect.poll(drawn).not.toBe(before)
  before = await drawn()
  await page.mouse.down()
  await page.mouse.move(x + 80, y + 30, { steps: 4 })
  await page.mouse.up()
  await expect.poll(drawn).not.toBe(before)
  expect(page.url()).not.toContain("ship.1%2F")
  // The cursor of the list brings its task into sight, near the middle: a click there opens it.
  await page.focus("[role=listbox]")
  await page.keyboard.press("End")
  await page.keyboard.press("ArrowUp")
  await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
  await page.mouse.click(x, y)
  await page.waitForSelector(".task-panel")
  expect(complaints).toEqual([])
})

inChromium("a graph that has the focus is moved, not painted: nor is anything beside it", async () => {
  const { page } = await rig.open("#/plan/ship.1")
  await page.waitForSelector(".task-row")
  await page.waitForSelector(".plan-head >> text=with more care", { state: "detached" })
  const session = await page.context().newCDPSession(page)
  let paints = 0
  session.on("LayerTree.layerTreeDidChange", ({ layers }) => {
    if (layers !== undefined) paints = layers.reduce((sum, { paintCount }) => sum + paintCount, 0)
  })
  await session.send("LayerTree.enable")
  await page.focus(".graph-box")
  const step = async (key: string): Promise<string> => {
    await page.keyboard.press(key)
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate<string>("document.querySelector('.graph-box canvas').style.transform")
  }
  // With the first step what is around is drawn, for all that come.
  await step("ArrowLeft")
  const before = paints
  expect(before).toBeGreaterThan(0)
  const places: string[] = []
  for (let at = 0; at < 15; at += 1) places.push(await step("ArrowRight"), await step("ArrowLeft"))
  // Two, and others where the layout with more care comes meanwhile, and it is drawn anew.
  expect(new Set(places).size).toBeGreaterThan(1)
  expect(paints - before).toBeLessThan(10)
})

inChromium("a graph that is pressed is drawn with what is around it before it moves: its first step only moves it", async () => {
  const { page } = await rig.open("#/plan/ship.1")
  await page.waitForSelector(".task-row")
  await page.waitForSelector(".plan-head >> text=with more care", { state: "detached" })
  await page.evaluate(`
    const sheet = document.querySelector(".graph-box canvas")
    const { prototype } = CanvasRenderingContext2D
    const { clearRect } = prototype
    window.drawings = 0
    prototype.clearRect = function (...box) {
      if (this.canvas === sheet) window.drawings += 1
      clearRect.apply(this, box)
    }`)
  const seen = async (): Promise<[number, string]> => {
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate<[number, string]>("[window.drawings, document.querySelector('.graph-box canvas').style.transform]")
  }
  const box = (await page.locator(".graph-box").boundingBox()) as { x: number; y: number; width: number; height: number }
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
  await page.mouse.move(x, y)
  await page.mouse.down()
  const [pressed, before] = await seen()
  expect(pressed).toBe(1)
  // What happens meanwhile is drawn so, too.
  await rig.operator.call("task.cancel", { task: "ship.1/part58", reason: "nobody asks for it" })
  await expect.poll(async () => (await seen())[0]).toBe(2)
  await page.mouse.move(x + 40, y + 10)
  const [after, there] = await seen()
  expect([after, there === before]).toEqual([2, false])
  await page.mouse.up()
})

inChromium("tasks of no plan have a place, a task's own address finds its plan, and it all fits 360 px", async () => {
  const { page, complaints } = await rig.open("#/plan/loose", { viewport: { width: 360, height: 740 }, hasTouch: true })
  await page.waitForSelector(".task-panel >> text=On its own")
  await page.selectOption(".plan-choice select", "ship.1")
  await page.waitForSelector(".task-row >> text=build")
  const wide = await page.evaluate("document.documentElement.scrollWidth")
  expect(wide).toBeLessThanOrEqual(360)
  await page.goto(`${rig.hub.url}/#/plan/${encodeURIComponent("ship.1/check")}`)
  await page.waitForSelector(".task-panel >> text=ship.1/check")
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360)
  expect(await faultsOf(page)).toEqual([])
  await keepPicture(page, "plan-360")
  await page.goto(`${rig.hub.url}/#/plan/nothing.1`)
  await page.waitForSelector("main >> text=there is no plan and no task")
  expect(complaints).toEqual([])
})

inChromium("at a moment of the past the plan, its task and its claims are as they were then", async () => {
  // Bob's attempt had ended, and ann had not begun.
  const { page, complaints } = await rig.open(`#/plan/ship.1/${encodeURIComponent("ship.1/design")}@${fence - 1}`)
  const panel = page.locator(".task-panel")
  await panel.locator(".state-ready").first().waitFor()
  await panel.getByText("Who could take it").waitFor()
  await panel.getByText("asked for it").waitFor()
  const text = await panel.textContent()
  expect(text).toContain("bob")
  expect(text).not.toMatch(/owner.*ann|nearly there/)
  await page.locator(".task-row", { hasText: "design" }).first().locator(".state-ready").waitFor()
  await page.getByRole("button", { name: "back to now" }).click()
  await panel.getByText("nearly there").waitFor()
  expect(complaints).toEqual([])
})
