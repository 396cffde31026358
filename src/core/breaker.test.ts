import fc from "fast-check"
import { describe, expect, it, test } from "vitest"
import { OPERATOR, Scenario, types } from "../../test/scenario.ts"
import { type Breaker, BREAKER_NUMBERS, type BreakerPhase, breakerPolicy, type BreakerPolicy, phaseOf, type Signal, step } from "./breaker.ts"
import { breakerViews } from "./breaker-view.ts"
import { throttledBy } from "./breaker-outcome.ts"
import type { Actor } from "./entry.ts"

const POLICY: BreakerPolicy = { consecutive: 3, outcomes: 4, ratePercent: 50, windowMs: 10_000, openMs: 1_000, openMaxMs: 3_000, throttleMs: 500 }
const ID = "agent/ann"
const AT = 1_000_000

type Told = [afterMs: number, signal: Signal]
const ok = (fence = 1, agent = "ann"): Signal => ({ kind: "success", agent, fence, reason: "" })
const bad = (fence = 1, agent = "ann"): Signal => ({ kind: "failure", agent, fence, reason: "it broke" })
const slow = (untilMs: number | null = null, fence = 1): Signal => ({
  kind: "throttled",
  fence,
  untilMs: untilMs === null ? null : AT + untilMs,
  reason: "429",
})
const probe = (fence = 9): Signal => ({ kind: "claimed", task: "p", fence })
const nothing: Signal = { kind: "neutral", fence: 9 }
const trip = (untilMs: number | null): Signal => ({ kind: "trip", untilMs: untilMs === null ? null : AT + untilMs, reason: "by hand" })

/** Tells a breaker one thing after the other; how it stands at `lookMs`. */
function after(told: readonly Told[], lookMs: number, id = ID, policy = POLICY): { phase: BreakerPhase; breaker: Breaker | undefined } {
  let breaker: Breaker | undefined
  for (const [afterMs, signal] of told) breaker = step(id, breaker, signal, AT + afterMs, policy)
  return { phase: phaseOf(breaker, AT + lookMs), breaker }
}

const OPEN: readonly Told[] = [
  [0, bad()],
  [0, bad()],
  [0, bad()],
]
const PROBED: readonly Told[] = [...OPEN, [1_000, probe()]]

