import { afterAll, beforeAll, expect } from "vitest"
import { connect } from "../../src/client/client.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  const ada = await rig.agent("ada")
  await rig.operator.agent.edit({ name: "ada", model: "<img src=x onerror=alert(1)>", capabilities: { parsing: 3 }, reason: "as it is" })
  await rig.operator.task.add({ id: "parse", title: "Parse it", requires: { parsing: 2 } })
  await ada.task.claim({ task: "parse" })
})
afterAll(() => rig.close())

inChromium("an agent is seen from near: its work, profile, skills and sessions", async () => {
  const { page, complaints } = await rig.open("#/agents")
  await page.getByRole("link", { name: /ada/ }).click()
  const seen = page.getByRole("region", { name: "Agent ada" })
  await seen.getByText("Parse it").waitFor()
  await seen.getByText("<img src=x onerror=alert(1)>").waitFor()
  await seen.getByRole("row", { name: /parsing level 3/ }).waitFor()
  await seen.getByText("No supervisor runs it now").waitFor()
  expect(complaints).toEqual([])
})

inChromium("a directive goes to the agent with its reason", async () => {
  const { page, complaints } = await rig.open("#/agents/ada")
  await page.getByRole("button", { name: "Pause" }).click()
  await page.getByRole("dialog").getByLabel("Reason").fill("a look at it first")
  await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click()
  await page.getByText("Pause ada: done").waitFor()
  const { messages } = await rig.operator.message.read({ thread: "agent/ada", sinceSeq: 0 })
  expect(messages).toMatchObject([{ body: "a look at it first", metadata: { eventType: "pause" } }])
  expect(complaints).toEqual([])
})

inChromium("the terminal of an agent that a supervisor runs is shown while somebody looks, its commands as text", async () => {
  const supervisor = await connect({ url: rig.hub.url, credential: await rig.hub.agent("lab", { role: "supervisor" }) })
  try {
    const { id } = await supervisor.session({ runtime: "supervisor" })
    await rig.hub.agent("bob", { role: "worker" })
    const { session } = await supervisor.call("session.start", { agent: "bob", runtime: "tmux", owned: true })
    await supervisor.call("session.adopt", { session })
    expect(id).not.toBe(session)
    const { page, complaints } = await rig.open("#/agents/bob")
    for (let isWanted = false; !isWanted; await new Promise((settle) => setTimeout(settle, 50)))
      isWanted = (await supervisor.call("terminal.report", { screens: [] })).wanted.includes("bob")
    await supervisor.call("terminal.report", { screens: [{ agent: "bob", text: "> <b>typing</b>\n$ " }] })
    await page.getByText("> <b>typing</b>").waitFor()
    expect(complaints).toEqual([])
  } finally {
    await supervisor.close()
  }
})

inChromium("it can be used by everybody: on a phone, in the dark, and by axe", async () => {
  for (const [width, colorScheme] of [
    [360, "dark"],
    [1280, "light"],
  ] as const) {
    const { page, complaints } = await rig.open("#/agents/ada", { viewport: { width, height: 800 }, colorScheme })
    await page.getByText("Parse it").first().waitFor()
    expect(await faultsOf(page)).toEqual([])
    expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0)
    await keepPicture(page, `agents-${width}-${colorScheme}`)
    expect(complaints).toEqual([])
  }
})

inChromium("agents come in the order in which people count", async () => {
  for (const name of ["goose-10", "goose-2", "goose-1"]) await rig.operator.agent.add({ name, kind: "script" })
  const order = ["goose-1", "goose-2", "goose-10"]
  const { page } = await rig.open("#/agents?q=goose")
  await page.getByRole("link", { name: /^goose-10/ }).waitFor()
  expect(await page.locator(".threads .title").allTextContents()).toEqual(order)
  expect((await rig.operator.hub.status({})).agents.map(({ name }) => name).filter((name) => name.startsWith("goose"))).toEqual(order)
  const first = await rig.operator.agent.list({ limit: 1, cursor: "goose-2" })
  expect(first.agents.map(({ name }) => name)).toEqual(["goose-10"])
})
