import { describe, expect, it } from "vitest"
import { Scenario } from "../../test/scenario.ts"
import type { Actor } from "./entry.ts"
import { orderOfTurns } from "./dispatch.ts"
import type { Reasons } from "./reasons.ts"

const ANY = { plan: null, labels: [], filler: null, max: 1 }
const NO_USAGE = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }

function turns(scenario: Scenario, actors: readonly Actor[]): (string | null)[][] {
  const waiters = actors.map((actor) => ({ actor, filter: ANY }))
  return orderOfTurns(scenario.state, waiters).map(({ place, meant }) => [actors[place]?.agent ?? "", meant])
}

function outcomes(scenario: Scenario, actor: Actor, skill: string, success: boolean, count: number): void {
  for (let at = 0; at < count; at += 1) {
    const id = scenario.task(`past-${actor.agent}-${skill}-${success}-${at}`, { requires: { [skill]: 1 } })
    const fence = scenario.claim(actor, id)
    if (success) scenario.complete(actor, id)
    else scenario.must("task.fail", actor, { task: id, fence, reason: "no", retry: false, usage: NO_USAGE })
  }
}

function reasonsOf(scenario: Scenario, actor: Actor, turn?: { waiting: number; meant: string | null }): [string, Reasons] {
  const { entries } = scenario.must("task.claimNext", actor, { ...ANY, ...(turn === undefined ? {} : { turn }) })
  const claimed = entries.find(({ type }) => type === "task.claimed") as { data: unknown }
  const { id, why } = claimed.data as { id: string; why: Reasons }
  return [id, why]
}

describe("whoever waits", () => {
  it("is served first come first served where no skill is asked for", () => {
    const scenario = new Scenario()
    const actors = ["ann", "bob", "cat"].map((name) => scenario.agent(name))
    scenario.task("a")
    expect(turns(scenario, actors)).toEqual([
      ["ann", null],
      ["bob", null],
      ["cat", null],
    ])
  })

  it("gets the one task where it does it best, whoever came first", () => {
    const scenario = new Scenario()
    const [ann, bob] = ["ann", "bob"].map((name) => scenario.agent(name, { capabilities: { docs: 3 } })) as [Actor, Actor]
    outcomes(scenario, ann, "docs", false, 5)
    outcomes(scenario, bob, "docs", true, 5)
    scenario.task("a", { requires: { docs: 1 } })
    expect(turns(scenario, [ann, bob])).toEqual([
      ["bob", "a"],
      ["ann", null],
    ])
  })

  it("gets the one task where its success is worth more, by its bonus or its tier", () => {
    for (const standing of [{ successBonus: 1.5 }, { tier: 2, maxActive: 1 }, { baseWeight: 0.9 }]) {
      const scenario = new Scenario()
      const ann = scenario.agent("ann", { capabilities: { docs: 3 } })
      const bob = scenario.agent("bob", { capabilities: { docs: 3 }, ...standing })
      scenario.task("a", { requires: { docs: 1 } })
      expect(turns(scenario, [ann, bob]), JSON.stringify(standing)).toEqual([
        ["bob", "a"],
        ["ann", null],
      ])
    }
  })

  it("gets the one task where it does it as well for less, whoever came first", () => {
    const scenario = new Scenario()
    const [dear, cheap] = [10_000_000, 1_000_000].map((costPerHourMicroUsd, at) =>
      scenario.agent(`a${at}`, { capabilities: { docs: 3 }, costPerHourMicroUsd }),
    ) as [Actor, Actor]
    scenario.task("a", { requires: { docs: 1 } })
    expect(turns(scenario, [dear, cheap])).toEqual([
      ["a1", "a"],
      ["a0", null],
    ])
  })

  it("is meant nothing where it may take no more, or asks for fillers alone: what it does best is another's", () => {
    const scenario = new Scenario()
    const [best, ann, bob] = ["best", "ann", "bob"].map((name) => scenario.agent(name, { capabilities: { docs: 3 } })) as [Actor, Actor, Actor]
    outcomes(scenario, best, "docs", true, 5)
    outcomes(scenario, bob, "docs", true, 1)
    scenario.task("a", { requires: { docs: 1 } })
    const meantTo = (filler: boolean | null): unknown =>
      orderOfTurns(
        scenario.state,
        [best, ann, bob].map((actor) => ({ actor, filter: { ...ANY, filler: actor === best ? filler : null } })),
      ).find(({ meant }) => meant !== null)?.place
    expect([meantTo(null), meantTo(true)]).toEqual([0, 2])
    scenario.task("work")
    scenario.claim(best, "work")
    expect(meantTo(null)).toBe(2)
  })

  it("is not given what another alone can do", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { docs: 3, rust: 3 } })
    const bob = scenario.agent("bob", { capabilities: { docs: 3 } })
    outcomes(scenario, ann, "docs", true, 5)
    scenario.task("docs", { requires: { docs: 1 } })
    scenario.task("rust", { requires: { rust: 1 } })
    expect(Object.fromEntries(turns(scenario, [ann, bob]))).toEqual({ ann: "rust", bob: "docs" })
  })

  it("is never meant for what it is not eligible for, nor left out of the turns", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { docs: 1 } })
    const bob = scenario.agent("bob", { capabilities: { docs: 5 } })
    const cat = scenario.agent("cat")
    const dan = scenario.agent("dan", { capabilities: { docs: 4 } })
    scenario.task("a", { requires: { docs: 4 } })
    expect(turns(scenario, [ann, cat, bob, dan])).toEqual([
      ["bob", "a"],
      ["ann", null],
      ["cat", null],
      ["dan", null],
    ])
  })
})

