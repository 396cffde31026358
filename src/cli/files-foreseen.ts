import { dirname } from "node:path"
import type { Prediction } from "../repo/conflict.ts"
import type { Context } from "./context.ts"
import { printable } from "./printable.ts"

/** Files that one line names. */
const NAMED_MAX = 8

/** What would conflict in the repository that the call stands in. Throws `RepositoryError` outside of one. */
export async function foreseen({ options }: Context, branches: readonly string[] = []): Promise<Prediction> {
  const [{ findRepository }, { predictConflicts }] = await Promise.all([import("../repo/instance.ts"), import("../repo/conflict.ts")])
  return predictConflicts(await findRepository(options.repo ?? process.cwd()), branches)
}

/** The conflicts between agents that are at work right now; none where there is no repository to look at, or git cannot say. */
export async function foreseenAtWork({ options }: Context, atWork: readonly string[]): Promise<Prediction["conflicts"]> {
  if (atWork.length < 2 || options.url !== undefined) return []
  try {
    const [{ findRepository }, { predictConflicts }] = await Promise.all([import("../repo/instance.ts"), import("../repo/conflict.ts")])
    const repository = await findRepository(options.repo ?? process.cwd())
    return (await predictConflicts(repository, [], ({ agent }) => agent !== null && atWork.includes(agent))).conflicts
  } catch {
    // A status must not fail because git does.
    return []
  }
}

/** For the hub: the conflicts between agents whose worktrees belong to the repository that holds its instance. */
export function foreseeBeside(directory: string): (agents: readonly string[]) => Promise<{ a: string; b: string; files: string[] }[]> {
  return async (agents) => {
    const [{ findRepository }, { predictConflicts }] = await Promise.all([import("../repo/instance.ts"), import("../repo/conflict.ts")])
    const known = new Set(agents)
    const { conflicts } = await predictConflicts(await findRepository(dirname(directory)), [], ({ agent }) => agent !== null && known.has(agent))
    return conflicts.map(({ a, b, files }) => ({ a: a.agent ?? a.name, b: b.agent ?? b.name, files }))
  }
}

export function conflictLines({ conflicts, unmergeable }: Pick<Prediction, "conflicts" | "unmergeable">): string[] {
  return [
    ...conflicts.map(({ a, b, files }) => conflictText({ a: a.name, b: b.name, files })),
    ...unmergeable.map(({ a, b }) => `${printable(a.name)} and ${printable(b.name)} cannot be merged: they have no past in which they meet`),
  ]
}

export function conflictText({ a, b, files }: { a: string; b: string; files: readonly string[] }): string {
  const more = files.length > NAMED_MAX ? ` and ${files.length - NAMED_MAX} more` : ""
  return `${printable(a)} and ${printable(b)} would conflict in ${printable(files.slice(0, NAMED_MAX).join(", "))}${more}`
}
