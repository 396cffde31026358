import { once } from "node:events"
import { extname } from "node:path"
import { Worker } from "node:worker_threads"
import type { Sha256 } from "../core/hash.ts"
import { StateDigest } from "../core/digest.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import { type Checkpoint, evolve, Workspace } from "../core/workspace.ts"
import { HASH_BYTES, type Source, type Stored } from "../ledger/ledger.ts"
import { sha256 } from "../ledger/sha256.ts"
import { EntryPage } from "./entry-heads.ts"
import { Fingerprint } from "./fingerprint.ts"
import { comparedWith, PAGE, replay, type Replayed } from "./replay.ts"
import type { FromHashing, Hashed, HashingBegin, ToHashing } from "./replay-hashing.ts"
import type { Restored } from "./snapshots.ts"

/** So many changes are looked through at once: before the page is over, so that what they replaced is forgotten while it is young. */
const NOTED_AT = 512
/** Pages that the other thread may be ahead of this one. */
const READ_AHEAD = 3

/** `to`: the last seq to fold in. `keys`: whether the state is to have the keys of commands too, which a comparison of digests alone has no use for. */
export type ApartOptions = { to?: number; keys?: boolean }

/**
 * As `replay`, comparing every checkpoint, and where the ledger is long on two cores: half of the work for this thread. Throws what `replay` throws.
 */
export async function replayOnTwoCores(ledger: Source, sha256: Sha256, { to = Number.MAX_SAFE_INTEGER, keys = true }: ApartOptions = {}): Promise<Replayed> {
  const isLong = to > PAGE && (await ledger.read(PAGE + 1, 1)).length === 1
  return (isLong ? await replayApart(ledger, { to, keys }) : null) ?? replay(ledger, sha256, { to })
}

/**
 * Another thread reads, chains, and folds the keys for their part of the digest; this one folds the entries. Null where anything is wrong with the ledger,
 * or no thread can be had: `replay` then does all in one, and says what. `from`: the state to go on from, which is changed whatever the outcome.
 */
export async function replayApart(
  ledger: Source,
  { to = Number.MAX_SAFE_INTEGER, keys = true, from = null }: ApartOptions & { from?: Restored | null },
): Promise<Replayed | null> {
  const state = from?.state ?? new Workspace()
  const elsewhere = ledger.elsewhere ?? null
  // What a snapshot has of keys would first have to go there, and texts that are read here would have to be parsed there too.
  const keysApart = from === null && elsewhere !== null
  const fingerprint = new Fingerprint(sha256, from?.digest)
  const note = (): void => {
    const changes = state.journal.drain()
    fingerprint.note(keysApart && keys ? changes.filter(({ table }) => table !== state.keys) : changes)
  }
  const recorded: { seq: number; data: Checkpoint | null; digest: string }[] = []
  let hasher: Hasher | null = null
  try {
    hasher = new Hasher({ elsewhere, chain: from?.chain ?? null, withKeys: keysApart })
    for await (const page of pagesOf(ledger, hasher, state.seq + 1, to)) {
      for (let at = 0; at < page.length; at += 1) {
        if (state.journal.length >= NOTED_AT) note()
        const entry = page.at(at, keys || !keysApart)
        if (entry.type === "checkpoint.recorded") {
          note()
          recorded.push({ seq: entry.seq, data: entry.data as Checkpoint | null, digest: fingerprint.digest() })
        }
        evolve(state, entry)
      }
      note()
    }
    const hashed = await hasher.end()
    if (hashed.chain.seq !== state.seq) return null
    const compared = recorded.map(({ seq, data, digest }) => {
      const before = hashed.before.get(seq)
      if (before === undefined) throw new RangeError("a checkpoint that is not written as one")
      return comparedWith(seq, data, before.root, sumOf(digest, before.keys))
    })
    return { state, digest: sumOf(fingerprint.digest(), hashed.keys), chain: hashed.chain, entries: state.seq, compared }
  } catch {
    return null
  } finally {
    await hasher?.stop()
  }
}

/** The digest of two states that have no table in common, as of one. */
function sumOf(digest: string, other: string | null): string {
  if (other === null) return digest
  const sum = new StateDigest(sha256, digest)
  sum.addAll(other)
  return sum.digest()
}

type Page = { readonly length: number; at(place: number, withKey: boolean): Entry }

/** All entries in order. From a file they come seen to chain; else they are read here, and looked at while they are folded. */
async function* pagesOf(ledger: Source, hasher: Hasher, first: number, to: number): AsyncIterable<Page> {
  const limit = (from: number): number => Math.min(PAGE, to - from + 1)
  if (ledger.elsewhere === undefined) {
    for (let from = first; from <= to;) {
      const page = await ledger.read(from, limit(from))
      if (page.length === 0) return
      const texts = hasher.check(from, page)
      yield { length: texts.length, at: (place) => decodeEntry(texts[place] as string) }
      from += page.length
    }
    return
  }
  let asked = first
  for (let from = first; from <= to; from += PAGE) {
    for (; asked <= to && asked <= from + READ_AHEAD * PAGE; asked += PAGE) hasher.ask(asked, limit(asked))
    const page = await hasher.page()
    if (page.length > 0) yield page
    if (page.length < PAGE) return
  }
}

/** The other thread. */
class Hasher {
  readonly #worker: Worker
  readonly #pages: EntryPage[] = []
  #hashed: Hashed | null = null
  #failure: Error | null = null

  constructor(begin: HashingBegin) {
    // As the launcher does it in its own thread: Node 22 says at each thread's first sight of node:sqlite that it is experimental.
    const execArgv = ["--disable-warning=ExperimentalWarning"]
    this.#worker = new Worker(new URL(`../hub/replay-hashing${extname(import.meta.url)}`, import.meta.url), { workerData: begin, execArgv })
    this.#worker.on("error", (error: Error) => (this.#failure = error))
    this.#worker.on("message", (message: FromHashing) => {
      if (message === null) this.#failure = new RangeError("the ledger does not chain")
      else if ("heads" in message) this.#pages.push(new EntryPage(message))
      else this.#hashed = message
    })
  }

  /** Has a page read, chained and handed over. */
  ask(from: number, limit: number): void {
    this.#post({ from, limit })
  }

  /** The next page that was asked for. */
  async page(): Promise<EntryPage> {
    for (;;) {
      const page = this.#pages.shift()
      if (page !== undefined) return page
      await this.#heard()
    }
  }

  /** Has a page chained that was read here, and answers its texts. */
  check(from: number, page: readonly Stored[]): string[] {
    const texts = page.map(({ bytes }) => bytes)
    const hashes = new Uint8Array(page.length * HASH_BYTES)
    for (const [at, { seq, hash }] of page.entries()) {
      if (seq !== from + at || hash.length !== HASH_BYTES) throw new RangeError("not an entry")
      hashes.set(hash, at * HASH_BYTES)
    }
    this.#post({ from, texts, hashes })
    return texts
  }

  async end(): Promise<Hashed> {
    this.#post(null)
    while (this.#hashed === null) await this.#heard()
    return this.#hashed
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }

  #post(message: ToHashing): void {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
    this.#worker.postMessage(message)
  }

  async #heard(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    await once(this.#worker, "message")
  }
}
