import { showUsd } from "../../core/money.ts"
import type { Figures as PlanFigures } from "../plan-file.ts"
import { printable } from "../printable.ts"
import { showCount, showDuration } from "../quantity.ts"
import { renderTable, wrapUnder } from "../table.ts"
import type { Terminal } from "../terminal.ts"
import { type Advice, CHOOSING_RUNS, STEPS_MAX } from "./advice.ts"
import { showFaults } from "./faults.ts"
import { type Figures, type Quantiles, speedupOf } from "./figures.ts"
import type { Scenario } from "./scenario.ts"
import type { Trial } from "./trial.ts"

/** All that a simulation found. */
export type Simulation = {
  scenario: Scenario
  planFigures: PlanFigures
  /** How many the plan lets work at once; the simulation lets as many as there are. */
  maxActiveAgents: number | null
  seeds: readonly number[]
  /** One run in which each task takes as long as estimated and nothing goes wrong. */
  estimated: Trial
  criticalPathMs: number
  /** Tasks that say nothing of how long they take. */
  unestimated: number
  trials: readonly Trial[]
  figures: Figures
  advice: Advice | null
}

/** What `--json` prints last. Times in ms, money in micro-USD. */
export function simulationRecord(simulation: Simulation): object {
  const { scenario, planFigures, seeds, estimated, criticalPathMs, unestimated, trials, figures, advice } = simulation
  const { seed: _, stopped: __, agents, ...asEstimated } = estimated
  return {
    kind: "simulation",
    plan: scenario.plan.name,
    title: scenario.plan.title,
    team: scenario.team.map(({ name }) => name),
    seeds,
    spread: scenario.spread,
    faults: scenario.faults,
    estimated: { ...asEstimated, speedup: speedupOf(estimated), criticalPathMs, unestimated, agents },
    planFigures,
    ...figures,
    checks: checksOf([estimated, ...trials]),
    advice,
  }
}

/** What must never be, counted over all runs. */
function checksOf(trials: readonly Trial[]): Record<"idleWhileReady" | "intoOpenBreaker" | "breakersOpened" | "overReserved", number> & { unpriced: boolean } {
  const sum = (figure: (trial: Trial) => number): number => trials.reduce((total, trial) => total + figure(trial), 0)
  return {
    idleWhileReady: sum(({ idleWhileReady }) => idleWhileReady),
    intoOpenBreaker: sum(({ intoOpenBreaker }) => intoOpenBreaker),
    breakersOpened: sum(({ breakersOpened }) => breakersOpened),
    overReserved: sum(({ overReserved }) => overReserved),
    unpriced: trials.some(({ unpriced }) => unpriced),
  }
}

/** Where the text of a line with a label begins. */
const LABEL = 18

/** What people read. */
export function simulationText(terminal: Terminal, simulation: Simulation): string {
  const { advice } = simulation
  const parts = [headLines(terminal, simulation), distribution(terminal, simulation), otherLines(terminal, simulation)]
  if (advice !== null)
    parts.push(
      kindTable(terminal, advice, Math.min(CHOOSING_RUNS, simulation.seeds.length)),
      stepTable(terminal, simulation, advice),
      adviceLines(terminal, advice, simulation),
    )
  return parts.filter((part) => part !== "").join("\n\n")
}

function headLines(terminal: Terminal, { scenario, seeds, estimated, criticalPathMs, planFigures, unestimated }: Simulation): string {
  const { plan, team, spread, faults } = scenario
  const said = [
    planFigures.bestKnownMs === null ? "" : `best known ${showDuration(planFigures.bestKnownMs)}`,
    planFigures.lowerBoundMs === null ? "" : `no schedule of its team is under ${showDuration(planFigures.lowerBoundMs)}`,
  ].filter((part) => part !== "")
  const title = `${terminal.colours.bold(`${printable(plan.title)} (${plan.name})`)}: ${showCount(team.length, "agent")}, ${runsText(seeds)}, spread ${spread}, faults ${showFaults(faults)}`
  const lines = [
    estimated.finished
      ? `by its estimates  ${showDuration(estimated.makespanMs)}, ${times(speedupOf(estimated))} as fast as one agent alone (${showDuration(estimated.workMs)}), ${showUsd(estimated.costMicroUsd)}; critical path ${showDuration(criticalPathMs)}`
      : `by its estimates  it does not finish: ${printable(estimated.stopped[0] ?? "")}`,
  ]
  if (said.length > 0) lines.push(`the plan says     ${said.join(", ")}`)
  if (unestimated > 0) lines.push(`no estimate       ${showCount(unestimated, "task")}, taken for ${showDuration(scenario.estimateMs)} each (--estimate)`)
  return `${wrapUnder(terminal, 2, [title])}\n\n${wrapUnder(terminal, LABEL, lines)}`
}

