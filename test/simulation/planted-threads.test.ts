import { describe, expect, test } from "vitest"
import { commands } from "../../src/core/command.ts"
import { Forum } from "../../src/core/forum.ts"
import { Table } from "../../src/core/table.ts"
import type { Participant } from "../../src/core/thread.ts"
import { find, replaced } from "./planting.ts"

describe("a fault that is planted in threads which agents make is found:", { timeout: 120_000 }, () => {
  test("a message that leaves one of them out", async () => {
    const quiet = await replaced(
      commands["message.post"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        if ("refused" in decision) return decision
        return decision.map((event) =>
          event.type === "message.posted"
            ? { ...event, data: { ...(event.data as object), audience: (event.data as { audience: string[] }).audience.slice(1) } }
            : event,
        )
      },
      () => find({}),
    )
    expect(quiet).toMatch(/message\.posted by \w+ in talk-\w, which tells (\S+ ?)+, not agent/)
  })

  test("a thread that is made anew over one that is there", async () => {
    const double = await replaced(
      commands["thread.create"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        const { thread: id, title, type } = input
        return "refused" in decision && decision.refused === "already_exists"
          ? [{ type: "thread.created", data: { id, title, type, participants: [by.agent] } }]
          : decision
      },
      () => find({}),
    )
    expect(double).toMatch(/thread\.created by \w+ in talk-\w, which is there already/)
  })

  test("a thread whose status is everybody's", async () => {
    const open = await replaced(
      commands["thread.setStatus"],
      "decide",
      (sound) => (state, by, input, nowMs) => sound(state, { ...by, role: "operator" }, input, nowMs),
      () => find({}),
    )
    expect(open).toMatch(/thread\.status_changed by agent\d in talk-\w, who is (not in it|worker: \w+ \w+)/)
  })

  test("somebody who comes to a thread and has to read all that was said before", async () => {
    const eager = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          const isNew = this.name === "places" && this.get(key) === undefined && (value as Participant).joined
          sound.call(this, key, isNew ? { ...(value as Participant), lastReadSeq: 0 } : value)
        },
      () => find({ from: 9 }),
    )
    expect(eager).toMatch(/agent\d has .* to read, not /)
  })

  test("an agent that is not told of what waits for it", async () => {
    const deaf = await replaced(
      Forum.prototype,
      "unreadBy",
      () => () => new Set<string>(),
      () => find({}),
    )
    expect(deaf).toMatch(/agent\d has nothing to read, not \d+ in talk-\w/)
  })

  test("a notice that anybody may acknowledge", async () => {
    const open = await replaced(
      commands["event.ack"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        const isThere = "refused" in decision && state.notices.has(String(input.seq))
        return isThere ? [{ type: "event.acked", data: { seq: input.seq, target: "" }, causedBy: input.seq }] : decision
      },
      () => find({ from: 103 }),
    )
    expect(open).toMatch(/event\.acked by agent\d of \d+, which is somebody else's|agent\d has the notices .* to acknowledge, not /)
  })

  test("a notice to all that is over when one has acknowledged it", async () => {
    const short = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          if (this.name === "notices" && (value as { ackedBy: string[] }).ackedBy.length > 0) this.delete(key)
          else sound.call(this, key, value)
        },
      () => find({ from: 17 }),
    )
    expect(short).toMatch(/agent\d has the notices .* to acknowledge, not \d+/)
  })

  test("gates that a worker may set", async () => {
    const open = await replaced(
      commands["task.add"],
      "decide",
      (sound) => (state, by, input, nowMs) => sound(state, { ...by, role: "operator" }, input, nowMs),
      () => find({ from: 19 }),
    )
    expect(open).toMatch(/agent\d, who is worker, sets the gates of by-agent\d/)
  })
})
