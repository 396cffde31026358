import { once } from "node:events"
import { Worker } from "node:worker_threads"
import type { Sha256 } from "../core/hash.ts"
import { Changed } from "../core/changed.ts"
import { writeCounted } from "../core/digest.ts"
import { decodeEntry, type Entry } from "../core/entry.ts"
import { Ink } from "../core/ink.ts"
import type { Change, Table } from "../core/table.ts"
import type { Task } from "../core/task.ts"
import { type Checkpoint, evolve, Workspace } from "../core/workspace.ts"
import { HASH_BYTES, type Source, type Stored } from "../ledger/ledger.ts"
import { EntryPage } from "./entry-heads.ts"
import { comparedWith, PAGE, replay, type Replayed } from "./replay.ts"
import type { Restored } from "./snapshots.ts"
import {
  COUNT_IN,
  COUNT_OUT,
  FORGET,
  type FromHashing,
  type Hashed,
  type HashingBegin,
  HEAD_BYTES,
  KEEP,
  MARK,
  type Piece,
  RUN_BYTES,
  type ToHashing,
} from "./replay-hashing.ts"

const PIECE_BYTES = 1024 * 1024
/** Pieces that may wait: so far this thread may be ahead of the hashing. */
const AHEAD = 8
/** So many changes are looked through at once: before the page is over, so that what they replaced is forgotten while it is young. */
const NOTED_AT = 512
/** Records that are handed over in one go. */
const RUN = 256
/** Pages that the other thread may be ahead of this one. */
const READ_AHEAD = 3

/**
 * As `replay`, comparing every checkpoint, and where the ledger is long on two cores: less than two thirds of the work for this thread. Throws what
 * `replay` throws.
 */
export async function replayOnTwoCores(ledger: Source, sha256: Sha256, to = Number.MAX_SAFE_INTEGER): Promise<Replayed> {
  const isLong = to > PAGE && (await ledger.read(PAGE + 1, 1)).length === 1
  return (isLong ? await replayApart(ledger, to) : null) ?? replay(ledger, sha256, { to })
}

/**
 * Another thread reads, chains, and hands the texts over; this one folds them, and writes out the records that the other is to count. Null where anything
 * is wrong with the ledger, or no thread can be had: `replay` then does all in one, and says what. `from`: the state to go on from, which is changed
 * whatever the outcome.
 */
export async function replayApart(ledger: Source, to: number, from: Restored | null = null): Promise<Replayed | null> {
  const state = from?.state ?? new Workspace()
  const kept = from === null ? KEPT : null
  const recorded: { seq: number; data: Checkpoint | null }[] = []
  let hasher: Hasher | null = null
  try {
    hasher = new Hasher({ elsewhere: ledger.elsewhere ?? null, chain: from?.chain ?? null, digest: from?.digest ?? null })
    const telling = new Telling(hasher, kept)
    for await (const page of pagesOf(ledger, hasher, state.seq + 1, to)) {
      for (let at = 0; at < page.length; at += 1) {
        if (state.journal.length >= NOTED_AT) telling.note(state.journal.drain())
        const entry = page.at(at)
        if (entry.type === "checkpoint.recorded") {
          telling.note(state.journal.drain())
          telling.tell()
          hasher.mark()
          recorded.push({ seq: entry.seq, data: entry.data as Checkpoint | null })
        }
        evolve(state, entry)
      }
      telling.note(state.journal.drain())
      await hasher.room()
    }
    telling.tell()
    const { roots, digests, digest, chain } = await hasher.end()
    if (chain.seq !== state.seq || digests.length !== recorded.length) return null
    const compared = recorded.map(({ seq, data }, at) => {
      const root = roots.get(seq)
      if (root === undefined) throw new RangeError("a checkpoint that is not written as one")
      return comparedWith(seq, data, root, digests[at] ?? "")
    })
    return { state, digest, chain, entries: state.seq, compared }
  } catch {
    return null
  } finally {
    await hasher?.stop()
  }
}

type Page = { readonly length: number; at(place: number): Entry }

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

/** The table whose records change most: the other thread keeps what it counted of each, so that it need not be told again what to count out. */
const KEPT = "tasks"
/** The table whose records are changed by one command's entries, and hardly ever again. */
const KEYS = "keys"

/** Tells the thread that hashes what changed: each record once between two checkpoints, keys of commands as they come. */
class Telling {
  readonly #hasher: Hasher
  readonly #kept: string | null
  readonly #changed = new Changed()
  #key: Change | null = null

  /** `kept`: the table of whose records the other thread keeps the hashes; null where it has not seen them all. */
  constructor(hasher: Hasher, kept: string | null) {
    this.#hasher = hasher
    this.#kept = kept
  }

  note(changes: readonly Change[]): void {
    const others: Change[] = []
    for (const change of changes) {
      if (change.table.name === KEYS) this.#noteKey(change)
      else others.push(change)
    }
    this.#changed.note(others)
  }

  tell(): void {
    this.#tellKey()
    this.#changed.take(Number.POSITIVE_INFINITY, (change) => {
      const { table, key, before, after } = change
      if (table.name === this.#kept) keep(this.#hasher, table, key, before as Task | undefined, after as Task | undefined)
      else tellOf(this.#hasher, change)
    })
  }

