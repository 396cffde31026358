import { describe, expect, test } from "vitest"
import type { PlanTask } from "../../core/plan.ts"
import { adviseTeam } from "./advice.ts"
import { parseFaults } from "./faults.ts"
import { drawFortune, successChance } from "./fortune.ts"
import { figuresOf, quantiles, runTrials, speedupOf } from "./figures.ts"
import { costOf, criticalPathMs, type Member, type Scenario } from "./scenario.ts"
import { kindsOf, teamFrom } from "./team.ts"
import { runTrial } from "./trial.ts"

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

function member(name: string, changes: Partial<Member> = {}): Member {
  return { name, start: true, ...changes }
}

function scenario(tasks: PlanTask[], team: Member[], changes: Partial<Scenario> = {}): Scenario {
  const limits = { worktrees: false, maxActiveAgents: null, budgetMicroUsd: null }
  const plan = { name: "p", title: "P", digest: "0".repeat(64), commit: null, ...limits, agents: team, tasks }
  return { plan, team, faults: parseFaults("none"), spread: 0, prices: new Map(), estimateMs: HOUR_MS, ...changes }
}

function tasks(count: number, changes: Partial<PlanTask> = {}): PlanTask[] {
  return Array.from({ length: count }, (_, at) => ({ id: `t${at}`, title: `T${at}`, estimateMs: 20 * MINUTE_MS, ...changes }))
}

const pair = [member("ann"), member("bob")]

describe("a simulated run", () => {
  test("is the same for the same seed, and another for another", async () => {
    const storm = scenario(tasks(12), pair, { faults: parseFaults("storm"), spread: 0.5 })
    const [one, again, other] = [await runTrial(storm, 7), await runTrial(storm, 7), await runTrial(storm, 8)]
    expect(again).toEqual(one)
    expect({ ...other, seed: 7 }).not.toEqual(one)
  })

  test("takes as long as its estimates where there is nothing left to chance", async () => {
    const chain = tasks(4).map((task, at): PlanTask => (at === 0 ? task : { ...task, dependsOn: [`t${at - 1}`] }))
    const run = await runTrial(scenario(chain, pair), 1)
    expect(run).toMatchObject({ finished: true, makespanMs: 80 * MINUTE_MS, workMs: 80 * MINUTE_MS, waitingMs: 0, idleWhileReady: 0 })
    // One of the two had nothing to do.
    expect(run.idleMs).toBe(80 * MINUTE_MS)
    expect(criticalPathMs(scenario(chain, pair))).toBe(80 * MINUTE_MS)
    expect((await runTrial(scenario(tasks(4), pair), 1)).makespanMs).toBe(40 * MINUTE_MS)
  })

  test("counts how long tasks waited for somebody, and how often files kept one from being taken", async () => {
    const alone = await runTrial(scenario(tasks(3), [member("ann")]), 1)
    expect(alone.waitingMs).toBe(60 * MINUTE_MS)
    expect(alone.conflicts).toBe(0)
    const run = await runTrial(scenario(tasks(2, { touches: ["src/**"] }), pair), 1)
    expect(run).toMatchObject({ finished: true, makespanMs: 40 * MINUTE_MS, conflicts: 1, conflictMs: 20 * MINUTE_MS, idleWhileReady: 0 })
  })

  test("goes through crashes: the lost session's task is taken up again, what it cost is counted as wasted", async () => {
    const dear = scenario(tasks(10, { maxAttempts: 50 }), [
      member("ann", { costPerHourMicroUsd: 3_000_000 }),
      member("bob", { costPerHourMicroUsd: 3_000_000 }),
    ])
    const run = await runTrial({ ...dear, faults: parseFaults("crash=0.4") }, 3)
    expect(run.finished).toBe(true)
    expect(run.attempts.crashed).toBeGreaterThan(0)
    expect(run.wastedMicroUsd).toBeGreaterThan(0)
    // Ten tasks of twenty minutes at 3 USD an hour, and what was wasted besides.
    expect(run.costMicroUsd - run.wastedMicroUsd).toBe(10_000_000)
  })

  test("stops where the money is gone, and says so", async () => {
    const short = scenario(tasks(6, { run: { standIn: { ms: HOUR_MS, costMicroUsd: 1_000_000 } } }), pair)
    const run = await runTrial({ ...short, plan: { ...short.plan, budgetMicroUsd: 4_500_000 } }, 1)
    expect(run).toMatchObject({ finished: false, costMicroUsd: 4_000_000 })
    expect(run.stopped[0]).toMatch(/is ready, but budget plan\/p\.1 has \$0\.50 of \$4\.50 left/)
  })

  test("never reserves more than there is, whatever crashes and reports late, and its books hold every micro-USD that was spent", async () => {
    const rate = { costPerHourMicroUsd: 3_333_333 }
    const team = ["ann", "bob", "cat", "dan"].map((name) => member(name, rate))
    const dear = scenario(tasks(40, { maxAttempts: 1_000 }), team, { faults: parseFaults("crash=0.2,throttle=0.1,fail=0.2"), spread: 0.5 })
    let stopped = 0
    for (const run of await runTrials({ ...dear, plan: { ...dear.plan, budgetMicroUsd: 30_000_000 } }, [1, 2, 3, 4, 5, 6])) {
      expect(run.overReserved, `seed ${run.seed}`).toBe(0)
      expect(run.bookedMicroUsd, `seed ${run.seed}: the plan's books`).toBe(run.costMicroUsd)
      if (!run.finished) stopped += 1
    }
    // Some had too little: else nothing was held back.
    expect(stopped).toBeGreaterThan(0)
  })

  test("stops where nobody can do what is left, and says so", async () => {
    const run = await runTrial(scenario(tasks(1, { requires: { latin: 3 } }), [member("ann", { capabilities: { latin: 2 } })]), 1)
    expect(run.finished).toBe(false)
    expect(run.stopped[0]).toMatch(/requires latin 3, which none of the agents here has/)
  })

  test("is given up where a task is throttled every time, and says which", async () => {
    const run = await runTrial(scenario(tasks(1), [member("ann")], { faults: parseFaults("throttle=1") }), 1)
    expect(run).toMatchObject({ finished: false, attempts: { throttled: 500 }, stopped: ["p.1/t0 was throttled 500 times"] })
  })

  test("drops filler work for real work, and a review is passed", async () => {
    const plan = [...tasks(2, { review: true }), { id: "f", title: "F", estimateMs: 5 * HOUR_MS, filler: true }]
    const chained = plan.map((task) => (task.id === "t1" ? { ...task, dependsOn: ["t0"] } : task))
    const run = await runTrial(scenario(chained, [member("ann")]), 1)
    // Between the two is the reviewer's ten minutes, and its own after the second.
    expect(run).toMatchObject({ finished: true, makespanMs: 60 * MINUTE_MS, idleWhileReady: 0 })
    expect(run.fillerMs).toBeGreaterThan(0)
  })
})

