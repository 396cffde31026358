import { Chain, type ChainRecord, fromHex, sameHash, type Sha256, toHex } from "../core/chain.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { type Checkpoint, evolve, Workspace } from "../core/workspace.ts"
import { type Ledger, LedgerFailure } from "../ledger/ledger.ts"
import { digestOf, Fingerprint } from "./fingerprint.ts"

/** A checkpoint that a replay met, and whether it reached the same root and digest. */
export type Compared = Checkpoint & { seq: Seq; rootReached: string; digestReached: string; ok: boolean }
export type Replayed = { state: Workspace; digest: string; chain: ChainRecord; entries: number; compared: Compared[] }

export type ReplayOptions = {
  /** The last seq to fold in; the head by default. */
  to?: Seq
  /** Compares every recorded checkpoint on the way (default), or only folds. */
  compare?: boolean
  onEntry?: (entry: Entry) => void
}

const PAGE = 2_048

/**
 * Rebuilds the state from the stored bytes alone: verifies that they chain, folds them, and compares root and digest at every recorded checkpoint.
 * Throws `LedgerFailure("damaged")` with the seq at which the chain breaks.
 */
export async function replay(
  ledger: Pick<Ledger, "read">,
  sha256: Sha256,
  { to = Number.MAX_SAFE_INTEGER, compare = true, onEntry }: ReplayOptions = {},
): Promise<Replayed> {
  const state = new Workspace()
  const chain = new Chain(sha256)
  const fingerprint = new Fingerprint(sha256)
  const compared: Compared[] = []
  for (let from = 1; from <= to;) {
    const page = await ledger.read(from, Math.min(PAGE, to - from + 1))
    if (page.length === 0) break
    for (const { seq, bytes, hash } of page) {
      if (seq !== state.seq + 1)
        throw new LedgerFailure("damaged", `entry ${state.seq + 1} is missing: ${seq} follows ${state.seq}`, "Restore the ledger from a backup.", state.seq + 1)
      const entry = readEntry(bytes, seq)
      if (compare && entry.type === "checkpoint.recorded")
        compared.push(compareCheckpoint(entry as Entry<"checkpoint.recorded", Checkpoint>, chain, fingerprint))
      if (!sameHash(chain.append(bytes), hash))
        throw new LedgerFailure("damaged", `entry ${seq} was changed: its bytes do not chain`, "Restore the ledger from a backup.", seq)
      chain.commit()
      evolve(state, entry)
      const changes = state.journal.drain()
      if (compare) fingerprint.note(changes)
      onEntry?.(entry)
    }
    from = state.seq + 1
  }
  return { state, digest: compare ? fingerprint.digest() : digestOf(sha256, state), chain: chain.record(), entries: state.seq, compared }
}

function readEntry(bytes: string, seq: Seq): Entry {
  try {
    return decodeEntry(bytes)
  } catch (error) {
    throw new LedgerFailure("damaged", `entry ${seq} cannot be read`, "Restore the ledger from a backup.", seq, error)
  }
}

function compareCheckpoint({ seq, data }: Entry<"checkpoint.recorded", Checkpoint>, chain: Chain, fingerprint: Fingerprint): Compared {
  const rootReached = toHex(chain.root())
  const digestReached = fingerprint.digest()
  const ok = data.size === seq - 1 && sameHash(fromHex(data.root), fromHex(rootReached)) && data.digest === digestReached
  return { ...data, seq, rootReached, digestReached, ok }
}
