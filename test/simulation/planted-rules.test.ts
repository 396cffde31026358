import { describe, expect, test } from "vitest"
import type { Agent } from "../../src/core/agent.ts"
import { Board } from "../../src/core/board.ts"
import type { Breaker } from "../../src/core/breaker.ts"
import { ClaimGate } from "../../src/core/claim-gate.ts"
import { commands } from "../../src/core/command.ts"
import { Table } from "../../src/core/table.ts"
import { Policy } from "../../src/hub/policy.ts"
import { Auth } from "../../src/surface/auth.ts"
import { find, replaced, tampered } from "./planting.ts"

describe("a fault that is planted in what agents are kept from is found:", { timeout: 120_000 }, () => {
  test("a claim of the next task that the policy is not asked for", async () => {
    const free = await replaced(
      Policy.prototype,
      "guarded",
      () => (_, input) => input,
      () => find({ from: 21 }),
    )
    expect(free).toMatch(/claims \S+, which the policy keeps from it/)
  })

  test("with two hubs, usage and messages that the policy is not asked for", async () => {
    const forgetful = await replaced(
      Policy.prototype,
      "refusal",
      (sound) =>
        function refusal(this: Policy, name, ...rest): ReturnType<typeof sound> {
          return name === "usage.report" || name === "message.post" ? null : sound.call(this, name, ...rest)
        },
      () => find({ hubs: 2 }),
    )
    expect(forgetful).toMatch(/by agent\d, whose (usage\.report|message\.post) the policy forbids/)
  })

  test("a policy that keeps agents from all that it keeps from one", async () => {
    const strict = await replaced(
      Policy.prototype,
      "guarded",
      (sound) =>
        function guarded(this: Policy, ...asked): ReturnType<typeof sound> {
          const input = sound.apply(this, asked)
          const { forbids } = input
          let kept: ReturnType<NonNullable<typeof forbids>> = null
          return forbids === undefined ? input : { ...input, forbids: (id) => (kept ??= forbids(id)) }
        },
      () => find({ governed: true, from: 25 }),
    )
    expect(strict).toMatch(/task\.claimNext-\d+ of agent\d is refused \(\w+\) at \d+, though \S+ is ready|has waited \d+ ms though/)
  })

  test("a credential that is remembered after it was revoked", async () => {
    const trusting = await replaced(
      Auth.prototype,
      "forget",
      () => () => undefined,
      () => find({ from: 150 }),
    )
    expect(trusting).toMatch(/is done, though who asked for it was void since \d+/)
  })

  test("with two hubs, a retired agent that keeps what it holds", async () => {
    const kept = await replaced(
      commands["agent.retire"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        return "refused" in decision ? decision : decision.filter(({ type }) => type !== "lease.ended")
      },
      () => find({ hubs: 2, from: 113 }),
    )
    expect(kept).toMatch(/and \S+ is still held by agent\d/)
  })

  test("a session that ends and keeps what it holds", async () => {
    const kept = await replaced(
      commands["session.end"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        return "refused" in decision ? decision : decision.filter(({ type }) => type !== "lease.ended")
      },
      () => find({ from: 24 }),
    )
    expect(kept).toMatch(/and \S+ is still held by agent\d/)
  })

  test("a claim that asks no breaker and no account", async () => {
    const open = await replaced(
      ClaimGate.prototype as unknown as { shut(): null; admit: ClaimGate["admit"] },
      "admit",
      (sound) =>
        function admit(this: ClaimGate, ...task): ReturnType<typeof sound> {
          const kept = sound.apply(this, task)
          return kept?.refused === "breaker_open" ? null : kept
        },
      () =>
        replaced(
          ClaimGate.prototype,
          "shut",
          () => () => null,
          () => find({}),
        ),
    )
    expect(open).toMatch(/task\.claimed of \S+ by agent\d, though (account|breaker) \S+ is (paused|open)|is the probe of breaker/)
  })

  test("with two hubs, a plan that counts nobody at work", async () => {
    const crowded = await replaced(
      Board.prototype,
      "agentsAtWork",
      () => () => new Map(),
      () => find({ hubs: 2 }),
    )
    expect(crowded).toMatch(/whose plan has its agents at work already/)
  })

  test("a plan that is cancelled with a task left open", async () => {
    const left = await replaced(
      commands["plan.cancel"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        const last = "refused" in decision ? -1 : decision.findLastIndex(({ type }) => type === "task.cancelled")
        return "refused" in decision ? decision : decision.filter((_, at) => at !== last)
      },
      () => find({}),
    )
    expect(left).toMatch(/after plan \S+ was cancelled with \S+ still/)
  })

  const releases = ({ type }: { type: string }): boolean => type === "task.released"
  const tells = ({ type, data }: { type: string; data: unknown }): boolean => type === "event.sent" && (data as { kind: string }).kind === "help_wanted"

  test.each([
    ["task.claimNext", 27, releases, /task\.claimed of \S+ by agent\d, takes real work and keeps its filler/],
    ["task.unblock", 39, releases, /task\.unblocked of \S+ by \w+, and \S+ is still the filler/],
    ["help.want", 3, tells, /task\.help_wanted of \S+ by agent\d, and agent\d is not told/],
  ] as const)("%s that leaves out what comes with it", async (name, from, leavesOut, found) => {
    const lax = await replaced(
      commands[name] as (typeof commands)["task.unblock"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        return "refused" in decision ? decision : decision.filter((event) => !leavesOut(event))
      },
      () => find({ from }),
    )
    expect(lax).toMatch(found)
  })

  test("a claim of the next task that takes fillers first", async () => {
    const lazy = await replaced(
      commands["task.claimNext"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const filler = input.filler === null ? sound(state, by, { ...input, filler: true }, nowMs) : []
        return "refused" in filler || filler.length === 0 ? sound(state, by, input, nowMs) : filler
      },
      () => find({}),
    )
    expect(lazy).toMatch(/claims \S+, a filler, though \S+ is ready/)
  })

  test("help that a second may answer", async () => {
    const open = await replaced(
      commands["help.answer"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        const isTaken = "refused" in decision && decision.refused === "help_taken"
        return isTaken ? [{ type: "task.help_joined", data: { id: input.task, helper: by.agent } }] : decision
      },
      () => find({ from: 48 }),
    )
    expect(open).toMatch(/task\.help_joined of \S+ by agent\d, (which agent\d helps with already|who owns it)/)
  })

  test.each([
    ["wrong_status", /permission\.answered by director of \d+, (which is over|\d+ ms after its time)/],
    ["invalid", /permission\.answered by director of \d+ with \w+, which is not offered/],
  ])("an answer to what an agent asks leave for that is given all the same (%s)", async (refused, found) => {
    const lax = await replaced(
      commands["permission.answer"],
      "decide",
      (sound) => (state, by, input, nowMs) => {
        const decision = sound(state, by, input, nowMs)
        const { permission: id, option, reason } = input
        return "refused" in decision && decision.refused === refused
          ? [{ type: "permission.answered", data: { id, option, rule: null, reason }, causedBy: id }]
          : decision
      },
      () => find({}),
    )
    expect(lax).toMatch(found)
  })

  type Told = { uncounted?: true; throttled?: object; judged?: object; tried?: { throttles?: number } }

  test.each([
    ["is counted", 1, ({ uncounted: _, ...data }: Told) => data, /which was throttled \d times in a row, and is counted as an attempt/],
    ["is told as another failure", 1, ({ throttled: _, ...data }: Told) => data, /which (says that it was throttled, and is not taken for it|is not counted)/],
    [
      "is never counted",
      157,
      ({ tried, ...data }: Told) => ({ ...data, tried: { ...tried, throttles: 1 } }),
      /throttled 10 times in a row, and is not counted/,
    ],
  ] as const)("an attempt that was throttled and %s", async (_, from, as, found) => {
    const lax = await tampered(
      (sound) =>
        Object.fromEntries(
          (["task.fail", "task.release"] as const).map((name) => {
            const decide: (typeof sound)["task.fail"]["decide"] = (state, by, input, nowMs) => {
              const decision = sound[name].decide(state, by, input, nowMs)
              const of = (event: { data: unknown }): boolean => (event.data as Told).throttled !== undefined
              return "refused" in decision ? decision : decision.map((event) => (of(event) ? { ...event, data: as(event.data as Told) } : event))
            }
            return [name, { ...sound[name], decide }]
          }),
        ),
      () => find({ throttled: true, from }),
    )
    expect(lax).toMatch(found)
  })

  const open = (value: Breaker | undefined): Breaker["open"] => (value?.open?.cause === "throttled" ? value.open : null)

  test.each([
    ["hears of no throttling", (after: Breaker, before: Breaker | undefined) => (open(after) === null ? after : before)],
    ["is no longer closed each time", (after: Breaker) => ({ ...after, throttled: 0 })],
    ["heeds no later reset", (after: Breaker, before: Breaker | undefined) => (open(before) === null || open(after) === null ? after : before)],
  ])("an account's breaker that %s", async (_, kept) => {
    const lax = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          const is = this.name === "breakers" ? kept(value as Breaker, this.get(key) as Breaker | undefined) : value
          if (is !== undefined) sound.call(this, key, is)
        },
      () => find({}),
    )
    expect(lax).toMatch(
      /by agent\d, though (breaker account\/\S+ is open for \d+ ms more|\S+ is the probe of breaker account\/)|breaker account\/\S+ is open until/,
    )
  })

  test("an agent that stays on the account of before", async () => {
    const kept = await replaced(
      Table.prototype as Table<unknown>,
      "put",
      (sound) =>
        function put(this: Table<unknown>, key: string, value: unknown): void {
          const before = this.name === "agents" ? (this.get(key) as Agent | undefined) : undefined
          sound.call(this, key, before === undefined ? value : { ...(value as Agent), account: before.account })
        },
      () => find({ from: 18 }),
    )
    expect(kept).toMatch(
      /by agent\d, though ((account|breaker) account\/|\S+ is the probe of breaker)|reserves .*, not |the books of budget|is refused \(breaker_open\)|breaker account\/\S+ is open/,
    )
  })
})
