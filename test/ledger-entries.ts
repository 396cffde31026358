import type { Chain } from "../src/core/chain.ts"
import { toHex } from "../src/core/hash.ts"
import { HUB, encodeEntry } from "../src/core/entry.ts"
import type { Stored } from "../src/ledger/ledger.ts"

/** Entries that continue a chain, each `atMs` later by one; `text` makes the data of one. */
export function makeEntries(chain: Chain, count: number, text: (seq: number) => string = (seq) => `entry ${seq}`): Stored[] {
  return Array.from({ length: count }, () => {
    const seq = chain.seq + 1
    const entry = { seq, atMs: 1_700_000_000_000 + seq, type: "task.added", v: 1, actor: HUB, commandId: null, commandHash: null, causedBy: null }
    const bytes = encodeEntry({ ...entry, data: { text: text(seq) } })
    const hash = chain.append(bytes)
    return { seq, bytes, hash }
  })
}

/** A checkpoint over all that the chain holds so far, as the hub records it. */
export function makeCheckpoint(chain: Chain): Stored {
  const seq = chain.seq + 1
  const data = { size: chain.seq, root: toHex(chain.root()), digest: "0".repeat(64) }
  const bytes = encodeEntry({
    seq,
    atMs: 1_700_000_000_000 + seq,
    type: "checkpoint.recorded",
    v: 1,
    actor: HUB,
    commandId: null,
    commandHash: null,
    causedBy: null,
    data,
  })
  return { seq, bytes, hash: chain.append(bytes) }
}

/** Rows in a form that compares alike whether a hash is a Buffer or a Uint8Array. */
export function plain(rows: readonly Stored[]): { seq: number; bytes: string; hash: string }[] {
  return rows.map(({ seq, bytes, hash }) => ({ seq, bytes, hash: toHex(hash) }))
}
