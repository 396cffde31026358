import { StateDigest, type DigestRecord, writeCounted } from "../core/digest.ts"
import { type Keyed, remember } from "../core/idempotency.ts"
import { Ink } from "../core/ink.ts"
import { KeyTable, type Remembered } from "../core/key-table.ts"
import { type Change, Journal } from "../core/table.ts"
import { HASH_BYTES } from "../ledger/ledger.ts"
import { sha256, sha256Into } from "../ledger/sha256.ts"

/** The keys of commands, folded by themselves (no other fold looks at them), and the digest of their records alone. */
export class ReplayedKeys {
  readonly #journal = new Journal()
  readonly keys = new KeyTable(this.#journal)
  readonly #digest = new StateDigest(sha256)
  readonly #ink = new Ink()
  readonly #hash = new Uint8Array(HASH_BYTES)
  #last: Change | null = null

  fold(entry: Keyed): void {
    remember(this, entry)
  }

  /** Counts what was folded. A key that changes again does so with the next entry: none is looked up among all that changed. */
  settle(): void {
    for (const change of this.#journal.drain()) {
      const last = this.#last
      if (last !== null && change.before !== undefined && change.key === last.key) last.after = change.after
      else {
        this.#count()
        this.#last = change
      }
    }
    this.#count()
    this.#last = null
  }

  digest(): DigestRecord {
    this.settle()
    return this.#digest.digest()
  }

  #count(): void {
    if (this.#last === null) return
    const { key, before, after } = this.#last
    if (before !== undefined) this.#digest.removeHash(this.#hashOf(key, before as Remembered))
    if (after !== undefined) this.#digest.addHash(this.#hashOf(key, after as Remembered))
  }

  #hashOf(key: string, record: Remembered): Uint8Array {
    this.#ink.clear()
    writeCounted(this.#ink, this.keys, key, record)
    sha256Into(this.#ink.written, this.#hash)
    return this.#hash
  }
}
