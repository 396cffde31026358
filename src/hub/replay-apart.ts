import { once } from "node:events"
import { Worker } from "node:worker_threads"
import type { Sha256 } from "../core/chain.ts"
import { digestText } from "../core/digest.ts"
import { decodeEntry, ENTRY_MAX_BYTES } from "../core/entry.ts"
import { type Checkpoint, evolve, Workspace } from "../core/workspace.ts"
import type { Ledger, Stored } from "../ledger/ledger.ts"
import { type Tally, Uncounted } from "./fingerprint.ts"
import { comparedWith, PAGE, replay, type Replayed } from "./replay.ts"
import { COUNT_IN, COUNT_OUT, ENTRY, HASH_BYTES, type Hashed, HEAD_BYTES, MARK, type Piece } from "./replay-hashing.ts"

const PIECE_BYTES = 1024 * 1024
/** Pieces that may wait: so far this thread may be ahead of the hashing. */
const AHEAD = 8

/**
 * As `replay`, comparing every checkpoint, and where the ledger is long on two cores: a quarter less work for this thread. Throws what `replay` throws.
 */
export async function replayOnTwoCores(ledger: Pick<Ledger, "read">, sha256: Sha256, to = Number.MAX_SAFE_INTEGER): Promise<Replayed> {
  const isLong = to > PAGE && (await ledger.read(PAGE + 1, 1)).length === 1
  return (isLong ? await replayApart(ledger, to) : null) ?? replay(ledger, sha256, { to })
}

/**
 * This thread reads, folds, and writes out what is to be hashed; another hashes. Null where anything is wrong with the ledger,
 * or no thread can be had: `replay` then does all in one, and says what.
 */
export async function replayApart(ledger: Pick<Ledger, "read">, to: number): Promise<Replayed | null> {
  const state = new Workspace()
  const uncounted = new Uncounted()
  const recorded: { seq: number; data: Checkpoint | null }[] = []
  let hasher: Hasher | null = null
  try {
    hasher = new Hasher()
    for (let from = 1; from <= to; from = state.seq + 1) {
      const page = await ledger.read(from, Math.min(PAGE, to - from + 1))
      if (page.length === 0) break
      for (const stored of page) {
        if (stored.seq !== state.seq + 1) return null
        const entry = decodeEntry(stored.bytes)
        if (entry.type === "checkpoint.recorded") {
          uncounted.settle(hasher)
          hasher.mark()
          recorded.push({ seq: entry.seq, data: entry.data as Checkpoint | null })
        }
        hasher.entry(stored)
        evolve(state, entry)
        uncounted.note(state.journal.drain())
      }
      await hasher.room()
    }
    uncounted.settle(hasher)
    const { broken, marks, digest, chain } = await hasher.end()
    if (broken) return null
    const compared = recorded.map(({ seq, data }, at) => comparedWith(seq, data, marks[at]?.root ?? "", marks[at]?.digest ?? ""))
    return { state, digest, chain, entries: state.seq, compared }
  } catch {
    return null
  } finally {
    await hasher?.stop()
  }
}

/** Hands operations to the thread that hashes, a piece of memory at a time; a piece comes back when it is done with. */
class Hasher implements Tally {
  readonly #worker = new Worker(new URL(import.meta.url.endsWith(".ts") ? "./replay-hashing.ts" : "./replay-hashing.js", import.meta.url))
  readonly #encoder = new TextEncoder()
  readonly #free: ArrayBuffer[] = []
  #memory = new Uint8Array(PIECE_BYTES)
  #view = new DataView(this.#memory.buffer)
  #at = 0
  #ahead = 0
  #hashed: Hashed | null = null
  #failure: Error | null = null

  constructor() {
    this.#worker.on("error", (error: Error) => (this.#failure = error))
    this.#worker.on("message", (message: ArrayBuffer | Hashed) => {
      if (message instanceof ArrayBuffer) this.#takeBack(message)
      else this.#hashed = message
    })
  }

  add(table: string, key: string, recordJson: string): void {
    this.#write(COUNT_IN, digestText(table, key, recordJson))
  }

  remove(table: string, key: string, recordJson: string): void {
    this.#write(COUNT_OUT, digestText(table, key, recordJson))
  }

  mark(): void {
    this.#write(MARK, "")
  }

  entry({ bytes, hash }: Stored): void {
    const written = this.#write(ENTRY, bytes, 2 * HASH_BYTES)
    if (written > ENTRY_MAX_BYTES || hash.length !== HASH_BYTES) throw new RangeError("not an entry")
    this.#memory.set(hash, this.#at - written - 2 * HASH_BYTES)
  }

  /** Resolves when there is room for more. */
  async room(): Promise<void> {
    while (this.#ahead > AHEAD) await this.#heard()
  }

  async end(): Promise<Hashed> {
    this.#send()
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port has no origin
    this.#worker.postMessage(null)
    while (this.#hashed === null) await this.#heard()
    return this.#hashed
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }

  #takeBack(memory: ArrayBuffer): void {
    this.#ahead -= 1
    if (memory.byteLength === PIECE_BYTES) this.#free.push(memory)
  }

  async #heard(): Promise<void> {
    if (this.#failure !== null) throw this.#failure
    await once(this.#worker, "message")
  }

  /** Writes one operation, its text after `before` bytes that the caller fills in; answers the bytes of the text. */
  #write(kind: number, text: string, before = 0): number {
    const start = HEAD_BYTES + before
    // UTF-8 takes at most three bytes for each UTF-16 unit.
    const atMost = start + text.length * 3
    if (this.#at + atMost > this.#memory.length) this.#send(atMost)
    const { written } = this.#encoder.encodeInto(text, this.#memory.subarray(this.#at + start))
    this.#memory[this.#at] = kind
    this.#view.setUint32(this.#at + 1, before + written, true)
    this.#at += start + written
    return written
  }

  #send(next = 0): void {
    const piece: Piece = { memory: this.#memory.buffer, bytes: this.#at }
    this.#worker.postMessage(piece, [piece.memory])
    this.#ahead += 1
    this.#memory = new Uint8Array(next > PIECE_BYTES ? new ArrayBuffer(next) : (this.#free.pop() ?? new ArrayBuffer(PIECE_BYTES)))
    this.#view = new DataView(this.#memory.buffer)
    this.#at = 0
  }
}
