import { assign } from "../src/core/assignment.ts"
import { bestOf, scoreOf } from "../src/core/coordinator.ts"
import type { Verdict } from "./claims.ts"
import { median, round, table } from "./figure.ts"
import { type AssignmentSpeed, assignmentSpeed } from "./governor-speed.ts"
import { newRule, type Rule, type RuleName } from "./governor-rules.ts"
import { breathe } from "./scratch.ts"
import { chanceFrom, World, type WorldOptions } from "./governor-world.ts"

export type GovernorOptions = { directory: string; /** Worlds that are drawn, one a seed from 1 on. */ rounds: number; world: Omit<WorldOptions, "unskilled"> }
export const GOVERNOR: Omit<GovernorOptions, "directory"> = {
  rounds: 60,
  world: { agents: 12, skills: 6, mastered: 2, tasks: 2_000, wrong: 0.15, bloomers: 0.25, idle: 0.75 },
}
/** What random assignment is to waste. */
const RANDOM_WASTE = 0.57
const RULES: readonly RuleName[] = ["random", "containment", "successWeighted", "thompson", "discountedUcb", "greedy", "governor", "oracle"]
/** More attempts on one task than anybody would pay for. */
const ATTEMPTS_MAX = 20
const BATCH = 10

type Score = { wastePercent: number; foundPercent: number; medianTasksToFind: number; falseAlarms: number }
export type GovernorReport = {
  rounds: number
  world: WorldOptions
  /** Percent of the whole cost that went into attempts that failed. */
  waste: Record<Exclude<RuleName, "oracle">, number>
  oracle: number
  /** Percent of the late bloomers that ours found before the run ended. */
  bloomersFound: number
  rules: Record<RuleName, Score>
  /** The same rules where a team is harder to know, in percent of waste, and of late bloomers that ours found. */
  harder: Record<string, Record<RuleName | "bloomersFound", number>>
  /** Batches of ten tasks for twelve agents: percent of the tasks that fail. */
  batches: { greedy: number; hungarian: number }
  speed: AssignmentSpeed
  gate: Record<string, Verdict>
}

export async function benchGovernor({ rounds, world: given }: GovernorOptions): Promise<GovernorReport> {
  const world: WorldOptions = { ...given, unskilled: await calibrated(given, Math.min(rounds, 20)) }
  const rules = await scores(world, rounds)
  const few = Math.min(rounds, 20)
  const elsewhere = async (changed: Partial<WorldOptions>): Promise<Record<RuleName | "bloomersFound", number>> => {
    const found = await scores({ ...world, ...changed }, few)
    return { ...percents(found), bloomersFound: found.governor.foundPercent }
  }
  const harder = {
    wrong40: await elsewhere({ wrong: 0.4 }),
    noInformation: await elsewhere({ wrong: null }),
    fewIdle: await elsewhere({ idle: 0.25 }),
    largerTeam: await elsewhere({ agents: 24, skills: 8, mastered: 3 }),
  }
  const { oracle, ...waste } = percents(rules)
  const speed = assignmentSpeed()
  const more = round(waste.governor - oracle)
  const found = rules.governor.foundPercent
  return {
    rounds,
    world,
    waste,
    oracle,
    bloomersFound: found,
    rules,
    harder,
    batches: batches(world, few),
    speed,
    gate: {
      wastePercent: { value: waste.governor, limit: 10, ok: waste.governor <= 10 },
      pointsAboveOracle: { value: more, limit: 4, ok: more <= 4 },
      bloomersFoundPercent: { value: found, limit: 60, ok: found >= 60 },
      assignmentAddsUs: { value: speed.addedP50Us, limit: 100, ok: speed.addedP50Us < 100 },
      randomOffPercent: { value: round(Math.abs(waste.random - 100 * RANDOM_WASTE)), limit: 1, ok: Math.abs(waste.random - 100 * RANDOM_WASTE) <= 1 },
    },
  }
}

function percents(rules: Record<RuleName, Score>): Record<RuleName, number> {
  return Object.fromEntries(RULES.map((name) => [name, rules[name].wastePercent])) as Record<RuleName, number>
}

/** How badly agents do what they do not master, so that random assignment wastes what it is said to. */
async function calibrated(world: Omit<WorldOptions, "unskilled">, seeds: number): Promise<number> {
  let low = 0.02
  let high = 0.7
  for (let step = 0; step < 10; step += 1) {
    const unskilled = (low + high) / 2
    let waste = 0
    for (let seed = 1; seed <= seeds; seed += 1) {
      waste += play(new World(seed, { ...world, unskilled }), "random", seed).waste / seeds
      await breathe()
    }
    if (waste > RANDOM_WASTE) low = unskilled
    else high = unskilled
  }
  return (low + high) / 2
}

type Run = { rule: Rule; waste: number; found: number[]; blooms: number; falseAlarms: number }

