import { SkeinError } from "../contract/errors.ts"
import type { AgentId } from "../core/ids.ts"
import type { Doers } from "./context.ts"

/** Two agents whose work would conflict if it were merged now, and in which files. */
export type ForeseenConflict = { a: AgentId; b: AgentId; files: string[] }

/** Looks into the repository, where there is one beside the hub. Rejects where git cannot tell. */
export type Foresee = (agents: readonly AgentId[]) => Promise<ForeseenConflict[]>

/** A look costs git some 2 ms for each pair of agents: whoever asks again within this time is told the same, in ms. */
const KEPT_MS = 10_000

type Look = { atMs: number; found: Promise<ForeseenConflict[]> }

/** One look at a time for each workspace, whoever asks: what its agents write is no other's business. */
export class Foresight {
  readonly #foresee: Foresee
  /** The last of each workspace. */
  readonly #looks = new WeakMap<object, Look>()

  constructor(foresee: Foresee) {
    this.#foresee = foresee
  }

  /** The conflicts between a workspace's agents as they were found at `atMs`, not more than `KEPT_MS` ago. */
  async look(workspace: object, agents: readonly AgentId[], nowMs: number): Promise<{ conflicts: ForeseenConflict[]; atMs: number }> {
    let look = this.#looks.get(workspace)
    if (look === undefined || nowMs - look.atMs >= KEPT_MS) {
      const fresh = { atMs: nowMs, found: this.#foresee(agents) }
      look = fresh
      this.#looks.set(workspace, fresh)
      // One that failed is no answer for the next.
      fresh.found.catch(() => this.#looks.get(workspace) === fresh && this.#looks.delete(workspace))
    }
    return { conflicts: await look.found, atMs: look.atMs }
  }
}

/** What only git can tell: the core knows what is held, not what was written. */
export const foresightActions: Doers<"files.conflicts"> = {
  "files.conflicts": async ({ loop, foresight }) => {
    if (foresight === null) return { known: false, conflicts: [], atMs: null, why: "this hub has no repository beside it" }
    const agents = await loop.read((state) => [...state.agents.values()].flatMap(({ name, status }) => (status === "present" ? [name] : [])))
    try {
      return { known: true, ...(await foresight.look(loop, agents, loop.nowMs())), why: null }
    } catch (error) {
      if (error instanceof SkeinError) throw error
      return { known: false, conflicts: [], atMs: null, why: error instanceof Error ? error.message : String(error) }
    }
  },
}