/** Every transition, each with its boundary: what was told, when it is looked at, how it stands then. */
const TABLE: readonly [rule: string, told: readonly Told[], lookMs: number, phase: BreakerPhase][] = [
  [
    "closed: one failure less than the limit leaves it closed",
    [
      [0, bad()],
      [0, bad()],
    ],
    0,
    "closed",
  ],
  ["closed -> open: with the last of so many failures in a row", OPEN, 0, "open"],
  [
    "closed: failures that are as old as the window count no more",
    [
      [0, bad()],
      [0, bad()],
      [10_000, bad()],
    ],
    10_000,
    "closed",
  ],
  [
    "closed -> open: a failure one ms younger than the window counts",
    [
      [0, bad()],
      [0, bad()],
      [9_999, bad()],
    ],
    9_999,
    "open",
  ],
  [
    "closed -> open: at the error rate, with so many outcomes",
    [
      [0, bad()],
      [0, ok()],
      [0, ok()],
      [0, bad()],
    ],
    0,
    "open",
  ],
  [
    "closed: with one outcome less there is no rate",
    [
      [0, bad()],
      [0, ok()],
      [0, bad()],
    ],
    0,
    "closed",
  ],
  [
    "closed: under the rate",
    [
      [0, bad()],
      [0, ok()],
      [0, ok()],
      [0, ok()],
      [0, bad()],
    ],
    0,
    "closed",
  ],
  ["closed -> open: throttled, for the time that the policy says", [[0, slow()]], 499, "open"],
  ["open -> half-open: at the end of that time, not after it", [[0, slow()]], 500, "half_open"],
  ["closed -> open: throttled until the reset that the provider named", [[0, slow(7_000)]], 6_999, "open"],
  ["open -> half-open: at that reset", [[0, slow(7_000)]], 7_000, "half_open"],
  ["closed -> open: a reset that has passed is none", [[10, slow(10)]], 509, "open"],
  ["open: a later reset is heeded, though it opened for failures", [...OPEN, [10, slow(7_000)]], 6_999, "open"],
  ["open: an earlier reset shortens nothing", [...OPEN, [10, slow(100)]], 999, "open"],
  ["open: until its time is up", OPEN, 999, "open"],
  ["open -> half-open: at its time", OPEN, 1_000, "half_open"],
  ["open: what began before it opened changes nothing, good or bad", [...OPEN, [1, ok()], [2, bad()]], 999, "open"],
  ["half-open: what began before it opened changes nothing either", [...OPEN, [1_000, ok(1)]], 1_000, "half_open"],
  ["half-open -> closed: its probe succeeds", [...PROBED, [1_200, ok(9)]], 1_200, "closed"],
  ["half-open -> open: its probe fails, for twice as long", [...PROBED, [1_200, bad(9)]], 3_199, "open"],
  ["open -> half-open: after twice as long", [...PROBED, [1_200, bad(9)]], 3_200, "half_open"],
  ["half-open -> open: never for longer than the most", [...PROBED, [1_200, bad(9)], [3_200, probe(10)], [3_300, bad(10)]], 6_299, "open"],
  ["open -> half-open: after the most", [...PROBED, [1_200, bad(9)], [3_200, probe(10)], [3_300, bad(10)]], 6_300, "half_open"],
  ["half-open -> open: its probe is throttled", [...PROBED, [1_200, slow(9_000, 9)]], 8_999, "open"],
  ["half-open: its probe ends without an outcome, and another may be", [...PROBED, [1_200, nothing]], 1_200, "half_open"],
  ["closed -> open: by hand until a time", [[0, trip(50)]], 49, "open"],
  ["open -> half-open: at the time given by hand", [[0, trip(50)]], 50, "half_open"],
  ["closed -> open: by hand until it is reset", [[0, trip(null)]], 100_000_000, "open"],
  [
    "open by hand: neither outcomes nor resets change it",
    [
      [0, trip(null)],
      [1, ok()],
      [2, slow(10)],
      [3, bad()],
    ],
    100_000_000,
    "open",
  ],
]

describe("a breaker is", () => {
  it.each(TABLE)("%s", (_rule, told, lookMs, phase) => expect(after(told, lookMs).phase).toBe(phase))
})

test("a success between failures begins the count of failures in a row anew", () => {
  const told = [bad(), bad(), ok(), bad(), bad()].map((signal): Told => [0, signal])
  const policy = { ...POLICY, ratePercent: 0 }
  expect(after(told, 0, ID, policy).phase).toBe("closed")
  expect(after([...told, [0, bad()]], 0, ID, policy).phase).toBe("open")
})

test("a claim of a breaker that is open is not its probe; of one that is half-open the first is, and only that", () => {
  expect(after([...OPEN, [999, probe()]], 999).breaker?.probe).toBeNull()
  expect(after([...OPEN, [1_000, probe(9)], [1_000, probe(10)]], 1_000).breaker?.probe).toEqual({ task: "p", fence: 9 })
})

test("throttling is counted apart: it is never a failure, and each time in a row lasts twice as long", () => {
  const { breaker } = after(
    [
      [0, bad()],
      [0, bad()],
      [0, slow()],
      [500, probe()],
      [600, slow(null, 9)],
    ],
    600,
  )
  expect(breaker).toMatchObject({ throttled: 2, opened: 0, open: { cause: "throttled", untilMs: AT + 600 + 1_000 } })
  expect(breaker?.recent).toHaveLength(2)
})

