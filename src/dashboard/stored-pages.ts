import { EntryHasher, fromHex, GENESIS, sameHash } from "../core/hash.ts"
import { type Signal, signal } from "@preact/signals"
import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { ask } from "./live.ts"
import { sha256 } from "./sha256.ts"

/** An entry with the bytes that were hashed. `breaks`: why it does not chain to the one before it; null where it does. */
export type Shown = { seq: Seq; entry: Entry; bytes: string; hash: string; breaks: string | null }

/** How many entries the page has read and checked, and what was wrong with one of them: null where nothing was. */
export const checked: Signal<{ entries: number; broken: Shown | null }> = signal({ entries: 0, broken: null })
/** Which ledger it is: another number after `forgetStored`. */
export const ledgerEra: Signal<number> = signal(0)

/** Entries of a page: what one call of `ledger.read` gives. */
export const STORED_PAGE = 200
const PAGES_KEPT = 100

const hasher = new EntryHasher(sha256)
/** How many entries of each page were read. */
const counts = new Map<number, number>()
const pages = new Map<number, Promise<readonly Shown[]>>()

/** Which page an entry is on, from 0. */
export function storedPageOf(seq: Seq): number {
  return Math.floor((seq - 1) / STORED_PAGE)
}

/** A page of entries as the hub stores them, each checked against the one before it. The last page of the ledger is read again when asked for again. */
export function storedPage(page: number): Promise<readonly Shown[]> {
  const kept = pages.get(page)
  pages.delete(page)
  const found = kept ?? readPage(page)
  pages.set(page, found)
  const [oldest] = pages.keys()
  if (pages.size > PAGES_KEPT && oldest !== undefined) pages.delete(oldest)
  const drop = (): void => {
    if (pages.get(page) === found) pages.delete(page)
  }
  if (kept === undefined) found.then((entries) => (entries.length < STORED_PAGE ? drop() : undefined), drop)
  return found
}

/** Of another ledger nothing that was kept is true. */
export function forgetStored(): void {
  pages.clear()
  counts.clear()
  ledgerEra.value += 1
  checked.value = { entries: 0, broken: null }
}

async function readPage(page: number): Promise<readonly Shown[]> {
  const first = page * STORED_PAGE + 1
  // One more, before the first: what the first must chain to.
  const { entries } = await ask("ledger.read", { from: Math.max(1, first - 1), limit: STORED_PAGE + (first > 1 ? 1 : 0) })
  let before = first === 1 ? { seq: 0, hash: GENESIS } : null
  const shown: Shown[] = []
  for (const { seq, bytes, hash } of entries) {
    const stored = fromHex(hash)
    if (before !== null) shown.push({ seq, entry: JSON.parse(bytes) as Entry, bytes, hash, breaks: breakOf(before, seq, bytes, stored) })
    before = { seq, hash: stored }
  }
  // The ledger's last page is read again and again: each entry counts once.
  counts.set(page, Math.max(counts.get(page) ?? 0, shown.length))
  const read = [...counts.values()].reduce((sum, count) => sum + count, 0)
  checked.value = { entries: read, broken: checked.peek().broken ?? shown.find(({ breaks }) => breaks !== null) ?? null }
  return shown
}

function breakOf(before: { seq: Seq; hash: Uint8Array }, seq: Seq, bytes: string, hash: Uint8Array): string | null {
  if (seq !== before.seq + 1) return `entry ${before.seq + 1} is missing: ${seq} follows ${before.seq}`
  return sameHash(hasher.chain(before.hash, bytes), hash) ? null : `entry ${seq} was changed: its bytes do not chain to entry ${before.seq}`
}
