import { describe, expect, test } from "vitest"
import { commands } from "../../src/core/command.ts"
import { Paths } from "../../src/core/paths.ts"
import { ReadyTasks } from "../../src/core/ready.ts"
import { Table } from "../../src/core/table.ts"
import { find, replaced } from "./planting.ts"

describe("a fault that is planted in what is chosen first, or in what is booked where, is found:", { timeout: 120_000 }, () => {
  test("chains of what waits that stay as they were", async () => {
    const stuck = await replaced(
      Paths.prototype,
      "touch",
      () => () => undefined,
      () => find({ from: 4 }),
    )
    expect(stuck).toMatch(/takes what is (\w+) with (\d+) ms behind it.* and leaves \S+, which is \1 with (?!\2)\d+ ms behind it/)
  })

  test("whom a task prefers, which nobody heeds", async () => {
    const nobodys = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          sound.call(this, key, this.name === "specs" ? { ...(value as object), prefers: null } : value)
        },
      () => find({ from: 194 }),
    )
    expect(nobodys).toMatch(/takes what is .* and leaves \S+, which is .*/)
  })

  test("the newest before the oldest", async () => {
    const young = await replaced(
      ReadyTasks.prototype,
      "add",
      (sound) =>
        function add(this: ReadyTasks, id, plan, spec, pathMs, addedSeq) {
          return sound.call(this, id, plan, spec, pathMs, -addedSeq)
        },
      () => find({}),
    )
    expect(young).toMatch(/takes what is (.*) and leaves \S+, which is \1/)
  })

  test("usage that is on nothing where nobody says on what", async () => {
    const lost = await replaced(
      commands["usage.report"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        if ("refused" in decision || input.task !== null) return decision
        return decision.map((event) => (event.type === "usage.reported" ? { ...event, data: { ...(event.data as object), task: null } } : event))
      },
      () => find({ from: 4 }),
    )
    expect(lost).toMatch(/usage\.reported by agent\d on null, though agent\d is at work on \S+/)
  })
})
