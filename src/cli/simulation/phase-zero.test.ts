import { readFileSync } from "node:fs"
import { expect, test } from "vitest"
import type { PlanTask } from "../../core/plan.ts"
import { parsePlanFile } from "../plan-file.ts"
import { adviseTeam, furtherAgents } from "./advice.ts"
import { parseFaults } from "./faults.ts"
import { figuresOf, runTrials, speedupOf } from "./figures.ts"
import type { Scenario } from "./scenario.ts"
import { teamFrom } from "./team.ts"
import { runTrial } from "./trial.ts"

const HOUR_MS = 3_600_000
/** Two or three seconds of work: on a machine that is busy otherwise much longer. */
const BUSY_MS = 120_000

function phaseZero(changes: Partial<Scenario> = {}): Scenario {
  const file = parsePlanFile(readFileSync("examples/phase-zero.yaml"))
  if ("faults" in file) throw new Error("the example has faults")
  const { plan } = file.ok
  return { plan, team: teamFrom(plan, plan.agents, []), faults: parseFaults("none"), spread: 0, prices: new Map(), estimateMs: HOUR_MS / 2, ...changes }
}

test(
  "phase zero takes its six agents no longer than the best known 18 h, and none of them is idle while a task is ready for it",
  async () => {
    const trial = await runTrial(phaseZero(), 1)
    expect(trial.finished).toBe(true)
    expect(trial.makespanMs).toBeLessThanOrEqual(18 * HOUR_MS)
    // No schedule of these six is faster: less would be no simulation of this plan.
    expect(trial.makespanMs).toBeGreaterThanOrEqual(17.5 * HOUR_MS)
    expect(trial.workMs).toBe(37 * HOUR_MS)
    expect(trial.costMicroUsd).toBe(555_000_000)
    expect(trial.idleWhileReady).toBe(0)
    expect(trial.attempts).toEqual({ delivered: 26, failed: 0, crashed: 0, throttled: 0 })
  },
  BUSY_MS,
)

test(
  "for three times the speed of one agent the simulation itself finds that a second bus and a second cli are missing: 10.5 h, the critical path",
  async () => {
    const scenario = phaseZero()
    const trial = await runTrial(scenario, 1)
    const base = { figures: figuresOf([trial]), estimated: { makespanMs: trial.makespanMs, speedup: speedupOf(trial) } }
    const advice = await adviseTeam({ scenario, further: [], seeds: [1], worthGain: 0.05, target: 3 }, base)
    expect(advice.target).toEqual({ speedup: 3, reached: true, add: ["bus-2", "cli-2"] })
    expect(advice.steps.map(({ estimated }) => (estimated?.makespanMs ?? 0) / HOUR_MS)).toEqual([13.5, 10.5])
    expect(advice.steps.every(({ worth }) => worth)).toBe(true)
    // Without a cli, or a bus, nobody can do what only they can.
    expect(advice.kinds.filter(({ lessMs }) => lessMs === null).map(({ like }) => like)).toEqual(["cli", "bus"])
    expect(advice.worth.agents).toEqual(expect.arrayContaining(["cli", "bus", "bus-2", "cli-2"]))
  },
  BUSY_MS,
)

test(
  "where estimates are out by a quarter, phase zero still costs 480 to 630 USD in eight of ten runs, and nobody ever idles beside ready work",
  async () => {
    const trials = await runTrials(phaseZero({ spread: 0.25 }), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    expect(
      trials.reduce((sum, { idleWhileReady }) => sum + idleWhileReady, 0),
      "idle while a task was ready",
    ).toBe(0)
    const { costMicroUsd, finished } = figuresOf(trials)
    expect(finished).toBeGreaterThanOrEqual(8)
    expect(costMicroUsd?.p10).toBeGreaterThanOrEqual(480e6)
    expect(costMicroUsd?.p90).toBeLessThanOrEqual(630e6)
    // Whatever was estimated wrongly, the plan's money is never overdrawn by a claim.
    for (const { costMicroUsd: cost, finished: done } of trials) if (done) expect(cost).toBeLessThanOrEqual(630e6)
  },
  BUSY_MS,
)

test(
  "the report of a run says which agents to add: a further bus, then a further cli, which reach the critical path",
  async () => {
    const { plan, team } = phaseZero()
    const advice = await furtherAgents(plan, team)
    expect(advice).toEqual([
      "add a further bus: 13.5 h instead of 17.5 h by its estimates (--add bus)",
      "and a further cli: 10.5 h instead of 13.5 h by its estimates (--add cli)",
    ])
    // Without estimates, and where the team is at the critical path already, there is nothing to say.
    const [first, second] = plan.tasks as [PlanTask, PlanTask]
    const { estimateMs: _, ...unknown } = second
    expect(await furtherAgents({ ...plan, tasks: [first, { ...unknown, dependsOn: [] }] }, team)).toEqual([])
    expect(await furtherAgents({ ...plan, tasks: [first] }, team)).toEqual([])
  },
  BUSY_MS,
)
