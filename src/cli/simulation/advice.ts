import type { AddPlan } from "../../core/plan.ts"
import { meets } from "../../core/ready.ts"
import { showDuration } from "../quantity.ts"
import { parseFaults } from "./faults.ts"
import { calmed, type Figures, figuresOf, isCertain, runTrials, speedupOf } from "./figures.ts"
import { criticalPathMs, type Member, realTasks, type Scenario } from "./scenario.ts"
import { another, type Kind, kindsOf, sameKind } from "./team.ts"
import { runTrial } from "./trial.ts"

/** What a team is worth: its runs, and the one in which all goes as estimated (null where that does not finish). */
export type Judged = { figures: Figures; estimated: { makespanMs: number; speedup: number } | null }
/** The same, with how long each agent was at work as estimated: who is a bottleneck. */
type Weighed = Judged & { workMs: ReadonlyMap<string, number> }
/** One team that was tried on the way. `add`: who came in, beside the team before; `like`: and like whom. `gain`: by what share it is faster than that one. */
export type Step = Judged & { add: string[]; like: string[]; agents: string[]; gain: number; worth: boolean }

export type Advice = {
  /** By kind: how long the plan takes with one less and with one more of it, in ms; null where it would not finish, or none can go or come. */
  kinds: { like: string; count: number; lessMs: number | null; nowMs: number | null; moreMs: number | null }[]
  /** Each step adds whoever makes the plan the fastest; the last may be the first that is not worth it. */
  steps: Step[]
  /** Agents of the team that could be left out beside those that are worth adding, and the plan would take no longer. */
  spare: string[]
  /** Whom to add to reach the speed-up that was asked for, by the estimates and in the median of the runs; null where none was. */
  target: { speedup: number; reached: boolean; add: string[] } | null
  /** So many agents are worth paying for, and these are they; none where no team that was tried finishes the plan. */
  worth: { count: number; agents: string[] }
}

export type AdviceOptions = {
  scenario: Scenario
  /** Plan agents that are not in the team and could be. */
  further: readonly Member[]
  seeds: readonly number[]
  /** One more agent is worth it from this gain on, 0 to 1. */
  worthGain: number
  target: number | null
}

type Judge = (team: readonly Member[]) => Promise<Weighed>
type Tried = { team: readonly Member[]; judged: Weighed }

/** Runs by which teams are told apart: under the same luck a few are enough. */
export const CHOOSING_RUNS = 3
/** What the report of a real run waits for. */
const REPORTED_TASKS_MAX = 200
const REPORTED_STEPS_MAX = 3
const REPORTED_KINDS_MAX = 8
/** Agents that are added one after the other at the most. */
export const STEPS_MAX = 12
/** A time that is longer by no more than this is as good. */
const AS_GOOD = 0.005
/** Kinds of which several are tried at once. */
const BUSIEST = 3

/** Tries teams with one agent more or less of each kind, under the same luck, and goes on from the best. `base`: the team as it is, by all seeds. */
export async function adviseTeam(options: AdviceOptions, base: Judged): Promise<Advice> {
  const { scenario, further, target, seeds } = options
  const judge = judgeOf(scenario, seeds.slice(0, CHOOSING_RUNS))
  const useful = ({ like }: Kind): boolean => realTasks(scenario.plan).some(({ requires = {} }) => meets({ capabilities: like.capabilities ?? {} }, requires))
  const kinds = kindsOf(scenario.team, further).filter((kind) => kind.count > 0 || useful(kind))
  const now: Tried = { team: scenario.team, judged: await judge(scenario.team) }
  const rows: Advice["kinds"] = []
  for (const kind of kinds) {
    const { like, count } = kind
    const fewer = scenario.team.filter(({ name }) => name !== like.name)
    const less = count === 0 || fewer.length === 0 ? null : finiteMs(await judge(fewer))
    const more = useful(kind) ? finiteMs(await judge([...scenario.team, another(like, scenario.team)])) : null
    rows.push({ like: like.name, count, lessMs: less, nowMs: finiteMs(now.judged), moreMs: more })
  }
  const climbed = await climb(options, kinds.filter(useful), now, judge)
  const worthy = climbed.findLast(({ worth }) => worth)?.team ?? scenario.team
  const rest = await leaveOut(worthy, judge)
  const paid = finiteMs(await judge(rest)) === null ? [] : rest
  const spare = worthy.filter((member) => !rest.includes(member)).map(({ name }) => name)
  // What is told of the teams on the way is from all seeds: a few are enough to choose by, and not to promise anything.
  const all = seeds.length <= CHOOSING_RUNS ? judge : judgeOf(scenario, seeds)
  const steps: Step[] = []
  for (const { team, add, like, gain, worth } of climbed) steps.push({ ...(await all(team)), add, like, agents: team.map(({ name }) => name), gain, worth })
  const reached = target === null ? null : reach(target, base, steps)
  return { kinds: rows, steps, spare, target: reached, worth: { count: paid.length, agents: paid.map(({ name }) => name) } }
}