test("what many share is opened by failures of more than one agent only", () => {
  for (const id of ["account/a", "model/m", "kind/k"]) {
    expect(
      after(
        [
          [0, bad(1, "ann")],
          [0, bad(1, "ann")],
          [0, bad(1, "ann")],
          [0, bad(1, "ann")],
        ],
        0,
        id,
      ).phase,
      id,
    ).toBe("closed")
    expect(
      after(
        [
          [0, bad(1, "ann")],
          [0, bad(1, "ann")],
          [0, bad(1, "bob")],
        ],
        0,
        id,
      ).phase,
      id,
    ).toBe("open")
  }
})

test("a breaker of which nothing bad is known any more leaves no record, and never more than its window holds", () => {
  expect(after([[0, bad()], ...Array.from({ length: 4 }, (): Told => [0, ok()])], 0).breaker).toBeUndefined()
  const signal = fc.oneof(
    fc.constantFrom(ok(), bad(), slow(), nothing, ok(9), bad(9), probe()),
    fc.integer({ min: 1, max: 20_000 }).map((ms) => slow(ms)),
  )
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(2_000), signal), { maxLength: 60, size: "max" }), (steps) => {
      let breaker: Breaker | undefined
      let atMs = AT
      for (const [passMs, told] of steps) {
        atMs += passMs
        const before = phaseOf(breaker, atMs)
        const was = breaker
        breaker = step(ID, breaker, told, atMs, POLICY)
        expect(breaker?.recent.length ?? 0).toBeLessThanOrEqual(4)
        // Nothing but its probe closes what is open or half-open; and time alone lets the probe through.
        const isProbe = was?.probe !== null && was?.probe !== undefined && "fence" in told && told.fence === was.probe.fence
        if (before !== "closed" && phaseOf(breaker, atMs) === "closed") expect(isProbe && told.kind === "success").toBe(true)
        if (before === "open") expect(breaker?.probe ?? null).toBeNull()
      }
    }),
    { numRuns: 500 },
  )
})

test("quota texts of the known agents are throttling; what merely speaks of limits is not", () => {
  for (const text of [
    "it asked to be tried later (exit status 75)",
    "HTTP 429",
    "Too Many Requests",
    "You've hit your limit · resets 3pm",
    "insufficient_quota",
    "RESOURCE_EXHAUSTED",
    "Claude usage limit reached",
  ])
    expect(throttledBy(text), text).toEqual({ untilMs: null })
  for (const text of ["it exited with 1", "expected 4290 to be 1", "time limit of the test", "tests fail", "a.test.ts:429:5", "the rate limiter has no test"])
    expect(throttledBy(text), text).toBeNull()
})

