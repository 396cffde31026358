import { toHex } from "../core/hash.ts"
import type { Seq } from "../core/ids.ts"
import { failureOf, finding, type Finding } from "./damage.ts"
import type { Ledger } from "./ledger.ts"
import { NoteInvalid, openNote, parseTreeHead, type TreeHead, type Verifier } from "./note.ts"
import { CHECKPOINT_RECORDED, examine, type RecordedCheckpoint } from "./scan.ts"

/** A checkpoint kept outside the ledger's file, its signature verified by the caller (`openNote`). `source` says where it was kept. */
export type OutsideCheckpoint = Pick<TreeHead, "size" | "root"> & { source: string }

export type Report = {
  ok: boolean
  /** The entries that verified, from the first on; all of them when `ok`. */
  entries: number
  /** Where they lead: the last of them, its chain hash and the tree's root, in hex. */
  head: { seq: Seq; hash: string; root: string }
  /** Checkpoints recorded in the ledger that hold. */
  checkpoints: number
  /** The size of the largest checkpoint kept outside that holds. Entries beyond it could be cut off and nobody would miss them. */
  coveredTo: Seq
  /** The first thing wrong. */
  finding: Finding | null
}

/** A stretch of the ledger: the entries `from` to `to` that one checkpoint covers and the one before does not. */
export type Epoch = { epoch: number; from: Seq; to: Seq; recorded: (RecordedCheckpoint & { seq: Seq }) | null }

/**
 * Verifies every entry and every checkpoint, those recorded inside and those kept outside. Never throws for damage: the report names the first.
 * Without an outside checkpoint a file cut exactly between two entries looks whole: see `coveredTo`.
 */
export async function verify(ledger: Pick<Ledger, "read">, outside: readonly OutsideCheckpoint[] = []): Promise<Report> {
  const waiting = outside.toSorted((a, b) => a.size - b.size)
  let coveredTo = 0
  let rewritten: Finding | null = null
  const compare = (size: number, root: () => Uint8Array): void => {
    for (let next = waiting[0]; next && next.size === size; next = waiting[0]) {
      waiting.shift()
      if (toHex(next.root) === toHex(root())) coveredTo = size
      else rewritten ??= finding("rewritten", coveredTo + 1, describeRewritten(coveredTo, next))
    }
  }
  const scanned = await examine(ledger, () => undefined, {
    onTree: (frontier) => {
      if (waiting[0]?.size === frontier.size) compare(frontier.size, () => frontier.root())
    },
  })
  const { seq, hash } = scanned.head
  const missing = waiting.at(-1)
  const truncated = missing
    ? finding("truncated", seq + 1, `the ledger ends at entry ${seq}; ${missing.source} has a checkpoint of ${missing.size} entries`)
    : null
  const found = firstOf([scanned.finding, rewritten, scanned.finding ? null : truncated])
  return {
    ok: found === null,
    entries: scanned.entries,
    head: { seq, hash: toHex(hash), root: toHex(scanned.frontier.root()) },
    checkpoints: scanned.checkpoints,
    coveredTo,
    finding: found,
  }
}

/** Opens a checkpoint note kept outside. Throws `NoteInvalid` when none of the log's keys signed it, or it is of another log than `origin`. */
export function outsideCheckpoint(note: string, log: readonly Verifier[], origin: string, source: string): OutsideCheckpoint {
  const head = parseTreeHead(openNote(note, log).text)
  if (head.origin !== origin) throw new NoteInvalid("unsigned", `${source} is a checkpoint of ${JSON.stringify(head.origin)}, not of ${origin}`)
  return { size: head.size, root: head.root, source }
}

/** The stretches between checkpoints, verified on the way; the last, still open one has none. Throws `LedgerFailure("damaged")` like `scan`. */
export async function epochs(ledger: Pick<Ledger, "read">): Promise<Epoch[]> {
  const found: Epoch[] = []
  let from = 1
  const scanned = await examine(ledger, ({ seq, type, data }) => {
    if (type !== CHECKPOINT_RECORDED) return
    const recorded = data as RecordedCheckpoint
    found.push({ epoch: found.length + 1, from, to: recorded.size, recorded: { ...recorded, seq } })
    from = seq
  })
  if (scanned.finding) throw failureOf(scanned.finding)
  if (from <= scanned.head.seq) found.push({ epoch: found.length + 1, from, to: scanned.head.seq, recorded: null })
  return found
}

function describeRewritten(coveredTo: Seq, { size, source }: OutsideCheckpoint): string {
  return `somewhere in entries ${coveredTo + 1} to ${size} history is not what ${source} has a checkpoint of, though it chains`
}

function firstOf(findings: readonly (Finding | null)[]): Finding | null {
  return findings.filter((one) => one !== null).toSorted((a, b) => a.seq - b.seq)[0] ?? null
}
