import { commands } from "../../src/core/command.ts"
import { Violation } from "./oracle.ts"
import { simulate, type WorldOptions } from "./world.ts"

/** Each fault MUST be found within so many seeds. */
const SEEDS = 300

/**
 * Looks for the fault, seed by seed, once around; answers what was found first, which it also prints. `from`: where to begin, for a fault that few seeds
 * find. One that finds it spares the others; when the simulation has changed another does, and all that is lost is time.
 */
export async function find({ from = 1, ...fault }: Omit<WorldOptions, "seed"> & { from?: number }): Promise<string> {
  for (let tried = 0; tried < SEEDS; tried += 1) {
    const seed = ((from - 1 + tried) % SEEDS) + 1
    const found = await simulate({ ...fault, seed }).then(
      () => null,
      (error: unknown) => (error instanceof Violation ? error.message.split("\n")[0]! : Promise.reject(error as Error)),
    )
    if (found !== null) {
      console.log(found)
      return found
    }
  }
  return `nothing in ${SEEDS} seeds`
}

type Table = typeof commands

/** Puts other rows into the table of deciders while `run` runs. */
export async function tampered<T>(change: (sound: Table) => Partial<Table>, run: () => Promise<T>): Promise<T> {
  const sound = { ...commands }
  Object.assign(commands, change(sound))
  try {
    return await run()
  } finally {
    Object.assign(commands, sound)
  }
}

/** Puts another method in the place of one while `run` runs. */
export async function replaced<Owner extends object, Name extends keyof Owner>(
  owner: Owner,
  name: Name,
  fault: (sound: Owner[Name]) => Owner[Name],
  run: () => Promise<string>,
): Promise<string> {
  const sound = owner[name]
  owner[name] = fault(sound)
  try {
    return await run()
  } finally {
    owner[name] = sound
  }
}
