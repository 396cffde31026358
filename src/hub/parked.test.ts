import { describe, expect, test } from "vitest"
import type { Output } from "../contract/operations.ts"
import { VirtualClock } from "./virtual-clock.ts"
import { actor, CLAIM_ANY, DONE, openRig, OPERATOR, type Rig } from "../../test/simulation/rig.ts"

/** Each look at it takes so long, in ms. */
class SlowClock extends VirtualClock {
  lookMs = 0
  #lateMs = 0
  override monotonicMs(): number {
    return super.monotonicMs() + (this.#lateMs += this.lookMs)
  }
}

const WINDOW_MS = 60_000
const LENIENT = { warnPercent: [], graceMs: 0, absorb: false }
const USED = { inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, requests: 1, costMicroUsd: 1_000 }

/** All of a budget is spent that starts anew every minute; answers when it does so next, which is 59 s from now. */
async function spent(rig: Rig): Promise<number> {
  await rig.agents("rich", "poor")
  await rig.clock.advance(WINDOW_MS - (rig.loop.nowMs() % WINDOW_MS) + 1_000)
  const rules = { limitMicroUsd: 1_000, perClaimMicroUsd: 1_000, ...LENIENT }
  await rig.execute("budget.set", OPERATOR, { scope: "workspace", windowMs: WINDOW_MS, reason: "test", ...rules })
  await rig.tasks("held")
  const { fence } = await rig.execute("task.claim", actor("rich", "s_rich"), { task: "held" })
  await rig.execute("usage.report", actor("rich", "s_rich"), { agent: null, session: null, task: "held", model: null, ...USED })
  await rig.execute("task.complete", actor("rich", "s_rich"), { task: "held", fence, ...DONE })
  return rig.loop.nowMs() - (rig.loop.nowMs() % WINDOW_MS) + WINDOW_MS
}

const POOR = actor("poor", "s_poor")
const WAIT = { waitMs: 150_000 }

/** A claim that was parked for the budget's next window, and whose task is gone since. In an object: a promise that an async function answers is waited for. */
async function waitsForMoney(rig: Rig): Promise<{ claim: Promise<Output<"task.claimNext">> }> {
  await spent(rig)
  await rig.tasks("dear")
  const claim = rig.loop.execute("task.claimNext", POOR, CLAIM_ANY, WAIT)
  await rig.clock.advance(10)
  await rig.execute("task.cancel", OPERATOR, { task: "dear", reason: "test" })
  return { claim }
}

describe("a parked claim", () => {
  test("is decided again at the time that a later refusal names, though it was parked for another", async () => {
    const rig = await openRig()
    const anewMs = await spent(rig)
    const parked = rig.loop.execute("task.claimNext", POOR, CLAIM_ANY, WAIT)
    await rig.clock.advance(10)
    await rig.tasks("dear")
    await rig.clock.advance(10)
    const { claims } = await rig.run(parked)
    expect(claims.map(({ task }) => task.id)).toEqual(["dear"])
    expect(rig.loop.nowMs()).toBeLessThan(anewMs + 100)
  })

  test("is decided again at the first time at which any of what it is kept from is open, not at that of the best task", async () => {
    const rig = await openRig()
    await rig.agents("poor")
    await rig.execute("task.add", OPERATOR, { id: "best", title: "best", priority: "high", labels: ["long"] })
    await rig.execute("task.add", OPERATOR, { id: "soon", title: "soon", labels: ["short"] })
    const startMs = rig.loop.nowMs()
    await rig.execute("breaker.trip", OPERATOR, { breaker: "kind/long", untilMs: startMs + 140_000, reason: "test" })
    await rig.execute("breaker.trip", OPERATOR, { breaker: "kind/short", untilMs: startMs + 1_000, reason: "test" })
    const { claims } = await rig.run(rig.loop.execute("task.claimNext", POOR, CLAIM_ANY, WAIT))
    expect(claims.map(({ task }) => task.id)).toEqual(["soon"])
    expect(rig.loop.nowMs() - startMs).toBeLessThan(2_000)
  })

  const reason = "test"
  const forbidden = (action: string): string => `permit (principal, action, resource); forbid (principal, action == Action::"${action}", resource);`
  const BARS: Record<string, [shut: (rig: Rig) => Promise<unknown>, open: (rig: Rig) => Promise<unknown>]> = {
    "its budget is topped up": [
      spent,
      (rig) => rig.execute("budget.topUp", OPERATOR, { scope: "workspace", windowMs: WINDOW_MS, amountMicroUsd: 1_000, reason }),
    ],
    "its budget is set higher": [
      spent,
      (rig) => rig.execute("budget.set", OPERATOR, { scope: "workspace", windowMs: WINDOW_MS, limitMicroUsd: 9_000, perClaimMicroUsd: 1, ...LENIENT, reason }),
    ],
    "its budget is taken away": [
      spent,
      (rig) =>
        rig.execute("budget.set", OPERATOR, { scope: "workspace", windowMs: WINDOW_MS, limitMicroUsd: null, perClaimMicroUsd: null, ...LENIENT, reason }),
    ],
    "what another spent is refunded": [spent, (rig) => rig.execute("usage.refund", OPERATOR, { agent: "rich", task: "held", costMicroUsd: 1_000, reason })],
    "its breaker is reset": [
      (rig) => rig.execute("breaker.trip", OPERATOR, { breaker: "agent/poor", untilMs: null, reason }),
      (rig) => rig.execute("breaker.reset", OPERATOR, { breaker: "agent/poor", reason }),
    ],
    "its account has quota again": [
      (rig) => rig.execute("account.exhausted", OPERATOR, { account: "agent/poor", untilMs: rig.loop.nowMs() + 3_600_000, reason }),
      (rig) => rig.execute("account.restored", OPERATOR, { account: "agent/poor", reason }),
    ],
    "the policy permits it": [
      (rig) => rig.execute("policy.set", OPERATOR, { text: forbidden("task.claim"), reason }),
      (rig) => rig.execute("policy.set", OPERATOR, { text: null, reason }),
    ],
    "the policy lets it ask": [
      (rig) => rig.execute("policy.set", OPERATOR, { text: forbidden("task.claimNext"), reason }),
      (rig) => rig.execute("policy.set", OPERATOR, { text: null, reason }),
    ],
  }
  test.each(Object.keys(BARS))("is decided again the moment %s", async (name) => {
    const rig = await openRig()
    const [shut, open] = BARS[name]!
    if (shut !== spent) await rig.agents("poor")
    await shut(rig)
    await rig.tasks("dear")
    const parked = rig.loop.execute("task.claimNext", POOR, CLAIM_ANY, WAIT)
    await rig.clock.advance(10)
    expect(rig.loop.stats()).toMatchObject({ parked: 1 })
    await open(rig)
    const startMs = rig.clock.monotonicMs()
    expect((await rig.run(parked)).claims.map(({ task }) => task.id)).toEqual(["dear"])
    expect(rig.clock.monotonicMs()).toBe(startMs)
  })

  test("is decided again when its account's quota is back, where that is sooner than was said before", async () => {
    const rig = await openRig()
    await rig.agents("poor")
    await rig.tasks("dear")
    const startMs = rig.loop.nowMs()
    const exhausted = (untilMs: number) => rig.execute("account.exhausted", OPERATOR, { account: "agent/poor", untilMs, reason })
    await exhausted(startMs + 140_000)
    const claim = rig.loop.execute("task.claimNext", POOR, CLAIM_ANY, WAIT)
    await exhausted(startMs + 2_000)
    await rig.run(claim)
    expect(rig.loop.nowMs()).toBe(startMs + 2_000)
  })

  test("waits on where the time that its refusal named has come and there is still nothing for it", async () => {
    const rig = await openRig()
    const parked = await waitsForMoney(rig)
    await rig.clock.advance(WINDOW_MS + 10_000)
    await rig.tasks("later")
    expect((await rig.run(parked.claim)).claims.map(({ task }) => task.id)).toEqual(["later"])
  })

  test("keeps its place before those who were parked after it, though it was decided again meanwhile", async () => {
    const rig = await openRig()
    const early = await waitsForMoney(rig)
    const late = rig.loop.execute("task.claimNext", actor("rich", "s_rich"), CLAIM_ANY, WAIT)
    await rig.clock.advance(WINDOW_MS + 10_000)
    expect(rig.loop.stats()["parked"]).toBe(2)
    await rig.tasks("one")
    expect((await rig.run(early.claim)).claims.map(({ task }) => task.id)).toEqual(["one"])
    expect(rig.loop.stats()["parked"]).toBe(1)
    await rig.execute("budget.topUp", OPERATOR, { scope: "workspace", windowMs: WINDOW_MS, amountMicroUsd: 1_000, reason: "test" })
    await rig.tasks("two")
    expect((await rig.run(late)).claims.map(({ task }) => task.id)).toEqual(["two"])
  })

  test("leaves others their turns, however many of them are decided anew, and however long that takes", async () => {
    const clock = new SlowClock()
    const rig = await openRig({ clock })
    await rig.agents("many", "ben")
    const claims = Array.from({ length: 300 }, (_, at) => rig.loop.execute("task.claimNext", actor("many"), { ...CLAIM_ANY, labels: [`none-${at}`] }, WAIT))
    await clock.advance(10)
    expect(rig.loop.stats()["parked"]).toBe(300)
    clock.lookMs = 1
    await rig.tasks("one")
    const said = rig.loop.execute("thread.create", actor("ben"), { thread: "hello", title: "hello", type: "conversation", participants: [] })
    const left = await rig.run(said.then(() => rig.loop.stats()["queue"]))
    const looked = await rig.loop.read(() => rig.loop.stats()["queue"])
    clock.lookMs = 0
    expect([left, looked].every((queue) => Number(queue) > 100)).toBe(true)
    await clock.advance(10)
    expect(rig.loop.stats()).toMatchObject({ parked: 300, queue: 0 })
    for (const claim of claims) void claim.catch(() => undefined)
  })

  test("is refused at the end of its own time, whatever time its refusal names", async () => {
    const rig = await openRig()
    await spent(rig)
    await rig.tasks("dear")
    const startMs = rig.loop.nowMs()
    expect(await rig.refused(rig.loop.execute("task.claimNext", POOR, CLAIM_ANY, { waitMs: 5_000 }))).toBe("budget_spent")
    expect(rig.loop.nowMs() - startMs).toBeGreaterThanOrEqual(5_000)
    expect(rig.loop.nowMs() - startMs).toBeLessThan(5_100)
  })
})
