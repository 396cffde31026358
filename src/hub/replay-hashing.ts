/** A thread that reads a ledger and makes the hashes of its replay: the chain, the Merkle tree, and the state digest of records that come in pieces of memory. */
import { parentPort, workerData } from "node:worker_threads"
import type { ChainRecord } from "../core/chain.ts"
import { EntryHasher, fromHex, GENESIS, sameHash, toHex } from "../core/hash.ts"
import { Frontier } from "../core/merkle.ts"
import { type DigestRecord, StateDigest } from "../core/digest.ts"
import type { Seq } from "../core/ids.ts"
import type { Elsewhere, Reader } from "../ledger/ledger.ts"
import { sha256 } from "../ledger/sha256.ts"

/** Operations come in runs: their number (4 bytes, little-endian as all), of each its kind (1 byte) and the length of its text (4), then all texts. */
export const RUN_BYTES = 4
export const HEAD_BYTES = 5
/** A record, as `digestText` has it, to be counted in or out. */
export const COUNT_IN = 1
export const COUNT_OUT = 2
/** A record to be counted in, in the place of what was kept under its table and key; and one whose kept hash is counted out. */
export const KEEP = 3
export const FORGET = 4
/** Asks for the digest of all so far. */
export const MARK = 5
export const HASH_BYTES = 32

export type Piece = { memory: SharedArrayBuffer; bytes: number }
/** Operations to carry out; a page to read; a page that was read, with the hashes stored beside it; null: that was all. */
export type ToHashing = Piece | { from: Seq; limit: number } | { from: Seq; texts: string[]; hashes: Uint8Array } | null
/** `roots`: over the entries before each that may be a checkpoint, by its seq. `digests`: one a mark. */
export type Hashed = { roots: Map<Seq, string>; digests: DigestRecord[]; digest: DigestRecord; chain: ChainRecord }
/** Memory that is done with; a page that chains; what was reached in the end; null: an entry is missing or does not chain. */
export type FromHashing = SharedArrayBuffer | string[] | Hashed | null

/** What the thread begins with: where it is to read the ledger, and how far chain and digest have come already. */
export type HashingBegin = { elsewhere: Elsewhere | null; chain: ChainRecord | null; digest: DigestRecord | null }

class Chaining {
  readonly #hasher = new EntryHasher(sha256)
  readonly #frontier: Frontier
  readonly roots = new Map<Seq, string>()
  #hash = GENESIS

  constructor(from: ChainRecord | null) {
    this.#frontier = from === null ? new Frontier(this.#hasher) : Frontier.from(this.#hasher, from.frontier)
    if (from !== null) this.#hash = fromHex(from.hash)
  }

  record(): ChainRecord {
    const frontier = this.#frontier.record()
    return { seq: frontier.size, hash: toHex(this.#hash), frontier }
  }

  /** Whether the entry is the next one and chains. Throws `RangeError` where it is too long. */
  takes(seq: Seq, text: string, stored: Uint8Array): boolean {
    if (seq !== this.#frontier.size + 1) return false
    if (text.includes('"checkpoint.recorded"')) this.roots.set(seq, toHex(this.#frontier.root()))
    const { hash, leaf } = this.#hasher.both(this.#hash, text)
    if (!sameHash(hash, stored)) return false
    this.#hash = hash
    this.#frontier.append(leaf)
    return true
  }
}

class Counting {
  readonly #digest: StateDigest
  readonly #kept = new Map<string, Uint8Array>()
  readonly digests: DigestRecord[] = []

  constructor(from: DigestRecord | null) {
    this.#digest = new StateDigest(sha256, from ?? undefined)
  }

  take({ memory, bytes }: Piece): void {
    const all = new Uint8Array(memory)
    const view = new DataView(memory)
    for (let at = 0; at < bytes;) {
      let head = at + RUN_BYTES
      const texts = head + view.getUint32(at, true) * HEAD_BYTES
      for (at = texts; head < texts; head += HEAD_BYTES) {
        const kind = all[head]
        const start = at
        at += view.getUint32(head + 1, true)
        const text = all.subarray(start, at)
        if (kind === COUNT_IN) this.#digest.addHash(sha256(text))
        else if (kind === COUNT_OUT) this.#digest.removeHash(sha256(text))
        else if (kind === MARK) this.digests.push(this.digest())
        else this.#keep(text, kind === KEEP)
      }
    }
  }

  digest(): DigestRecord {
    return this.#digest.digest()
  }

  #keep(text: Uint8Array, isThere: boolean): void {
    const keyBytes = text.indexOf(0, text.indexOf(0) + 1)
    const key = Buffer.from(text.buffer, text.byteOffset, keyBytes).toString("latin1")
    const before = this.#kept.get(key)
    if (before !== undefined) this.#digest.removeHash(before)
    if (!isThere) {
      this.#kept.delete(key)
      return
    }
    const now = sha256(text)
    this.#digest.addHash(now)
    this.#kept.set(key, now)
  }
}

// Imported too by the thread that starts this one, for its constants: there it has nothing to begin with.
const begin = (workerData ?? {}) as Partial<HashingBegin>
const chaining = new Chaining(begin.chain ?? null)
const counting = new Counting(begin.digest ?? null)
let ledger: Reader | null = null
/** A page is read when the one before is: messages are taken up in the order in which they came. */
let reading: Promise<void> = Promise.resolve()

parentPort?.on("message", (message: ToHashing) => {
  if (message !== null && "memory" in message) {
    counting.take(message)
    answer(message.memory)
    return
  }
  reading = reading.then(() => chain(message)).catch(() => answer(null))
})

async function chain(message: Exclude<ToHashing, Piece>): Promise<void> {
  if (message === null) {
    await ledger?.close()
    answer({ roots: chaining.roots, digests: counting.digests, digest: counting.digest(), chain: chaining.record() })
  } else if ("texts" in message) {
    const { from, texts, hashes } = message
    const all = texts.every((text, at) => chaining.takes(from + at, text, hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)))
    if (!all) answer(null)
  } else {
    ledger ??= await open(begin.elsewhere as Elsewhere)
    const page = await ledger.read(message.from, message.limit)
    answer(page.every(({ seq, bytes, hash }) => chaining.takes(seq, bytes, hash)) ? page.map(({ bytes }) => bytes) : null)
  }
}

async function open({ module, path }: Elsewhere): Promise<Reader> {
  const { openForReading } = (await import(module)) as { openForReading(path: string): Reader }
  return openForReading(path)
}

function answer(message: FromHashing): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
  parentPort?.postMessage(message)
}
