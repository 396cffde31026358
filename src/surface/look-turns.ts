import type { Workspace } from "../core/workspace.ts"
import type { Context } from "./context.ts"

/**
 * A look at the state that may take long, in as many looks as it has steps: others have their turns between. Each step SHOULD take no more than a ms. The state may
 * have moved at the next one: records are never changed in place, and of the tables that only grow an iterator goes on where it was.
 */
export async function inTurns<T>(read: Context["read"], look: (state: Workspace, nowMs: number) => Generator<void, T>): Promise<T> {
  let steps: Generator<void, T> | null = null
  for (;;) {
    const step = await read((state, nowMs) => (steps ??= look(state, nowMs)).next())
    if (step.done === true) return step.value
  }
}
