import { commands } from "../../src/core/command.ts"
import { Violation } from "./oracle.ts"
import { simulate, type WorldOptions } from "./world.ts"

/** Each fault MUST be found within so many seeds. */
const SEEDS = 300

/** Looks for the fault, seed by seed; answers what was found first. */
export async function find(fault: Omit<WorldOptions, "seed">): Promise<string> {
  for (let seed = 1; seed <= SEEDS; seed += 1) {
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
