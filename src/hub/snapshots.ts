import { type ChainRecord, sameHash, fromHex, type Sha256, toHex } from "../core/chain.ts"
import type { DigestRecord } from "../core/digest.ts"
import type { Seq } from "../core/ids.ts"
import { fromSnapshot, type Snapshot, takeSnapshot, type Workspace } from "../core/workspace.ts"
import type { Ledger } from "../ledger/ledger.ts"
import { digestOf } from "./fingerprint.ts"

/** Where snapshots are kept: a projection, which may be deleted and is then made again. */
export type SnapshotStore = {
  /** Keeps one, whole or not at all, under the workspace's name and its seq. */
  keep(workspace: string, seq: Seq, lines: AsyncIterable<string>): Promise<void>
  /** The lines of one, in pieces of any size, or null where it is not kept. */
  open(workspace: string, seq: Seq): Promise<AsyncIterable<string> | null>
  /** The seqs that are kept, ascending. */
  list(workspace: string): Promise<Seq[]>
}

/** First line of a snapshot; each further line is `[table, key, record]`. Lines, because a large state fits in no single string. */
export type SnapshotHead = { version: 1; seq: Seq; atMs: number; chain: ChainRecord; digest: DigestRecord; seal: string }

/** Over all of the head: the digest vouches for the records, this for the rest, of which a wrong bit would spoil every later checkpoint. */
function sealOf(sha256: Sha256, { seq, atMs, chain, digest }: Omit<SnapshotHead, "version" | "seal">): string {
  return toHex(sha256(new TextEncoder().encode(JSON.stringify([seq, atMs, chain, digest]))))
}

/** Records of one slice: between two slices the hub decides what has arrived. */
const SLICE = 500

/** A snapshot of the state as it stands, line by line; records are never changed in place, so it may be written while the state goes on. */
export function snapshotLines(sha256: Sha256, state: Workspace, chain: ChainRecord, digest: DigestRecord, pause: () => Promise<void>): AsyncIterable<string> {
  const { seq, atMs, tables } = takeSnapshot(state)
  return (async function* lines() {
    const head: SnapshotHead = { version: 1, seq, atMs, chain, digest, seal: sealOf(sha256, { seq, atMs, chain, digest }) }
    yield `${JSON.stringify(head)}\n`
    for (const [table, rows] of Object.entries(tables)) {
      for (let at = 0; at < rows.length; at += SLICE) {
        let text = ""
        for (const [key, record] of rows.slice(at, at + SLICE)) text += `${JSON.stringify([table, key, record])}\n`
        yield text
        await pause()
      }
    }
  })()
}

/** Reads a snapshot back. Throws `SyntaxError` on one that is not whole. */
export async function readSnapshot(pieces: AsyncIterable<string>): Promise<{ head: SnapshotHead; snapshot: Snapshot }> {
  let head: SnapshotHead | null = null
  let rest = ""
  const tables: Snapshot["tables"] = {}
  for await (const piece of pieces) {
    const lines = (rest + piece).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) {
      if (head === null) {
        head = JSON.parse(line) as SnapshotHead
        if (head.version !== 1) throw new SyntaxError(`snapshot of version ${String(head.version)}`)
        continue
      }
      const [table, key, record] = JSON.parse(line) as [string, string, unknown]
      const rows = (tables[table] ??= [])
      rows.push([key, record])
    }
  }
  if (head === null || rest !== "") throw new SyntaxError("the snapshot is cut off")
  return { head, snapshot: { seq: head.seq, atMs: head.atMs, tables } }
}

/** The lines of the newest kept snapshot at or before a seq, or null. */
export async function newestSnapshot(store: SnapshotStore, workspace: string, atOrBefore: Seq): Promise<{ seq: Seq; lines: AsyncIterable<string> } | null> {
  const seq = (await store.list(workspace)).findLast((kept) => kept <= atOrBefore)
  const lines = seq === undefined ? null : await store.open(workspace, seq)
  return seq === undefined || lines === null ? null : { seq, lines }
}

export type Restored = { state: Workspace; chain: ChainRecord; digest: DigestRecord }

/**
 * The newest kept state that the ledger confirms: its chain hash is that of the ledger's own entry, and its records have the digest that it names.
 * One that does not fit is passed over; the caller folds the rest, or all, from the ledger.
 */
export async function restore(
  store: SnapshotStore,
  workspace: string,
  ledger: Ledger,
  sha256: Sha256,
  atOrBefore: Seq,
  onBad: (seq: Seq, error: unknown) => void,
): Promise<Restored | null> {
  const kept = (await store.list(workspace)).filter((seq) => seq <= atOrBefore)
  for (const seq of kept.reverse()) {
    try {
      const pieces = await store.open(workspace, seq)
      if (pieces === null) continue
      const { head, snapshot } = await readSnapshot(pieces)
      const [stored] = await ledger.read(head.seq, 1)
      if (head.seal !== sealOf(sha256, head)) throw new SyntaxError("its first line was changed")
      if (head.seq !== seq || stored === undefined || !sameHash(stored.hash, fromHex(head.chain.hash))) throw new SyntaxError("it is of another ledger")
      const state = fromSnapshot(snapshot)
      if (digestOf(sha256, state) !== head.digest) throw new SyntaxError("its records do not have its digest")
      return { state, chain: head.chain, digest: head.digest }
    } catch (error) {
      onBad(seq, error)
    }
  }
  return null
}

/** Snapshots in memory, for tests and simulation. */
export function memorySnapshots(): SnapshotStore {
  const kept = new Map<string, string>()
  return {
    async keep(workspace, seq, lines) {
      let text = ""
      for await (const line of lines) text += line
      kept.set(`${workspace}/${seq}`, text)
    },
    async open(workspace, seq) {
      const text = kept.get(`${workspace}/${seq}`)
      if (text === undefined) return null
      return (async function* pieces() {
        yield text
      })()
    },
    async list(workspace) {
      return [...kept.keys()]
        .filter((key) => key.startsWith(`${workspace}/`))
        .map((key) => Number(key.slice(workspace.length + 1)))
        .sort((a, b) => a - b)
    },
  }
}
