import type { Skills } from "../src/core/agent.ts"

/** A team and its work, drawn from a seed: the same seed gives the same agents, tasks, idle sets and luck to every rule. */
export type WorldOptions = {
  agents: number
  skills: number
  /** Skills that each agent masters. */
  mastered: number
  tasks: number
  /** Of the declarations, so many name a skill that the agent does not master, in place of one that it does; null: nobody declares anything. */
  wrong: number | null
  /** Of the agents, so many come to master one more skill in the course of the run, and never say so. */
  bloomers: number
  /** The chance that an agent is idle when a task is to be given out. */
  idle: number
  /** The mean chance of success in a skill that an agent does not master: random assignment is calibrated by it. */
  unskilled: number
}

export type WorldTask = { requires: Skills; skills: readonly number[]; cost: number }
export type Bloom = { agent: number; skill: number; atTask: number }

/** The levels that are declared and asked for: levels decide who may, not who succeeds, so the world has but one of each. */
const DECLARED_LEVEL = 3
const REQUIRED_LEVEL = 2
/** A bloomer comes to its new skill between these shares of the run. */
const BLOOM_FROM = 0.1
const BLOOM_TO = 0.5

/** mulberry32: numbers from 0 to below 1. */
export function chanceFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export class World {
  readonly options: WorldOptions
  readonly capabilities: Skills[] = []
  /** Cost of an agent's attempt, relative to the task's. */
  readonly rates: number[] = []
  readonly tasks: WorldTask[] = []
  readonly blooms: Bloom[] = []
  readonly #seed: number
  /** Chances of success by agent and skill, before anybody blooms. */
  readonly #abilities: number[][] = []

  constructor(seed: number, options: WorldOptions) {
    this.#seed = seed
    this.options = options
    const chance = chanceFrom(seed)
    const below = (limit: number): number => Math.floor(chance() * limit)
    const masters = Array.from({ length: options.agents }, () => sample(options.skills, options.mastered, below))
    for (const own of masters) {
      const low = Array.from({ length: options.skills }, () => Math.min(0.9, Math.max(0.01, options.unskilled * (0.5 + chance()))))
      for (const skill of own) low[skill] = 0.95 + 0.04 * chance()
      this.#abilities.push(low)
      this.rates.push(0.8 + 0.4 * chance())
      this.capabilities.push(this.#declared(own, chance, below))
    }
    const blooming = sample(options.agents, Math.round(options.bloomers * options.agents), below)
    for (const agent of blooming) {
      const lacking = Array.from({ length: options.skills }, (_, skill) => skill).filter((skill) => !(masters[agent] as number[]).includes(skill))
      const hidden = lacking.filter((skill) => !Object.hasOwn(this.capabilities[agent] as Skills, skillName(skill)))
      const skill = hidden[below(hidden.length)] as number
      this.blooms.push({ agent, skill, atTask: Math.floor(options.tasks * (BLOOM_FROM + (BLOOM_TO - BLOOM_FROM) * chance())) })
    }
    for (let at = 0; at < options.tasks; at += 1) {
      // Somebody can do each task: the skills of one are those of some agent.
      const own = masters[below(options.agents)] as number[]
      const count = chance() < 0.3 ? 2 : 1
      const first = below(own.length)
      const skills = count === 1 ? [own[first] as number] : [own[first] as number, own[(first + 1) % own.length] as number]
      const requires = Object.fromEntries(skills.map((skill) => [skillName(skill), REQUIRED_LEVEL]))
      // From a quarter of the median to four times it.
      this.tasks.push({ requires, skills, cost: 4 ** (2 * chance() - 1) })
    }
  }

  #declared(own: readonly number[], chance: () => number, below: (limit: number) => number): Skills {
    const { wrong, skills } = this.options
    const said: Record<string, number> = {}
    for (const skill of own) {
      if (wrong === null) continue
      let named = skill
      if (chance() < wrong) while (own.includes(named)) named = below(skills)
      said[skillName(named)] = DECLARED_LEVEL
    }
    return said
  }

  /** The true chance that the agent succeeds on the task that comes at this place: the geometric mean over its skills. */
  truth(agent: number, { skills }: WorldTask, atTask: number): number {
    let product = 1
    for (const skill of skills) {
      const bloomed = this.blooms.some((bloom) => bloom.agent === agent && bloom.skill === skill && atTask >= bloom.atTask)
      product *= bloomed ? 0.96 : ((this.#abilities[agent] as number[])[skill] as number)
    }
    return product ** (1 / skills.length)
  }

  /** Who is idle at an attempt, and the luck of it: below the truth it succeeds. The same for every rule. */
  moment(atTask: number, attempt: number): { idle: number[]; luck: number } {
    const chance = chanceFrom(Math.imul(this.#seed + 1, 0x9e3779b1) ^ Math.imul(atTask + 1, 0x85ebca6b) ^ Math.imul(attempt + 1, 0xc2b2ae35))
    const idle: number[] = []
    for (let agent = 0; agent < this.options.agents; agent += 1) if (chance() < this.options.idle) idle.push(agent)
    if (idle.length === 0) idle.push(Math.floor(chance() * this.options.agents))
    return { idle, luck: chance() }
  }
}

export function skillName(skill: number): string {
  return `skill-${skill}`
}

function sample(from: number, count: number, below: (limit: number) => number): number[] {
  const left = Array.from({ length: from }, (_, at) => at)
  return Array.from({ length: count }, () => left.splice(below(left.length), 1)[0] as number)
}
