import type { Chance } from "../../src/cli/simulation/chance.ts"
import type { Surroundings } from "./caller.ts"
import type { WorldOptions } from "./world.ts"

export type Traits = Pick<Surroundings, "plain" | "circles" | "leader" | "tangled" | "floods" | "breaks" | "keeps" | "throttled">

/** What a team is like besides what befalls it: the seed says. */
export function traitsOf({ seed, plain = false, throttled = false }: WorldOptions, chance: Chance): Traits {
  const isFree = !plain && !throttled
  return {
    plain,
    circles: isFree && seed % 7 === 3,
    leader: isFree && (seed % 14 === 10 || seed % 13 === 6) ? "agent1" : null,
    tangled: isFree && seed % 5 === 4,
    floods: isFree && seed % 47 === 7,
    breaks: isFree && seed % 8 === 5,
    keeps: isFree && seed % 11 === 8,
    throttled: plain ? 0 : throttled ? 1 : chance.happens(0.08) ? 0.9 : 0.06,
  }
}