describe("a storm in simulation", () => {
  test("does not spread: a model that answers nobody is asked a few times, nothing is claimed under its open breaker, and others do the work meanwhile", async () => {
    const both = (model: string): Member[] => ["a", "b"].map((name) => member(`${model}-${name}`, { model, account: model }))
    const storm = scenario(tasks(60, { maxAttempts: 1_000, labels: ["code"] }), [...both("x"), ...both("y")], { faults: parseFaults("outage=180") })
    for (const run of await runTrials(storm, [1, 2, 3, 4, 5])) {
      const told = `seed ${run.seed}: ${JSON.stringify(run)}`
      expect(run.finished, told).toBe(true)
      expect(run.breakersOpened, told).toBeGreaterThan(0)
      expect(run.intoOpenBreaker, told).toBe(0)
      // In three hours two agents could have failed 360 times.
      expect(run.attempts.failed, told).toBeLessThanOrEqual(30)
      // Sixty tasks of twenty minutes: five hours by all four, and ten by the two that are left.
      expect(run.makespanMs, told).toBeLessThan(10 * HOUR_MS)
      expect(run.idleWhileReady, told).toBe(0)
    }
  })

  test("claims nothing under an open breaker whatever goes wrong at once", async () => {
    const storm = scenario(tasks(40, { maxAttempts: 1_000 }), [...pair, member("cat", { account: "shared" }), member("dan", { account: "shared" })], {
      faults: parseFaults("crash=0.2,throttle=0.2,fail=0.4,outage=60"),
      spread: 0.4,
    })
    for (const run of await runTrials(storm, [11, 12, 13])) {
      expect(run, `seed ${run.seed}`).toMatchObject({ finished: true, intoOpenBreaker: 0, idleWhileReady: 0 })
      expect(run.breakersOpened).toBeGreaterThan(0)
      expect(run.attempts.delivered).toBe(40)
    }
  })
})

test("what an attempt comes to depends on seed, task and number alone, so that teams are compared under the same luck", () => {
  const [task] = tasks(1) as [PlanTask]
  const world = scenario([task], pair, { spread: 0.25, faults: parseFaults("some") })
  const [ann, bob] = pair as [Member, Member]
  expect(drawFortune(world, ann, task, 1, 1)).toEqual(drawFortune({ ...world, team: [ann] }, bob, task, 1, 1))
  const drawn = new Set(Array.from({ length: 50 }, (_, seed) => drawFortune(world, ann, task, seed, 1).ms))
  expect(drawn.size).toBeGreaterThan(40)
})

