import type { ChainRecord } from "../core/chain.ts"
import { sameHash, fromHex, type Sha256, toHex } from "../core/hash.ts"
import type { DigestRecord } from "../core/digest.ts"
import type { Seq } from "../core/ids.ts"
import { allRows, putRows, Workspace } from "../core/workspace.ts"
import type { Ledger } from "../ledger/ledger.ts"

/** Where snapshots are kept: a projection, which may be deleted and is then made again. */
export type SnapshotStore = {
  /** Keeps one, whole or not at all, under the workspace's name and its seq. */
  keep(workspace: string, seq: Seq, lines: AsyncIterable<string>): Promise<void>
  /** The lines of one, in pieces of any size, or null where it is not kept. */
  open(workspace: string, seq: Seq): Promise<AsyncIterable<string> | null>
  /** Lets go of one; no error where it is not kept. */
  drop(workspace: string, seq: Seq): Promise<void>
  /** The seqs that are kept, ascending. */
  list(workspace: string): Promise<Seq[]>
}

/**
 * First line of a snapshot; each further line is `[table, [[key, record], ...]]`, the last one `null`. Every line begins with its seal: the SHA-256, in hex,
 * over the seal before it and its own text. So a line that was damaged, left out or moved is found before it is taken for anything, for 2 % of
 * what it would cost to make the digest of the records anew.
 */
export type SnapshotHead = { version: 2; seq: Seq; atMs: number; chain: ChainRecord; digest: DigestRecord }

/** Makes the seals of a snapshot's lines, one after the other. */
export class Seals {
  readonly #sha256: Sha256
  readonly #encoder = new TextEncoder()
  #last = "0".repeat(SEAL_LENGTH)

  constructor(sha256: Sha256) {
    this.#sha256 = sha256
  }

  next(text: string): string {
    this.#last = toHex(this.#sha256(this.#encoder.encode(this.#last + text)))
    return this.#last
  }
}

export const SEAL_LENGTH = 64
/** Records of one line: between two lines the hub decides what has arrived. */
const SLICE = 500

/** A snapshot of the state as it stands, line by line; records are never changed in place, so it may be written while the state goes on. */
export function snapshotLines(sha256: Sha256, state: Workspace, chain: ChainRecord, digest: DigestRecord, pause: () => Promise<void>): AsyncIterable<string> {
  const { seq, atMs } = state
  const tables = allRows(state)
  return (async function* lines() {
    const seals = new Seals(sha256)
    const sealed = (value: unknown): string => {
      const text = JSON.stringify(value)
      return `${seals.next(text)}${text}\n`
    }
    const head: SnapshotHead = { version: 2, seq, atMs, chain, digest }
    yield sealed(head)
    for (const { table, keys, records } of tables) {
      for (let at = 0; at < keys.length; at += SLICE) {
        yield sealed([table, keys.slice(at, at + SLICE).map((key, index) => [key, records[at + index]])])
        await pause()
      }
    }
    yield sealed(null)
  })()
}

/** Reads a snapshot back. Throws `SyntaxError` on one that is not as it was written. */
export async function readSnapshot(sha256: Sha256, pieces: AsyncIterable<string>): Promise<{ head: SnapshotHead; state: Workspace }> {
  const seals = new Seals(sha256)
  const state = new Workspace()
  let head: SnapshotHead | null = null
  let isWhole = false
  for await (const line of linesOf(pieces)) {
    const text = line.slice(SEAL_LENGTH)
    if (isWhole || seals.next(text) !== line.slice(0, SEAL_LENGTH)) throw new SyntaxError("the snapshot was changed")
    const value = JSON.parse(text) as SnapshotHead | [string, [string, unknown][]] | null
    if (value === null) isWhole = true
    else if (Array.isArray(value)) putRows(state, ...value)
    else head = value
  }
  if (!isWhole || head === null) throw new SyntaxError("the snapshot is cut off")
  if (head.version !== 2) throw new SyntaxError(`snapshot of version ${String(head.version)}`)
  state.seq = head.seq
  state.atMs = head.atMs
  return { head, state }
}

export async function* linesOf(pieces: AsyncIterable<string>): AsyncIterable<string> {
  let rest: string[] = []
  for await (const piece of pieces) {
    const [first = "", ...more] = piece.split("\n")
    rest.push(first)
    for (const next of more) {
      yield rest.join("")
      rest = [next]
    }
  }
  if (rest.some((part) => part !== "")) throw new SyntaxError("the snapshot is cut off")
}

/** The lines of the newest kept snapshot at or before a seq, or null. */
export async function newestSnapshot(store: SnapshotStore, workspace: string, atOrBefore: Seq): Promise<{ seq: Seq; lines: AsyncIterable<string> } | null> {
  const seq = (await store.list(workspace)).findLast((kept) => kept <= atOrBefore)
  const lines = seq === undefined ? null : await store.open(workspace, seq)
  return seq === undefined || lines === null ? null : { seq, lines }
}

/** Lets go of lines that nobody will read, and of the file behind them: what was never begun would hold it open. */
export async function letGo(lines: AsyncIterable<string>): Promise<void> {
  const begun = lines[Symbol.asyncIterator]()
  await begun.next()
  await begun.return?.()
}

export type Restored = { state: Workspace; chain: ChainRecord; digest: DigestRecord }

/**
 * The newest kept state that the ledger confirms: it is as it was written, and its chain hash is that of the ledger's own entry. One that does not fit is
 * passed over; the caller folds the rest, or all, from the ledger. Its digest is that which the hub had reached by the records' changes: the next
 * checkpoint goes on from it, and a replay must reach the same.
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
      const { head, state } = await readSnapshot(sha256, pieces)
      const [stored] = await ledger.read(head.seq, 1)
      if (head.seq !== seq || stored === undefined || !sameHash(stored.hash, fromHex(head.chain.hash))) throw new SyntaxError("it is of another ledger")
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
    async drop(workspace, seq) {
      kept.delete(`${workspace}/${seq}`)
    },
    async list(workspace) {
      return [...kept.keys()]
        .filter((key) => key.startsWith(`${workspace}/`))
        .map((key) => Number(key.slice(workspace.length + 1)))
        .sort((a, b) => a - b)
    },
  }
}
