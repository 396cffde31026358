/** A thread that reads a ledger for its replay, makes the chain and the Merkle tree, and folds the keys of commands. */
import { isAscii, isUtf8 } from "node:buffer"
import { parentPort, workerData } from "node:worker_threads"
import type { ChainRecord } from "../core/chain.ts"
import { EntryHasher, fromHex, GENESIS, sameHash, toHex } from "../core/hash.ts"
import { Frontier } from "../core/merkle.ts"
import type { DigestRecord } from "../core/digest.ts"
import type { Seq } from "../core/ids.ts"
import { type Elsewhere, HASH_BYTES, type Packed, type Reader } from "../ledger/ledger.ts"
import { sha256, sha256Into } from "../ledger/sha256.ts"
import { EntryPage, HeadReader, type ReadPage } from "./entry-heads.ts"
import { ReplayedKeys } from "./replayed-keys.ts"

/** A page to read; a page that was read, with the hashes stored beside it; null: that was all. */
export type ToHashing = { from: Seq; limit: number } | { from: Seq; texts: string[]; hashes: Uint8Array } | null
/** Before an entry: the root over all entries until then, and the digest of their keys (null: they are not folded here). */
export type Before = { root: string; keys: DigestRecord | null }
/** `before`: of each entry that may be a checkpoint, by its seq. `keys`: the digest of all keys in the end. */
export type Hashed = { before: Map<Seq, Before>; keys: DigestRecord | null; chain: ChainRecord }
/** A page that chains; what was reached in the end; null: an entry is missing or does not chain. */
export type FromHashing = ReadPage | Hashed | null

/** What the thread begins with: where it is to read the ledger, how far the chain has come already, and whether it folds the keys of what it reads. */
export type HashingBegin = { elsewhere: Elsewhere | null; chain: ChainRecord | null; withKeys: boolean }

class Chaining {
  readonly #hasher = new EntryHasher(sha256)
  readonly #frontier: Frontier
  readonly #keys: ReplayedKeys | null
  readonly #before = new Map<Seq, Before>()
  readonly #hash = new Uint8Array(HASH_BYTES)

  constructor(from: ChainRecord | null, withKeys: boolean) {
    this.#keys = withKeys ? new ReplayedKeys() : null
    this.#frontier = from === null ? new Frontier(this.#hasher) : Frontier.from(this.#hasher, from.frontier)
    this.#hash.set(from === null ? GENESIS : fromHex(from.hash))
  }

  reached(): Hashed {
    const frontier = this.#frontier.record()
    return { before: this.#before, keys: this.#keys?.digest() ?? null, chain: { seq: frontier.size, hash: toHex(this.#hash), frontier } }
  }

  /** Whether the entry is the next one and chains. Throws `RangeError` where it is too long. */
  takes(seq: Seq, text: string, stored: Uint8Array): boolean {
    if (seq !== this.#frontier.size + 1) return false
    if (text.includes("checkpoint.recorded")) this.#noteBefore(seq)
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
      if (heads.read(place, start, end)) this.#noteBefore(from + place)
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
    if (!plain && !isUtf8(bytes)) return null
    const page: ReadPage = { from, bytes, isAscii: plain, fields: heads.fields, heads: heads.heads }
    if (this.#keys !== null) this.#foldKeys(this.#keys, page)
    return page
  }

  #noteBefore(seq: Seq): void {
    this.#before.set(seq, { root: toHex(this.#frontier.root()), keys: null })
  }

  #foldKeys(keys: ReplayedKeys, page: ReadPage): void {
    const entries = new EntryPage(page)
    for (let place = 0; place < entries.length; place += 1) {
      const before = this.#before.get(page.from + place)
      if (before !== undefined) before.keys = keys.digest()
      keys.fold(entries.keyAt(place))
    }
    keys.settle()
  }
}

const begin = workerData as HashingBegin
const chaining = new Chaining(begin.chain, begin.withKeys)
let ledger: Reader | null = null
/** A page is read when the one before is: messages are taken up in the order in which they came. */
let reading: Promise<void> = Promise.resolve()

parentPort?.on("message", (message: ToHashing) => {
  reading = reading.then(() => chain(message)).catch(() => answer(null))
})

async function chain(message: ToHashing): Promise<void> {
  if (message === null) {
    await ledger?.close()
    answer(chaining.reached())
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
