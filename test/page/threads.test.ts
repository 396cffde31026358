import { afterAll, beforeAll, expect } from "vitest"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

const HOSTILE = `<script>document.title="taken"</script> \u202egnp.exe \u001b[31mred\u0007 ${"x".repeat(20_000)}`

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  const ada = await rig.agent("ada")
  await rig.operator.thread.create({ thread: "talk", title: "What <b>next</b>", participants: ["ada"] })
  await ada.message.post({ thread: "talk", body: "I take the parser." })
  await ada.message.post({ thread: "talk", body: HOSTILE, metadata: { eventType: "finding", severity: "high", file: "src/<i>.ts", line: 3 } })
})
afterAll(() => rig.close())

inChromium("a thread is read and answered, what was seen is marked as read, and others see what is said", async () => {
  const { page, complaints } = await rig.open("#/threads")
  await page.getByRole("link", { name: /2 unread/ }).click()
  await page.getByText("I take the parser.").waitFor()
  expect(await page.title()).not.toBe("taken")
  expect(await page.locator("main").innerText()).toContain("<script>")
  await page.getByRole("button", { name: "show all" }).waitFor()
  await page.locator(".pair-list .unread").waitFor({ state: "detached" })
  expect((await rig.operator.message.unread({})).total).toBe(0)
  await page.getByLabel("Say something").fill("Good. And the lexer?")
  await page.keyboard.press("Control+Enter")
  await page.locator(".message").getByText("Good. And the lexer?").waitFor()
  const { messages } = await rig.operator.message.read({ thread: "talk", sinceSeq: 2 })
  expect(messages).toMatchObject([{ sender: "operator", body: "Good. And the lexer?" }])
  expect(await page.getByLabel("Say something").inputValue()).toBe("")
  expect(complaints).toEqual([])
})

inChromium("what the hub says of a moment is shown on the reader's clock, what others wrote as they wrote it", async () => {
  await rig.operator.breaker.setPolicy({ changes: { consecutive: 1 }, reason: "test" })
  const cid = await rig.agent("cid")
  await rig.operator.task.add({ id: "t-broken", title: "T" })
  const { fence } = await cid.task.claim({ task: "t-broken" })
  await cid.task.fail({ task: "t-broken", fence, reason: "since 2026-01-02T03:04:05Z" })
  await cid.message.post({ thread: "role/operator", body: "It broke at 2026-01-02T03:04:05Z." })
  const { page, complaints } = await rig.open("#/threads/role%2Foperator")
  await page.locator(".message").getByText("It broke at 2026-01-02T03:04:05Z.").waitFor()
  expect(await page.locator(".message").getByText("breaker agent/cid is open until").innerText()).toMatch(/open until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(/)
  await rig.operator.breaker.reset({ breaker: "agent/cid" })
  await page.getByRole("searchbox").fill("breaker agent/cid is open")
  await page.getByRole("button", { name: "Search in what was said" }).click()
  expect(await page.getByLabel("messages found").locator("li").first().innerText()).toMatch(/open until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(/)
  expect(complaints).toEqual([])
})

inChromium("a message that was found is gone to, however long ago it was said, and nothing after it counts as read", async () => {
  const bess = await rig.agent("bess")
  await rig.operator.thread.create({ thread: "endless", title: "Endless", participants: ["bess"] })
  for (let at = 1; at <= 250; at += 1) {
    const speaker = at > 248 ? bess : rig.operator
    await speaker.message.post({ thread: "endless", body: at === 20 || at === 200 ? `the needle of ${at}` : `hay ${at}` })
  }
  const unread = (await rig.operator.message.unread({})).total
  const { page, complaints } = await rig.open("#/threads?q=needle")
  await page.getByRole("button", { name: "Search in what was said" }).click()
  for (const at of [20, 200]) {
    await page.getByRole("button", { name: `endless ${at}`, exact: true }).click()
    await page.locator(`#m-${at}:focus`).waitFor()
    const box = await page.locator(`#m-${at}`).boundingBox()
    expect(box!.y > 0 && box!.y < 800, `message ${at} is in sight`).toBe(true)
    if (at === 20) expect([await page.locator("#m-1").count(), await page.locator("#m-250").count()]).toEqual([1, 0])
    else expect(await page.locator("#m-250").count()).toBe(1)
    if (at === 20) expect((await rig.operator.message.unread({})).total).toBe(unread)
  }
  await page.goBack()
  await page.locator("#m-20:focus").waitFor()
  await page.getByRole("button", { name: "Later messages" }).click()
  await page.locator("#m-170").waitFor()
  expect(complaints).toEqual([])
})

inChromium("an agent is woken with a reason, and each hop of the wake can be seen", async () => {
  const { page, complaints } = await rig.open("#/threads/talk")
  await page.getByText(/\d in it/).click()
  await page.getByRole("button", { name: "wake ada" }).click()
  const question = page.getByRole("dialog", { name: "Wake ada" })
  await question.getByLabel("Reason").fill("the lexer waits")
  await question.getByRole("button", { name: "Wake", exact: true }).click()
  await page.getByText("1 wake, 1 under way").waitFor()
  await page.getByRole("button", { name: "hop by hop" }).click()
  await page.locator(".hops li").first().waitFor()
  const { triggers } = await rig.operator.trigger.list({ target: "ada" })
  expect(triggers).toMatchObject([{ reason: "the lexer waits", thread: "talk" }])
  expect(complaints).toEqual([])
})

inChromium("a long title is cut where it is a link, an option or a button, and has no further button in it", async () => {
  const title = "On the lexer and all that hangs on it ".repeat(5).trim()
  await rig.operator.thread.create({ thread: "long", title, participants: [] })
  const { page, complaints } = await rig.open("#/threads")
  const link = page.getByRole("link", { name: /On the lexer/ })
  expect(await link.locator(".title").innerText()).toBe(`${title.slice(0, 120).trim()} …`)
  expect(await page.locator("a button, [role=option] button, button button").count()).toBe(0)
  await link.click()
  await page.locator("h2").getByText(title).waitFor()
  expect(complaints).toEqual([])
})

inChromium("a thread is resolved with a reason, and what is refused says why and what to do", async () => {
  const { page, complaints } = await rig.open("#/threads/talk")
  await page.getByRole("button", { name: "Resolve" }).click()
  await page.getByRole("dialog").getByLabel("Reason").fill("all is said")
  await page.getByRole("dialog").getByRole("button", { name: "Resolve" }).click()
  await page.locator("h2 .state-resolved").waitFor()
  await page.getByRole("button", { name: "Close", exact: true }).click()
  await page.getByRole("dialog").getByLabel("Reason").fill("done")
  await page.getByRole("dialog").getByRole("button", { name: "Close", exact: true }).click()
  await page.locator("h2 .state-closed").waitFor()
  await page.getByLabel("Say something").fill("one more thing")
  await page.getByRole("button", { name: "Send" }).click()
  await page.getByRole("alert").getByText("closed").first().waitFor()
  expect(await page.getByLabel("Say something").inputValue()).toBe("one more thing")
  expect(complaints).toEqual([])
})

inChromium("it can be used by everybody: on a phone, in the dark, and by axe", async () => {
  for (const [width, colorScheme] of [
    [360, "dark"],
    [1280, "light"],
  ] as const) {
    const { page, complaints } = await rig.open("#/threads/talk", { viewport: { width, height: 800 }, colorScheme })
    await page.getByText("I take the parser.").first().waitFor()
    expect(await faultsOf(page)).toEqual([])
    expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0)
    await keepPicture(page, `threads-${width}-${colorScheme}`)
    expect(complaints).toEqual([])
  }
})
