import { EntryHasher, sameHash } from "../core/hash.ts"
import { ENTRY_MAX_BYTES, decodeEntry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { LedgerFailure, type Ledger, type Stored } from "./ledger.ts"
import { sha256 } from "./sha256.ts"

/**
 * What can be wrong with a ledger. `altered`: bytes or hash of an entry were changed. `missing`, `reordered`, `duplicated`: an entry is not where
 * it was written. `torn`: the last one is incomplete. `backwards`: its time is before the one before. `unreadable`: it chains, yet is no
 * entry. `checkpoint`: it records another root than the entries before it have. `truncated`, `rewritten`: a checkpoint kept outside
 * tells of entries that are not there, or of others. `unsound`: every entry is as it was written, but the file around them is broken.
 */
export type Damage =
  | "altered"
  | "missing"
  | "reordered"
  | "duplicated"
  | "torn"
  | "backwards"
  | "unreadable"
  | "checkpoint"
  | "truncated"
  | "rewritten"
  | "unsound"

/** The first thing found wrong: at which entry, what, and what to do about it. */
export type Finding = { damage: Damage; seq: Seq; message: string; remedy: string }

const RESTORE = "Keep this file as evidence, restore the latest backup that verifies, and compare the two."
const REMEDY: Record<Damage, string> = {
  altered: RESTORE,
  missing: RESTORE,
  reordered: RESTORE,
  duplicated: RESTORE,
  torn: "The write was never finished. Keep the file, restore the latest backup, and let the hub go on from there.",
  backwards: "A program other than the hub wrote this entry. Keep the file and report it.",
  unreadable: "A newer or foreign program wrote this entry. Read the ledger with that version.",
  checkpoint: "The entries before this checkpoint are not those that it was recorded over. " + RESTORE,
  truncated: "The end of the ledger was cut off. Restore a backup that reaches the checkpoint.",
  unsound: "The entries are whole, the file is not, and no hub starts on it: restore the latest backup; newer entries can be copied from this file one by one.",
  rewritten: "History was written anew. Ask the witness for its copy of the checkpoint, keep this file as evidence, and restore a backup.",
}

export function finding(damage: Damage, seq: Seq, message: string): Finding {
  return { damage, seq, message, remedy: REMEDY[damage] }
}

/** A finding as the failure that stops a hub or a replay. */
export function failureOf({ seq, message, remedy }: Finding): LedgerFailure {
  return new LedgerFailure("damaged", message, remedy, seq)
}

/**
 * Names what is wrong at `seq`, where `row` was read: every entry before it verified, and `prev` is the hash they lead to.
 * Costs a reading of the rest of the ledger, where it must be known whether an entry stands elsewhere.
 */
export async function nameDamage(ledger: Pick<Ledger, "read">, seq: Seq, prev: Uint8Array, row: Stored): Promise<Finding> {
  if (row.seq > seq) {
    const elsewhere = await findEntry(ledger, seq, seq)
    if (elsewhere !== null) return reordered(seq, row.seq)
    const last = row.seq - 1
    return finding("missing", seq, last === seq ? `entry ${seq} is missing` : `entries ${seq} to ${last} are missing`)
  }
  const own = row.seq < seq ? row.seq : seqOf(row.bytes)
  if (own === null || own === seq) return nameAltered(ledger, seq, prev, row)
  if (own < seq) {
    const [earlier] = await ledger.read(own, 1)
    if (earlier?.seq === own && earlier.bytes === row.bytes) return finding("duplicated", seq, `entry ${own} stands again where entry ${seq} belongs`)
  }
  // The seq within the text may itself be what was changed: with the right one the hash would fit.
  if (sameHash(hashOf(prev, row.bytes.replace(/^\{"seq":\d+/, `{"seq":${seq}`)) ?? prev, row.hash)) return nameAltered(ledger, seq, prev, row)
  if ((await findEntry(ledger, seq, seq)) !== null) return reordered(seq, own)
  const [, next] = await ledger.read(seq, 2)
  const goesOn = next === undefined || seqOf(next.bytes) === own + 1
  if (own > seq && goesOn) return finding("missing", seq, own === seq + 1 ? `entry ${seq} is missing` : `entries ${seq} to ${own - 1} are missing`)
  return own < seq && goesOn ? reordered(seq, own) : nameAltered(ledger, seq, prev, row)
}

function reordered(seq: Seq, stands: Seq): Finding {
  return finding("reordered", seq, `entry ${stands} stands where entry ${seq} belongs`)
}

async function nameAltered(ledger: Pick<Ledger, "read">, seq: Seq, prev: Uint8Array, row: Stored): Promise<Finding> {
  const next = (await ledger.read(seq, 2).catch(() => []))[1]
  // A changed byte would hardly take the closing brace: what lacks it was cut short.
  if (!next && !row.bytes.endsWith("}") && !isEntry(row.bytes)) return finding("torn", seq, `entry ${seq}, the last, is incomplete`)
  if (next && fits(row.hash, next)) return finding("altered", seq, `the bytes of entry ${seq} were changed after it was written`)
  const rightly = hashOf(prev, row.bytes)
  if (next && rightly && fits(rightly, next)) return finding("altered", seq, `the stored hash of entry ${seq} was changed; its bytes are sound`)
  return finding("altered", seq, `the bytes and the hash of entry ${seq} do not belong together`)
}

function fits(prev: Uint8Array, row: Stored): boolean {
  return sameHash(hashOf(prev, row.bytes) ?? row.hash.subarray(1), row.hash)
}

/** The chain hash, or null for a text that is too long to have been written. */
function hashOf(prev: Uint8Array, bytes: string): Uint8Array | null {
  return prev.length === 32 && !isTooLong(bytes) ? new EntryHasher(sha256).chain(prev, bytes) : null
}

/** Whether a text is longer than an entry can be; UTF-8 takes at most three bytes for each of its characters. */
export function isTooLong(bytes: string): boolean {
  return bytes.length * 3 > ENTRY_MAX_BYTES && new TextEncoder().encode(bytes).length > ENTRY_MAX_BYTES
}

/** Where entry `seq` stands from `from` on, by its own text, or null. */
async function findEntry(ledger: Pick<Ledger, "read">, seq: Seq, from: Seq): Promise<number | null> {
  const start = `{"seq":${seq},`
  for (let at = from; ;) {
    const page = await ledger.read(at, 1024).catch(() => [])
    if (page.length === 0) return null
    const found = page.findIndex((row) => row.bytes.startsWith(start))
    if (found >= 0) return at + found
    at = Math.max(at + page.length, page.at(-1)!.seq + 1)
  }
}

function isEntry(bytes: string): boolean {
  try {
    decodeEntry(bytes)
    return true
  } catch {
    return false
  }
}

/** The seq that an entry's own text begins with, or null. */
function seqOf(bytes: string): Seq | null {
  const start = /^\{"seq":(\d+),/.exec(bytes)
  return start ? Number(start[1]) : null
}
