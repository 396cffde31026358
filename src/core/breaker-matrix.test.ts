import { describe, expect, it, test } from "vitest"
import { OPERATOR, Scenario } from "../../test/scenario.ts"
import { type Breaker, type BreakerPolicy, phaseOf, type Signal, step } from "./breaker.ts"

/** What `breaker.test.ts` tells rule by rule, here as a whole: every state of a breaker, and what each signal makes of it. */

const POLICY: BreakerPolicy = { consecutive: 3, outcomes: 4, ratePercent: 75, windowMs: 10_000, openMs: 1_000, openMaxMs: 3_000, throttleMs: 500 }
const AT = 1_000_000
const PROBE = 9
const EARLIER = 1

type State = "closed" | "suspected" | "open" | "throttled" | "held" | "halfOpen" | "probing" | "stopped"
const bad = (fence = EARLIER): Signal => ({ kind: "failure", agent: "ann", fence, reason: "it broke" })
const good = (fence = EARLIER): Signal => ({ kind: "success", agent: "ann", fence, reason: "" })
const slow = (untilMs: number | null, fence = EARLIER): Signal => ({ kind: "throttled", fence, untilMs, reason: "429" })
const trip = (untilMs: number | null): Signal => ({ kind: "trip", untilMs, reason: "by hand" })
const claim = (fence = PROBE): Signal => ({ kind: "claimed", task: "p", fence })
const none = (fence: number): Signal => ({ kind: "neutral", fence })

/** How a breaker came to each state, and when it is looked at. */
const MADE: Record<State, { told: readonly Signal[]; lookMs: number }> = {
  closed: { told: [], lookMs: 0 },
  suspected: { told: [bad(), bad()], lookMs: 0 },
  open: { told: [bad(), bad(), bad()], lookMs: 999 },
  throttled: { told: [slow(AT + 5_000)], lookMs: 4_999 },
  held: { told: [trip(AT + 2_000)], lookMs: 1_999 },
  halfOpen: { told: [bad(), bad(), bad()], lookMs: 1_000 },
  probing: { told: [bad(), bad(), bad()], lookMs: 1_000 },
  stopped: { told: [trip(null)], lookMs: 500_000 },
}

function made(state: State): Breaker | undefined {
  let breaker: Breaker | undefined
  for (const signal of MADE[state].told) breaker = step("agent/ann", breaker, signal, AT, POLICY)
  return state === "probing" ? step("agent/ann", breaker, claim(), AT + 1_000, POLICY) : breaker
}

/** `open until 2000 for failures`, times from the moment of the signal on. */
function told(breaker: Breaker | undefined, atMs: number): string {
  const phase = phaseOf(breaker, atMs)
  if (phase === "closed") return breaker === undefined ? "closed" : `closed, ${breaker.recent.filter(({ ok }) => !ok).length} failed`
  if (phase === "half_open") return breaker?.probe === null ? "half-open" : "half-open, probing"
  const untilMs = breaker?.open?.untilMs ?? null
  return `open ${untilMs === null ? "until reset" : `for ${untilMs - atMs}`}: ${breaker?.open?.cause}`
}

