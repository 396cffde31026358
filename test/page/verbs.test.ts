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

/**
 * In the page, in one go: through the palette to the form of a verb; filled with what nobody means (a name of nothing, the first choice) and sent.
 * Answers what the form asks for, and what was refused, if it was.
 */
const TRY = `async (name) => {
  const until = async (what, found) => {
    for (const end = performance.now() + 20_000; performance.now() < end; await new Promise((resolve) => setTimeout(resolve, 5))) {
      const one = found()
      if (one) return one
    }
    throw new Error(name + ": there is no " + what)
  }
  const set = (field, value) => {
    const { prototype } = field.constructor
    Object.getOwnPropertyDescriptor(prototype, "value").set.call(field, value)
    field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }))
  }
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true, bubbles: true }))
  set(await until("palette", () => document.querySelector("dialog[open] .palette input")), "do " + name)
  const option = () => [...document.querySelectorAll("[role=option]")].find((one) => one.querySelector("bdi").textContent === name)
  ;(await until("such verb in the palette", option)).click()
  const form = await until("form", () => document.querySelector("dialog[open] form.verb"))
  const fields = [...form.querySelectorAll("[name]:not([name=meant])")]
  const names = (list) => list.map(({ name }) => name).sort()
  const asked = {
    all: names(fields),
    required: names(fields.filter(({ required }) => required)),
    unlabelled: names(fields.filter(({ labels }) => labels.length === 0)),
    meant: form.querySelector("[name=meant]")?.required ?? null,
  }
  for (const field of form.querySelectorAll(":required")) {
    if (field.type === "checkbox") field.click()
    else set(field, field.tagName === "SELECT" ? field.options[1].value : field.type === "number" ? "1" : "nothing-of-the-kind")
    // Each is drawn before the next: a form that forgets the one before must not pass.
    await new Promise((resolve) => setTimeout(resolve))
  }
  form.querySelector("button[type=submit]").click()
  await until("outcome", () => !form.isConnected || form.querySelector(".refusal, [role=status]"))
  const refusal = form.isConnected ? (form.querySelector(".refusal")?.innerText ?? null) : null
  if (form.isConnected) form.querySelector("button[type=button]").click()
  await until("end of it", () => document.querySelector("dialog[open]") === null)
  return { asked, refusal }
}`

test("whatever sounds as if it took something from somebody is said to be meant first, and nothing is that does not exist", () => {
  const sound = VERBS.filter((name) => /cancel|retire|revoke|reset|release|\.end|trip|fail|override|refund|exhausted|withdraw|\.set/.test(name))
  expect(sound.filter((name) => !HARMLESS.includes(name) && !(name in GRAVE))).toEqual([])
  expect(Object.keys(GRAVE).filter((name) => !VERBS.includes(name as OperationName))).toEqual([])
})

inChromium(
  "every operation that an operator may do has a form on the page, with what the contract asks for, and what is refused says why and what to do",
  { timeout: 60_000 },
  async () => {
    const { page, complaints } = await rig.open()
    await page.waitForSelector(".timeline")
    expect(VERBS.length).toBeGreaterThan(60)
    const refused: string[] = []
    for (const name of VERBS) {
      const { asked, refusal } = await page.evaluate<{ asked: unknown; refusal: string | null }>(`(${TRY})(${JSON.stringify(name)})`)
      expect(asked, name).toEqual({ ...askedBy(name), unlabelled: [], meant: name in GRAVE ? true : null })
      if (refusal === null) continue
      refused.push(name)
      const [why = "", ...remedy] = refusal.split("\n").filter((line) => line.trim() !== "")
      expect(why.length, `${name}: why`).toBeGreaterThan(5)
      expect(remedy.join(" ").length, `${name}: what to do`).toBeGreaterThan(5)
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
