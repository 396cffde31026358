import type { Price } from "../../core/usage.ts"
import { readConfig } from "../config.ts"
import type { Context } from "../context.ts"
import { SkeinError } from "../../contract/errors.ts"
import { readPlanFile } from "../plan-source.ts"
import { adviseTeam, withRoom } from "./advice.ts"
import { parseFaults } from "./faults.ts"
import { calmed, figuresOf, isCertain, runTrials, speedupOf } from "./figures.ts"
import { type Simulation, simulationRecord, simulationText } from "./report.ts"
import { criticalPathMs, type Member, realTasks, type Scenario } from "./scenario.ts"
import { readTeamFile } from "./team-file.ts"
import { teamFrom } from "./team.ts"
import { runTrial } from "./trial.ts"

export type SimulateOptions = {
  agents?: readonly string[]
  team?: string
  faults: string
  runs: number
  seed: number
  spread: number
  target?: number
  /** Percent. */
  worth: number
  /** In ms. */
  estimate?: number
  advice: boolean
}

/** What a task is taken to last that says nothing of it, in ms. */
const ASSUMED_MS = 30 * 60_000

/** Simulates a plan file and prints what came of it. Throws `UsageError` where the team or the faults make no sense. */
export async function simulatePlan(context: Context, file: string, options: SimulateOptions): Promise<void> {
  const { plan, figures: planFigures } = await readPlanFile(file)
  const known: readonly Member[] = plan.agents
  const team = options.team === undefined ? teamFrom(plan, known, options.agents ?? []) : readTeamFile(options.team)
  const faults = parseFaults(options.faults)
  const given = { plan, team, faults, spread: options.spread, prices: pricesOf(context), estimateMs: options.estimate ?? ASSUMED_MS }
  const scenario: Scenario = { ...given, plan: withRoom(given, team) }
  const simulation = await withoutStacks(() => simulated(scenario, options, known))
  const { maxActiveAgents } = plan
  const told: Simulation = { ...simulation, scenario, planFigures, maxActiveAgents }
  for (const trial of told.trials) context.terminal.record({ kind: "run", ...trial })
  context.terminal.answer(simulationRecord(told), () => simulationText(context.terminal, told))
  if (told.figures.finished === 0) process.exitCode = 1
}

async function simulated(
  scenario: Scenario,
  options: SimulateOptions,
  known: readonly Member[],
): Promise<Omit<Simulation, "scenario" | "planFigures" | "maxActiveAgents">> {
  // Where nothing is left to chance, one run is as good as many.
  const runs = isCertain(scenario) ? 1 : options.runs
  const seeds = Array.from({ length: runs }, (_, at) => options.seed + at)
  const estimated = await runTrial(calmed(scenario), options.seed)
  const trials = await runTrials(scenario, seeds)
  const figures = figuresOf(trials)
  const base = { figures, estimated: estimated.finished ? { makespanMs: estimated.makespanMs, speedup: speedupOf(estimated) } : null }
  const further = options.team === undefined && options.agents === undefined ? known.filter(({ start }) => !start) : []
  const choice = { scenario, further, seeds, worthGain: options.worth / 100, target: options.target ?? null }
  const advice = options.advice ? await adviseTeam(choice, base) : null
  const unestimated = realTasks(scenario.plan).filter(({ estimateMs, run }) => (estimateMs ?? null) === null && !(run && "standIn" in run)).length
  return { seeds, estimated, criticalPathMs: criticalPathMs(scenario), unestimated, trials, figures, advice }
}

/** Refusals are answers here, thousands a second, and nobody reads where they were made: that would be a sixth of the time. */
async function withoutStacks<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  const { stackTraceLimit } = Error
  if (process.env["SKEIN_DEBUG"] === undefined) Error.stackTraceLimit = 0
  try {
    return await work()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** The prices of this repository's settings; none outside of a repository. */
function pricesOf(context: Context): ReadonlyMap<string, Price> {
  try {
    return readConfig(context.instance().directory).prices
  } catch (error) {
    // A plan is simulated anywhere: settings that are there and cannot be read are told of.
    if (error instanceof SkeinError && error.message.includes("config.yaml")) throw error
    return new Map()
  }
}
