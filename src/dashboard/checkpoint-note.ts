import { EntryHasher } from "../core/hash.ts"
import { verifyInclusion } from "../core/merkle.ts"
import type { Output } from "../contract/operations.ts"
import { sha256 } from "./sha256.ts"

/** What a signed checkpoint says; who signed it is as the hub says, since the page has no key of its own to trust. Source: c2sp.org/tlog-checkpoint. */
export type CheckpointNote = { origin: string; size: number; root: Uint8Array; signers: string[] }

/** Reads a note; null on one that is none. */
export function readNote(note: string): CheckpointNote | null {
  const at = note.indexOf("\n\n")
  const [origin = "", size = "", root = ""] = note.slice(0, at).split("\n")
  if (at < 0 || !/^\d+$/.test(size)) return null
  const bytes = fromBase64(root)
  const signers = note
    .slice(at + 2)
    .split("\n")
    .flatMap((line) => /^\u2014 (\S+) /.exec(line)?.[1] ?? [])
  return bytes === null ? null : { origin, size: Number(size), root: bytes, signers }
}

/** Whether a proof shows its entry to be under its checkpoint. */
export function proofHolds({ seq, entry, inclusion, checkpoint }: Output<"ledger.prove">): boolean {
  const note = readNote(checkpoint)
  const hasher = new EntryHasher(sha256)
  const path = inclusion.map(fromBase64)
  if (note === null || path.includes(null)) return false
  return verifyInclusion(hasher, seq - 1, note.size, hasher.leaf(entry), path as Uint8Array[], note.root)
}

function fromBase64(text: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
  } catch {
    return null
  }
}
