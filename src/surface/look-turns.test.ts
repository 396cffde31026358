import { expect, test } from "vitest"
import type { Parsed } from "../contract/operations.ts"
import { OPERATOR, PLAN, Scenario } from "../../test/scenario.ts"
import type { Context } from "./context.ts"
import { reads } from "./reads.ts"

const ALL = { state: [], plan: null, owner: null, label: null, text: null, limit: 1_000, cursor: null }

/** 2,500 tasks of two plans, and who counts the looks at them. */
function crowd(): { given: Scenario; context: Context; looks(): number } {
  const given = new Scenario()
  for (const [name, count] of [["a", 1_500] as const, ["b", 1_000] as const]) {
    const tasks = Array.from({ length: count }, (_, at) => ({ id: `t${at}`, title: at % 100 === 7 ? "Seven" : "Other" }))
    given.must("plan.add", OPERATOR, { ...PLAN, name, digest: name, tasks })
  }
  let looks = 0
  const read: Context["read"] = (look) => {
    looks += 1
    return Promise.resolve(look(given.state, given.nowMs))
  }
  return { given, context: { read, caller: { actor: OPERATOR } } as unknown as Context, looks: () => looks }
}

test("tasks are looked through in steps, and no further than a page is long", async () => {
  const { context, looks } = crowd()
  await reads["task.list"](context, { ...ALL, limit: 10 })
  expect(looks()).toBe(1)
  expect(await reads["task.list"](context, { ...ALL, text: "nothing is called so" })).toEqual({ tasks: [], cursor: null })
  expect(looks()).toBe(1 + 3)
})

test("pages of tasks join to all of them, oldest first, also while tasks are added between two steps", async () => {
  const { given, context } = crowd()
  const read: Context["read"] = (look) => {
    if (given.state.tasks.size < 2_510) given.task(`late${given.state.tasks.size}`)
    return context.read(look)
  }
  const filters: [Partial<Parsed<"task.list">>, number][] = [
    [{}, 2_510],
    [{ plan: "b.1", state: ["ready"] }, 1_000],
    [{ text: "seven" }, 25],
  ]
  for (const [filter, count] of filters) {
    const found: number[] = []
    for (let cursor: number | null = 0; cursor !== null;) {
      const page = await reads["task.list"]({ ...context, read }, { ...ALL, ...filter, limit: 400, cursor })
      found.push(...page.tasks.map(({ addedSeq }) => addedSeq))
      cursor = page.cursor
    }
    expect(found).toHaveLength(count)
    expect(found).toEqual(found.toSorted((a, b) => a - b))
  }
})

test("a plan's report is of one moment, though its steps are not", async () => {
  const { given, context, looks } = crowd()
  const before = await reads["plan.report"](context, { plan: "b.1" })
  expect(looks()).toBe(3)
  const ann = given.agent("ann")
  const read: Context["read"] = async (look) => {
    const found = await context.read(look)
    if (looks() === 4) given.complete(ann, "b.1/t1", given.claim(ann, "b.1/t1"))
    return found
  }
  expect(await reads["plan.report"]({ ...context, read }, { plan: "b.1" })).toEqual(before)
  expect((await reads["plan.report"](context, { plan: "b.1" })).tasks.filter(({ state }) => state === "completed")).toHaveLength(1)
})
