import type { ChainRecord } from "../core/chain.ts"
import { EntryHasher, GENESIS, fromHex, sameHash, toHex } from "../core/hash.ts"
import { Frontier } from "../core/merkle.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { failureOf, finding, isTooLong, nameDamage, type Finding } from "./damage.ts"
import { LedgerFailure, type Head, type Ledger, type Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"
import { UPCASTS, type Upcasts } from "../core/upcast.ts"

/** What a checkpoint entry records: size, root and state digest through the entry before it, root and digest in hex. */
export type RecordedCheckpoint = { size: Seq; root: string; digest: string }
export const CHECKPOINT_RECORDED = "checkpoint.recorded"

export type ScanOptions = {
  /** The chain through the entry before the first to scan, as a snapshot keeps it; the beginning by default. */
  after?: ChainRecord
  /** The last entry to scan; the head by default. */
  to?: Seq
  upcasts?: Upcasts
  /** Called with the tree after each entry; cheap, as long as it asks for no root. */
  onTree?: (frontier: Frontier) => void
}

/** What a scan saw up to its end or up to the finding: how many entries verified, where they lead, and the tree over them. */
export type Scanned = { entries: number; head: Head; lastAtMs: number; checkpoints: number; frontier: Frontier; finding: Finding | null }

const PAGE = 2048

/**
 * Reads entries in order and verifies each before it hands it over, up-cast: place, hash chain, time, and the root of every recorded checkpoint.
 * Throws `LedgerFailure("damaged")` naming the first entry that is not as it was written.
 */
export async function scan(ledger: Pick<Ledger, "read">, onEntry: (entry: Entry, stored: Stored) => void, options: ScanOptions = {}): Promise<Scanned> {
  const scanned = await examine(ledger, onEntry, options)
  if (scanned.finding) throw failureOf(scanned.finding)
  return scanned
}

/** As `scan`, but answers with the finding instead of throwing it. */
export async function examine(ledger: Pick<Ledger, "read">, onEntry: (entry: Entry, stored: Stored) => void, options: ScanOptions = {}): Promise<Scanned> {
  const { after, to = Number.MAX_SAFE_INTEGER, upcasts = UPCASTS, onTree } = options
  const hasher = new EntryHasher(sha256)
  const frontier = after ? Frontier.from(hasher, after.frontier) : new Frontier(hasher)
  const first = frontier.size
  let prev: Uint8Array = after ? fromHex(after.hash) : GENESIS
  let lastAtMs = 0
  let checkpoints = 0
  let unsound: Finding | null = null
  const end = (found: Finding | null): Scanned => ({
    entries: frontier.size - first,
    head: { seq: frontier.size, hash: prev },
    lastAtMs,
    checkpoints,
    frontier,
    finding: found,
  })
  for (;;) {
    const page = await readPage(ledger, frontier.size + 1, Math.min(PAGE, to - frontier.size), (from, error) => {
      unsound ??= finding("unsound", from, `from entry ${from} on only single entries can be read: ${error.message}`)
    })
    if ("damage" in page) return end(page)
    if (page.length === 0) return end(unsound)
    for (const row of page) {
      const seq = frontier.size + 1
      if (row.seq !== seq || isTooLong(row.bytes)) return end(await nameDamage(ledger, seq, prev, row))
      const hashes = hasher.both(prev, row.bytes)
      if (!sameHash(hashes.hash, row.hash)) return end(await nameDamage(ledger, seq, prev, row))
      const entry = decode(row.bytes, upcasts)
      if (entry === null) return end(finding("unreadable", seq, `entry ${seq} chains, but is not an entry`))
      if (entry.seq !== seq) return end(await nameDamage(ledger, seq, prev, row))
      if (typeof entry.atMs !== "number") return end(finding("unreadable", seq, `entry ${seq} chains, but has no date`))
      if (!(entry.atMs >= lastAtMs)) return end(finding("backwards", seq, `entry ${seq} is dated ${entry.atMs}, before the entry before it (${lastAtMs})`))
      if (entry.type === CHECKPOINT_RECORDED) {
        const wrong = compareRecorded(entry.data as Partial<RecordedCheckpoint> | null, seq, frontier)
        if (wrong) return end(wrong)
        checkpoints++
      }
      lastAtMs = entry.atMs
      prev = hashes.hash
      frontier.append(hashes.leaf)
      onEntry(entry, row)
      onTree?.(frontier)
    }
  }
}

/** A page, or as many rows of it as can be read when the store says that something in it is damaged: which is told to `onDamaged`. */
async function readPage(
  ledger: Pick<Ledger, "read">,
  from: Seq,
  limit: number,
  onDamaged: (from: Seq, error: LedgerFailure) => void,
): Promise<Stored[] | Finding> {
  if (limit <= 0) return []
  try {
    return await ledger.read(from, limit)
  } catch (error) {
    if (!(error instanceof LedgerFailure) || error.code !== "damaged") throw error
    if (limit === 1) return finding("altered", from, `entry ${from} cannot be read: ${error.message}`)
    onDamaged(from, error)
    return readPage(ledger, from, Math.floor(limit / 2), onDamaged)
  }
}

function compareRecorded(recorded: Partial<RecordedCheckpoint> | null, seq: Seq, frontier: Frontier): Finding | null {
  const { size, root } = recorded ?? {}
  if (size !== seq - 1) return finding("checkpoint", seq, `the checkpoint in entry ${seq} is over ${size} entries, where ${seq - 1} come before it`)
  const reached = toHex(frontier.root())
  return root === reached
    ? null
    : finding("checkpoint", seq, `the checkpoint in entry ${seq} records the root ${root}, but the entries before it have ${reached}`)
}

function decode(bytes: string, upcasts: Upcasts): Entry | null {
  try {
    return decodeEntry(bytes, upcasts)
  } catch {
    return null
  }
}
