import type { Sha256 } from "../core/hash.ts"
import { type DigestRecord, StateDigest } from "../core/digest.ts"
import { RecentHashes } from "../core/recent-hashes.ts"
import { Changed } from "../core/changed.ts"
import type { Change } from "../core/table.ts"
import type { Task } from "../core/task.ts"
import type { Workspace } from "../core/workspace.ts"

/** Tasks whose hashes are kept, so that one that changes again is counted out without being hashed again: 40 bytes each. */
const RECENT_TASKS = 65_536

/**
 * The digest of the whole state, kept up with the changes. A change is noted when it is durable and counted later: a record that changed many times
 * between two checkpoints is hashed once.
 */
export class Fingerprint {
  readonly #digest: StateDigest
  /** What changed since it was last counted: each record from what was counted to what it is. */
  readonly #changed = new Changed()
  /** Of the tasks as they were last counted, by the seq that added each: they change more often than all else. */
  readonly #tasks = new RecentHashes(RECENT_TASKS)

  constructor(sha256: Sha256, from?: DigestRecord) {
    this.#digest = new StateDigest(sha256, from)
  }

  /** Records that wait to be counted. */
  get waiting(): number {
    return this.#changed.size
  }

  note(changes: readonly Change[]): void {
    this.#changed.note(changes)
  }

  /** Counts what waits, `limit` records at the most. */
  settle(limit = Number.POSITIVE_INFINITY): void {
    this.#changed.take(limit, ({ table, key, before, after }) => {
      const isTask = table.name === "tasks"
      if (before !== undefined) {
        const at = isTask ? this.#tasks.find((before as Task).addedSeq) : null
        if (at === null) this.#digest.remove(table, key, before)
        else this.#digest.removeHash(this.#tasks.bytes, at)
      }
      if (after === undefined) return
      const hash = this.#digest.add(table, key, after)
      if (isTask) this.#tasks.keep((after as Task).addedSeq, hash)
    })
  }

  /** The digest of all that was noted. */
  digest(): DigestRecord {
    this.settle()
    return this.#digest.digest()
  }
}

/** The digest of a state from nothing but its records. */
export function digestOf(sha256: Sha256, state: Workspace): DigestRecord {
  const digest = new StateDigest(sha256)
  for (const table of state.tables) for (const [key, record] of table.entries()) digest.add(table, key, record)
  return digest.digest()
}