describe("a claim's reasons", () => {
  it("are in its entry: by what rule, among how many, how likely to succeed", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { docs: 3 }, maxActive: 9 })
    scenario.task("plain")
    scenario.task("skilled", { requires: { docs: 2 } })
    expect(reasonsOf(scenario, ann)).toEqual(["plain", { rule: "order", ready: 2, waiting: 0 }])
    expect(reasonsOf(scenario, ann, { waiting: 3, meant: "skilled" })).toEqual([
      "skilled",
      { rule: "assigned", ready: 1, waiting: 2, match: 1, chance: 0.8, score: 2.1 },
    ])
  })

  it("fall back to the order where what was meant is gone", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { capabilities: { docs: 3 } })
    scenario.task("plain")
    expect(reasonsOf(scenario, ann, { waiting: 2, meant: "gone" })).toEqual(["plain", { rule: "order", ready: 1, waiting: 1 }])
  })
})

describe("probes", () => {
  function share(kind: string, spec: object): number {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { kind, capabilities: { docs: 3 }, maxActive: 100_000 })
    scenario.task("small", { requires: { rust: 1 }, estimateMs: 60_000, maxAttempts: 1_000, ...spec })
    let probes = 0
    for (let at = 0; at < 600; at += 1) {
      scenario.task(`t${at}`, { requires: { docs: 1 } })
      const [id, { rule }] = reasonsOf(scenario, ann)
      expect(rule).toBe(id === "small" ? "probe" : "order")
      if (id !== "small") continue
      probes += 1
      scenario.must("task.release", ann, { task: id, fence: scenario.at(id).fence as number, reason: "again" })
    }
    return probes / 600
  }

  it("are about one assignment in twenty, of agents that a model runs", () => {
    expect(share("claude", {})).toBeGreaterThan(0.02)
    expect(share("claude", {})).toBeLessThan(0.09)
    expect(share("script", {})).toBe(0)
    expect(share("human", {})).toBe(0)
  })

  it("follow up a good sign in three of five, else look where nobody looked for longest", () => {
    const scenario = new Scenario()
    const ann = scenario.agent("ann", { kind: "claude", capabilities: { docs: 3 }, maxActive: 100_000 })
    const small = { estimateMs: 60_000, maxAttempts: 1_000 }
    /** The small task that is probed next. */
    const probed = (): string => {
      for (let at = 0; ; at += 1) {
        scenario.task(`t${scenario.state.seq}`, { requires: { docs: 1 } })
        const [id, { rule }] = reasonsOf(scenario, ann)
        if (rule === "probe") return id
        expect(at).toBeLessThan(1_000)
      }
    }
    // It failed at rust, and has just succeeded: a good sign, though less may come of it than of what was never tried.
    scenario.task("first", { requires: { rust: 1 }, ...small })
    const usage = { costMicroUsd: 0, inputTokens: 0, outputTokens: 0 }
    for (let at = 0; at < 4; at += 1) {
      const id = probed()
      scenario.must("task.fail", ann, { task: id, fence: scenario.at(id).fence as number, reason: "it broke", retry: true, usage })
    }
    scenario.complete(ann, probed())
    scenario.task("sign", { requires: { rust: 1 }, ...small })
    scenario.task("unseen", { requires: { go: 1 }, ...small })
    let followed = 0
    for (let probes = 0; probes < 100; probes += 1) {
      const id = probed()
      if (id === "sign") followed += 1
      scenario.must("task.release", ann, { task: id, fence: scenario.at(id).fence as number, reason: "again" })
    }
    expect(followed).toBeGreaterThan(45)
    expect(followed).toBeLessThan(75)
  })

  it("risk neither long nor critical tasks, nor high levels, nor a last attempt", () => {
    expect(share("claude", { estimateMs: null })).toBe(0)
    expect(share("claude", { estimateMs: 600_001 })).toBe(0)
    expect(share("claude", { priority: "critical" })).toBe(0)
    expect(share("claude", { requires: { rust: 3 } })).toBe(0)
    expect(share("claude", { maxAttempts: 1 })).toBe(0)
  })
})