function runsText(seeds: readonly number[]): string {
  return seeds.length === 1 ? `seed ${seeds[0]}` : `${seeds.length} runs with seeds ${seeds[0]} to ${seeds.at(-1)}`
}

function distribution(terminal: Terminal, { figures }: Simulation): string {
  const { makespanMs, speedup, costMicroUsd, wastedMicroUsd, waitingMs, conflicts, conflictMs, idleMs } = figures
  if (makespanMs === null) return ""
  const row = (name: string, quantiles: Quantiles | null, show: (value: number) => string): string[] =>
    quantiles === null ? [name, "", "", ""] : [name, show(quantiles.p10), show(quantiles.p50), show(quantiles.p90)]
  return renderTable(
    terminal,
    [{ head: "" }, { head: "p10", right: true }, { head: "p50", right: true }, { head: "p90", right: true }, { head: "", wraps: true }],
    [
      [...row("makespan", makespanMs, hours), "from the first claim to the last delivery"],
      [...row("speed-up", speedup, times), "against one agent that does it all"],
      [...row("cost", costMicroUsd, showUsd), ""],
      [...row("wasted", wastedMicroUsd, showUsd), "of that, on attempts that did not complete their task"],
      [...row("waiting", waitingMs, hours), "tasks that were ready and not taken, all together"],
      [...row("conflicts", conflicts, String), "tasks that were kept by files that somebody else held"],
      [...row("kept", conflictMs, hours), "and for how long, all together"],
      [...row("idle", idleMs, hours), "agents with nothing to do, not even filler work, all together"],
    ],
  )
}

function otherLines(terminal: Terminal, { trials, figures, estimated, scenario }: Simulation): string {
  const { green, red } = terminal.colours
  const mark = (good: boolean): string => (good ? green("ok") : red("NO"))
  const { idleWhileReady, intoOpenBreaker, breakersOpened, overReserved, unpriced } = checksOf([estimated, ...trials])
  const lines = [
    `finished          ${figures.finished} of ${figures.runs} runs`,
    `nobody idle       ${mark(idleWhileReady === 0)}: ${idleWhileReady === 0 ? "never" : `${idleWhileReady} times`} was an agent without work, or on filler, while a task was ready that it could have taken`,
    `breakers          ${mark(intoOpenBreaker === 0)}: ${breakersOpened === 0 ? "none opened" : `opened ${breakersOpened} times`}, ${intoOpenBreaker === 0 ? "and nothing was claimed" : `${intoOpenBreaker} claims were made`} under one that was open`,
  ]
  if (scenario.plan.budgetMicroUsd !== null)
    lines.push(
      `budget            ${mark(overReserved === 0)}: ${overReserved === 0 ? "no claim" : `${overReserved} claims`} went beyond the plan's ${showUsd(scenario.plan.budgetMicroUsd)}`,
    )
  const reasons = new Map<string, number>()
  for (const trial of trials) {
    const [reason = `${trial.failedTasks} tasks failed for good, or wait for one that did`] = trial.stopped
    if (!trial.finished) reasons.set(reason, (reasons.get(reason) ?? 0) + 1)
  }
  for (const [reason, count] of [...reasons].slice(0, 5)) lines.push(`not finished      ${count} x: ${printable(reason)}`)
  if (unpriced) lines.push("cost              some work has no price: give the agents `costPerHourUsd`, or their models a price in .skein/config.yaml")
  return wrapUnder(terminal, LABEL, lines)
}

function kindTable(terminal: Terminal, { kinds }: Advice, runs: number): string {
  const show = (ms: number | null): string => (ms === null ? "–" : hours(ms))
  const heads = ["agent", "in the team", "with one less", "as it is", "with one more", ""].map((head, at) => ({
    head,
    right: at > 0 && at < 5,
    wraps: at === 5,
  }))
  const how = runs < 2 ? "" : `makespan, the mean of what its estimates say and the median of ${runs} runs`
  return renderTable(
    terminal,
    heads,
    kinds.map(({ like, count, lessMs, nowMs, moreMs }, at) => [like, count, show(lessMs), show(nowMs), show(moreMs), at === 0 ? how : ""]),
  )
}

