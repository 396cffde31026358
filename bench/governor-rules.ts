import { chooseProbe, FOLLOW_UP_SHARE, learnt, PROBE_SHARE } from "../src/core/bloomer.ts"
import { bestOf, meansOf, scoreOf } from "../src/core/coordinator.ts"
import { type Beliefs, isEligible, matchOf } from "../src/core/match.ts"
import { blameOf, chanceOf, DISCOUNT, LEARNED_MEAN, meanOf, observed, type Posterior, prior } from "../src/core/posterior.ts"
import { chanceFrom, skillName, type World, type WorldTask } from "./governor-world.ts"

/** A way to choose who works on a task. It sees what a team sees: declarations, prices and outcomes. */
export type Rule = {
  choose(task: WorldTask, idle: readonly number[], atTask: number): number
  learn(task: WorldTask, agent: number, success: boolean, atTask: number): void
  /** Whether it knows by now that an agent has a skill; rules that learn nothing of skills are read by the beliefs that their own outcomes give. */
  knows(agent: number, skill: number): boolean
  /** The chance of success that it expects of an agent. */
  expects(agent: number, task: WorldTask): number
  /** Alarms of late bloomers so far, by agent and skill. */
  readonly alarms: readonly { agent: number; skill: number; atTask: number }[]
}
export type RuleName = "random" | "containment" | "successWeighted" | "thompson" | "discountedUcb" | "greedy" | "governor" | "oracle"

/** What outcomes say, kept alike for every rule: one belief for each agent and skill that was tried. */
class Memory {
  readonly world: World
  readonly alarms: { agent: number; skill: number; atTask: number }[] = []
  readonly #known = new Map<number, Map<string, Posterior>>()
  readonly #lastTry = new Map<string, number>()
  readonly #watch: boolean

  /** `watch`: whether the CUSUM resets beliefs. */
  constructor(world: World, watch: boolean) {
    this.world = world
    this.#watch = watch
  }

  of(agent: number): Beliefs {
    return (skill) => this.#known.get(agent)?.get(skill)
  }

  belief(agent: number, skill: string): Posterior {
    return this.of(agent)(skill) ?? prior(Object.hasOwn(this.world.capabilities[agent] as object, skill))
  }

  means(agent: number, { requires }: WorldTask): number[] {
    return meansOf({ capabilities: this.world.capabilities[agent] as Record<string, number> }, this.of(agent), requires)
  }

