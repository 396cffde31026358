import type { Sha256 } from "../core/chain.ts"
import { type DigestRecord, StateDigest } from "../core/digest.ts"
import type { Change, Table } from "../core/table.ts"
import type { Workspace } from "../core/workspace.ts"

/** What records are counted in, and counted out of again as they were counted in. */
export type Tally = Pick<StateDigest, "add" | "remove">

/**
 * Records that changed since they were last counted, each with what was counted. A change is noted when it is durable and counted later: a record that
 * changed many times between two checkpoints is hashed once.
 */
export class Uncounted {
  readonly #before = new Map<Table<unknown>, Map<string, unknown>>()
  #waiting = 0

  get waiting(): number {
    return this.#waiting
  }

  note(changes: readonly Change[]): void {
    for (const { table, key, before } of changes) {
      let records = this.#before.get(table)
      if (records === undefined) this.#before.set(table, (records = new Map<string, unknown>()))
      if (records.has(key)) continue
      records.set(key, before)
      this.#waiting += 1
    }
  }

  /** Counts what waits, `limit` records at the most. MUST be called while no batch is in flight: it reads the records as they stand. */
  settle(tally: Tally, limit = Number.POSITIVE_INFINITY): void {
    let left = limit
    for (const [table, records] of this.#before) {
      for (const [key, before] of records) {
        if (left === 0) return
        left -= 1
        this.#waiting -= 1
        records.delete(key)
        if (before !== undefined) tally.remove(table.name, key, table.text(before))
        const now = table.get(key)
        if (now !== undefined) tally.add(table.name, key, table.text(now))
      }
    }
  }
}

/** The digest of the whole state, kept up with the changes. */
export class Fingerprint {
  readonly #digest: StateDigest
  readonly #uncounted = new Uncounted()

  constructor(sha256: Sha256, from?: DigestRecord) {
    this.#digest = new StateDigest(sha256, from)
  }

  /** Records that wait to be counted. */
  get waiting(): number {
    return this.#uncounted.waiting
  }

  note(changes: readonly Change[]): void {
    this.#uncounted.note(changes)
  }

  /** See `Uncounted.settle`. */
  settle(limit?: number): void {
    this.#uncounted.settle(this.#digest, limit)
  }

  /** The digest of the state as it stands. */
  digest(): DigestRecord {
    this.settle()
    return this.#digest.digest()
  }
}

/** The digest of a state from nothing but its records. */
export function digestOf(sha256: Sha256, state: Workspace): DigestRecord {
  const digest = new StateDigest(sha256)
  for (const table of state.tables) for (const [key, record] of table.entries()) digest.add(table.name, key, table.text(record))
  return digest.digest()
}