const FAR = 60_000
type Row = Record<State, string>
/** By signal, what becomes of each state. Times are in ms from the signal on. */
const MATRIX: Record<string, { signal: (nowMs: number) => Signal; becomes: Row }> = {
  "a success of its probe's claim": {
    signal: () => good(PROBE),
    // prettier-ignore
    becomes: { closed: "closed", suspected: "closed, 2 failed", open: "open for 1: failures", throttled: "open for 1: throttled", held: "open for 1: manual", halfOpen: "half-open", probing: "closed", stopped: "open until reset: manual" },
  },
  "a success of an earlier claim": {
    signal: () => good(),
    // prettier-ignore
    becomes: { closed: "closed", suspected: "closed, 2 failed", open: "open for 1: failures", throttled: "open for 1: throttled", held: "open for 1: manual", halfOpen: "half-open", probing: "half-open, probing", stopped: "open until reset: manual" },
  },
  "a failure of its probe's claim": {
    signal: () => bad(PROBE),
    // prettier-ignore
    becomes: { closed: "closed, 1 failed", suspected: "open for 1000: failures", open: "open for 1: failures", throttled: "open for 1: throttled", held: "open for 1: manual", halfOpen: "half-open", probing: "open for 2000: failures", stopped: "open until reset: manual" },
  },
  "a failure of an earlier claim": {
    signal: () => bad(),
    // prettier-ignore
    becomes: { closed: "closed, 1 failed", suspected: "open for 1000: failures", open: "open for 1: failures", throttled: "open for 1: throttled", held: "open for 1: manual", halfOpen: "half-open", probing: "half-open, probing", stopped: "open until reset: manual" },
  },
  "an earlier claim that was throttled without a time": {
    signal: () => slow(null),
    // prettier-ignore
    becomes: { closed: "open for 500: throttled", suspected: "open for 500: throttled", open: "open for 1: failures", throttled: "open for 1: throttled", held: "open for 1: manual", halfOpen: "half-open", probing: "half-open, probing", stopped: "open until reset: manual" },
  },
  "an earlier claim that was throttled until a later time": {
    signal: (nowMs) => slow(nowMs + FAR),
    // prettier-ignore
    becomes: { closed: "open for 60000: throttled", suspected: "open for 60000: throttled", open: "open for 60000: failures", throttled: "open for 60000: throttled", held: "open for 1: manual", halfOpen: "open for 60000: failures", probing: "open for 60000: failures", stopped: "open until reset: manual" },
  },
  "its probe was throttled until a later time": {
    signal: (nowMs) => slow(nowMs + FAR, PROBE),
    // prettier-ignore
    becomes: { closed: "open for 60000: throttled", suspected: "open for 60000: throttled", open: "open for 60000: failures", throttled: "open for 60000: throttled", held: "open for 1: manual", halfOpen: "open for 60000: failures", probing: "open for 60000: throttled", stopped: "open until reset: manual" },
  },
  "its probe's claim ended without an outcome": {
    signal: () => none(PROBE),
    // prettier-ignore
    becomes: { closed: "closed", suspected: "closed, 2 failed", open: "open for 1: failures", throttled: "open for 1: throttled", held: "open for 1: manual", halfOpen: "half-open", probing: "half-open", stopped: "open until reset: manual" },
  },
  "an earlier claim ended without an outcome": {
    signal: () => none(EARLIER),
    // prettier-ignore
    becomes: { closed: "closed", suspected: "closed, 2 failed", open: "open for 1: failures", throttled: "open for 1: throttled", held: "open for 1: manual", halfOpen: "half-open", probing: "half-open, probing", stopped: "open until reset: manual" },
  },
  "a claim": {
    signal: () => claim(77),
    // prettier-ignore
    becomes: { closed: "closed", suspected: "closed, 2 failed", open: "open for 1: failures", throttled: "open for 1: throttled", held: "open for 1: manual", halfOpen: "half-open, probing", probing: "half-open, probing", stopped: "open until reset: manual" },
  },
  "a hand that trips it for a time": {
    signal: (nowMs) => trip(nowMs + 30),
    // prettier-ignore
    becomes: { closed: "open for 30: manual", suspected: "open for 30: manual", open: "open for 30: manual", throttled: "open for 30: manual", held: "open for 30: manual", halfOpen: "open for 30: manual", probing: "open for 30: manual", stopped: "open for 30: manual" },
  },
  "a hand that trips it for good": {
    signal: () => trip(null),
    // prettier-ignore
    becomes: { closed: "open until reset: manual", suspected: "open until reset: manual", open: "open until reset: manual", throttled: "open until reset: manual", held: "open until reset: manual", halfOpen: "open until reset: manual", probing: "open until reset: manual", stopped: "open until reset: manual" },
  },
  "one ms more": {
    signal: () => none(0),
    // prettier-ignore
    becomes: { closed: "closed", suspected: "closed, 2 failed", open: "half-open", throttled: "half-open", held: "half-open", halfOpen: "half-open", probing: "half-open, probing", stopped: "open until reset: manual" },
  },
}

describe.each(Object.entries(MATRIX))("%s makes of a breaker that is", (what, { signal, becomes }) => {
  it.each(Object.entries(becomes) as [State, string][])("%s: %s", (state, expected) => {
    const nowMs = AT + MADE[state].lookMs
    const after = step("agent/ann", made(state), signal(nowMs), nowMs, POLICY)
    expect(told(after, what === "one ms more" ? nowMs + 1 : nowMs)).toBe(expected)
  })
})

test("every state is what its name says", () => {
  const phases = (Object.keys(MADE) as State[]).map((state) => phaseOf(made(state), AT + MADE[state].lookMs))
  expect(phases).toEqual(["closed", "closed", "open", "open", "open", "half_open", "half_open", "open"])
})

test("a reset by hand closes a breaker in whatever state it is, and forgets its failures; one that is closed has none to forget", () => {
  const scenario = new Scenario()
  const breaker = "agent/ann"
  scenario.refuses("not_found", "breaker.reset", OPERATOR, { breaker, reason: "r" })
  for (const untilMs of [null, scenario.nowMs + 1_000]) {
    scenario.must("breaker.trip", OPERATOR, { breaker, untilMs, reason: "r" })
    if (untilMs !== null) scenario.wait(1_000)
    expect(phaseOf(scenario.state.breakers.get(breaker), scenario.nowMs)).toBe(untilMs === null ? "open" : "half_open")
    scenario.must("breaker.reset", OPERATOR, { breaker, reason: "r" })
    expect(scenario.state.breakers.has(breaker)).toBe(false)
  }
  for (const wrong of [scenario.nowMs, scenario.nowMs + 31 * 24 * 3_600_000 + 1])
    scenario.refuses("invalid", "breaker.trip", OPERATOR, { breaker, untilMs: wrong, reason: "r" })
  scenario.must("breaker.trip", OPERATOR, { breaker, untilMs: scenario.nowMs + 31 * 24 * 3_600_000, reason: "r" })
})

describe("the error rate opens", () => {
  const policy = { ...POLICY, consecutive: 0 }
  const after = (outcomes: readonly Signal[], windowMs = 0): string => {
    let breaker: Breaker | undefined
    outcomes.forEach((signal, at) => (breaker = step("agent/ann", breaker, signal, AT + (at === outcomes.length - 1 ? windowMs : 0), policy)))
    return told(breaker, AT + windowMs)
  }
  it.each([
    ["at three of four, the limit", [bad(), good(), bad(), bad()], 0, "open for 1000: rate"],
    ["not at two of four", [bad(), good(), good(), bad()], 0, "closed, 2 failed"],
    ["not with three outcomes", [bad(), bad(), bad()], 0, "closed, 3 failed"],
    ["with outcomes one ms younger than the window", [bad(), good(), bad(), bad()], 9_999, "open for 1000: rate"],
    ["not with outcomes as old as the window", [bad(), good(), bad(), bad()], 10_000, "closed, 1 failed"],
  ] as const)("%s", (_rule, outcomes, windowMs, expected) => expect(after(outcomes, windowMs)).toBe(expected))
})
