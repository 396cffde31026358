import { afterAll, beforeAll, expect } from "vitest"
import type { Client } from "../../src/client/client.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

const SCRIPT = "<script>document.title='owned'</script>"
const HOSTILE = `${SCRIPT}\u202Egpj.exe`

withBrowser()
let rig: PageRig
let ann: Client
let bob: Client

beforeAll(async () => {
  rig = await startPageRig()
  ann = await rig.agent("ann")
  bob = await rig.agent("bob")
  const { operator } = rig
  await operator.call("budget.set", { scope: "workspace", windowMs: 86_400_000, limitMicroUsd: 10_000_000, perClaimMicroUsd: 2_000_000, warnPercent: [50, 90] })
  await operator.call("budget.set", { scope: "agent/bob", limitMicroUsd: 1_000_000 })
  for (const task of ["cheap", "dear"]) await operator.call("task.add", { id: task, title: `Task ${task}`, model: "gpt-5" })
  await ann.call("task.claim", { task: "dear" })
  await ann.call("usage.report", { task: "dear", model: "gpt-5", inputTokens: 12_000, outputTokens: 800, costMicroUsd: 1_500_000 })
  await bob.call("usage.report", { model: SCRIPT, inputTokens: 10, outputTokens: 1, costMicroUsd: 20_000 })
  await bob.call("usage.report", { model: "unknown", inputTokens: 10, outputTokens: 1 })
  await operator.call("breaker.trip", { breaker: "model/gpt-5", reason: `overloaded ${HOSTILE}` })
})
afterAll(() => rig.close())

inChromium("money shows what was spent and set aside by agent, task, model and day, budgets with what is left, and breakers", async () => {
  const { page, complaints } = await rig.open("#/money")
  const table = (name: string) => page.getByRole("table", { name, exact: true })
  const row = (name: string, text: string) => table(name).getByRole("row").filter({ hasText: text })
  await row("Budgets", "workspace").getByText("$1.52").waitFor()
  // 2.00 were set aside by the claim, of which 1.50 were used.
  const workspace = await row("Budgets", "workspace").textContent()
  expect(workspace).toContain("each day")
  expect(workspace).toContain("$10.00")
  expect(workspace).toContain("$0.50")
  expect(workspace).toContain("$7.98")
  expect(await row("Money by agent", "ann").textContent()).toContain("$1.50")
  expect(await row("Money by task", "dear").textContent()).toContain("$0.50")
  expect(await row("Money by model", "gpt-5").textContent()).toContain("12,800")
  expect(await row("Money by model", SCRIPT).textContent()).toContain("$0.02")
  expect(await table("Money by day").getByRole("row").count()).toBe(2)
  expect(await page.textContent(".money-total")).toContain("1 of them have no known price")
  const breaker = await row("Breakers", "model/gpt-5").textContent()
  expect(breaker).toContain("open")
  expect(breaker).toContain("⟨U+202E⟩")
  expect(await page.title()).not.toBe("owned")
  expect(await faultsOf(page)).toEqual([])
  await keepPicture(page, "money")
  expect(complaints).toEqual([])
})

inChromium("what is spent while it is looked at is added, an overrun closes its budget, and a top-up opens it", async () => {
  const { page, complaints } = await rig.open("#/money", { viewport: { width: 360, height: 740 } })
  const budget = page.getByRole("table", { name: "Budgets" }).getByRole("row").filter({ hasText: "bob" })
  await budget.getByText("open").waitFor()
  await bob.call("task.claim", { task: "cheap" }).catch(() => undefined)
  await bob.call("usage.report", { task: "cheap", model: "gpt-5", costMicroUsd: 1_400_000 })
  await budget.getByText(/closed since|nothing left/).waitFor()
  await rig.operator.call("budget.topUp", { scope: "agent/bob", amountMicroUsd: 5_000_000 })
  await budget.getByText("$6.00").waitFor()
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(360)
  expect(await faultsOf(page)).toEqual([])
  expect(complaints).toEqual([])
})

inChromium("a heading puts its table in order, by mouse and by key", async () => {
  const { page, complaints } = await rig.open("#/money")
  const table = page.getByRole("table", { name: "Money by agent" })
  const first = (): Promise<string | null> => table.locator("tbody tr th").first().textContent()
  await table.getByRole("button", { name: "agent" }).click()
  await expect.poll(first).toBe("ann")
  await page.keyboard.press("Enter")
  await expect.poll(first).toBe("bob")
  expect(await table.locator("th[aria-sort=descending]").textContent()).toContain("agent")
  expect(complaints).toEqual([])
})

inChromium("the policy in force is told with who set it, and each of its decisions with the rule", async () => {
  const { page, complaints } = await rig.open("#/money")
  await page.getByText("The shipped policy holds").waitFor()
  await rig.operator.call("policy.set", {
    text: '@id("no-talk")\nforbid(principal, action == Action::"message.post", resource);\n@id("all")\npermit(principal, action, resource);\n',
    reason: `quiet ${HOSTILE}`,
  })
  await page.getByText("A policy of this workspace holds.").waitFor()
  await expect(ann.call("message.post", { thread: "team", body: "hello" })).rejects.toThrow("policy")
  const decision = page.getByRole("table", { name: "Decisions of the policy" }).getByRole("row").filter({ hasText: "message.post" })
  await decision.getByText("deny").waitFor()
  expect(await decision.textContent()).toContain("no-talk")
  expect(await page.getByText("by operator", { exact: false }).first().textContent()).toContain("⟨U+202E⟩")
  await page.getByLabel("show what was allowed too").check()
  await page.getByRole("table", { name: "Decisions of the policy" }).getByText("allow").first().waitFor()
  expect(await faultsOf(page)).toEqual([])
  expect(complaints).toEqual([])
})
