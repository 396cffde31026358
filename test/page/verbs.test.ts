import type { Locator, Page } from "playwright-core"
import { afterAll, beforeAll, expect, test } from "vitest"
import { z } from "zod"
import { KINDS, type OperationName } from "../../src/contract/names.ts"
import { operations } from "../../src/contract/operations.ts"
import { permits } from "../../src/core/role.ts"
import { GRAVE } from "../../src/dashboard/grave.ts"
import { busyFlight } from "./busy-flight.ts"
import { faultsOf, inChromium, keepPicture, type PageRig, startPageRig, withBrowser } from "./page-rig.ts"

withBrowser()
let rig: PageRig
beforeAll(async () => {
  rig = await startPageRig()
  await busyFlight(rig)
})
afterAll(() => rig.close())

/** Every operation of the contract that changes something and that an operator may do. */
const VERBS = (Object.keys(operations) as OperationName[]).filter(
  (name) => (KINDS[name] === "command" || KINDS[name] === "action") && permits(operations[name].least, "operator"),
)
/** Words of names that sound as if something were taken from somebody, where nothing is. */
const HARMLESS = ["budget.set", "wake.setPolicy", "breaker.setPolicy", "thread.setStatus", "breaker.reset"]

type Asked = { required: string[]; all: string[] }

function askedBy(name: OperationName): Asked {
  const schema = z.toJSONSchema(operations[name].input, { io: "input", unrepresentable: "any" })
  return { required: [...(schema.required ?? [])].sort(), all: Object.keys(schema.properties ?? {}).sort() }
}

/** By the palette, as a person comes to it. */
async function openForm(page: Page, name: string): Promise<Locator> {
  await page.keyboard.press("Control+k")
  const input = page.getByRole("combobox", { name: "Find or do anything" })
  await input.fill(`do ${name}`)
  await page.locator(`[role=option]:has(bdi:text-is("${name}"))`).click()
  const form = page.getByRole("dialog", { name, exact: true })
  await form.waitFor()
  return form
}

/** Names of a form's fields, and of those that must be filled. */
const FIELDS = `(form) => {
  const fields = [...form.querySelectorAll("[name]:not([name=meant])")]
  const names = (list) => list.map(({ name }) => name).sort()
  const unlabelled = fields.filter(({ labels }) => labels.length === 0)
  return { all: names(fields), required: names(fields.filter(({ required }) => required)), unlabelled: names(unlabelled), meant: form.querySelector("[name=meant]")?.required ?? null }
}`

/** What nobody means: a name of nothing, the first choice, an empty object. */
async function fillWithNonsense(form: Locator): Promise<void> {
  for (const field of await form.locator("select[required]").all()) await field.selectOption({ index: 1 })
  for (const field of await form.locator("input[type=checkbox][required]").all()) await field.check()
  for (const field of await form.locator("input[type=number][required]").all()) await field.fill("1")
  for (const field of await form.locator("input[type=text][required], textarea[required]").all()) await field.fill("nothing-of-the-kind")
}

test("whatever sounds as if it took something from somebody is said to be meant first, and nothing is that does not exist", () => {
  const sound = VERBS.filter((name) => /cancel|retire|revoke|reset|release|\.end|trip|fail|override|refund|exhausted|withdraw|\.set/.test(name))
  expect(sound.filter((name) => !HARMLESS.includes(name) && !(name in GRAVE))).toEqual([])
  expect(Object.keys(GRAVE).filter((name) => !VERBS.includes(name as OperationName))).toEqual([])
})

inChromium(
  "every operation that an operator may do has a form on the page, with what the contract asks for, and what is refused says why and what to do",
  { timeout: 120_000 },
  async () => {
    const { page, complaints } = await rig.open()
    await page.waitForSelector(".timeline")
    expect(VERBS.length).toBeGreaterThan(60)
    const refused: string[] = []
    for (const name of VERBS) {
      const form = await openForm(page, name)
      const { all, required } = askedBy(name)
      const found = await page.evaluate(`(${FIELDS})(document.querySelector("dialog[open] form"))`)
      expect(found, name).toEqual({ all, required, unlabelled: [], meant: name in GRAVE ? true : null })
      await fillWithNonsense(form)
      await form.getByRole("button", { name, exact: true }).click()
      const alert = form.locator(".refusal")
      await Promise.race([alert.waitFor(), form.getByText("The hub answered").waitFor(), form.waitFor({ state: "detached" })])
      if ((await alert.count()) > 0) {
        refused.push(name)
        const [why = "", ...remedy] = (await alert.innerText()).split("\n").filter((line) => line.trim() !== "")
        expect(why.length, `${name}: why`).toBeGreaterThan(5)
        expect(remedy.join(" ").length, `${name}: what to do`).toBeGreaterThan(5)
      }
      if ((await form.count()) > 0) await page.keyboard.press("Escape")
      await form.waitFor({ state: "detached" })
    }
    expect(refused.length).toBeGreaterThan(35)
    expect(complaints).toEqual([])
  },
)

inChromium("a form offers the names that there are, and what is grave says what is lost by it", async () => {
  const { page, complaints } = await rig.open()
  await page.waitForSelector(".timeline")
  const form = await openForm(page, "agent.retire")
  const offered = await page.evaluate<string[]>(`[...document.querySelectorAll("dialog[open] datalist option")].map(({ value }) => value)`)
  expect(offered).toEqual(expect.arrayContaining(["ada", "grace", "linus", "margaret"]))
  expect(await form.textContent()).toContain("its name is never given again")
  expect(await faultsOf(page)).toEqual([])
  await keepPicture(page, "verb-grave")
  expect(complaints).toEqual([])
})
