import type { Sha256 } from "../core/chain.ts"
import { type DigestRecord, StateDigest } from "../core/digest.ts"
import { RecentHashes } from "../core/recent-hashes.ts"
import type { Change, Table } from "../core/table.ts"
import type { Workspace } from "../core/workspace.ts"

/** Tasks whose hashes are kept, so that one that changes again is counted out without being hashed again: 60 bytes each. */
const RECENT_TASKS = 65_536

/**
 * The digest of the whole state, kept up with the changes. A change is noted when it is durable and counted later: a record that changed many times
 * between two checkpoints is hashed once.
 */
export class Fingerprint {
  readonly #digest: StateDigest
  /** Records that changed since they were last counted, each with what was counted. */
  readonly #before = new Map<Table<unknown>, Map<string, unknown>>()
  /** Of the tasks as they were last counted: they change more often than all else. */
  readonly #tasks = new RecentHashes(RECENT_TASKS)
  #waiting = 0

  constructor(sha256: Sha256, from?: DigestRecord) {
    this.#digest = new StateDigest(sha256, from)
  }

  /** Records that wait to be counted. */
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
  settle(limit = Number.POSITIVE_INFINITY): void {
    let left = limit
    for (const [table, records] of this.#before) {
      const recent = table.name === "tasks" ? this.#tasks : null
      for (const [key, before] of records) {
        if (left === 0) return
        left -= 1
        this.#waiting -= 1
        if (before !== undefined) this.#countOut(table, key, before, recent)
        const now = table.get(key)
        if (now !== undefined) {
          const hash = this.#digest.add(table.name, key, table.text(now))
          recent?.keep(key, hash)
        }
        // One by one only where some may be left: forgetting them all at once costs a tenth of it.
        if (limit !== Number.POSITIVE_INFINITY) records.delete(key)
      }
      if (records.size > 0) records.clear()
    }
  }

  /** The digest of the state as it stands. */
  digest(): DigestRecord {
    this.settle()
    return this.#digest.digest()
  }

  #countOut(table: Table<unknown>, key: string, before: unknown, recent: RecentHashes | null): void {
    const hash = recent?.get(key) ?? null
    if (hash === null) this.#digest.remove(table.name, key, table.text(before))
    else this.#digest.removeHash(hash)
  }
}

/** The digest of a state from nothing but its records. */
export function digestOf(sha256: Sha256, state: Workspace): DigestRecord {
  const digest = new StateDigest(sha256)
  for (const table of state.tables) for (const [key, record] of table.entries()) digest.add(table.name, key, table.text(record))
  return digest.digest()
}