describe("claims", () => {
  const NEXT = { plan: null, labels: [], filler: null, max: 1 } as const
  const team = (...names: string[]): { scenario: Scenario; actors: Actor[] } => {
    const scenario = new Scenario()
    scenario.must("hub.start", OPERATOR, { graceMs: 0 })
    scenario.must("breaker.setPolicy", OPERATOR, { changes: { consecutive: 2, ratePercent: 0, openMs: 1_000 }, reason: "short" })
    return { scenario, actors: names.map((name) => scenario.agent(name, { account: "shared", model: "m" })) }
  }
  const fail = (scenario: Scenario, actor: Actor, id: string, reason = "broke"): void => {
    const fence = scenario.claim(actor, id)
    scenario.must("task.fail", actor, { task: id, fence, reason, retry: true, usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 } })
  }

  it("of an agent that fails are refused until its time, with when; others go on; one probe decides", () => {
    const { scenario, actors } = team("ann", "bob")
    const [ann, bob] = actors as [Actor, Actor]
    for (const id of ["t", "u", "v"]) scenario.task(id, { maxAttempts: 99 })
    fail(scenario, ann, "t")
    const fence = scenario.claim(ann, "t")
    const { entries } = scenario.must("task.fail", ann, {
      task: "t",
      fence,
      reason: "broke",
      retry: true,
      usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 },
    })
    expect(entries.flatMap(({ data }) => (data as { text?: string }).text ?? []).join()).toMatch(/breaker agent\/ann is open until .* \(failures\): broke/)
    const { details } = scenario.refuses("breaker_open", "task.claimNext", ann, NEXT)
    expect(details).toMatchObject({ breaker: "agent/ann", retryAtMs: scenario.nowMs + 1_000 })
    scenario.claim(bob, "u")
    scenario.wait(999)
    scenario.refuses("breaker_open", "task.claim", ann, { task: "t" })
    scenario.wait(1)
    const probed = scenario.claim(ann, "t")
    expect(breakerViews(scenario.state, scenario.nowMs)[0]).toMatchObject({ breaker: "agent/ann", phase: "half_open", probe: "t" })
    scenario.must("task.complete", ann, {
      task: "t",
      fence: probed,
      deliverable: { text: "", evidence: { testsPass: null, commit: null, links: [] } },
      usage: { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 },
    })
    expect(scenario.state.breakers.has("agent/ann")).toBe(false)
    scenario.claim(ann, "v")
  })

  it("of several tasks at once are never two probes of one breaker", () => {
    const { scenario } = team()
    const ann = scenario.agent("ann", { maxActive: 3 })
    for (const id of ["t", "u"]) scenario.task(id, { maxAttempts: 99 })
    fail(scenario, ann, "t")
    fail(scenario, ann, "t")
    scenario.wait(1_000)
    expect(scenario.next(ann, { max: 2 })).toHaveLength(1)
  })

  it("of a kind of task that fails for everybody are refused, other kinds are not", () => {
    const { scenario, actors } = team("ann", "bob", "cat")
    const [ann, bob, cat] = actors as [Actor, Actor, Actor]
    scenario.task("t", { maxAttempts: 99, labels: ["deploy"], priority: "critical" })
    scenario.task("u")
    fail(scenario, ann, "t")
    fail(scenario, bob, "t")
    scenario.must("breaker.reset", OPERATOR, { breaker: "account/shared", reason: "it was not the account" })
    scenario.must("breaker.reset", OPERATOR, { breaker: "model/m", reason: "nor the model" })
    scenario.refuses("breaker_open", "task.claim", cat, { task: "t" })
    expect(scenario.must("task.claimNext", cat, NEXT).answer.claims[0]?.task.id).toBe("u")
    expect(scenario.refuses("breaker_open", "task.claimNext", ann, NEXT).details).toMatchObject({ breaker: "kind/deploy" })
  })

  it("of an account that was throttled are refused to all of its agents until the reset, and no failure is counted", () => {
    const { scenario, actors } = team("ann", "bob")
    const [ann, bob] = actors as [Actor, Actor]
    scenario.task("t")
    const fence = scenario.claim(ann, "t")
    scenario.must("task.release", ann, { task: "t", fence, reason: "later", throttled: { untilMs: scenario.nowMs + 5_000 } })
    const cat = scenario.agent("cat", { account: "own" })
    expect(scenario.refuses("breaker_open", "task.claim", bob, { task: "t" }).details).toMatchObject({
      breaker: "account/shared",
      retryAtMs: scenario.nowMs + 5_000,
    })
    expect(breakerViews(scenario.state, scenario.nowMs)).toMatchObject([{ breaker: "account/shared", failures: 0, throttled: 1 }])
    scenario.claim(cat, "t")
  })

  it("of an account that a supervisor found out of quota are refused, until it is restored", () => {
    const { scenario, actors } = team("ann")
    const [ann] = actors as [Actor]
    scenario.task("t")
    scenario.must("account.exhausted", OPERATOR, { account: "shared", untilMs: scenario.nowMs + 60_000, reason: "usage limit" })
    expect(scenario.refuses("breaker_open", "task.claimNext", ann, NEXT).details).toMatchObject({
      breaker: "account/shared",
      retryAtMs: scenario.nowMs + 60_000,
    })
    expect(breakerViews(scenario.state, scenario.nowMs)).toMatchObject([{ breaker: "account/shared", phase: "open", cause: "throttled" }])
    // It is shown as a breaker that is open, and is reset as one.
    expect(types(scenario.must("breaker.reset", OPERATOR, { breaker: "account/shared", reason: "paid" }))).toEqual(["account.restored"])
    scenario.claim(ann, "t")
    scenario.refuses("not_found", "breaker.reset", OPERATOR, { breaker: "account/shared", reason: "paid" })
  })

  it("are refused while an operator has tripped a breaker, and let through when it is reset", () => {
    const { scenario, actors } = team("ann")
    const [ann] = actors as [Actor]
    scenario.task("t", { model: "big" })
    scenario.must("breaker.trip", OPERATOR, { breaker: "model/big", untilMs: null, reason: "answers nonsense" })
    expect(scenario.refuses("breaker_open", "task.claim", ann, { task: "t" }).message).toContain("answers nonsense")
    scenario.must("breaker.reset", OPERATOR, { breaker: "model/big", reason: "mended" })
    scenario.claim(ann, "t")
  })

  it("count leases that ran out, but not what an operator ended; a ledger from before breakers counts nothing", () => {
    const { scenario, actors } = team("ann")
    const [ann] = actors as [Actor]
    const old = new Scenario()
    for (const [one, actor] of [
      [scenario, ann],
      [old, old.agent("ann")],
    ] as const) {
      one.task("t", { leaseMs: 1_000, maxAttempts: 99 })
      one.claim(actor, "t")
      one.must("lease.end", OPERATOR, { task: "t", reason: "mine" })
      expect(one.state.breakers.size).toBe(0)
      for (const _ of [1, 2]) {
        one.claim(actor, "t")
        one.wait(1_000)
        one.must("hub.sweep", OPERATOR, { beats: [], silent: [] })
      }
    }
    scenario.refuses("breaker_open", "task.claim", ann, { task: "t" })
    expect(old.state.breakers.size).toBe(0)
  })
})