/**
 * Which agents would have made a plan faster by its estimates, a line each; empty where the estimates are missing, or the plan is too large to be run over and over
 * while somebody waits for a report.
 */
export async function furtherAgents(plan: AddPlan, team: readonly Member[]): Promise<string[]> {
  const tasks = realTasks(plan)
  if (tasks.length === 0 || plan.tasks.length > REPORTED_TASKS_MAX || tasks.some(({ estimateMs }) => (estimateMs ?? null) === null)) return []
  const scenario = calmed({ plan, team, faults: parseFaults("none"), spread: 0, prices: new Map(), estimateMs: 0 })
  const kinds = kindsOf(team)
  if (kinds.length > REPORTED_KINDS_MAX) return []
  const judge = judgeOf(scenario, [1])
  const base: Tried = { team, judged: await judge(team) }
  const lines: string[] = []
  let beforeMs = msOf(base.judged)
  for (const { like, judged } of (await climb({ scenario, further: [], seeds: [1], worthGain: AS_GOOD, target: null }, kinds, base, judge)).slice(
    0,
    REPORTED_STEPS_MAX,
  )) {
    const ms = msOf(judged)
    const options = like.map((name) => `--add ${name}`).join(" ")
    lines.push(
      `${lines.length === 0 ? "add" : "and"} a further ${like.join(" and ")}: ${showDuration(ms)} instead of ${showDuration(beforeMs)} by its estimates (${options})`,
    )
    beforeMs = ms
  }
  return lines
}

/** Runs a team once for each seed and once as estimated; the same team again is not run again. */
function judgeOf(scenario: Scenario, seeds: readonly number[]): Judge {
  const known = new Map<string, Promise<Weighed>>()
  const run: Judge = async (team) => {
    const placed = { ...scenario, team, plan: withRoom(scenario, team) }
    const trial = await runTrial(calmed(placed), seeds[0] ?? 1)
    const estimated = trial.finished ? { makespanMs: trial.makespanMs, speedup: speedupOf(trial) } : null
    const workMs = new Map(trial.agents.map(({ agent, workMs: atWorkMs }) => [agent, atWorkMs]))
    return { workMs, figures: figuresOf(isCertain(scenario) ? [trial] : await runTrials(placed, seeds)), estimated }
  }
  return (team) => {
    const key = JSON.stringify(team)
    const judged = known.get(key) ?? run(team)
    known.set(key, judged)
    return judged
  }
}

/** What teams are compared by, in ms: half as estimated, half the median of the runs; Infinity where the one or most of the others do not finish. */
function msOf({ figures, estimated }: Judged): number {
  if (estimated === null || figures.makespanMs === null || figures.finished * 2 < figures.runs) return Infinity
  return (estimated.makespanMs + figures.makespanMs.p50) / 2
}

function finiteMs(judged: Judged): number | null {
  const ms = msOf(judged)
  return ms === Infinity ? null : ms
}

/** By the estimates and in the median of the runs: the smaller of both. */
function surelyAsFast({ figures, estimated }: Judged): number {
  return Math.min(estimated?.speedup ?? 0, figures.speedup?.p50 ?? 0)
}

type Climbed = Tried & Pick<Step, "add" | "like" | "gain" | "worth">

