import { EntryHasher } from "../core/hash.ts"
import { consistencyPath, inclusionPath, verifyConsistency, verifyInclusion } from "../core/merkle.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { failureOf, finding, isTooLong } from "./damage.ts"
import { eachText, KeptTree } from "./kept-tree.ts"
import { LedgerFailure, type Ledger } from "./ledger.ts"
import { NoteInvalid, openNote, parseNote, parseTreeHead, type TreeHead, type Verified, type Verifier } from "./note.ts"
import { sha256 } from "./sha256.ts"

/** What `skein ledger prove` writes and `skein ledger check` reads: all that an outsider needs besides the public keys that he trusts. */
export type InclusionProof = {
  format: "skein/inclusion-proof/v1"
  seq: Seq
  /** The entry's very bytes. */
  entry: string
  /** The hashes from the leaf's sibling to the child of the root, in base64. */
  inclusion: string[]
  /** The signed checkpoint with its cosignatures. */
  checkpoint: string
}

/** What a proof shows, or in one sentence why it shows nothing. */
export type Checked =
  | { ok: true; seq: Seq; entry: Entry; head: TreeHead; signedBy: string[]; cosignedBy: { name: string; atMs: number }[] }
  | { ok: false; reason: string }

/** Whom to trust: the log's keys, one of which MUST have signed, and witnesses, `quorum` of which, with as many keys, MUST have cosigned (none by default). */
export type Trust = { log: readonly Verifier[]; witnesses?: readonly Verifier[]; quorum?: number }

const FORMAT = "skein/inclusion-proof/v1"

/**
 * Proves that entry `seq` is in the tree that `checkpoint` (a note) is over. Without a `tree` of before it reads the ledger up to that size: a few seconds for a million entries.
 * Throws `LedgerFailure`: `unsupported` when the checkpoint does not cover the entry, `damaged` when the ledger has another root.
 */
export async function prove(ledger: Pick<Ledger, "read">, seq: Seq, checkpoint: string, tree = new KeptTree(ledger)): Promise<InclusionProof> {
  const head = parseTreeHead(parseNote(checkpoint).text)
  if (!(seq >= 1 && seq <= head.size)) {
    throw new LedgerFailure(
      "unsupported",
      `the checkpoint covers entries 1 to ${head.size}, not ${seq}`,
      "make a newer one with `skein ledger checkpoint`",
      seq,
    )
  }
  const inclusion = await tree.roots(inclusionPath(seq - 1, head.size))
  let entry = ""
  await eachText(ledger, seq, seq, (text) => (entry = text))
  const hasher = new EntryHasher(sha256)
  if (!verifyInclusion(hasher, seq - 1, head.size, hasher.leaf(entry), inclusion, head.root))
    throw failureOf(finding("rewritten", seq, `the ledger's first ${head.size} entries do not have the root of this checkpoint`))
  return { format: FORMAT, seq, entry, inclusion: inclusion.map(encode), checkpoint }
}

/** Checks a proof with nothing but public keys. `proof` is parsed JSON from outside: nothing about it is taken for granted. */
export function check(proof: unknown, { log, witnesses = [], quorum = 0 }: Trust): Checked {
  const {
    format,
    seq,
    entry: text,
    inclusion,
    checkpoint,
  } = (typeof proof === "object" && proof !== null ? proof : {}) as Partial<Record<keyof InclusionProof, unknown>>
  if (format !== FORMAT) return no(`this is no proof of the format ${FORMAT}`)
  if (!Number.isSafeInteger(seq) || typeof text !== "string" || typeof checkpoint !== "string" || !Array.isArray(inclusion))
    return no("the proof lacks a field, or one is of the wrong kind")
  const hashes = inclusion.map((hash) => (typeof hash === "string" ? Buffer.from(hash, "base64") : Buffer.alloc(0)))
  if (hashes.length > 63 || hashes.some((hash) => hash.length !== 32)) return no("the inclusion proof is not a list of hashes")
  let opened: { text: string; verified: Verified[] }
  let head: TreeHead
  try {
    opened = openNote(checkpoint, [...log, ...witnesses])
    head = parseTreeHead(opened.text)
  } catch (error) {
    if (error instanceof NoteInvalid) return no(`the checkpoint is not to be trusted: ${error.message}`)
    throw error
  }
  const signedBy = opened.verified.filter(({ verifier }) => log.includes(verifier)).map(({ verifier }) => verifier.name)
  const cosignedBy = opened.verified
    .filter(({ verifier }) => witnesses.includes(verifier))
    .map(({ verifier, atMs }) => ({ name: verifier.name, atMs: atMs ?? 0 }))
  if (signedBy.length === 0) return no("the checkpoint is not signed by the log's key")
  // One key under two names is one witness, and the log's own is none: whoever has it would vouch for itself.
  const keyOf = ({ key }: Verifier): string => key.export({ format: "jwk" }).x ?? ""
  const independent = new Set(opened.verified.filter(({ verifier }) => witnesses.includes(verifier)).map(({ verifier }) => keyOf(verifier)))
  for (const own of log) independent.delete(keyOf(own))
  const shared = independent.size < cosignedBy.length ? ": those that share a key are one, and the log's own key is none" : ""
  if (independent.size < quorum) return no(`${independent.size} of the given witnesses cosigned, and ${quorum} are asked for${shared}`)
  if (isTooLong(text)) return no("the entry is too long to be one")
  const hasher = new EntryHasher(sha256)
  if (!verifyInclusion(hasher, (seq as number) - 1, head.size, hasher.leaf(text), hashes, head.root))
    return no("the entry is not in the tree that the checkpoint is over")
  try {
    const entry = decodeEntry(text)
    if (entry.seq !== seq) return no(`the entry is number ${entry.seq}, not ${String(seq)}`)
    return { ok: true, seq: entry.seq, entry, head, signedBy, cosignedBy }
  } catch {
    return no("the entry's bytes are in the tree, but are no entry")
  }
}

/**
 * The proof that the first `older` entries begin the first `newer`. Without a `tree` of before it reads the ledger up to `newer`. Throws
 * `LedgerFailure("damaged")` when entries are missing.
 */
export function proveConsistency(ledger: Pick<Ledger, "read">, older: Seq, newer: Seq, tree = new KeptTree(ledger)): Promise<Uint8Array[]> {
  return tree.roots(consistencyPath(older, newer))
}

/** Whether `proof` shows that the tree of the older checkpoint begins that of the newer. */
export function isConsistent(older: Pick<TreeHead, "size" | "root">, newer: Pick<TreeHead, "size" | "root">, proof: readonly Uint8Array[]): boolean {
  return verifyConsistency(new EntryHasher(sha256), older.size, newer.size, older.root, newer.root, proof)
}

function encode(hash: Uint8Array): string {
  return Buffer.from(hash).toString("base64")
}

function no(reason: string): Checked {
  return { ok: false, reason }
}
