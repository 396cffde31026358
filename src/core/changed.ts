import type { Change, Table } from "./table.ts"

/** Records that changed, each once but for those that are new: from what it was before the first of its changes to what it is after the last. */
export class Changed {
  /** In the order of the first change of each. */
  #changes: Change[] = []
  /** Of each table, by its key, the change that a later one of the same record joins. What is new is not among them: most of it never changes again, and its key would have to be hashed. */
  readonly #known = new Map<Table<unknown>, Map<string, Change>>()

  get size(): number {
    return this.#changes.length
  }

  /** Takes changes over, oldest first: they are brought up to date by later ones. */
  note(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.before !== undefined) {
        const known = this.#of(change.table)
        const earlier = known.get(change.key)
        // A record that went away, and is there again, is another one.
        if (earlier !== undefined && earlier.after !== undefined) {
          earlier.after = change.after
          continue
        }
        known.set(change.key, change)
      }
      this.#changes.push(change)
    }
  }

  /** Hands over what changed, oldest first, `limit` records at the most, and forgets it. */
  take(limit: number, visit: (change: Change) => void): void {
    const taken = this.#changes
    this.#changes = taken.length > limit ? taken.splice(limit) : []
    for (const records of this.#known.values()) {
      if (this.#changes.length === 0) records.clear()
      else for (const { key } of taken) records.delete(key)
    }
    for (const change of taken) visit(change)
  }

  #of(table: Table<unknown>): Map<string, Change> {
    let records = this.#known.get(table)
    if (records === undefined) this.#known.set(table, (records = new Map<string, Change>()))
    return records
  }
}