  /** A key that changes again does so with the next entry: none is looked up among all that changed. */
  #noteKey(change: Change): void {
    const last = this.#key
    if (last !== null && change.before !== undefined && change.key === last.key) last.after = change.after
    else {
      this.#tellKey()
      this.#key = change
    }
  }

  #tellKey(): void {
    if (this.#key !== null) tellOf(this.#hasher, this.#key)
    this.#key = null
  }
}

function tellOf(hasher: Hasher, { table, key, before, after }: Change): void {
  if (before !== undefined) hasher.remove(table, key, before)
  if (after !== undefined) hasher.add(table, key, after)
}

/** A task is kept under the entry that added it; one that was added anew, which no hub does, is another. */
function keep(hasher: Hasher, table: Table<unknown>, key: string, before: Task | undefined, after: Task | undefined): void {
  if (before !== undefined && before.addedSeq !== after?.addedSeq) hasher.forget(before.addedSeq)
  if (after !== undefined) hasher.keep(after.addedSeq, table, key, after)
}

/** Hands operations to the thread that hashes, a piece of memory at a time, which both threads see; a piece comes back when it is done with. */
class Hasher {
  readonly #worker: Worker
  readonly #free: SharedArrayBuffer[] = []
  #memory = new Uint8Array(new SharedArrayBuffer(PIECE_BYTES))
  #view = new DataView(this.#memory.buffer)
  #at = 0
  /** Operations that are not handed over yet, and their texts. */
  #kinds: number[] = []
  #numbers: number[] = []
  #lengths: number[] = []
  readonly #ink = new Ink()
  #ahead = 0
  readonly #pages: EntryPage[] = []
  #hashed: Hashed | null = null
  #failure: Error | null = null

  constructor(begin: HashingBegin) {
    const file = import.meta.url.endsWith(".ts") ? "../hub/replay-hashing.ts" : "../hub/replay-hashing.js"
    // As the launcher does it in its own thread: Node 22 says at each thread's first sight of node:sqlite that it is experimental.
    const execArgv = ["--disable-warning=ExperimentalWarning"]
    this.#worker = new Worker(new URL(file, import.meta.url), { workerData: begin, execArgv })
    this.#worker.on("error", (error: Error) => (this.#failure = error))
    this.#worker.on("message", (message: FromHashing) => {
      if (message instanceof SharedArrayBuffer) this.#takeBack(message)
      else if (message === null) this.#failure = new RangeError("the ledger does not chain")
      else if ("heads" in message) this.#pages.push(new EntryPage(message))
      else this.#hashed = message
    })
  }

  add(table: Table<unknown>, key: string, record: unknown): void {
    this.#write(COUNT_IN, 0, table, key, record)
  }

  remove(table: Table<unknown>, key: string, record: unknown): void {
    this.#write(COUNT_OUT, 0, table, key, record)
  }

  /** Counts the record in, in the place of what was kept under its number. */
  keep(number: number, table: Table<unknown>, key: string, record: unknown): void {
    this.#write(KEEP, number, table, key, record)
  }

  /** Counts out what was kept under the number. */
  forget(number: number): void {
    this.#note(FORGET, number, 0)
  }

  mark(): void {
    this.#note(MARK, 0, 0)
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

  /** Resolves when there is room for more. */
  async room(): Promise<void> {
    while (this.#ahead > AHEAD) await this.#heard()
  }

  async end(): Promise<Hashed> {
    this.#handOver()
    this.#send()
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

  #takeBack(memory: SharedArrayBuffer): void {
    this.#ahead -= 1
    if (memory.byteLength === PIECE_BYTES) this.#free.push(memory)
  }

  async #heard(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    await once(this.#worker, "message")
  }

  #write(kind: number, number: number, table: Table<unknown>, key: string, record: unknown): void {
    const ink = this.#ink
    const start = ink.length
    writeCounted(ink, table, key, record)
    this.#note(kind, number, ink.length - start)
  }

  #note(kind: number, number: number, bytes: number): void {
    this.#kinds.push(kind)
    this.#numbers.push(number)
    if (this.#lengths.push(bytes) === RUN) this.#handOver()
  }

  /** Puts what waits into the memory as one run. */
  #handOver(): void {
    const lengths = this.#lengths
    if (lengths.length === 0) return
    const ink = this.#ink
    const heads = RUN_BYTES + lengths.length * HEAD_BYTES
    if (this.#at + heads + ink.length > this.#memory.length) this.#send(heads + ink.length)
    const view = this.#view
    view.setUint32(this.#at, lengths.length, true)
    let head = this.#at + RUN_BYTES
    for (let at = 0; at < lengths.length; at += 1, head += HEAD_BYTES) {
      view.setUint8(head, this.#kinds[at] as number)
      view.setUint32(head + 1, lengths[at] as number, true)
      view.setUint32(head + 5, this.#numbers[at] as number, true)
    }
    this.#memory.set(ink.written, head)
    this.#at = head + ink.length
    ink.clear()
    this.#kinds = []
    this.#numbers = []
    this.#lengths = []
  }

  #send(next = 0): void {
    const piece: Piece = { memory: this.#memory.buffer, bytes: this.#at }
    this.#post(piece)
    this.#ahead += 1
    this.#memory = new Uint8Array(next > PIECE_BYTES ? new SharedArrayBuffer(next) : (this.#free.pop() ?? new SharedArrayBuffer(PIECE_BYTES)))
    this.#view = new DataView(this.#memory.buffer)
    this.#at = 0
  }
}