test("the chance of success follows from levels, unless the team says better", () => {
  const ann = member("ann", { capabilities: { node: 3 } })
  expect(successChance(ann, { node: 3 }, 0.2)).toBeCloseTo(0.8)
  expect(successChance(ann, { node: 2 }, 0.2)).toBeCloseTo(0.9)
  expect(successChance(ann, { node: 4 }, 0.2)).toBe(0.25)
  expect(successChance(ann, {}, 0.2)).toBeCloseTo(0.8)
  expect(successChance({ ...ann, success: { node: 0.5 } }, { node: 3 }, 0)).toBe(0.5)
})

test("work costs what the plan says, else by the agent's hour, else by the model's price, and else nobody knows", () => {
  const price = { input: 3, output: 15, cacheRead: 0.3, cacheWrite: 3.75 }
  const world = scenario([], pair, { prices: new Map([["m", price]]) })
  const task: PlanTask = { id: "t", title: "T", estimateMs: HOUR_MS }
  expect(costOf({ ...task, run: { standIn: { ms: 1, costMicroUsd: 500 } } }, member("a", { costPerHourMicroUsd: 9 }), HOUR_MS / 2, world)).toBe(250)
  expect(costOf({ ...task, model: "m" }, member("a", { costPerHourMicroUsd: 4_000_000 }), HOUR_MS / 2, world)).toBe(2_000_000)
  // 0.1 M read, 0.06 M written, 5 M from the cache, 0.4 M into it.
  expect(costOf({ ...task, model: "m-1" }, member("a"), HOUR_MS, world)).toBe(300_000 + 900_000 + 1_500_000 + 1_500_000)
  expect(costOf(task, member("a"), HOUR_MS, world)).toBeNull()
})

test("a team is the plan's own, with so many of some, or coding agents that may take any task", () => {
  const known = [member("bus", { capabilities: { a: 1 } }), member("cli", { capabilities: { b: 2 } }), member("talent", { start: false })]
  const { plan } = scenario(tasks(1, { requires: { c: 4 } }), known)
  const names = (words: string[]): string[] => teamFrom(plan, known, words).map(({ name }) => name)
  expect(names([])).toEqual(["bus", "cli"])
  expect(names(["bus=3", "cli=0"])).toEqual(["bus", "bus-2", "bus-3"])
  expect(names(["claude=2"])).toEqual(["claude", "claude-2"])
  expect(teamFrom(plan, known, ["claude=1"])[0]).toMatchObject({ kind: "claude", capabilities: { a: 1, b: 2, c: 4 } })
  expect(names(["claude=1", "bus=1"])).toEqual(["bus", "claude"])
  for (const wrong of ["bus", "bus=x", "nobody=1", "bus=0,cli=0"]) expect(() => names(wrong.split(",")), wrong).toThrow()
  expect(kindsOf(teamFrom(plan, known, ["bus=2"])).map(({ like, count }) => [like.name, count])).toEqual([
    ["bus", 2],
    ["cli", 1],
  ])
})

test("where two kinds are equally short of hands, one more of each is advised, though one of either alone does nothing", async () => {
  const kinds = ["x", "y"].map((skill) => member(skill, { capabilities: { [skill]: 1 } }))
  const work = ["x", "y"].flatMap((skill) => tasks(8).map((task): PlanTask => ({ ...task, id: `${skill}${task.id}`, requires: { [skill]: 1 } })))
  const short = scenario(work, kinds)
  const run = await runTrial(short, 1)
  const base = { figures: figuresOf([run]), estimated: { makespanMs: run.makespanMs, speedup: speedupOf(run) } }
  const advice = await adviseTeam({ scenario: short, further: [], seeds: [1], worthGain: 0.2, target: null }, base)
  expect(advice.kinds.map(({ moreMs, nowMs }) => moreMs === nowMs)).toEqual([true, true])
  expect(advice.steps[0]).toMatchObject({ add: ["x-2", "y-2"], like: ["x", "y"], gain: 0.5, worth: true })
  expect(advice.worth).toEqual({ count: 4, agents: ["x", "y", "x-2", "y-2"] })
  expect(advice.steps.filter(({ worth }) => worth)).toHaveLength(1)
})

test("where no team finishes the plan, none is called worth paying for", async () => {
  const unable = scenario(tasks(1, { requires: { latin: 1 } }), pair)
  const base = { figures: figuresOf([await runTrial(unable, 1)]), estimated: null }
  const { worth, target } = await adviseTeam({ scenario: unable, further: [], seeds: [1], worthGain: 0.05, target: 2 }, base)
  expect(worth).toEqual({ count: 0, agents: [] })
  expect(target?.reached).toBe(false)
})

test("quantiles are values that occurred", () => {
  expect(quantiles([])).toBeNull()
  expect(quantiles([5])).toEqual({ p10: 5, p50: 5, p90: 5 })
  expect(quantiles([10, 2, 3, 4, 5, 6, 7, 8, 9, 1])).toEqual({ p10: 1, p50: 5, p90: 9 })
})
