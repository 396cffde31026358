import { Chain, type ChainRecord } from "../core/chain.ts"
import { sameHash, type Sha256, toHex } from "../core/hash.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { type Checkpoint, evolve, Workspace } from "../core/workspace.ts"
import { type Ledger, LedgerFailure, type Stored } from "../ledger/ledger.ts"
import { digestOf, Fingerprint } from "./fingerprint.ts"

/** A checkpoint that a replay met, and whether it reached the same root and digest. */
export type Compared = Checkpoint & { seq: Seq; rootReached: string; digestReached: string; ok: boolean }
export type Replayed = { state: Workspace; digest: string; chain: ChainRecord; entries: number; compared: Compared[] }

export type ReplayOptions = {
  /** The last seq to fold in; the head by default. */
  to?: Seq
  /** Compares every recorded checkpoint on the way (default), or only folds. */
  compare?: boolean
  /** Sees each entry once it is folded in, and the state that it leads to. */
  onEntry?: (entry: Entry, state: Workspace) => void
}

export const PAGE = 2_048

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
    for (const stored of page) {
      const entry = foldEntry(state, chain, stored, (read) => {
        if (compare && read.type === "checkpoint.recorded")
          compared.push(comparedWith(read.seq, read.data as Checkpoint | null, toHex(chain.root()), fingerprint.digest()))
      })
      const changes = state.journal.drain()
      if (compare) fingerprint.note(changes)
      onEntry?.(entry, state)
    }
    from = state.seq + 1
  }
  const digest = settled(state, () => (compare ? fingerprint.digest() : digestOf(sha256, state)))
  return { state, digest, chain: chain.record(), entries: state.seq, compared }
}

/**
 * Folds the next stored entry in, once it is seen to be the next and to chain; `onRead` sees it before that. Throws `LedgerFailure("damaged")` with its
 * seq, also where an entry chains and is yet none of ours: whoever can write the file can make hashes that fit.
 */
export function foldEntry(state: Workspace, chain: Chain, { seq, bytes, hash }: Stored, onRead?: (entry: Entry) => void): Entry {
  const next = state.seq + 1
  if (seq !== next) throw damaged(next, `entry ${next} is missing: ${seq} follows ${state.seq}`)
  let step = "cannot be read"
  try {
    const entry = decodeEntry(bytes)
    onRead?.(entry)
    step = "is too long to be one"
    const reached = chain.append(bytes)
    if (!sameHash(reached, hash)) throw damaged(seq, `entry ${seq} was changed: its bytes do not chain`)
    chain.commit()
    step = "chains, but does not follow from those before it"
    evolve(state, entry)
    return entry
  } catch (error) {
    throw error instanceof LedgerFailure ? error : damaged(seq, `entry ${seq} ${step}`, error)
  }
}

/**
 * What is made of the folded entries once all are. Throws `LedgerFailure("damaged")` where that cannot be: who forges entries that chain may leave out, or make
 * otherwise, what none of those after them asked for.
 */
export function settled<Result>(state: Workspace, work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    const remedy = "Hold it against a checkpoint that is kept elsewhere (`skein ledger verify --checkpoint FILE`), then restore a backup."
    throw new LedgerFailure("damaged", `the entries up to ${state.seq} chain, and yet make no state to work on`, remedy, null, error)
  }
}

function damaged(seq: Seq, message: string, cause?: unknown): LedgerFailure {
  return new LedgerFailure("damaged", message, "Run `skein ledger verify`, then restore a backup.", seq, cause)
}

/** A recorded checkpoint beside what was reached. */
export function comparedWith(seq: Seq, recorded: Checkpoint | null, rootReached: string, digestReached: string): Compared {
  const { size = 0, root = "", digest = "" } = recorded ?? {}
  const ok = size === seq - 1 && root === rootReached && digest === digestReached
  return { size, root, digest, seq, rootReached, digestReached, ok }
}
