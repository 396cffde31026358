/** A thread that reads a ledger and makes the hashes of its replay: the chain, the Merkle tree, and the state digest of records that come in pieces of memory. */
import { isAscii, isUtf8 } from "node:buffer"
import { parentPort, workerData } from "node:worker_threads"
import type { ChainRecord } from "../core/chain.ts"
import { EntryHasher, fromHex, GENESIS, sameHash, toHex } from "../core/hash.ts"
import { Frontier } from "../core/merkle.ts"
import { type DigestRecord, StateDigest } from "../core/digest.ts"
import type { Seq } from "../core/ids.ts"
import { type Elsewhere, HASH_BYTES, type Packed, type Reader } from "../ledger/ledger.ts"
import { sha256, sha256Into } from "../ledger/sha256.ts"
import { HeadReader, type ReadPage } from "./entry-heads.ts"
import { KeptHashes } from "./kept-hashes.ts"

/** Operations come in runs: their number (4 bytes, little-endian as all), of each its kind (1 byte), the length of its text (4) and a number (4), then all texts. */
export const RUN_BYTES = 4
export const HEAD_BYTES = 9
/** A record, as `writeCounted` writes it, to be counted in or out. */
export const COUNT_IN = 1
export const COUNT_OUT = 2
/** A record to be counted in, in the place of what was kept under its number; and a number whose kept hash is counted out. */
export const KEEP = 3
export const FORGET = 4
/** Asks for the digest of all so far. */
export const MARK = 5

export type Piece = { memory: SharedArrayBuffer; bytes: number }
/** Operations to carry out; a page to read; a page that was read, with the hashes stored beside it; null: that was all. */
export type ToHashing = Piece | { from: Seq; limit: number } | { from: Seq; texts: string[]; hashes: Uint8Array } | null
/** `roots`: over the entries before each that may be a checkpoint, by its seq. `digests`: one a mark. */
export type Hashed = { roots: Map<Seq, string>; digests: DigestRecord[]; digest: DigestRecord; chain: ChainRecord }
/** Memory that is done with; a page that chains; what was reached in the end; null: an entry is missing or does not chain. */
export type FromHashing = SharedArrayBuffer | ReadPage | Hashed | null

/** What the thread begins with: where it is to read the ledger, and how far chain and digest have come already. */
export type HashingBegin = { elsewhere: Elsewhere | null; chain: ChainRecord | null; digest: DigestRecord | null }

class Chaining {
  readonly #hasher = new EntryHasher(sha256)
  readonly #frontier: Frontier
  readonly roots = new Map<Seq, string>()
  readonly #hash = new Uint8Array(HASH_BYTES)

  constructor(from: ChainRecord | null) {
    this.#frontier = from === null ? new Frontier(this.#hasher) : Frontier.from(this.#hasher, from.frontier)
    this.#hash.set(from === null ? GENESIS : fromHex(from.hash))
  }

  record(): ChainRecord {
    const frontier = this.#frontier.record()
    return { seq: frontier.size, hash: toHex(this.#hash), frontier }
  }

  /** Whether the entry is the next one and chains. Throws `RangeError` where it is too long. */
  takes(seq: Seq, text: string, stored: Uint8Array): boolean {
    if (seq !== this.#frontier.size + 1) return false
    if (text.includes("checkpoint.recorded")) this.#noteRoot(seq)
    const { hash, leaf } = this.#hasher.both(this.#hash, text)
    if (!sameHash(hash, stored)) return false
    this.#hash.set(hash)
    this.#frontier.append(leaf)
    return true
  }

  /** The same of a whole page, hashed where it lies: the hash before an entry, or the byte that makes a leaf of it, is written over the entry's own. Null where it does not chain. */
  takesPage(from: Seq, { bytes, lengths }: Packed): ReadPage | null {
    // Pages are asked for ahead: those beyond the last entry are empty.
    if (lengths.length > 0 && from !== this.#frontier.size + 1) return null
    const heads = new HeadReader(bytes, from, lengths.length)
    const stored = new Uint8Array(HASH_BYTES)
    let end = 0
    for (let place = 0; place < lengths.length; place += 1) {
      const hashAt = end
      const start = hashAt + HASH_BYTES
      end = start + (lengths[place] as number)
      if (heads.read(place, start, end)) this.#noteRoot(from + place)
      for (let i = 0; i < HASH_BYTES; i += 1) {
        stored[i] = bytes[hashAt + i] as number
        bytes[hashAt + i] = this.#hash[i] as number
      }
      sha256Into(bytes.subarray(hashAt, end), this.#hash)
      if (!sameHash(this.#hash, stored)) return null
      bytes[start - 1] = 0
      this.#frontier.append(sha256(bytes.subarray(start - 1, end)))
      bytes.fill(0, hashAt, start)
    }
    const plain = isAscii(bytes)
    return plain || isUtf8(bytes) ? { from, bytes, isAscii: plain, fields: heads.fields, heads: heads.heads } : null
  }

  #noteRoot(seq: Seq): void {
    this.roots.set(seq, toHex(this.#frontier.root()))
  }
}

class Counting {
  readonly #digest: StateDigest
  readonly #kept = new KeptHashes()
  readonly #now = new Uint8Array(HASH_BYTES)
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
        if (kind === MARK) this.digests.push(this.digest())
        else if (kind === FORGET) this.#forget(view.getUint32(head + 5, true))
        else {
          sha256Into(all.subarray(start, at), this.#now)
          if (kind === COUNT_OUT) this.#digest.removeHash(this.#now)
          else this.#digest.addHash(this.#now)
          if (kind === KEEP) this.#keep(view.getUint32(head + 5, true))
        }
      }
    }
  }

  digest(): DigestRecord {
    return this.#digest.digest()
  }

  #keep(number: number): void {
    const before = this.#kept.swap(number, this.#now)
    if (before !== null) this.#digest.removeHash(before)
  }

  #forget(number: number): void {
    const before = this.#kept.take(number)
    if (before !== null) this.#digest.removeHash(before)
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
    const packed = await ledger.pack(message.from, message.limit)
    const page = packed === null ? null : chaining.takesPage(message.from, packed)
    answer(page, page === null ? [] : [page.bytes.buffer, page.fields.buffer])
  }
}

async function open({ module, path }: Elsewhere): Promise<Reader> {
  const { openForReading } = (await import(module)) as { openForReading(path: string): Reader }
  return openForReading(path)
}

function answer(message: FromHashing, moved: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, moved)
}