/** One rule through one world: each task is tried until it succeeds, whoever is idle then. */
function play(world: World, name: RuleName, seed: number): Run {
  const rule = newRule(name, world, seed)
  const foundAfter = new Map<number, number>()
  let cost = 0
  let wasted = 0
  world.tasks.forEach((task, at) => {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const { idle, luck } = world.moment(at, attempt)
      const agent = rule.choose(task, idle, at)
      const success = luck < world.truth(agent, task, at)
      const paid = task.cost * (world.rates[agent] as number)
      cost += paid
      if (!success) wasted += paid
      rule.learn(task, agent, success, at)
      if (success) break
    }
    world.blooms.forEach(({ agent, skill, atTask }, bloom) => {
      if (at >= atTask && !foundAfter.has(bloom) && rule.knows(agent, skill)) foundAfter.set(bloom, at - atTask)
    })
  })
  const isFalse = ({ agent, skill, atTask }: Rule["alarms"][number]): boolean => world.truth(agent, { requires: {}, skills: [skill], cost: 1 }, atTask) < 0.7
  return { rule, waste: wasted / cost, found: [...foundAfter.values()], blooms: world.blooms.length, falseAlarms: rule.alarms.filter(isFalse).length }
}

async function scores(world: WorldOptions, rounds: number): Promise<Record<RuleName, Score>> {
  const all = {} as Record<RuleName, Score>
  for (const name of RULES) {
    const runs: Run[] = []
    for (let seed = 1; seed <= rounds; seed += 1) {
      runs.push(play(new World(seed, world), name, seed))
      await breathe()
    }
    const sum = (figure: (run: Run) => number): number => runs.reduce((total, run) => total + figure(run), 0)
    all[name] = {
      wastePercent: round((100 * sum(({ waste }) => waste)) / rounds),
      foundPercent: round((100 * sum(({ found }) => found.length)) / sum(({ blooms }) => blooms)),
      medianTasksToFind: median(runs.flatMap(({ found }) => found)),
      falseAlarms: round(sum(({ falseAlarms }) => falseAlarms) / rounds),
    }
  }
  return all
}

/** With what ours believes at the end of a run: tasks given out one by one, or all ten at once. */
function batches(options: WorldOptions, rounds: number): GovernorReport["batches"] {
  const failing = { greedy: 0, hungarian: 0 }
  let count = 0
  for (let seed = 1; seed <= rounds; seed += 1) {
    const world = new World(seed, options)
    const { rule } = play(world, "governor", seed)
    const chance = chanceFrom(seed)
    const end = options.tasks
    for (let batch = 0; batch < 50; batch += 1) {
      const tasks = Array.from({ length: BATCH }, () => world.tasks[Math.floor(chance() * end)] as World["tasks"][number])
      const believed = tasks.map((task) => world.rates.map((rate, agent) => scoreOf(rule.expects(agent, task), rate)))
      const free = new Set(world.rates.keys())
      for (const [at, task] of tasks.entries()) {
        const left = [...free]
        const taken = left[bestOf(left.map((agent) => (believed[at] as number[])[agent] as number))] as number
        free.delete(taken)
        failing.greedy += 1 - world.truth(taken, task, end)
      }
      assign(believed).forEach((agent, at) => (failing.hungarian += 1 - world.truth(agent, tasks[at] as World["tasks"][number], end)))
      count += BATCH
    }
  }
  return { greedy: round((100 * failing.greedy) / count), hungarian: round((100 * failing.hungarian) / count) }
}

const NAMES: Record<RuleName, string> = {
  random: "random",
  containment: "containment, fixed rules",
  successWeighted: "success-weighted",
  thompson: "Thompson sampling",
  discountedUcb: "discounted UCB",
  greedy: "greedy on beliefs",
  governor: "Skein's governor",
  oracle: "oracle",
}

export function describeGovernor({ rounds, world, rules, harder, batches, speed, gate }: GovernorReport): string {
  const of = (name: RuleName): string[] => {
    const { wastePercent, foundPercent, medianTasksToFind, falseAlarms } = rules[name]
    const figures = [wastePercent, foundPercent, medianTasksToFind].map((value) => (Number.isNaN(value) ? "-" : value.toFixed(1)))
    return [NAMES[name], ...figures, name === "governor" ? falseAlarms.toFixed(1) : "-", ...Object.values(harder).map((waste) => waste[name].toFixed(1))]
  }
  const verdicts = Object.entries(gate).map(([name, { value, limit, ok }]) => [name, String(value), String(limit), ok === true ? "holds" : "FAILS"])
  return [
    `${rounds} worlds of ${world.agents} agents, ${world.skills} skills, ${world.tasks} tasks; who lacks a skill succeeds in ${(100 * world.unskilled).toFixed(0)} % of such tasks`,
    table(
      ["waste in % of cost", "waste", "bloomers found %", "after tasks", "false alarms a run", "40 % wrong", "nothing declared", "1 in 4 idle", "24 agents"],
      RULES.map(of),
    ),
    `late bloomers found by the governor there: ${Object.entries(harder)
      .map(([name, { bloomersFound }]) => `${name} ${bloomersFound.toFixed(0)} %`)
      .join(", ")}`,
    `batches of ten tasks, failing: one by one ${batches.greedy} %, all at once ${batches.hungarian} %`,
    `claims of ${speed.agents} agents among ${speed.tasks} tasks, p50 in µs: without skills ${speed.plainP50Us}, with skills ${speed.skilledP50Us}, with three budgets besides ${speed.budgetedP50Us}; the order of all who wait for one task ${speed.turnsP50Us}, for sixteen ${speed.turnsOfManyP50Us}`,
    table(["gate", "value", "limit", ""], verdicts),
  ].join("\n\n")
}
