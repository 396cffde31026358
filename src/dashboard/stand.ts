import type { Before } from "../core/before.ts"
import type { Seq } from "../core/ids.ts"
import { Workspace } from "../core/workspace.ts"

/** All records as they stood at an entry, by table and key: enough to make the state anew, and little to keep, since records are never changed in place. */
export type Stand = { seq: Seq; atMs: number; size: number; tables: ReadonlyMap<string, ReadonlyMap<string, unknown>> }

/** Entries from one stand to the next while the page is live: what cannot be gone back to is folded from the stand before it. */
const APART = 20_000
/** Records that are put in place between two looks at the clock. */
const ROWS_AT_ONCE = 512

/** What the page held when it was loaded and since: the past is made from these, not loaded again. The first one and the newest two are kept. */
export class Stands {
  #kept: Stand[] = []

  get all(): readonly Stand[] {
    return this.#kept
  }

  /** The live state has come to here. */
  note(state: Workspace): void {
    const [first, ...others] = this.#kept
    if (first !== undefined && state.seq < (this.#kept.at(-1) as Stand).seq + APART) return
    this.#kept = [...(first === undefined ? [] : [first]), ...others.slice(-1), standOf(state)]
  }

  /** Of another ledger nothing that was kept is true. */
  forget(): void {
    this.#kept = []
  }
}

export function standOf(state: Workspace): Stand {
  const { seq, atMs } = state
  let size = 0
  const tables = new Map<string, ReadonlyMap<string, unknown>>()
  for (const table of state.tables) {
    size += table.size
    tables.set(table.name, new Map(table.entries()))
  }
  return { seq, atMs, size, tables }
}

/** The state that a stand becomes when records are put back as they were at `seq`. `breathe` is called again and again meanwhile. */
export async function stateBefore(stand: Stand, before: Before, { seq, atMs }: { seq: Seq; atMs: number }, breathe: () => Promise<void>): Promise<Workspace> {
  const state = new Workspace()
  const none = new Map<string, unknown>()
  let rows = 0
  // In the order in which a snapshot has them: the indexes of some read the tables before them.
  for (const table of state.tables) {
    const at = stand.tables.get(table.name) ?? none
    const was = before.get(table.name) ?? none
    for (const [key, record] of at) {
      const then = was.get(key)
      if (then === undefined) table.restore(key, record)
      else if (then !== null) table.restore(key, then)
      if ((rows += 1) % ROWS_AT_ONCE === 0) await breathe()
    }
    for (const [key, then] of was) if (then !== null && !at.has(key)) table.restore(key, then)
  }
  state.seq = seq
  state.atMs = atMs
  return state
}