test("where nothing else is said five failures in a row open it, or six of the last ten in ten minutes; for a minute, doubled to a quarter of an hour", () => {
  const policy = breakerPolicy(new Scenario().state)
  const minuteMs = 60_000
  const look = (told: readonly Told[], lookMs: number): BreakerPhase => after(told, lookMs, ID, policy).phase
  const five: Told[] = [bad(), bad(), bad(), bad(), bad()].map((signal) => [0, signal])
  expect([look(five.slice(1), 0), look(five, 0), look(five, minuteMs - 1), look(five, minuteMs)]).toEqual(["closed", "open", "open", "half_open"])
  const mixed = (lastMs: number): Told[] =>
    [bad(), bad(), ok(), bad(), ok(), bad(), ok(), bad(), ok(), bad()].map((signal, at) => [at === 0 ? 0 : lastMs, signal])
  expect([look(mixed(10 * minuteMs - 1), 10 * minuteMs), look(mixed(10 * minuteMs), 10 * minuteMs)]).toEqual(["open", "closed"])
  expect([look([[0, slow()]], 29_999), look([[0, slow()]], 30_000)]).toEqual(["open", "half_open"])
  const [told, waits]: [Told[], number[]] = [[...five], []]
  for (let untilMs = minuteMs, at = 0; at < 5; at += 1) {
    told.push([untilMs, probe()], [untilMs, bad(9)])
    const endMs = after(told, untilMs, ID, policy).breaker?.open?.untilMs ?? 0
    waits.push((endMs - AT - untilMs) / minuteMs)
    untilMs = endMs - AT
  }
  expect(waits).toEqual([2, 4, 8, 15, 15])
})

test("every number of the policy is within its bounds, and refused outside of them", () => {
  const scenario = new Scenario()
  for (const [name, { is, min, max }] of Object.entries(BREAKER_NUMBERS)) {
    expect(is >= min && is <= max, name).toBe(true)
    for (const value of [min - 1, max + 1]) scenario.refuses("invalid", "breaker.setPolicy", OPERATOR, { changes: { [name]: value }, reason: "r" })
  }
})