function stepTable(terminal: Terminal, { figures, scenario, estimated }: Simulation, { steps }: Advice): string {
  if (steps.length === 0) return ""
  const row = (who: string, agents: number, of: Figures, asEstimatedMs: number | null, gain: string, worth: string): string[] => {
    const idle = of.idleMs === null || of.makespanMs === null ? "" : `${Math.round((100 * of.idleMs.p50) / (agents * of.makespanMs.p50))} %`
    return [
      String(agents),
      asEstimatedMs === null ? "–" : hours(asEstimatedMs),
      show(of.makespanMs, hours),
      show(of.speedup, times),
      show(of.costMicroUsd, showUsd),
      idle,
      gain,
      worth === "" ? who : `${who}: ${worth}`,
    ]
  }
  const show = (quantiles: Quantiles | null, one: (value: number) => string): string => (quantiles === null ? "–" : one(quantiles.p50))
  // The team is last, where it can go on below: beside it a terminal of 80 columns has room for the figures.
  const heads = ["agents", "estimate", "p50", "speed-up", "cost", "idle", "faster", "team"].map((head, at) => ({ head, right: at < 7, wraps: at === 7 }))
  return renderTable(terminal, heads, [
    row("as it is", scenario.team.length, figures, estimated.finished ? estimated.makespanMs : null, "", ""),
    ...steps.map(({ add, agents, figures: of, estimated: planned, gain, worth }) =>
      row(
        add.map((name) => `+ ${name}`).join(" "),
        agents.length,
        of,
        planned?.makespanMs ?? null,
        `${(100 * gain).toFixed(1)} %`,
        worth ? "" : "not worth it",
      ),
    ),
  ])
}

function adviceLines(terminal: Terminal, advice: Advice, simulation: Simulation): string {
  const { steps, spare, target, worth } = advice
  const { maxActiveAgents } = simulation
  const worthy = steps.filter((step) => step.worth).flatMap(({ add }) => add)
  const lines: string[] = []
  if (target !== null)
    lines.push(
      target.reached
        ? `${times(target.speedup)} is reached ${target.add.length === 0 ? "by the team as it is" : `with ${target.add.join(" and ")} added`}`
        : `${times(target.speedup)} ${whyUnreached(target.speedup, advice, simulation)}`,
    )
  if (worth.count === 0) return wrapUnder(terminal, 2, [...lines, "worth paying for: nobody, since no team that was tried finishes the plan"])
  const changes = [worthy.length === 0 ? "" : `${worthy.join(" and ")} added`, spare.length === 0 ? "" : `${spare.join(" and ")} left out`].filter(
    (part) => part !== "",
  )
  lines.push(`worth paying for: ${showCount(worth.count, "agent")}, ${changes.length === 0 ? "the team as it is" : `the team with ${changes.join(", ")}`}`)
  if (steps.length >= STEPS_MAX && steps.every((step) => step.worth)) lines.push("more agents may be worth it too: begin with a larger team, --agents NAME=N")
  if (maxActiveAgents !== null && worth.count > maxActiveAgents)
    lines.push(`for that the plan's maxActiveAgents, which is ${maxActiveAgents}, has to be ${worth.count}`)
  return wrapUnder(terminal, 2, lines)
}

function whyUnreached(speedup: number, { steps, worth }: Advice, { estimated, criticalPathMs }: Simulation): string {
  if (worth.count === 0) return "cannot be reached: no team that was tried finishes the plan"
  if (estimated.finished && estimated.workMs < speedup * criticalPathMs)
    return "cannot be reached with more of these agents: the plan's longest chain is the bound"
  if (steps.length >= STEPS_MAX) return `is not reached with ${steps.flatMap(({ add }) => add).length} agents more: begin with a larger team, --agents NAME=N`
  return "is not reached: none of these agents more makes the plan faster"
}

function times(value: number): string {
  return `${Number(value.toFixed(2))} x`
}

function hours(ms: number): string {
  return ms === 0 ? "0" : showDuration(ms)
}
