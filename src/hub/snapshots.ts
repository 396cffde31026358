import type { ChainRecord } from "../core/chain.ts"
import { type Sha256, toHex } from "../core/hash.ts"
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
/** Longer than a line can be, in characters: 500 records of what one entry holds are half of it. A file that is all hole would fill the memory. */
const LINE_MAX = 1 << 26

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

/** The lines of what was sealed, each looked at before it is given. Throws `SyntaxError` on one that is not as it was written. */
export async function* unsealed(sha256: Sha256, pieces: AsyncIterable<string>): AsyncIterable<string> {
  const seals = new Seals(sha256)
  let isWhole = false
  for await (const line of linesOf(pieces)) {
    const text = line.slice(SEAL_LENGTH)
    if (isWhole || seals.next(text) !== line.slice(0, SEAL_LENGTH)) throw new SyntaxError("what was kept was changed")
    isWhole = text === "null"
    yield line
  }
  if (!isWhole) throw new SyntaxError("what was kept is cut off")
}

/** Reads a snapshot back. Throws `SyntaxError` on one that is not as it was written. */
export async function readSnapshot(sha256: Sha256, pieces: AsyncIterable<string>): Promise<{ head: SnapshotHead; state: Workspace }> {
  const state = new Workspace()
  let head: SnapshotHead | null = null
  for await (const line of unsealed(sha256, pieces)) {
    const value = JSON.parse(line.slice(SEAL_LENGTH)) as SnapshotHead | [string, [string, unknown][]] | null
    if (Array.isArray(value)) putRows(state, ...value)
    else head = value ?? head
  }
  if (head === null) throw new SyntaxError("the snapshot is cut off")
  if (head.version !== 2) throw new SyntaxError(`snapshot of version ${String(head.version)}`)
  state.seq = head.seq
  state.atMs = head.atMs
  return { head, state }
}

export async function* linesOf(pieces: AsyncIterable<string>): AsyncIterable<string> {
  let rest: string[] = []
  let length = 0
  for await (const piece of pieces) {
    const [first = "", ...more] = piece.split("\n")
    rest.push(first)
    for (const next of more) {
      yield rest.join("")
      rest = [next]
      length = 0
    }
    length += (rest.at(-1) as string).length
    if (length > LINE_MAX) throw new SyntaxError("a line without an end is none that was kept")
  }
  if (rest.some((part) => part !== "")) throw new SyntaxError("the snapshot is cut off")
}

type Kept = { store: SnapshotStore; workspace: string; ledger: Pick<Ledger, "read">; sha256: Sha256 }

/**
 * The lines of the newest kept snapshot at or before a seq that the ledger confirms, or null; each is looked at before it is given. One that is not as it was
 * written, or of another ledger, is let go of; where that is found in the midst of it the lines end with a `SyntaxError`, and the next call gives an older one.
 */
export async function newestSnapshot(kept: Kept, atOrBefore: Seq): Promise<{ seq: Seq; lines: AsyncIterable<string> } | null> {
  const { store, workspace, ledger, sha256 } = kept
  for (const seq of (await store.list(workspace)).filter((one) => one <= atOrBefore).reverse()) {
    const pieces = await store.open(workspace, seq)
    if (pieces === null) continue
    const lines = unsealed(sha256, pieces)[Symbol.asyncIterator]()
    try {
      const first = (await lines.next()).value as string
      const head = JSON.parse(first.slice(SEAL_LENGTH)) as SnapshotHead | null
      if (await isOf(ledger, seq, head?.seq, head?.chain?.hash)) return { seq, lines: rest(kept, seq, first, lines) }
      await lines.return?.()
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
    await store.drop(workspace, seq)
  }
  return null
}

async function* rest({ store, workspace }: Kept, seq: Seq, first: string, lines: AsyncIterator<string>): AsyncIterable<string> {
  try {
    yield `${first}\n`
    for await (const line of { [Symbol.asyncIterator]: () => lines }) yield `${line}\n`
  } catch (error) {
    if (error instanceof SyntaxError) await store.drop(workspace, seq)
    throw error
  } finally {
    await lines.return?.()
  }
}

/** Whether what says to be kept at `seq`, under the chain's hash there, is of this ledger. */
export async function isOf(ledger: Pick<Ledger, "read">, seq: Seq, said: unknown, hash: unknown): Promise<boolean> {
  const [stored] = said === seq && seq > 0 ? await ledger.read(seq, 1) : []
  return stored !== undefined && toHex(stored.hash) === hash
}

/** Lets go of lines that nobody will read, and of the file behind them: what was never begun would hold it open. */
export async function letGo(lines: AsyncIterable<string>): Promise<void> {
  const begun = lines[Symbol.asyncIterator]()
  await begun.next()
  await begun.return?.()
}

export type Restored = { state: Workspace; chain: ChainRecord; digest: DigestRecord }

/**
 * The newest kept state that the ledger confirms: it is as it was written, and its chain hash is that of the ledger's own entry. One that does not fit, or is
 * of an entry after the ledger's `head`, is told to `onBad` and let go of, so that the hub's own are not let go of in its place; the caller folds the rest, or
 * all, from the ledger. Its digest is that which the hub had reached by the records' changes: the next checkpoint goes on from it, and a replay must reach the
 * same.
 */
export async function restore(
  store: SnapshotStore,
  workspace: string,
  ledger: Ledger,
  sha256: Sha256,
  head: Seq,
  onBad: (seq: Seq, error: unknown) => void,
): Promise<Restored | null> {
  for (const seq of (await store.list(workspace)).reverse()) {
    try {
      if (seq > head) throw new SyntaxError(`it is of another ledger: this one ends at entry ${head}`)
      const pieces = await store.open(workspace, seq)
      if (pieces === null) continue
      const { head: said, state } = await readSnapshot(sha256, pieces)
      if (!(await isOf(ledger, seq, said.seq, said.chain.hash))) throw new SyntaxError("it is of another ledger")
      return { state, chain: said.chain, digest: said.digest }
    } catch (error) {
      onBad(seq, error)
      if (error instanceof SyntaxError) await store.drop(workspace, seq)
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