/** Adds whoever makes the plan the fastest, until one more is not worth it, and the target is reached. */
async function climb({ scenario, worthGain, target }: AdviceOptions, kinds: readonly Kind[], now: Tried, judge: Judge): Promise<Climbed[]> {
  const steps: Climbed[] = []
  const boundMs = criticalPathMs(scenario)
  const reached = ({ judged }: Tried): boolean => target === null || surelyAsFast(judged) >= target
  let best = now
  while (steps.length < STEPS_MAX) {
    const beforeMs = msOf(best.judged)
    // Nobody is faster than the longest chain, if all goes as estimated.
    if (scenario.spread === 0 && beforeMs <= boundMs) break
    const gainOf = ({ judged }: Tried): number => (beforeMs === Infinity ? 1 : 1 - msOf(judged) / beforeMs)
    const isWorth = (one: Tried): boolean => gainOf(one) / (one.team.length - best.team.length) >= worthGain
    const single = await fastest(
      kinds.map((kind) => [kind]),
      best,
      judge,
    )
    // Where two kinds are equally short of hands, one more of either alone does little.
    const several = single !== null && isWorth(single) ? null : await fastest(together(kinds, best), best, judge)
    const found = several !== null && (single === null || isWorth(several)) ? several : single
    if (found === null) break
    const { like } = found
    const add = found.team.slice(best.team.length).map(({ name }) => name)
    const gain = gainOf(found)
    const worth = isWorth(found) && steps.every((step) => step.worth)
    best = found
    steps.push({ team: found.team, judged: found.judged, add, like, gain, worth })
    if (!worth && reached(best)) break
  }
  return steps
}

/** The team that one of these additions makes the fastest; null where none makes it faster. */
async function fastest(additions: readonly (readonly Kind[])[], { team, judged }: Tried, judge: Judge): Promise<(Tried & { like: string[] }) | null> {
  let best: (Tried & { like: string[] }) | null = null
  let bestMs = msOf(judged) * (1 - AS_GOOD)
  for (const kinds of additions) {
    const larger = [...team]
    for (const { like } of kinds) larger.push(another(like, larger))
    const found = await judge(larger)
    if (msOf(found) >= bestMs) continue
    best = { team: larger, judged: found, like: kinds.map(({ like }) => like.name) }
    bestMs = msOf(found)
  }
  return best
}

/** Several at once: two of the kinds that are the busiest, and one of each of them. */
function together(kinds: readonly Kind[], { team, judged: { workMs } }: Tried): Kind[][] {
  const busy = kinds.map((kind) => {
    const ofKind = team.filter((member) => sameKind(member, kind.like))
    return { kind, ms: Math.max(0, ...ofKind.map(({ name }) => workMs.get(name) ?? 0)) }
  })
  const busiest = busy
    .sort((a, b) => b.ms - a.ms)
    .slice(0, BUSIEST)
    .map(({ kind }) => kind)
  const pairs = busiest.flatMap((one, at) => busiest.slice(at).map((other) => [one, other]))
  return busiest.length > 2 ? [...pairs, busiest] : pairs
}

/** Who is left when all have gone, the last first, without whom the plan takes no longer. */
async function leaveOut(team: readonly Member[], judge: Judge): Promise<readonly Member[]> {
  const base = await judge(team)
  const mostMs = msOf(base) * (1 + AS_GOOD)
  let rest = team
  for (const member of team.toReversed()) {
    const fewer = rest.filter(({ name }) => name !== member.name)
    if (fewer.length === 0) break
    const found = await judge(fewer)
    if (found.figures.finished >= base.figures.finished && msOf(found) <= mostMs && msOf(found) < Infinity) rest = fewer
  }
  return rest
}

function reach(speedup: number, base: Judged, steps: readonly Step[]): Advice["target"] {
  const add: string[] = []
  if (surelyAsFast(base) >= speedup) return { speedup, reached: true, add }
  for (const step of steps) {
    add.push(...step.add)
    if (surelyAsFast(step) >= speedup) return { speedup, reached: true, add }
  }
  return { speedup, reached: false, add: [] }
}

/** A plan that lets so many work at once as it did, and as many as were added. */
export function withRoom({ plan }: Pick<Scenario, "plan">, team: readonly Member[]): Scenario["plan"] {
  return plan.maxActiveAgents === null ? plan : { ...plan, maxActiveAgents: Math.max(plan.maxActiveAgents, team.length) }
}
