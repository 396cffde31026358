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

/** One look at a time, whoever asks. */
export class Foresight {
  readonly #foresee: Foresee
  #last: Look | null = null

  constructor(foresee: Foresee) {
    this.#foresee = foresee
  }

  /** The conflicts as they were found at `atMs`, not more than `KEPT_MS` ago. */
  async look(agents: readonly AgentId[], nowMs: number): Promise<{ conflicts: ForeseenConflict[]; atMs: number }> {
    if (this.#last === null || nowMs - this.#last.atMs >= KEPT_MS) {
      const look = { atMs: nowMs, found: this.#foresee(agents) }
      this.#last = look
      // One that failed is no answer for the next.
      look.found.catch(() => (this.#last = this.#last === look ? null : this.#last))
    }
    const { atMs, found } = this.#last
    return { conflicts: await found, atMs }
  }
}

/** What only git can tell: the core knows what is held, not what was written. */
export const foresightActions: Doers<"files.conflicts"> = {
  "files.conflicts": async ({ loop, foresight }) => {
    if (foresight === null) return { known: false, conflicts: [], atMs: null, why: "this hub has no repository beside it" }
    const agents = await loop.read((state) => [...state.agents.values()].flatMap(({ name, status }) => (status === "present" ? [name] : [])))
    try {
      return { known: true, ...(await foresight.look(agents, loop.nowMs())), why: null }
    } catch (error) {
      if (error instanceof SkeinError) throw error
      return { known: false, conflicts: [], atMs: null, why: error instanceof Error ? error.message : String(error) }
    }
  },
}
