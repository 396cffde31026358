import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import type { SkeinError } from "../contract/errors.ts"

/** Entries that wait for a slow consumer; what comes after is asked for again when it has caught up. */
const QUEUE_MAX = 20_000

/** What the connection does for its readers. */
export type Subscriber = { subscribe(from: Seq): void; unsubscribe(): void }

type Reader = { next: Seq; queue: Entry[]; behind: boolean; wake: (() => void) | null; ended: SkeinError | "closed" | null }

/**
 * The readers of one connection's event stream. The hub keeps one subscription a connection; each reader has its own place in it and skips what it
 * has seen, so that no reader sees a gap or an entry twice, whatever happens to the connection.
 */
export class EventReaders {
  readonly #subscriber: Subscriber
  readonly #readers = new Set<Reader>()
  /** How the stream ended for good; null while it goes on. */
  #over: SkeinError | "closed" | null = null

  constructor(subscriber: Subscriber) {
    this.#subscriber = subscriber
  }

  get any(): boolean {
    return this.#readers.size > 0
  }

  /** All entries from `from` on, as they come. Ends when the consumer stops, the signal says so or the client closes. */
  async *read(from: Seq, signal?: AbortSignal): AsyncGenerator<Entry, void, void> {
    const reader: Reader = { next: from, queue: [], behind: false, wake: null, ended: this.#over ?? (signal?.aborted === true ? "closed" : null) }
    // At once: a consumer that gave its signal may never ask again.
    const leave = (): void => {
      reader.ended = "closed"
      this.#drop(reader)
      reader.wake?.()
    }
    signal?.addEventListener("abort", leave, { once: true })
    this.#readers.add(reader)
    this.resubscribe()
    try {
      for (;;) {
        const queue = reader.queue
        reader.queue = []
        for (const entry of queue) yield entry
        if (reader.queue.length > 0) continue
        if (reader.ended !== null) {
          if (reader.ended === "closed") return
          throw reader.ended
        }
        if (reader.behind) {
          reader.behind = false
          this.resubscribe()
        }
        await new Promise<void>((resolve) => {
          reader.wake = resolve
        })
      }
    } finally {
      signal?.removeEventListener("abort", leave)
      this.#drop(reader)
    }
  }

  /** Entries `from` to `to` arrived. */
  deliver(from: Seq, to: Seq, entries: readonly Entry[]): void {
    let gap = false
    for (const reader of this.#readers) {
      if (reader.behind || reader.ended !== null || reader.next > to) continue
      if (reader.next < from) {
        gap = true
        continue
      }
      if (reader.queue.length >= QUEUE_MAX) {
        reader.behind = true
        continue
      }
      for (let at = reader.next - from; at < entries.length; at += 1) reader.queue.push(entries[at] as Entry)
      reader.next = to + 1
      reader.wake?.()
    }
    if (gap) this.resubscribe()
  }

  /** Asks for the stream from where the reader that is furthest back stands. */
  resubscribe(): void {
    const open = [...this.#readers].filter((reader) => !reader.behind && reader.ended === null)
    if (open.length > 0) this.#subscriber.subscribe(Math.min(...open.map((reader) => reader.next)))
  }

  end(why: SkeinError | "closed"): void {
    for (const reader of this.#readers) {
      reader.ended = why
      reader.wake?.()
    }
  }

  /** For good: whoever begins to read from now on ends so too. */
  close(why: SkeinError | "closed"): void {
    this.#over = why
    this.end(why)
  }

  #drop(reader: Reader): void {
    if (this.#readers.delete(reader) && !this.any) this.#subscriber.unsubscribe()
  }
}
