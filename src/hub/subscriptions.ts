import type { Seq } from "../core/ids.ts"
import type { Stored } from "../ledger/ledger.ts"

/** Entries `from` to `to` as one JSON array of the stored bytes, framed once for all who listen. */
export type Frame = { from: Seq; to: Seq; text: string }

/** One reader of the stream. */
export type Sink = {
  deliver(frame: Frame): void
  /** Whether its buffer has room. */
  writable(): boolean
  /** Calls back when what was delivered is on its way: only then a reader that catches up is read more for. Without it that is at once. */
  drained?(then: () => void): void
  /** It was too slow and is dropped: it must subscribe again from `from`. Never growth, never a wait. */
  resync(from: Seq): void
  /** The stream ended for another reason: the hub is going down. */
  end(): void
}

type Reader = { sink: Sink; next: Seq; live: boolean; gone: boolean }

/** Entries of one frame: 8 MiB at the most, half of what may wait for a reader before it is taken for one that does not read. */
const PAGE = 128
/** Characters of them that a reader who catches up is sent in one go, or one entry: so much the hub holds for each that is slower than the ledger. */
const PAGE_CHARS = 256 * 1024

function frameOf(stored: readonly Stored[]): Frame {
  let text = "["
  for (let at = 0; at < stored.length; at += 1) text += at === 0 ? (stored[at] as Stored).bytes : `,${(stored[at] as Stored).bytes}`
  return { from: (stored[0] as Stored).seq, to: (stored.at(-1) as Stored).seq, text: `${text}]` }
}

/** As many of the first entries as go out at once. */
function beginningOf(stored: readonly Stored[]): readonly Stored[] {
  let chars = 0
  const beyond = stored.findIndex(({ bytes }, at) => (chars += bytes.length) > PAGE_CHARS && at > 0)
  return beyond < 0 ? stored : stored.slice(0, beyond)
}

/**
 * The stream of entries, gap-free from any seq. A reader first catches up from the ledger; the moment it stands at the head it is live, and that
 * is checked and set without a step between, so that no entry slips through.
 */
export class Subscriptions {
  readonly #read: (from: Seq, limit: number) => Promise<Stored[]>
  readonly #readers = new Set<Reader>()
  #head: Seq

  constructor(read: (from: Seq, limit: number) => Promise<Stored[]>, head: Seq) {
    this.#read = read
    this.#head = head
  }

  get size(): number {
    return this.#readers.size
  }

  /** Delivers from `from` on; the answer ends it. */
  subscribe(from: Seq, sink: Sink): () => void {
    const reader: Reader = { sink, next: Math.max(1, from), live: false, gone: false }
    this.#readers.add(reader)
    void this.#catchUp(reader)
    return () => this.#drop(reader)
  }

  /** The entries of one durable batch, to everybody who is live. */
  publish(stored: readonly Stored[]): void {
    this.#head = (stored.at(-1) as Stored).seq
    for (let at = 0; at < stored.length && this.#readers.size > 0; at += PAGE) this.#publish(stored.slice(at, at + PAGE))
  }

  #publish(stored: readonly Stored[]): void {
    const frame = frameOf(stored)
    for (const reader of this.#readers) {
      if (!reader.live) continue
      // A reader may have asked for entries that are still to come.
      if (reader.next > frame.to) continue
      this.#deliver(reader, reader.next > frame.from ? frameOf(stored.slice(reader.next - frame.from)) : frame)
    }
  }

  close(): void {
    for (const reader of this.#readers) this.#end(reader)
  }

  async #catchUp(reader: Reader): Promise<void> {
    let limit = PAGE
    try {
      while (!reader.gone) {
        if (reader.next > this.#head) {
          reader.live = true
          return
        }
        // Whoever subscribes again and again reads once.
        await Promise.resolve()
        if (reader.gone) return
        const page = await this.#read(reader.next, Math.min(limit, this.#head - reader.next + 1))
        // After the await: the reader may have left; the head may have moved, which the next turn sees.
        if (reader.gone) return
        if (page.length === 0) throw new Error(`the ledger ends before entry ${reader.next}`)
        const part = beginningOf(page)
        limit = part.length < page.length ? part.length : Math.min(PAGE, 2 * part.length)
        this.#deliver(reader, frameOf(part))
        await this.#drained(reader)
      }
    } catch {
      if (!reader.gone) this.#end(reader)
    }
  }

  #drained({ sink, gone }: Reader): Promise<void> | void {
    if (sink.drained !== undefined && !gone) return new Promise((resolve) => sink.drained?.(resolve))
  }

  /** A sink that throws is dropped: one broken reader never keeps the others, or the hub, from going on. */
  #deliver(reader: Reader, frame: Frame): void {
    try {
      if (reader.sink.writable()) {
        reader.next = frame.to + 1
        reader.sink.deliver(frame)
      } else {
        this.#drop(reader)
        reader.sink.resync(reader.next)
      }
    } catch {
      this.#end(reader)
    }
  }

  #end(reader: Reader): void {
    this.#drop(reader)
    try {
      reader.sink.end()
    } catch {
      // It is gone already.
    }
  }

  #drop(reader: Reader): void {
    reader.gone = true
    this.#readers.delete(reader)
  }
}
