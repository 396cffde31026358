import { describe, expect, test } from "vitest"
import { commands } from "../../src/core/command.ts"
import { inboxOf, type OpenNotice } from "../../src/core/directive.ts"
import { refuse } from "../../src/core/refusal.ts"
import { Table } from "../../src/core/table.ts"
import { find, replaced } from "./planting.ts"

type Send = (typeof commands)["event.send"]["decide"]

const sending = (fault: (sound: Send) => Send): Promise<string> => replaced(commands["event.send"], "decide", fault, () => find({ from: 7 }))

/** What is put into the table of notices is changed; null: nothing is put there. */
function kept(change: (notice: OpenNotice, table: Table<OpenNotice>) => OpenNotice | null): Promise<string> {
  return replaced(
    Table.prototype as Table<unknown>,
    "put",
    (sound) =>
      function put(this: Table<unknown>, key: string, value: unknown): void {
        const put = this.name === "notices" ? change(value as OpenNotice, this as Table<OpenNotice>) : value
        if (put !== null) sound.call(this, key, put)
      },
    () => find({ from: 101 }),
  )
}

describe("a fault that is planted in full inboxes is found:", { timeout: 120_000 }, () => {
  test("an agent that may fill them alone", async () => {
    const open = await sending((sound) => (state, by, input, nowMs) => sound(state, { ...by, role: "operator" }, input, nowMs))
    expect(open).toMatch(/event\.sent by agent\d who has 20 waiting there already/)
  })

  test("an agent that is held up before its limit", async () => {
    const early = await sending((sound) => (state, by, input, nowMs) => {
      const own = [...state.notices.values()].filter(({ from }) => from === by.agent).length
      return own < 15 || by.role === "operator" ? sound(state, by, input, nowMs) : refuse("at_limit", "15 wait", "Wait.", {})
    })
    expect(early).toMatch(/event\.send-\d+ of agent\d is refused \(at_limit\) at \d+, though fewer than it may have of agent\d wait there/)
  })

  test("the oldest that gives way, whoever sent it", async () => {
    const old = await kept((notice) => ({ ...notice, voice: "agent" }))
    expect(old).toMatch(/agent\d has the notices .* to acknowledge, not |event\.acked by agent\d of \d+, which waits for nobody/)
  })

  test("what nobody has acknowledged gives way before what somebody has", async () => {
    const unread = await replaced(
      Table.prototype as Table<unknown>,
      "delete",
      (sound) =>
        function remove(this: Table<unknown>, key: string): void {
          const all = this.name === "notices" ? ([...this.values()] as OpenNotice[]) : []
          const gone = all.find(({ seq, ackedBy }) => String(seq) === key && ackedBy.length > 0)
          const other = gone && all.find(({ to, ackedBy }) => inboxOf(to) === inboxOf(gone.to) && ackedBy.length === 0)
          sound.call(this, String(other?.seq ?? key))
        },
      () => find({ from: 101 }),
    )
    expect(unread).toMatch(/agent\d has the notices .* to acknowledge, not |event\.acked by agent\d of \d+, which waits for nobody/)
  })

  test("a full inbox that takes nothing more", async () => {
    const shut = await kept((notice, table) => ([...table.values()].filter(({ to }) => inboxOf(to) === inboxOf(notice.to)).length >= 199 ? null : notice))
    expect(shut).toMatch(/agent\d has the notices .* to acknowledge, not |event\.acked by agent\d of \d+/)
  })
})