  sinceTry(agent: number, skill: string, atTask: number): number {
    return atTask + 1 - (this.#lastTry.get(`${agent} ${skill}`) ?? 0)
  }

  learn({ requires, skills }: WorldTask, agent: number, success: boolean, atTask: number): void {
    const beliefs = skills.map((skill) => this.belief(agent, skillName(skill)))
    const blame = blameOf(beliefs.map(meanOf))
    const known = this.#known.get(agent) ?? new Map<string, Posterior>()
    this.#known.set(agent, known)
    skills.forEach((skill, at) => {
      const name = skillName(skill)
      const outcome = { success, weight: success ? 1 : (blame[at] as number), level: requires[name] as number, seq: atTask }
      const before = beliefs[at] as Posterior
      const { after, bloomed } = this.#watch ? learnt(before, outcome) : { after: observed(before, outcome), bloomed: false }
      if (bloomed) this.alarms.push({ agent, skill, atTask })
      known.set(name, after)
      this.#lastTry.set(`${agent} ${name}`, atTask)
    })
  }

  knows(agent: number, skill: number): boolean {
    return meanOf(this.belief(agent, skillName(skill))) >= LEARNED_MEAN
  }
}

/** A rule that gives each idle agent a figure and takes the best. */
function byFigure(world: World, watch: boolean, figure: (memory: Memory, agent: number, task: WorldTask, atTask: number) => number): Rule {
  const memory = new Memory(world, watch)
  return {
    choose: (task, idle, atTask) => idle[bestOf(idle.map((agent) => figure(memory, agent, task, atTask)))] as number,
    learn: (...outcome) => memory.learn(...outcome),
    knows: (agent, skill) => memory.knows(agent, skill),
    expects: (agent, task) => chanceOf(memory.means(agent, task)),
    alarms: memory.alarms,
  }
}

function costOf(world: World, agent: number): number {
  return world.rates[agent] as number
}

/** The original design's first rule: whoever contains enough of the skills, the fullest match first, then the cheapest. Nothing is learned. */
function containment(world: World): Rule {
  return byFigure(
    world,
    false,
    (_, agent, { requires }) => 10 * matchOf(world.capabilities[agent] as Record<string, number>, () => undefined, requires) - costOf(world, agent),
  )
}

/** The original design's second rule: among those who match, drawn by a weight: a base of 1, and a bonus for the share of all its tasks that succeeded. */
function successWeighted(world: World, chance: () => number): Rule {
  const memory = new Memory(world, false)
  const done = world.rates.map(() => ({ tried: 0, succeeded: 0 }))
  return {
    choose(task, idle) {
      const matching = idle.filter((agent) => isEligible(world.capabilities[agent] as Record<string, number>, () => undefined, task.requires))
      const from = matching.length > 0 ? matching : idle
      const weights = from.map((agent) => {
        const { tried, succeeded } = done[agent] as { tried: number; succeeded: number }
        const rate = (succeeded + 1) / (tried + 2)
        // A bonus that grows steeply: at twice the rate an agent gets far more than twice the work.
        return 0.05 + rate ** 8
      })
      let left = chance() * weights.reduce((sum, weight) => sum + weight, 0)
      return from.find((_, at) => (left -= weights[at] as number) <= 0) ?? (from.at(-1) as number)
    },
    learn(task, agent, success, atTask) {
      const own = done[agent] as { tried: number; succeeded: number }
      own.tried += 1
      if (success) own.succeeded += 1
      memory.learn(task, agent, success, atTask)
    },
    knows: (agent, skill) => memory.knows(agent, skill),
    expects: (agent, task) => chanceOf(memory.means(agent, task)),
    alarms: memory.alarms,
  }
}

/** Garivier & Moulines 2011: the mean of discounted outcomes, and a bound that widens where they are few. */
function discountedUcb(world: World): Rule {
  let total = 1
  const rule = byFigure(world, false, (memory, agent, task) => {
    const q = chanceOf(
      Object.keys(task.requires).map((skill) => {
        const belief = memory.belief(agent, skill)
        return Math.min(1, meanOf(belief) + 0.1 * Math.sqrt(Math.log(total) / (belief.good + belief.bad)))
      }),
    )
    return scoreOf(q, costOf(world, agent))
  })
  return {
    ...rule,
    learn(...outcome) {
      total = total * DISCOUNT + 1
      rule.learn(...outcome)
    },
  }
}

/** Small enough for a probe: of at most this share of the mean cost. A workspace knows no mean cost, and goes by the task's estimate and level. */
const SMALL_TASK = 0.35

/** Ours, out of the core's own parts: whoever is eligible, best score first; now and then a probe. */
function governor(world: World, chance: () => number): Rule {
  const memory = new Memory(world, true)
  const meanCost = world.tasks.reduce((sum, task) => sum + task.cost, 0) / world.tasks.length
  /** Probes that are due: they wait for a small task. */
  let due = 0
  return {
    choose(task, idle, atTask) {
      due += PROBE_SHARE
      const mayProbe = due >= 1 && task.cost <= SMALL_TASK * meanCost && Object.keys(task.requires).length === 1
      if (mayProbe) {
        const lacking = idle.filter((agent) => !isEligible(world.capabilities[agent] as Record<string, number>, memory.of(agent), task.requires))
        const [skill = ""] = Object.keys(task.requires)
        const candidates = lacking.map((agent) => ({ belief: memory.belief(agent, skill), sinceSeen: memory.sinceTry(agent, skill, atTask) }))
        const probed = chooseProbe(candidates, chance() < FOLLOW_UP_SHARE)
        if (probed >= 0) {
          due -= 1
          return lacking[probed] as number
        }
      }
      const eligible = idle.filter((agent) => isEligible(world.capabilities[agent] as Record<string, number>, memory.of(agent), task.requires))
      const from = eligible.length > 0 ? eligible : idle
      return from[bestOf(from.map((agent) => scoreOf(chanceOf(memory.means(agent, task)), costOf(world, agent))))] as number
    },
    learn: (...outcome) => memory.learn(...outcome),
    knows: (agent, skill) => memory.knows(agent, skill),
    expects: (agent, task) => chanceOf(memory.means(agent, task)),
    alarms: memory.alarms,
  }
}

/** A new rule for one run of a world. Rules that draw lots draw the same for the same seed. */
export function newRule(name: RuleName, world: World, seed: number): Rule {
  const chance = chanceFrom(seed ^ 0x51ed270b)
  switch (name) {
    case "random":
      return byFigure(world, false, () => chance())
    case "containment":
      return containment(world)
    case "successWeighted":
      return successWeighted(world, chance)
    case "thompson":
      return byFigure(world, false, (memory, agent, { requires }) => {
        const drawn = Object.keys(requires).map((skill) => drawBeta(memory.belief(agent, skill), chance))
        return scoreOf(chanceOf(drawn), costOf(world, agent))
      })
    case "discountedUcb":
      return discountedUcb(world)
    case "greedy":
      return byFigure(world, false, (memory, agent, task) => scoreOf(chanceOf(memory.means(agent, task)), costOf(world, agent)))
    case "governor":
      return governor(world, chance)
    case "oracle":
      return byFigure(world, false, (_, agent, task, atTask) => world.truth(agent, task, atTask))
  }
}

function drawBeta({ good, bad }: Posterior, chance: () => number): number {
  const a = drawGamma(good, chance)
  const b = drawGamma(bad, chance)
  return a / (a + b)
}

/** Marsaglia & Tsang 2000. */
function drawGamma(shape: number, chance: () => number): number {
  if (shape < 1) return drawGamma(shape + 1, chance) * Math.max(chance(), 1e-12) ** (1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const normal = Math.sqrt(-2 * Math.log(Math.max(chance(), 1e-12))) * Math.cos(2 * Math.PI * chance())
    const v = (1 + c * normal) ** 3
    if (v > 0 && Math.log(Math.max(chance(), 1e-12)) < (normal * normal) / 2 + d - d * v + d * Math.log(v)) return d * v
  }
}
