import type { Change, Table } from "./table.ts"

/** Records that changed, each once: from what it was before the first of its changes to what it is after the last. */
export class Changed {
  readonly #tables = new Map<Table<unknown>, Map<string, Change>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Takes changes over, oldest first: they are brought up to date by later ones. */
  note(changes: readonly Change[]): void {
    let table: Table<unknown> | null = null
    let records = new Map<string, Change>()
    for (const change of changes) {
      if (change.table !== table) {
        table = change.table
        const known = this.#tables.get(table)
        if (known === undefined) this.#tables.set(table, (records = new Map<string, Change>()))
        else records = known
      }
      const known = records.get(change.key)
      if (known !== undefined) known.after = change.after
      else {
        records.set(change.key, change)
        this.#size += 1
      }
    }
  }

  /** Hands over what changed, `limit` records at the most, and forgets it. */
  take(limit: number, visit: (change: Change) => void): void {
    let left = limit
    const takesAll = this.#size <= limit
    for (const records of this.#tables.values()) {
      for (const change of records.values()) {
        if (left === 0) return
        left -= 1
        this.#size -= 1
        visit(change)
        // One by one only where some may be left: forgetting them all at once costs a tenth of it.
        if (!takesAll) records.delete(change.key)
      }
      if (records.size > 0) records.clear()
    }
  }
}
