import { describe, expect, test } from "vitest"
import { Books, type Reservation } from "../../src/core/account-book.ts"
import type { Budget } from "../../src/core/budget.ts"
import { ClaimGate } from "../../src/core/claim-gate.ts"
import { commands } from "../../src/core/command.ts"
import { Holdings } from "../../src/core/holdings.ts"
import { Table } from "../../src/core/table.ts"
import type { TaskSpec } from "../../src/core/task.ts"
import { Queue } from "../../src/hub/queue.ts"
import { find, replaced } from "./planting.ts"

describe("a fault that is planted in a claim or a reservation is found:", { timeout: 120_000 }, () => {
  test("a claim that does not look at what the task waits for", async () => {
    const eager = await replaced(
      commands["task.claim"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        return "refused" in decision && decision.refused === "not_ready"
          ? [{ type: "task.claimed", data: { id: input.task, leaseMs: 2_000, leaseEndsAtMs: nowMs + 2_000 } }]
          : decision
      },
      () => find({}),
    )
    expect(eager).toMatch(/which waits for/)
  })

  test("a claim that overlooks the last ready task", async () => {
    const blind = await replaced(
      commands["task.claimNext"],
      "decide",
      (sound) => (state, by, input, nowMs) =>
        state.board.readyCount === 1 ? { refused: "nothing_ready", message: "planted", remedy: "none", details: {} } : sound(state, by, input, nowMs),
      () => find({}),
    )
    expect(blind).toMatch(/is refused \(nothing_ready\) at \d+, though \S+ is ready|has waited \d+ ms though/)
  })

  test("a claim that goes on in another batch, and is forgotten", async () => {
    const forgetful = await replaced(
      Queue.prototype,
      "putOff",
      () => () => undefined,
      () => find({}),
    )
    expect(forgetful).toMatch(/has waited \d+ ms though/)
  })

  test("a claim that takes files for free which it has no time to compare", async () => {
    const hasty = await replaced(
      Holdings.prototype,
      "obstruct",
      (sound) =>
        function obstruct(this: Holdings, ...of): boolean {
          try {
            return sound.apply(this, of)
          } catch {
            return false
          }
        },
      () => find({}),
    )
    expect(hasty).toMatch(/task\.claimed by \w+ gives \w+ .*, though \w+ holds/)
  })

  test("a reservation that looks at no other's", async () => {
    const blind = await replaced(
      commands["files.reserve"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        if (!("refused" in decision) || decision.refused !== "files_conflict") return decision
        const { mode, globs, reason, task, ttlMs } = input
        const causedBy = task === null ? null : (state.tasks.get(task)?.fence ?? null)
        return [{ type: "files.reserved", data: { mode, globs, reason, task, ttlMs, endsAtMs: nowMs + ttlMs }, causedBy }]
      },
      () => find({}),
    )
    expect(blind).toMatch(/files\.reserved by \w+ gives \w+ .*, though \w+ holds/)
  })

  test.each([
    ["hub.sweep", "lost", 2, /lease f\d+ is still held by \S+, which is lost/],
    ["session.end", "session_ended", 11, /session\.ended by \w+ leaves lease f\d+ with agent\d/],
  ] as const)("%s that lets no lease on files end (%s)", async (name, reason, from, found) => {
    const ends = ({ type, data }: { type: string; data: unknown }): boolean => type === "files.ended" && (data as { reason: string }).reason === reason
    const kept = await replaced(
      commands[name] as (typeof commands)["hub.sweep"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        return "refused" in decision ? decision : decision.filter((event) => !ends(event))
      },
      () => find({ from }),
    )
    expect(kept).toMatch(found)
  })

  test("a lease on files that anybody may renew", async () => {
    const open = await replaced(
      commands["files.renew"],
      "decide",
      (sound) => (state, by, input, nowMs) => sound(state, { ...by, agent: state.files.get(input.lease)?.agent ?? by.agent }, input, nowMs),
      () => find({}),
    )
    expect(open).toMatch(/files\.renewed by agent\d renews f\d+, which is agent\d's/)
  })

  test("a reservation that is refused what others share", async () => {
    const jealous = await replaced(
      commands["files.reserve"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, { ...input, mode: "exclusive" }, nowMs)
        return "refused" in decision ? decision : sound(state, by, input, nowMs)
      },
      () => find({ from: 39 }),
    )
    expect(jealous).toMatch(/files\.reserve files\.reserve-\d+ of agent\d is refused \(files_conflict\) at \d+, though nobody holds any of/)
  })

  test("a check of files that overlooks who holds a folder", async () => {
    const blind = await replaced(
      Holdings.prototype,
      "at",
      (sound) =>
        function at(this: Holdings, ...of): ReturnType<typeof sound> {
          return sound.apply(this, of).filter(({ glob }) => !glob.text.endsWith("/"))
        },
      () => find({}),
    )
    expect(blind).toMatch(/agent\d is told of docs\/a: allowed \w+, its own \w+, not (false|true), (false|true)/)
  })

  test("a claim that takes what its task touches from another", async () => {
    const greedy = await replaced(
      commands["task.claim"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        // Where there are budgets or breakers their oracles would find the claim first: it reserves nothing.
        const isBare = state.budgets.size === 0 && state.breakers.size === 0 && state.specs.get(input.task)?.budgetMicroUsd === null
        return "refused" in decision && decision.refused === "files_conflict" && isBare
          ? [{ type: "task.claimed", data: { id: input.task, leaseMs: 2_000, leaseEndsAtMs: nowMs + 2_000 } }]
          : decision
      },
      () => find({ from: 250 }),
    )
    expect(greedy).toMatch(/task\.claimed by \w+ gives \w+ .*, though \w+ holds/)
  })

  test("a claim that reserves money which others have reserved", async () => {
    const greedy = await replaced(
      commands["task.claim"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        if (!("refused" in decision) || decision.refused !== "budget_spent" || decision.details["wantedMicroUsd"] === 0) return decision
        const reserves = { workspace: decision.details["wantedMicroUsd"] as number }
        return [{ type: "task.claimed", data: { id: input.task, leaseMs: 2_000, leaseEndsAtMs: nowMs + 2_000, reserves } }]
      },
      () => find({}),
    )
    expect(greedy).toMatch(/task\.claimed by \w+ reserves \d+(, though only -?\d+ of \d+ is free| in a budget that is closed)/)
  })

  test.each(["plan/", "task/", "agent/", "account/"])("money that is looked for, and booked, without budgets of %s", async (of) => {
    const poor = await replaced(
      Books.prototype,
      "under",
      (sound) =>
        function under(this: Books, ...spent): ReturnType<typeof sound> {
          return sound.apply(this, spent).filter((id) => !id.includes(of))
        },
      () => find({}),
    )
    expect(poor).toMatch(
      /task\.claimed by \w+ reserves .*, not .*|the books of budget|the claim of \S+ has .* set aside, not |budget \S+ (is closed|has reached), and nobody is told/,
    )
  })

  test("a refund of what nobody spent", async () => {
    const generous = await replaced(
      commands["usage.refund"],
      "decide",
      () => (_state, _by, data) => [{ type: "usage.refunded", data }],
      () => find({}),
    )
    expect(generous).toMatch(/usage\.refunded by director takes \d+ back of \d+ that was spent on/)
  })

  test("a refund that leaves one budget as it was", async () => {
    const kept = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          const before = this.name === "budgets" ? (this.get(key) as Budget | undefined) : undefined
          const isRefund = before !== undefined && (value as Budget).refundedMicroUsd > before.refundedMicroUsd
          if (!isRefund || key === "workspace") sound.call(this, key, value)
        },
      () => find({ hubs: 2 }),
    )
    expect(kept).toMatch(/the books of budget \S+ \(limit, settled, overrun, reserved, closed\) are/)
  })

  test("a claim that is refused for want of money which is there", async () => {
    const mean = await replaced(
      ClaimGate.prototype,
      "admit",
      (sound) =>
        function admit(this: ClaimGate, ...of): ReturnType<typeof sound> {
          const kept = sound.apply(this, of)
          const reserves = Object.keys(this.reservesOf(of[0]).reserves ?? {})
          return kept === null && reserves.some((id) => id.startsWith("task/"))
            ? { refused: "budget_spent", message: "planted", remedy: "none", details: {} }
            : kept
        },
      () => find({}),
    )
    expect(mean).toMatch(
      /of agent\d is refused \(budget_spent\) at \d+, though (there is money for|\S+ is ready)|takes .* and leaves \S+, which is \w+|a filler, though \S+ is ready|has waited \d+ ms though/,
    )
  })

  test("a limit of a task that is taken away and stays", async () => {
    const kept = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          const before = this.name === "specs" ? (this.get(key) as TaskSpec | undefined) : undefined
          const budgetMicroUsd = (value as TaskSpec).budgetMicroUsd ?? before?.budgetMicroUsd ?? null
          sound.call(this, key, before === undefined ? value : { ...(value as TaskSpec), budgetMicroUsd })
        },
      () => find({}),
    )
    expect(kept).toMatch(/the books of budget task\/\S+ \(limit|there are \d+ budgets|reserves .*, not /)
  })

  test("a budget that is lifted and whose reservations stay", async () => {
    const kept = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          const before = this.name === "reservations" ? (this.get(key) as Reservation | undefined) : undefined
          sound.call(this, key, before === undefined ? value : { ...(value as Reservation), left: { ...before.left, ...(value as Reservation).left } })
        },
      () => find({}),
    )
    expect(kept).toMatch(/the claim of \S+ has .* set aside, not /)
  })
})
