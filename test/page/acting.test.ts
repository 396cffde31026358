import { afterAll, beforeAll, expect } from "vitest"
import { inChromium, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await rig.operator.task.add({ id: "mend", title: "Mend <b>it</b>" })
})
afterAll(() => rig.close())

inChromium("by the keyboard alone anything is found and gone to", async () => {
  const { page, complaints } = await rig.open()
  await page.keyboard.press("Control+k")
  await page.getByRole("combobox").waitFor()
  await page.keyboard.type("flight")
  await page.keyboard.press("Enter")
  await page.waitForURL(/#\/flight$/)
  await page.keyboard.press("?")
  await page.getByRole("dialog", { name: "Keys" }).getByText("find or do anything").waitFor()
  await page.keyboard.press("Escape")
  await page.keyboard.press("Control+k")
  await page.keyboard.type("mend")
  await page.getByRole("option").filter({ hasText: "Mend <b>it</b>" }).waitFor()
  await page.keyboard.press("Escape")
  expect(await page.getByRole("combobox").count()).toBe(0)
  expect(complaints).toEqual([])
})

inChromium("an operation is done by its form, and what the hub refuses is shown with its remedy and can be mended", async () => {
  const { page, complaints } = await rig.open()
  await page.keyboard.press("Control+k")
  await page.keyboard.type("task.cancel")
  await page.getByRole("option").filter({ hasText: "task.cancel" }).waitFor()
  await page.keyboard.press("Enter")
  const form = page.getByRole("dialog", { name: "task.cancel" })
  await form.getByLabel("task", { exact: true }).fill("no-such-task")
  await form.getByLabel("reason", { exact: true }).fill("we go another way")
  await form.getByRole("button", { name: "task.cancel" }).click()
  await form.getByRole("alert").getByText("no-such-task").waitFor()
  expect(await form.getByRole("alert").innerText()).toMatch(/\n.*task/)
  await form.getByLabel("task", { exact: true }).fill("mend")
  await form.getByRole("button", { name: "task.cancel" }).click()
  await form.getByText("The hub answered").waitFor()
  expect((await rig.operator.task.show({ task: "mend" })).task.state).toBe("cancelled")
  expect(complaints).toEqual([])
})
