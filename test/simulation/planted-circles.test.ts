import { describe, expect, test } from "vitest"
import { commands } from "../../src/core/command.ts"
import { refuse } from "../../src/core/refusal.ts"
import { Table } from "../../src/core/table.ts"
import type { Thread } from "../../src/core/thread.ts"
import { find, replaced } from "./planting.ts"

/** What a row of the table of deciders gives is changed. */
function recorded(name: "message.post" | "event.send" | "thread.escalate", change: (events: Recorded[]) => Recorded[]): Promise<string> {
  return replaced(
    commands[name] as Row,
    "decide",
    (sound) => (state, by, input, nowMs) => {
      const decision = sound(state, by, input, nowMs)
      return "refused" in decision ? decision : change(decision)
    },
    () => find({ from: 3 }),
  )
}
type Row = (typeof commands)["message.post"]
type Recorded = Exclude<ReturnType<Row["decide"]>, { refused: string }>[number]

/** What is put into the table of threads is changed. */
function kept(change: (thread: Thread, before: Thread | undefined) => Thread): Promise<string> {
  return replaced(
    Table.prototype as Table<unknown>,
    "put",
    (sound) =>
      function put(this: Table<unknown>, key: string, value: unknown): void {
        sound.call(this, key, this.name === "threads" ? change(value as Thread, this.get(key) as Thread | undefined) : value)
      },
    () => find({ from: 3 }),
  )
}

describe("a fault that is planted in what keeps threads from going round in circles is found:", { timeout: 120_000 }, () => {
  test("a thread that goes on after a turn too many", async () => {
    const endless = await recorded("message.post", (events) =>
      events.some(({ data }) => /turns without/.test((data as { reason?: string }).reason ?? "")) ? events.slice(0, 1) : events,
    )
    expect(endless).toMatch(/message\.posted by agent\d in \S+, turn \d+ without progress, which is not blocked for it/)
  })

  test("events about a task that nobody counts as turns", async () => {
    const uncounted = await recorded("event.send", (events) =>
      events.slice(0, 1).map(({ data, ...event }) => ({ ...event, data: { ...(data as object), turn: undefined } }) as never),
    )
    expect(uncounted).toMatch(
      /event\.sent by agent\d in task\/\S+, turn \d+ without progress, which is not blocked for it|thread task\/\S+ is \w+ after \d+ turns/,
    )
  })

  test("a finding that nobody takes for the same where its words are spaced otherwise", async () => {
    const spaced = await replaced(
      commands["message.post"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, { ...input, body: input.body.replaceAll("  ", "-") }, nowMs)
        if ("refused" in decision) return decision
        return decision.map((event) => (event.type === "message.posted" ? { ...event, data: { ...(event.data as object), body: input.body } } : event))
      },
      () => find({ from: 3 }),
    )
    expect(spaced).toMatch(/message\.posted by agent\d in \S+, a finding that came \d+ times, which is not blocked for it/)
  })

  test("an update of its task that is no progress", async () => {
    const stuck = await kept((thread, before) =>
      before !== undefined && thread.turns === 0 && thread.head === before.head ? { ...thread, turns: before.turns } : thread,
    )
    expect(stuck).toMatch(/blocks \S+, which does not go round in circles|thread \S+ is \w+ after \d+ turns without progress, not \w+ after 0/)
  })

  test("turns that are not counted anew when somebody continues a thread", async () => {
    const late = await kept((thread, before) =>
      before !== undefined && before.status === "blocked" && thread.status === "active" ? { ...thread, turns: 3 } : thread,
    )
    expect(late).toMatch(/blocks \S+, which does not go round in circles|thread \S+ is \w+ after \d+ turns without progress, not \w+ after \d/)
  })

  test("an agent that goes on in a blocked thread", async () => {
    const open = await replaced(
      commands["message.post"],
      "decide",
      (sound) => (state, by, input, nowMs) =>
        sound(state, state.threads.get(input.thread)?.status === "blocked" ? { ...by, role: "operator" } : by, input, nowMs),
      () => find({ from: 3 }),
    )
    expect(open).toMatch(/message\.posted by agent\d in \S+, which is blocked/)
  })

  test("whoever comes with the message that blocks a thread, and is not told of that", async () => {
    const untold = await replaced(
      commands["message.post"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        if ("refused" in decision) return decision
        return decision.map((event) => {
          const { audience } = event.data as { audience?: string[] }
          const others = audience?.filter((name) => name !== `agent:${by.agent}`)
          return event.type === "thread.status_changed" ? { ...event, data: { ...(event.data as object), audience: others } } : event
        })
      },
      () => find({ from: 3 }),
    )
    expect(untold).toMatch(/thread\.status_changed by agent\d in talk-\w, which tells .*, not .*agent:agent\d/)
  })

  test("an escalation that nobody hears of", async () => {
    const unheard = await recorded("thread.escalate", (events) => events.filter(({ type }) => type === "thread.status_changed"))
    expect(unheard).toMatch(/takes \S+ from active to blocked, and the operator is not told/)
  })

  test("an escalation that blocks nothing", async () => {
    const idle = await recorded("thread.escalate", (events) => events.filter(({ type }) => type === "event.sent"))
    expect(idle).toMatch(/escalates \S+, which is not blocked/)
  })

  test("a thread that nobody can continue", async () => {
    const shut = await replaced(
      commands["thread.unblock"],
      "decide",
      () =>
        (_, __, { thread }) =>
          refuse("wrong_status", `thread ${thread} is blocked`, "Leave it.", { thread }),
      () => find({ from: 3 }),
    )
    expect(shut).toMatch(/thread\.unblock thread\.unblock-\d+ of director is refused \(wrong_status\) at \d+, though \S+ is \w+/)
  })
})
